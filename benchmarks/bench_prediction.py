"""predict.py from JSON Lines to a file of results: names a second, memory, and other systems beside it.

    python benchmarks/bench_prediction.py --folder FOLDER --other-python ENVIRONMENT/bin/python
    python benchmarks/bench_prediction.py --folder FOLDER --parts models --names 1000000
    python benchmarks/bench_prediction.py --folder FOLDER --parts memory

Parts: `models` (the shipped ones on one core and on two), `others` (on one core, on fewer names; those of
benchmarks/requirements.txt with --other-python), `around` (all but the network) and, not among the defaults
because it takes long, `memory` (at 1 and at 5 million names). One core is one core of the machine
(`sched_setaffinity`, as `taskset -c` does it) and OMP_NUM_THREADS=1. The names are made with a seed and are
as long as real ones (bench_names.py), or given with --input. A model's speed is what the file takes beyond a
file of one name; the whole time is in the JSON. Runs take turns, so that ratios compare neighbours in time.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.around_the_model import measure_around
from benchmarks.bench_names import make_names
from benchmarks.measuring import (
    ROOT,
    ProcessFigures,
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    run_process,
    spread,
    summarize,
    write_figures,
)
from benchmarks.other_predictors import NAMES_AT_ONCE, SYSTEMS

PARTS = ("models", "others", "around", "memory")
NAMES_OF_OTHERS = 5 * NAMES_AT_ONCE  # the first block does not count
BARS = {"default.pt": 15_000, "small.pt": 30_000}  # names a second on one core
TWO_CORES_BAR, MEMORY_BAR_MB = 1.7, 600
# Runs predict.py in this process, so that it can tell its peak memory at the end, copies of it included.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import predict
from benchmarks.measuring import peak_printed_with_copies
with peak_printed_with_copies():
    code = predict.main(sys.argv[2:])
sys.exit(code)
"""


def main() -> int:
    """Make the names, measure the parts, print and write."""
    options = parse_arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    report = circumstances() | {"repeats": options.repeats, "names": options.names}
    print_circumstances(report)
    measures = {
        "models": measure_models,
        "others": measure_others,
        "around": lambda options: measure_around(options.checkpoints[0], names_file(options, options.names)),
        "memory": measure_memory,
    }
    for part in options.parts:
        report[part] = measures[part](options)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    shipped = sorted((ROOT / "models" / "pretrained").glob("*.pt"))
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--folder", type=Path, required=True, help="where names and results go")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS[:3]), help="default: but memory"
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        nargs="+",
        default=shipped,
        metavar="FILE",
        help="default: the shipped models",
    )
    parser.add_argument("--input", type=Path, help="text file, one name a line; repeated where it is short")
    parser.add_argument("--names", type=positive, default=200_000, help="for the speed, default: %(default)s")
    parser.add_argument(
        "--memory-names", type=positive, nargs=2, default=[1_000_000, 5_000_000], help="default: %(default)s"
    )
    parser.add_argument("--other-python", type=Path, help="the interpreter of benchmarks/requirements.txt")
    return parser.parse_args()


def names_file(options: argparse.Namespace, count: int, *, records: bool = False) -> Path:
    """Return a file of so many names, made now or before; with `records` in JSON Lines, else one name a line.

    It is written in blocks, to keep this process small.
    """
    origin = "made-up" if options.input is None else options.input.stem
    path = options.folder / f"{origin}-{count}.{'jsonl' if records else 'txt'}"
    if path.exists():
        return path
    line = '{{"domain_name":"{}"}}\n' if records else "{}\n"  # names hold nothing that JSON escapes
    with path.open("w", encoding="utf-8") as file:
        if options.input is None:
            for seed, start in enumerate(range(0, count, 100_000)):
                file.writelines(map(line.format, make_names(min(100_000, count - start), seed)))
        else:
            lines = itertools.cycle(options.input.read_text(encoding="utf-8").split())
            file.writelines(map(line.format, itertools.islice(lines, count)))
    return path


# ------------------------------------------------------------------ our models


def predict(options: argparse.Namespace, checkpoint: Path, count: int, threads: int) -> ProcessFigures:
    """Run predict.py on `count` names; raise unless it answers every one."""
    results = options.folder / "results.jsonl"
    files = ["--input", str(names_file(options, count, records=True)), "--output", str(results)]
    model = ["--checkpoint", str(checkpoint), "--device", "cpu"]
    figures = run_process(["-c", PROGRAM, str(ROOT), *files, *model], threads=threads)
    with results.open("rb") as file:
        rows = sum(1 for _ in file)
    if rows != count:
        raise RuntimeError(f"{count} names gave {rows} rows")
    return figures


def measure_models(options: argparse.Namespace) -> dict[str, dict]:
    """Return the speed of each model on one core and on two."""
    cases = [(checkpoint, threads) for checkpoint in options.checkpoints for threads in (1, 2)]
    runs: dict[tuple[Path, int], list[tuple[ProcessFigures, ProcessFigures]]] = {case: [] for case in cases}
    for _ in range(options.repeats):
        for checkpoint, threads in cases:
            pair = tuple(predict(options, checkpoint, count, threads) for count in (1, options.names))
            runs[checkpoint, threads].append(pair)
    speeds = {
        case: [(options.names - 1) / (long.elapsed_s - short.elapsed_s) for short, long in pairs]
        for case, pairs in runs.items()
    }
    print(f"\n{'model':<16}{'cores':>6}{'names/s':>24}{'bar':>8}{'peak MB':>9}   {options.names:,} names")
    report = {}
    for checkpoint, threads in cases:
        row = {
            "names_per_s": summarize(speeds[checkpoint, threads]),
            "whole_seconds": summarize([long.elapsed_s for _, long in runs[checkpoint, threads]]),
            "seconds_for_one_name": summarize([short.elapsed_s for short, _ in runs[checkpoint, threads]]),
            "cpu_seconds": summarize([long.cpu_s for _, long in runs[checkpoint, threads]]),
            "peak_mb": summarize([long.peak_mb for _, long in runs[checkpoint, threads]]),
        }
        bar = f"{BARS.get(checkpoint.name, 0):,}" if threads == 1 else ""
        if threads == 2:
            pairs = zip(speeds[checkpoint, 2], speeds[checkpoint, 1], strict=True)
            row["times_one_core"] = summarize([two / one for two, one in pairs])
            bar = f"{TWO_CORES_BAR} ×"
        report[f"{checkpoint.name}, {threads} cores"] = row
        ratio = f"   {spread(row['times_one_core'], '.2f')} × one core" if threads == 2 else ""
        print(f"{checkpoint.name:<16}{threads:>6}{spread(row['names_per_s']):>24}{bar:>8}"
              f"{row['peak_mb']['median']:>9.0f}{ratio}", flush=True)  # fmt: skip
    return report


def measure_memory(options: argparse.Namespace) -> dict[str, dict]:
    """Return time and peak memory of each model at two sizes of the file, on two cores."""
    print(f"\n{'model':<16}{'names':>11}{'seconds':>10}{'peak MB':>9}   bar {MEMORY_BAR_MB} at both")
    report = {}
    for checkpoint in options.checkpoints:
        for count in options.memory_names:
            run = predict(options, checkpoint, count, threads=2)
            report[f"{checkpoint.name}, {count} names"] = {
                "seconds": round(run.elapsed_s, 2),
                "peak_mb": round(run.peak_mb, 1),
            }
            print(f"{checkpoint.name:<16}{count:>11,}{run.elapsed_s:>10.1f}{run.peak_mb:>9.0f}", flush=True)
    return report


# ------------------------------------------------------------------ other systems


def measure_others(options: argparse.Namespace) -> dict[str, dict]:
    """Return the speed of the other systems on one core, from a file to a file."""
    source, target = names_file(options, NAMES_OF_OTHERS), options.folder / "results-of-others.jsonl"
    program = Path(__file__).with_name("other_predictors.py")
    report = {}
    print(f"\n{'system, one core':<28}{'names/s':>24}{'answers alone/s':>24}{'peak MB':>9}")
    for system, (_, needs_own_environment) in SYSTEMS.items():
        if needs_own_environment and options.other_python is None:
            print(f"{system:<28}{'not measured: give --other-python':>34}")
            continue
        python = options.other_python if needs_own_environment else sys.executable
        rounds = [
            run_process([program, system, source, target], python=python, threads=1)
            for _ in range(options.repeats)
        ]
        printed = [json.loads(run.stdout.splitlines()[-2]) for run in rounds]
        row = {key: summarize([one[key] for one in printed]) for key in printed[0]}
        row["peak_mb"] = summarize([run.peak_mb for run in rounds])
        report[system] = row
        print(f"{system:<28}{spread(row['names_per_s']):>24}{spread(row['answers_per_s']):>24}"
              f"{row['peak_mb']['median']:>9.0f}", flush=True)  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(main())
