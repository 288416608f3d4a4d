"""How long PyTorch's threads wait awake for one another. Set by the scripts, before they load PyTorch.

PyTorch's builds for Linux divide their work by GNU's OpenMP, where a thread that is done first stays awake
for up to 300,000 rounds of a loop. If another process wants the core, the thread that is waited for does not
get it meanwhile, and each of the many waits of a training step may last as long as a time slice of the
system. With 1,000 rounds two trainings share the cores (`python benchmarks/bench_company.py`).
"""

import os

_ROUNDS = "1000"


def wait_briefly() -> None:
    """Limit the waiting, unless the user has said otherwise; of no effect once PyTorch is loaded."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _ROUNDS)
