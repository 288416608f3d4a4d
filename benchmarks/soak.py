"""predict.py over millions of rows: its memory early in the job and at its end, and every row answered.

python benchmarks/soak.py --folder FOLDER                     5 million rows, half an hour or more
python benchmarks/soak.py --folder FOLDER --rows 200000

The memory of all its processes is looked at ten times a second. The figure at 10 % is the largest up to a
tenth of the output, and the one at 100 % the largest up to the end: it may be 5 % above. One row in a hundred
is no name.
Exit code 1 where memory grows, or a row is missing.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_names import make_names
from benchmarks.measuring import (
    ROOT,
    circumstances,
    kilobytes_of_all,
    make_parser,
    positive,
    print_circumstances,
    write_figures,
)

MAX_GROWTH = 0.05
LOOK_EVERY_S = 0.1
BAD_ROWS = ("192.0.2.1", "no-dot", "a" * 300, "two words.com", "\x1b[31mred.com")
DISTINCT = 1_000_000  # names made at once; more rows repeat them under other subdomains


def rows(count: int) -> Iterator[str]:
    """Yield `count` rows, one in a hundred without a name in it."""
    names = make_names(min(count, DISTINCT), seed=0)
    for number in range(count):
        if number % 100 == 99:
            yield BAD_ROWS[number // 100 % len(BAD_ROWS)]
        else:
            name = names[number % DISTINCT]
            yield f"h{number // DISTINCT}.{name}" if number >= DISTINCT else name


def main() -> int:
    """Write the rows, predict, print and write the figures."""
    options = parse_arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    source, output = options.folder / f"rows-{options.rows}.txt", options.folder / "answers.jsonl"
    if not source.exists():
        with source.open("w", encoding="utf-8") as file:
            file.writelines(f"{row}\n" for row in rows(options.rows))
    report = circumstances() | {"rows": options.rows, "checkpoint": options.checkpoint.name}
    print_circumstances(report)
    figures = watch(source, output, options)
    growth = figures["peak_mb_at_100_percent"] / figures["peak_mb_at_10_percent"] - 1
    report |= figures | {"growth": round(growth, 4)}
    print(
        f"{figures['answered']:,} of {options.rows:,} rows in {figures['seconds']:,.0f} s; "
        f"{figures['peak_mb_at_10_percent']:.0f} MB at 10 %, "
        f"{figures['peak_mb_at_100_percent']:.0f} MB at 100 % ({growth:+.1%})"
    )
    write_figures(options.output, report)
    return 1 if growth > MAX_GROWTH or figures["answered"] != options.rows else 0


def watch(source: Path, output: Path, options: argparse.Namespace) -> dict[str, float]:
    """Run predict.py and look at its memory, and at how much it has written, until it ends.

    Raises
    ------
    RuntimeError
        It failed.
    """
    arguments = ["--input", str(source), "--output", str(output), "--checkpoint", str(options.checkpoint)]
    start_s = time.perf_counter()
    with (options.folder / "stderr.txt").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "predict.py"), *arguments, "--device", "cpu"],
            env=os.environ | {"OMP_NUM_THREADS": str(options.threads)},
            stdin=subprocess.DEVNULL,
            stderr=errors,
        )
    partial = output.with_name(f"{output.name}.partial")
    looks: list[tuple[int, int]] = []  # bytes written, memory in kB
    while process.poll() is None:
        memory = kilobytes_of_all(str(process.pid))
        if memory:
            looks.append((partial.stat().st_size if partial.exists() else 0, memory))
        time.sleep(LOOK_EVERY_S)
    if process.returncode:
        raise RuntimeError(f"ended with {process.returncode}: {(options.folder / 'stderr.txt').read_text()}")
    with output.open("rb") as file:
        answered = sum(1 for _ in file)
    size = output.stat().st_size
    early = max(memory for written, memory in looks if written <= size / 10)
    peak = max(memory for _, memory in looks)
    return {
        "answered": answered,
        "seconds": round(time.perf_counter() - start_s, 1),
        "peak_mb_at_10_percent": round(early / 1024, 1),
        "peak_mb_at_100_percent": round(peak / 1024, 1),
        "looks": len(looks),
    }


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, checkpoint=True)
    parser.add_argument("--folder", type=Path, required=True, help="where rows and answers go: 2 GB")
    parser.add_argument("--rows", type=positive, default=5_000_000, help="default: %(default)s")
    parser.add_argument("--threads", type=positive, default=1, help="default: %(default)s")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
