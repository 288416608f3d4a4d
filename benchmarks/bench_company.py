"""What trainings of the embedded sample take alone and two at once: with OpenMP's own waiting, and with ours.

    python benchmarks/bench_company.py
    python benchmarks/bench_company.py --repeats 5 --output company.json

Each is `train.py` as a whole, four epochs, with as many threads as there are cores; the two kinds take turns.
`utils/waiting_threads.py` says what is changed. Linux only.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import (
    ROOT,
    circumstances,
    make_parser,
    print_circumstances,
    spread,
    summarize,
    write_figures,
)

EPOCHS = 4
# What stands in the environment: a policy that is none leaves OpenMP at its own; nothing there is ours.
WAITINGS = {"OpenMP's own": {"OMP_WAIT_POLICY": ""}, "ours": {}}
AT_ONCE = (1, 2)


def main() -> int:
    """Measure, print and write."""
    options = parse_arguments()
    report = circumstances() | {"repeats": options.repeats, "epochs": EPOCHS, "seconds": {}}
    print_circumstances(report)
    print(f"\n{'waiting':<16}{'trainings at once':>18}{'s (median, min–max)':>24}")
    for number in AT_ONCE:
        rounds = [
            [seconds_of(number, environment) for environment in WAITINGS.values()]
            for _ in range(options.repeats)
        ]
        for waiting, seconds in zip(WAITINGS, zip(*rounds, strict=True), strict=True):
            figures = report["seconds"][f"{waiting}, {number}"] = summarize(seconds)
            print(f"{waiting:<16}{number:>18}{spread(figures, '.1f'):>24}", flush=True)
        ratio = statistics.median(own / ours for own, ours in rounds)
        report["seconds"][f"ratio, {number}"] = round(ratio, 3)
        print(f"{'ratio':<16}{number:>18}{ratio:>24.2f}", flush=True)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    return make_parser(__doc__, repeats=3).parse_args()


def seconds_of(number: int, environment: dict[str, str]) -> float:
    """Start so many trainings together and return the seconds until the last of them has ended."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
    with tempfile.TemporaryDirectory() as folder:
        started_s = time.perf_counter()
        trainings = [
            subprocess.Popen(
                [
                    *(sys.executable, "train.py", "--config", "config_test.yaml"),
                    *("--set", f"training.epochs={EPOCHS}", "--set", f"output.directory={folder}/{place}"),
                ],
                cwd=ROOT,
                env=kept | environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for place in range(number)
        ]
        codes = [training.wait() for training in trainings]
        elapsed_s = time.perf_counter() - started_s
    if any(codes):
        raise SystemExit(f"train.py ended with {codes}")
    return elapsed_s


if __name__ == "__main__":
    sys.exit(main())
