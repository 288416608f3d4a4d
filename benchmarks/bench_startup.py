"""How long the scripts take to start, and how long a name takes at the prompt.

    python benchmarks/bench_startup.py
    python benchmarks/bench_startup.py --repeats 3 --checkpoint runs/latest/best.pt --output startup.json

Whole processes on one core, in rounds: every command once a round, so that a difference compares neighbours
in time. The prompt is typed into on a terminal of its own (Linux, macOS).
"""

import argparse
import os
import pty
import select
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_names import make_names
from benchmarks.measuring import (
    ROOT,
    ProcessFigures,
    circumstances,
    make_parser,
    on_cores,
    print_circumstances,
    run_process,
    spread,
    summarize,
    write_figures,
)
from utils.errors import EXIT_USAGE

SCRIPTS = ("train", "predict", "evaluate", "export")
IMPORT_TORCH, ONE_NAME = "python -c 'import torch'", "echo NAME | python predict.py"
USAGE_BAR_S, ONE_NAME_BAR_S, PROMPT_BAR_MS = 0.25, 0.5, 30.0
PROMPT_NAMES = 200
PROMPT, END_OF_INPUT = b"domain> ", b"\x04"


def main() -> int:
    """Measure, print and write."""
    options = parse_arguments()
    report = circumstances() | {"repeats": options.repeats, "checkpoint": options.checkpoint.name}
    print_circumstances(report)
    with tempfile.TemporaryDirectory() as folder:
        runs = measure(commands(options.checkpoint, Path(folder)), options.repeats)
    report["commands"] = {
        name: {
            "seconds": summarize([run.elapsed_s for run in rounds]),
            "cpu_seconds": summarize([run.cpu_s for run in rounds]),
        }
        for name, rounds in runs.items()
    }
    report["one_name_beyond_import_torch"] = {
        unit: summarize([a - b for a, b in zip(pair(ONE_NAME), pair(IMPORT_TORCH), strict=True)])
        for unit, pair in (
            ("seconds", lambda name: [run.elapsed_s for run in runs[name]]),
            ("cpu_seconds", lambda name: [run.cpu_s for run in runs[name]]),
        )
    }
    report["prompt_ms"] = measure_prompt(options.checkpoint)
    print_report(report)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=9, repeated="rounds", checkpoint=True)
    return parser.parse_args()


def commands(checkpoint: Path, folder: Path) -> dict[str, tuple[list[str], dict]]:
    """Return what a user types → arguments of Python, and what `run_process` needs besides."""
    names = folder / "name.txt"
    names.write_text("login.example.com\n", encoding="utf-8")
    found: dict[str, tuple[list[str], dict]] = {"python -c pass": (["-c", "pass"], {})}
    for script in SCRIPTS:
        found[f"python {script}.py --help"] = ([str(ROOT / f"{script}.py"), "--help"], {})
    for script in SCRIPTS:
        arguments = [str(ROOT / f"{script}.py"), "--nonsense"]
        found[f"python {script}.py --nonsense"] = (arguments, {"ok_codes": (EXIT_USAGE,)})
    found[IMPORT_TORCH] = (["-c", "import torch"], {})
    predict = [str(ROOT / "predict.py"), "--checkpoint", str(checkpoint), "--device", "cpu"]
    found[ONE_NAME] = (predict, {"stdin": names})
    return found


def measure(programs: dict[str, tuple[list[str], dict]], repeats: int) -> dict[str, list[ProcessFigures]]:
    """Run all commands in rounds, after one that does not count."""
    runs: dict[str, list[ProcessFigures]] = {name: [] for name in programs}
    for number in range(repeats + 1):
        for name, (arguments, needs) in programs.items():
            figures = run_process(arguments, threads=1, **needs)
            if number:
                runs[name].append(figures)
    return runs


def measure_prompt(checkpoint: Path) -> dict[str, float]:
    """Type names into the prompt, and return the milliseconds until it asks for the next one.

    Of the first answer, and of the others the median, the 99th of 100 and the most.
    """
    first, *others = type_names(
        [str(ROOT / "predict.py"), "--checkpoint", str(checkpoint), "--device", "cpu"],
        make_names(PROMPT_NAMES, seed=0),
    )
    figures = {
        "first": first,
        "median": statistics.median(others),
        "percentile_99": statistics.quantiles(others, n=100)[98],
        "max": max(others),
    }
    return {name: round(value, 2) for name, value in figures.items()}


def type_names(arguments: list[str], names: list[str]) -> list[float]:
    """Run a prompt on a terminal of its own and return how long each answer took, in milliseconds."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TERM": "dumb"}
    with on_cores(1):
        process = subprocess.Popen(
            [sys.executable, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
        )
    os.close(theirs)
    try:
        read_until_prompt(ours)
        elapsed_ms = []
        for name in names:
            start_s = time.perf_counter()
            os.write(ours, f"{name}\n".encode())
            read_until_prompt(ours)
            elapsed_ms.append(1e3 * (time.perf_counter() - start_s))
        os.write(ours, END_OF_INPUT)
        process.wait(timeout=30)
        return elapsed_ms
    finally:
        process.kill()
        os.close(ours)


def read_until_prompt(terminal: int) -> None:
    """Read what the program writes until it asks for a name."""
    text = b""
    while not text.endswith(PROMPT):
        if not select.select([terminal], [], [], 120)[0]:
            raise RuntimeError(f"no prompt within two minutes, only: {text.decode(errors='replace')}")
        text += os.read(terminal, 65_536)


def print_report(report: dict) -> None:
    """Print the report as tables."""
    print(f"\n{'command':<34}{'seconds':>24}{'CPU seconds':>24}")
    for name, row in report["commands"].items():
        print(f"{name:<34}{spread(row['seconds'], '.3f'):>24}{spread(row['cpu_seconds'], '.3f'):>24}")
    beyond = report["one_name_beyond_import_torch"]
    print(f"{'one name beyond import torch':<34}{spread(beyond['seconds'], '.3f'):>24}"
          f"{spread(beyond['cpu_seconds'], '.3f'):>24}")  # fmt: skip
    print(
        f"bars: --help and usage errors < {USAGE_BAR_S} s, one name beyond import torch ≤ {ONE_NAME_BAR_S} s"
    )
    prompt = report["prompt_ms"]
    print(
        f"\nthe prompt, {PROMPT_NAMES} names: first {prompt['first']:.1f} ms, median {prompt['median']:.1f}, "
        f"99 % within {prompt['percentile_99']:.1f}, most {prompt['max']:.1f} (bar: {PROMPT_BAR_MS:.0f} ms)"
    )


if __name__ == "__main__":
    sys.exit(main())
