"""What every benchmark needs: its options, repeats and their spread, whole processes, the machine."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from utils.files import write_text
from utils.versions import versions

ROOT = Path(__file__).resolve().parents[1]  # of the project
SHIPPED = ROOT / "models" / "pretrained" / "default.pt"


def time_repeats(run: Callable[[], object], repeats: int) -> list[float]:
    """Return the seconds of each repeat, after one that does not count."""
    run()
    elapsed_s = []
    for _ in range(repeats):
        start_s = time.perf_counter()
        run()
        elapsed_s.append(time.perf_counter() - start_s)
    return elapsed_s


def summarize(values: Sequence[float], factor: float = 1.0) -> dict[str, float]:
    """Return median, smallest and largest, times `factor`."""
    figures = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {key: round(value * factor, 4) for key, value in figures.items()}


def spread(figures: dict[str, float], form: str = ",.0f") -> str:
    """Write what `summarize` returned: 1,234 (1,200–1,300)."""
    return f"{figures['median']:{form}} ({figures['min']:{form}}–{figures['max']:{form}})"


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """What a whole process took: seconds by the clock and of the processor, its peak memory, its output."""

    elapsed_s: float
    cpu_s: float
    peak_mb: float
    stdout: str


def run_process(
    arguments: Sequence[str | Path],
    *,
    python: Path | str = sys.executable,
    folder: Path | None = None,
    threads: int = 0,
    stdin: Path | None = None,
    ok_codes: Sequence[int] = (0,),
) -> ProcessFigures:
    """Run `python arguments` to its end.

    With `threads`, it runs on so many cores only (Linux: `sched_setaffinity`, as `taskset` does it) and its
    numerical libraries are told to use as many threads (`OMP_NUM_THREADS`).

    Raises
    ------
    RuntimeError
        The process ended with a code that is not among `ok_codes`; the message holds what it wrote to stderr.
    """
    command = [str(python), *map(str, arguments)]
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    with on_cores(threads), (stdin or Path(os.devnull)).open("rb") as source:
        start_s, start_cpu_s = time.perf_counter(), _children_cpu_s()
        done = subprocess.run(
            command, cwd=folder, env=environment, stdin=source, capture_output=True, text=True, check=False
        )
        elapsed_s, cpu_s = time.perf_counter() - start_s, _children_cpu_s() - start_cpu_s
    if done.returncode not in ok_codes:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return ProcessFigures(elapsed_s, cpu_s, _peak_mb(done.stdout), done.stdout)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Run what is started inside on `count` cores only, if not 0; on other systems than Linux, on all."""
    if not count or not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[-count:])  # the first core serves most interrupts
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _children_cpu_s() -> float:
    times = os.times()
    return times.children_user + times.children_system


# A child's own peak is only known to itself: the measured programs print this line last.
PEAK_LINE = "peak_kilobytes="


def peak_kilobytes() -> int:
    """Return this process's peak memory.

    On Linux not `getrusage`: its peak starts with that of the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0])
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # macOS counts bytes


def print_peak() -> None:
    """Print this process's peak memory for `run_process`."""
    print(f"{PEAK_LINE}{peak_kilobytes()}")


@contextmanager
def peak_printed_with_copies() -> Iterator[None]:
    """Print at the end the peak memory of this process and its copies together, looked at twice a second.

    Memory that processes share is counted once (the "proportional set size" of Linux). Elsewhere, and where
    it is more, the peak of this process alone is printed.
    """
    peak, ended = 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.5):
            peak = max(peak, kilobytes_of_all())

    watcher = threading.Thread(target=watch, name="memory", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        print(f"{PEAK_LINE}{max(peak, peak_kilobytes())}")


def kilobytes_of_all(process: str = "self") -> int:
    """Return what a process and those that it has started take now; 0 where the system does not tell.

    Memory that several share is counted once (PSS).
    """
    total = 0
    with suppress(OSError):  # a process may end meanwhile
        tasks = Path(f"/proc/{process}/task").glob("*/children")
        for one in [process, *(child for task in tasks for child in task.read_text().split())]:
            with suppress(OSError):
                rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
                total += int(rollup.partition("\nPss:")[2].split()[0])
    return total


def _peak_mb(stdout: str) -> float:
    lines = [line for line in stdout.splitlines() if line.startswith(PEAK_LINE)]
    return int(lines[-1].removeprefix(PEAK_LINE)) / 1024 if lines else float("nan")


def describe_machine() -> dict[str, object]:
    """Return processor and system, without the machine's name."""
    processor = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        models = [line for line in cpu_info.read_text().splitlines() if line.startswith("model name")]
        processor = models[0].partition(":")[2].strip() if models else processor
    system = f"{platform.system()} {platform.machine()}"
    return {"processor": processor, "cores": os.cpu_count(), "system": system}


def circumstances() -> dict[str, object]:
    """Return what a figure depends on besides the code."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"machine": describe_machine(), "versions": versions(), "load_average_at_start": load}


def print_circumstances(report: dict) -> None:
    """Print the machine and the versions."""
    machine = report["machine"]
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")
    print(", ".join(f"{name} {number}" for name, number in report["versions"].items() if number))
    load = report["load_average_at_start"]
    if load is not None and load > 0.5:
        print(f"the machine is not quiet: load average {load:.1f}")


def make_parser(
    description: str, *, repeats: int | None = None, repeated: str = "", checkpoint: bool = False
) -> argparse.ArgumentParser:
    """Return a parser of a benchmark's command line, with what several take.

    Parameters
    ----------
    description
        The script's docstring.
    repeats, repeated
        The default of --repeats, which is left out where it is None; and what is repeated, for the help.
    checkpoint
        Whether there is a --checkpoint: the shipped one if nothing is said.
    """
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    parser.add_argument("--output", type=Path, help="write the figures to this JSON file")
    if checkpoint:
        parser.add_argument("--checkpoint", type=Path, default=SHIPPED, help="default: the shipped one")
    if repeats is not None:
        what = f"{repeated}, default: {repeats}".removeprefix(", ")
        parser.add_argument("--repeats", type=positive, default=repeats, help=what)
    return parser


def positive(text: str) -> int:
    """Read a whole number above zero (for argparse)."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0. Got {text}")
    return int(text)


def write_figures(path: Path | None, report: dict) -> None:
    """Write the figures as JSON where a path is given."""
    if path is not None:
        write_text(path, json.dumps(report, indent=2, ensure_ascii=False) + "\n")
        print(f"\nwritten to {path}")
