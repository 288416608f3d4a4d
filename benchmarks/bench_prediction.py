"""predict.py from a file to a file: names a second on one core and on two, memory, start-up.

python benchmarks/bench_prediction.py --folder FOLDER
python benchmarks/bench_prediction.py --folder FOLDER --checkpoint runs/latest/best.pt --names 50000

The names are made with a seed and are as long as real ones (see bench_names.py). Each figure is of a process
of its own; the speed is what the longer file takes beyond the start-up.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_names import make_names
from benchmarks.measuring import (
    circumstances,
    positive,
    print_circumstances,
    run_process,
    summarize,
    write_figures,
)

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import predict
from benchmarks.measuring import print_peak
code = predict.main(sys.argv[2:])
print_peak()
sys.exit(code)
"""


def main() -> int:
    """Make the names, measure, print and write."""
    options = parse_arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    report = circumstances() | {"checkpoint": options.checkpoint.name, "repeats": options.repeats, "runs": {}}
    print_circumstances(report)
    print(f"\n{'threads':>8}{'names':>11}{'seconds':>10}{'min':>8}{'max':>8}{'names/s':>11}{'peak MB':>9}")
    for threads in (1, 2):
        start_up_s = None
        for count in (1, options.names, 5 * options.names if threads == 1 else 0):
            if not count:
                continue
            row = measure(options, count, threads)
            start_up_s = row["seconds"]["median"] if count == 1 else start_up_s
            row["names_per_s"] = (
                None if count == 1 else round(count / (row["seconds"]["median"] - start_up_s))
            )
            report["runs"][f"{threads} threads, {count} names"] = row
            seconds = row["seconds"]
            speed = "" if row["names_per_s"] is None else f"{row['names_per_s']:,}"
            print(
                f"{threads:>8}{count:>11,}{seconds['median']:>10.2f}{seconds['min']:>8.2f}{seconds['max']:>8.2f}"
                f"{speed:>11}{row['peak_mb']['median']:>9.0f}",
                flush=True,
            )
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--folder", type=Path, required=True, help="where names and results go")
    parser.add_argument("--checkpoint", type=Path, default=ROOT / "models" / "pretrained" / "default.pt")
    parser.add_argument(
        "--names", type=positive, default=200_000, help="default: %(default)s, and five times as many"
    )
    parser.add_argument("--repeats", type=positive, default=3, help="default: %(default)s")
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    return parser.parse_args()


def measure(options: argparse.Namespace, count: int, threads: int) -> dict:
    """Run predict.py on `count` names; return medians and spread of seconds and memory."""
    names = options.folder / f"names-{count}.txt"
    if not names.exists():
        names.write_text("\n".join(make_names(count, seed=0)) + "\n", encoding="utf-8")
    results = options.folder / "results.jsonl"
    arguments = ["--input", str(names), "--output", str(results), "--checkpoint", str(options.checkpoint)]
    runs = [
        run_process(["-c", PROGRAM, str(ROOT), *arguments, "--device", "cpu"], threads=threads)
        for _ in range(options.repeats)
    ]
    with results.open("rb") as file:
        rows = sum(1 for _ in file)
    if rows != count:
        raise RuntimeError(f"{count} names gave {rows} rows")
    return {
        "seconds": summarize([run.elapsed_s for run in runs]),
        "peak_mb": summarize([run.peak_mb for run in runs]),
    }


if __name__ == "__main__":
    sys.exit(main())
