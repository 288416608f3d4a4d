"""Speed and memory of reading Zenodo-like files, beside ijson and msgspec alone.

    python benchmarks/bench_reading.py --folder /large/disk/folder
    python benchmarks/bench_reading.py --folder folder --megabytes 50 --repeats 3 --output reading.json

It makes the files with a seed (about 6 GB for the defaults) and uses them again when they are there. Each
reader runs in a process of its own, one after the other in each round, so that a ratio compares neighbours
in time. Ours compares only the keys that are read, as with `data.check_all_keys: false`; the others do not
even that. Where "all keys" stands, it compares all of them, as it does by default. MB/s are given by the
clock and by the processor time, which a busy machine changes less. Linux only.

Reading is measured on one core. Then there is the whole way of a large file into a training, which two
processes share: reading, normalising, public suffixes, arrays; the others read only, and use one core.
"""

import argparse
import gzip
import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import ijson
import msgspec

from benchmarks.measuring import (
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    run_process,
    summarize,
    write_figures,
)
from data.data_loader import SourceFile, read_records
from data.file_gathering import gather_files
from tests.zenodo_records import write_records

# What the others are compared with, and the reader of the first bar.
OURS = "read_records, one a line"
GATHERED, GATHERED_ALONE = "gather_files, two processes", "gather_files, one process"
STRICT = ", all keys"  # of the same with `data.check_all_keys`, the default
YARDSTICKS = ("ijson, item.domain_name", "msgspec, from memory")


class Name(msgspec.Struct):
    """All that the shortest msgspec program would ask for."""

    domain_name: str | None = None


def by_read_records(path: Path, all_keys: bool = False) -> tuple[int, float, float]:
    """Count the records of a file."""
    return timed(lambda: sum(1 for _ in read_records(path, all_keys=all_keys)))


def by_gather_files(path: Path, workers: int, all_keys: bool = False) -> tuple[int, float, float]:
    """Count the names of a file that go into a training."""
    files = [SourceFile(path, "benign", "json", all_keys=all_keys)]
    return timed(lambda: gather_files(files, workers=workers, show_progress=False)[0].num_records)


def by_ijson_names(path: Path) -> tuple[int, float, float]:
    """Count the names as the short ijson program would."""
    with path.open("rb") as file:
        return timed(lambda: sum(1 for _ in ijson.items(file, "item.domain_name")))


def by_ijson_records(path: Path) -> tuple[int, float, float]:
    """Count the records with all that is in them."""
    with path.open("rb") as file:
        return timed(lambda: sum(1 for _ in ijson.items(file, "item", use_float=True)))


def by_msgspec(path: Path) -> tuple[int, float, float]:
    """Count the names of a file that is in memory already; reading it is not timed."""
    content = path.read_bytes()
    return timed(lambda: len(msgspec.json.decode(content, type=list[Name])))


def by_msgspec_with_reading(path: Path) -> tuple[int, float, float]:
    """Count the names of a file that is read into memory as a whole."""
    return timed(lambda: len(msgspec.json.decode(path.read_bytes(), type=list[Name])))


Reader = Callable[[Path], tuple[int, float, float]]
# Name → layout of the file, and reader.
READERS: dict[str, tuple[str, Reader]] = {
    OURS: ("mongoexport", by_read_records),
    OURS + STRICT: ("mongoexport", partial(by_read_records, all_keys=True)),
    YARDSTICKS[0]: ("mongoexport", by_ijson_names),
    YARDSTICKS[1]: ("mongoexport", by_msgspec),
    "msgspec, read and decoded": ("mongoexport", by_msgspec_with_reading),
    "ijson, item with use_float": ("mongoexport", by_ijson_records),
    "read_records, JSON Lines": ("jsonl", by_read_records),
    "read_records, gzip": ("gzip", by_read_records),
    "read_records, pretty-printed": ("pretty", by_read_records),
    "read_records, single line": ("single_line", by_read_records),
}
OF_LARGE_FILE = {
    GATHERED: ("mongoexport", partial(by_gather_files, workers=2)),
    GATHERED + STRICT: ("mongoexport", partial(by_gather_files, workers=2, all_keys=True)),
    GATHERED_ALONE: ("mongoexport", partial(by_gather_files, workers=1)),
    **{name: READERS[name] for name in (*YARDSTICKS, "msgspec, read and decoded")},
}
ALL_READERS = READERS | OF_LARGE_FILE


def main() -> int:
    """Make the files, measure, print and write."""
    options = parse_arguments()
    if options.stage:
        return run_stage(options.stage, options.folder)
    options.folder.mkdir(parents=True, exist_ok=True)
    report = circumstances() | {"ijson_backend": ijson.backend_name, "repeats": options.repeats}
    print_circumstances(report)
    files = {layout: make_file(options.folder, layout, options.megabytes) for layout, _ in READERS.values()}
    print(f"ijson runs on {ijson.backend_name}; files of {options.megabytes} MB, made up, on one core\n")
    report["readers"] = measure_readers(READERS, files, options.repeats)
    report["ratios"] = ratios(report["readers"], OURS)
    print_speeds(report["readers"], report["ratios"], OURS)
    report["memory"] = {
        megabytes: measure_memory(make_file(options.folder, "mongoexport", megabytes))
        for megabytes in (options.memory_megabytes // 10, options.memory_megabytes)
    }
    print("\nmemory that reading one record a line adds to the process")
    for megabytes, row in report["memory"].items():
        print(f"{megabytes:>6,} MB, {row['records']:>8,} records: {row['added_mb']:.1f} MB")
    report["large"] = {}
    for megabytes in options.large_megabytes:
        files = {"mongoexport": make_file(options.folder, "mongoexport", megabytes)}
        readers = measure_readers(OF_LARGE_FILE, files, options.large_repeats)
        report["large"][megabytes] = {"readers": readers, "ratios": ratios(readers, GATHERED)}
        print(f"\na file of {megabytes:,} MB; memory is that of the first process\n")
        print_speeds(readers, report["large"][megabytes]["ratios"], GATHERED)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=5, repeated="of each reader")
    parser.add_argument("--folder", type=Path, required=True, help="where to keep the files")
    parser.add_argument("--megabytes", type=positive, default=310, help="to time (default: %(default)s)")
    parser.add_argument(
        "--memory-megabytes", type=positive, default=1000, help="for the memory (default: %(default)s)"
    )
    parser.add_argument(
        "--large-megabytes",
        type=positive,
        nargs="*",
        default=[1000, 4000],
        help="of the files that two processes share (default: %(default)s)",
    )
    parser.add_argument(
        "--large-repeats", type=positive, default=3, help="of each reader of those (default: %(default)s)"
    )
    parser.add_argument("--stage", choices=ALL_READERS, help=argparse.SUPPRESS)  # in a process of its own
    return parser.parse_args()


def timed(run: Callable[[], int]) -> tuple[int, float, float]:
    """Return what `run` returns, its seconds by the clock, and its processor seconds."""
    start_s, start_cpu_s = time.perf_counter(), _processor_s()
    count = run()
    return count, time.perf_counter() - start_s, _processor_s() - start_cpu_s


def _processor_s() -> float:
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def memory_kilobytes(key: str) -> int:
    """Return a line of this process's status: "VmRSS" now, "VmHWM" at the peak (Linux only).

    Not `getrusage`: its peak starts with that of the process that started this one.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0])


def run_stage(name: str, path: Path) -> int:
    """Run one reader in this process and print its figures."""
    before = memory_kilobytes("VmRSS")
    count, elapsed_s, cpu_s = ALL_READERS[name][1](path)
    figures = {"records": count, "elapsed_s": elapsed_s, "cpu_s": cpu_s}
    print(json.dumps(figures | {"added_mb": (memory_kilobytes("VmHWM") - before) / 1024}))
    return 0


def in_process(name: str, path: Path) -> dict[str, float]:
    """Run one reader in a process of its own."""
    arguments = [__file__, "--folder", str(path), "--stage", name]
    return json.loads(run_process(arguments, threads=2 if name.startswith(GATHERED) else 1).stdout)


def make_file(folder: Path, layout: str, megabytes: int) -> Path:
    """Return a file of made-up records, made now or before, that is read from the disk next time."""
    path = folder / f"records-{megabytes}mb.{layout}.json"
    if path.exists():
        return forgotten(path)
    unfinished = path.with_suffix(".unfinished")
    if layout == "gzip":
        plain = make_file(folder, "mongoexport", megabytes)
        with plain.open("rb") as source, gzip.open(unfinished, "wb", compresslevel=6) as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
    else:
        write_records(unfinished, size_bytes=megabytes * 10**6, layout=layout)
    return forgotten(unfinished.rename(path))


def forgotten(path: Path) -> Path:
    """Have the system drop a file from memory.

    What was just written in small pieces lies in small pieces there, and takes twice as long to copy as after
    it was read from the disk, as a user's files are.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return path


def measure_readers(
    chosen: dict[str, tuple[str, Reader]], files: dict[str, Path], repeats: int
) -> dict[str, dict]:
    """Run some readers in rounds, after one that does not count, and return the figures of each."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for number in range(repeats + 1):
        for name, (layout, _) in chosen.items():
            figures = in_process(name, files[layout])
            if number:
                runs[name].append(figures)
    readers = {}
    for name, (layout, _) in chosen.items():
        # Of a compressed file, the speed is that of its content.
        size_mb = files["mongoexport" if layout == "gzip" else layout].stat().st_size / 1e6
        readers[name] = {
            "records": runs[name][0]["records"],
            "mb": round(size_mb, 1),
            "elapsed_s": [round(run["elapsed_s"], 4) for run in runs[name]],
            "cpu_s": [round(run["cpu_s"], 4) for run in runs[name]],
            "mb_per_s": summarize([size_mb / run["elapsed_s"] for run in runs[name]]),
            "mb_per_cpu_s": summarize([size_mb / run["cpu_s"] for run in runs[name]]),
            "added_mb": summarize([run["added_mb"] for run in runs[name]]),
        }
    return readers


def ratios(readers: dict[str, dict], name_of_ours: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return how much faster our reader is than each other one of the same file, round by round."""
    ours = readers[name_of_ours]
    return {
        name: {
            unit: summarize([theirs / mine for theirs, mine in zip(reader[unit], ours[unit], strict=True)])
            for unit in ("elapsed_s", "cpu_s")
        }
        for name, reader in readers.items()
        if ALL_READERS[name][0] == ALL_READERS[name_of_ours][0] and name != name_of_ours
    }


def measure_memory(path: Path) -> dict[str, float]:
    """Return what reading a file adds to the peak memory of the process: the largest of three."""
    runs = [in_process(OURS, path) for _ in range(3)]
    return {
        "records": runs[0]["records"],
        "added_mb": round(max(run["added_mb"] for run in runs), 1),
        "elapsed_s": round(statistics.median(run["elapsed_s"] for run in runs), 3),
    }


def print_speeds(readers: dict[str, dict], ratios: dict[str, dict], name_of_ours: str) -> None:
    """Print the speeds of some readers, and the ratios to ours, as tables."""
    print(f"{'reader (median, min–max)':<38}{'records':>9}{'MB/s':>22}{'MB/s of CPU time':>22}{'adds MB':>9}")
    for name, row in readers.items():
        clock, cpu = (
            f"{figures['median']:.0f} ({figures['min']:.0f}–{figures['max']:.0f})"
            for figures in (row["mb_per_s"], row["mb_per_cpu_s"])
        )
        print(f"{name:<38}{row['records']:>9,}{clock:>22}{cpu:>22}{row['added_mb']['median']:>9.0f}")
    print(f"\n{name_of_ours + ', times …':<38}{'by the clock':>31}{'by CPU time':>22}")
    for name, row in ratios.items():
        clock, cpu = (
            f"{figures['median']:.2f} ({figures['min']:.2f}–{figures['max']:.2f})"
            for figures in (row["elapsed_s"], row["cpu_s"])
        )
        print(f"{name:<38}{clock:>31}{cpu:>22}")


if __name__ == "__main__":
    sys.exit(main())
