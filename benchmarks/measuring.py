"""What every benchmark needs: repeats with their spread, whole processes with their memory, the machine."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from utils.files import write_text
from utils.versions import versions


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


@dataclass(frozen=True, slots=True)
class ProcessFigures:
    """What a whole process took: wall-clock seconds, peak resident memory in MB, and what it printed."""

    elapsed_s: float
    peak_mb: float
    stdout: str


def run_process(arguments: Sequence[str], *, folder: Path | None = None, threads: int = 0) -> ProcessFigures:
    """Run `python arguments` to its end, with at most `threads` of them in each library where given.

    The peak is the operating system's account of the process itself; processes that it starts do not count.

    Raises
    ------
    RuntimeError
        The process failed; the message holds what it wrote to stderr.
    """
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    start_s = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stdout, stderr = process.communicate()  # small outputs only
    elapsed_s = time.perf_counter() - start_s
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{stderr}")
    return ProcessFigures(elapsed_s, _peak_mb(stdout), stdout)


# A child's peak is only known to itself or to whoever waits for it with wait4, which subprocess does not
# offer: the measured programs print this line last.
PEAK_LINE = "peak_kilobytes="


def print_peak() -> None:
    """Print this process's peak memory for `run_process` (Linux: in kB; macOS counts bytes)."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{PEAK_LINE}{peak // 1024 if sys.platform == 'darwin' else peak}")


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
    return {"machine": describe_machine(), "versions": versions()}


def print_circumstances(report: dict) -> None:
    """Print the machine and the versions."""
    machine = report["machine"]
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['system']}")
    print(", ".join(f"{name} {number}" for name, number in report["versions"].items() if number))


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
