"""Damage valid files in many ways: each must be refused or answered rightly, never wrongly and quietly.

python benchmarks/fuzz.py --folder FOLDER
python benchmarks/fuzz.py --folder FOLDER --cases 100000 --first 1000000 --output fuzz.json

JSON arrays, JSON Lines, CSV, text, configurations and checkpoints, in equal parts; tests/fuzzing.py says what
must hold. Cases are numbered, and a number is the same file everywhere. They run in this process; of a
sample, predict.py or train.py runs in processes of their own, which must end with the same exit code. Exit
code 1 where something does not hold.
"""

import argparse
import logging
import os
import resource
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import (
    ROOT,
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    write_figures,
)
from tests.fuzzing import CHECKPOINT, KINDS, Fuzzer, Violation, damaged_file
from tests.mutations import FORMATS

MAX_CASE_S = 20  # of processor time: whatever takes longer hangs


def main() -> int:
    """Run all cases, print and write the counts."""
    options = parse_arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")  # pickletools warns of escapes in what it is given
    report = circumstances() | {"first": options.first, "kinds": {}, "violations": []}
    print_circumstances(report)
    fuzzer = Fuzzer(options.folder)
    signal.signal(signal.SIGVTALRM, _too_slow)
    each = -(-options.cases // len(KINDS))
    every = max(1, each * len(KINDS) // options.processes)
    for kind in KINDS:
        codes, processes, slowest_s = Counter(), 0, 0.0
        memory_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for seed in range(options.first, options.first + each):
            start_s = time.process_time()
            try:
                signal.setitimer(signal.ITIMER_VIRTUAL, MAX_CASE_S)
                code = fuzzer.check(kind, damaged_file(kind, seed))
                codes[code] += 1
                slowest_s = max(slowest_s, time.process_time() - start_s)
                if seed % every == 0:
                    processes += 1
                    check_process(fuzzer, kind, seed, code)
            except Violation as violation:
                report["violations"].append(f"{kind} {seed}: {violation}"[:500])
                print(report["violations"][-1], flush=True)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory_kb
        row = {"cases": each, "exit_codes": dict(sorted(codes.items())), "processes": processes}
        report["kinds"][kind] = row | {
            "slowest_cpu_s": round(slowest_s, 2),
            "memory_grown_mb": grown_kb // 1024,
        }
        print(f"{kind:<22}{report['kinds'][kind]}", flush=True)
    report["cases"] = each * len(KINDS)
    print(f"{report['cases']:,} cases, {len(report['violations'])} violations")
    write_figures(options.output, report)
    return 1 if report["violations"] else 0


def check_process(fuzzer: Fuzzer, kind: str, seed: int, code: int) -> None:
    """Run the script on a case in a process of its own.

    Raises
    ------
    Violation
        It ended otherwise than in this process, or with a traceback.
    """
    content = damaged_file(kind, seed)
    if kind == "yaml":
        if code == 0:  # would train; `Fuzzer` stops before
            return
        path = fuzzer.folder / "process.yaml"
        path.write_bytes(content)
        script, arguments = "train.py", ["--config", str(path), "--dry-run"]
    elif kind in FORMATS:
        script = "predict.py"
        arguments = fuzzer.predict_arguments(CHECKPOINT, fuzzer.write_input(kind, content), kind)
    else:
        path = fuzzer.folder / "process.pt"
        path.write_bytes(content)
        script, arguments = "predict.py", fuzzer.predict_arguments(path, fuzzer.asked, "text")
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *arguments],
        cwd=fuzzer.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    if done.returncode != code or b"Traceback" in done.stderr:
        raise Violation(f"a process ended with {done.returncode}, not {code}: {done.stderr[-400:]!r}")


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"more than {MAX_CASE_S} s")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where input and output files go")
    parser.add_argument("--cases", type=positive, default=21_000, help="default: %(default)s")
    parser.add_argument("--first", type=int, default=0, help="number of the first case; default: %(default)s")
    parser.add_argument(
        "--processes", type=positive, default=70, help="size of the sample; default: %(default)s"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
