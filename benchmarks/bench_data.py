"""Reading, and the data stage of a training from the files to the first step: bars, seconds and memory.

python benchmarks/bench_data.py --folder /large/disk/folder
python benchmarks/bench_data.py --folder folder --gigabytes 0.2 --names 100000 --output data.json

It makes two data sets with a seed. One has short records and 1.1 million names, as many as the Zenodo files:
what the names cost. The other has records as long as Zenodo's, 100 MB and then 1 GB: what the bytes cost.
A first start with `data.check_all_keys: false` stands beside each, which compares only the JSON keys that are
read. Each figure is of a process of its own; its memory includes that of its copies that read. Files that are
there already are used again.

The bars come at the end, all of the same run: our reader beside ijson and msgspec, on one core each, with
only those keys compared that are read (`bench_reading.py` has more readers and larger files); and a million
names normalised, grouped by public suffix and encoded on one core (`bench_names.py` has the single steps).
"""

import argparse
import json
import operator
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.bench_names import make_names, prepare_for_training
from benchmarks.bench_reading import (
    OURS,
    READERS,
    YARDSTICKS,
    make_file,
    measure_memory,
    measure_readers,
    ratios,
)
from benchmarks.measuring import (
    ROOT,
    circumstances,
    make_parser,
    peak_printed_with_copies,
    positive,
    print_circumstances,
    run_process,
    spread,
    summarize,
    time_repeats,
    write_figures,
)
from tests.zenodo_records import made_up_name, write_records
from utils.config import load_config

# Name → whether the cache is empty, and what is set.
STARTS = {
    "first": (True, []),
    "second": (False, []),
    "first, read keys": (True, ["data.check_all_keys=false"]),
}
SHARES = {"benign": 0.76, "phishing": 0.15, "malware": 0.09}  # of the Zenodo files
READ_MEGABYTES = 310
PREPARED_NAMES = 1_000_000


def main() -> int:
    """Make the data, measure, print and write."""
    options = parse_arguments()
    if options.stage:
        return run_stage(options)
    options.folder.mkdir(parents=True, exist_ok=True)
    report = circumstances() | {"repeats": options.repeats, "data_sets": {}}
    print_circumstances(report)
    print(f"\n{'data set':<34}{'start':<17}{'data stage s':>13}{'first step s':>14}{'peak MB':>9}")
    large = round(options.gigabytes * 1000)
    for title, folder in (
        (f"{options.names:,} names, short records", make_short_records(options.folder, options.names)),
        (f"{large // 10:,} MB of long records", make_long_records(options.folder, large // 10)),
        (f"{large:,} MB of long records", make_long_records(options.folder, large)),
    ):
        report["data_sets"][title] = measure(title, folder, options.repeats)
    report["reading"] = measure_reading(options.folder, large, options.repeats)
    names = make_names(PREPARED_NAMES, seed=0)
    report["names_s"] = summarize(time_repeats(lambda: prepare_for_training(names), options.repeats))
    print_bars(report)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--folder", type=Path, required=True, help="where the data is made, some gigabytes")
    parser.add_argument("--names", type=positive, default=1_100_000, help="default: %(default)s")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="of long records (default: %(default)s)")
    # What a measured process gets: its cache, and settings.
    parser.add_argument("--stage", nargs="+", help=argparse.SUPPRESS)
    return parser.parse_args()


def make_short_records(folder: Path, count: int) -> Path:
    """Write `count` records that hold little but a name."""
    target = folder / f"short-{count}"
    for label, share in SHARES.items():
        path = target / f"{label}.json"
        if not path.exists():
            target.mkdir(exist_ok=True)
            rows = (f'{{"domain_name":"{made_up_name(n, label)}"}}' for n in range(round(count * share)))
            path.write_text("[" + ",\n".join(rows) + "]\n", encoding="utf-8")
    return target


def make_long_records(folder: Path, megabytes: int) -> Path:
    """Write records with every field of the schema, about 7.7 kB each."""
    target = folder / f"long-{megabytes}"
    for label, share in SHARES.items():
        path = target / f"{label}.json"
        if not path.exists():
            target.mkdir(exist_ok=True)
            write_records(path, size_bytes=round(megabytes * 1e6 * share), label=label)
    return target


def measure(title: str, folder: Path, repeats: int) -> dict:
    """Time each of the starts; return medians and spread."""
    cache = folder / "cache"
    figures = {}
    for start, (is_empty, settings) in STARTS.items():
        stage_s, step_s, peak_mb = [], [], []
        for _ in range(repeats):
            if is_empty:
                shutil.rmtree(cache, ignore_errors=True)
            process = run_process([__file__, "--folder", str(folder), "--stage", str(cache), *settings])
            stage_s.append(json.loads(process.stdout.splitlines()[0])["data_stage_s"])
            step_s.append(process.elapsed_s)
            peak_mb.append(process.peak_mb)
        row = {"data_stage_s": stage_s, "first_step_s": step_s, "peak_mb": peak_mb}
        figures[start] = {name: summarize(values) for name, values in row.items()}
        medians = [figures[start][name]["median"] for name in row]
        print(f"{title:<34}{start:<17}{medians[0]:>13.2f}{medians[1]:>14.2f}{medians[2]:>9.0f}", flush=True)
    return figures


def measure_reading(folder: Path, large_megabytes: int, repeats: int) -> dict:
    """Time one core's reading beside ijson and msgspec, and see what memory it adds."""
    readers = {name: READERS[name] for name in (OURS, *YARDSTICKS)}
    files = {"mongoexport": make_file(folder, "mongoexport", READ_MEGABYTES)}
    figures = measure_readers(readers, files, repeats)
    sizes = (large_megabytes // 10, large_megabytes)
    return {
        "ratios": {name: row["elapsed_s"] for name, row in ratios(figures, OURS).items()},
        "added_mb": {
            size: measure_memory(make_file(folder, "mongoexport", size))["added_mb"] for size in sizes
        },
    }


def print_bars(report: dict) -> None:
    """Print what was asked for beside what was reached; data sets are in the order of `main`."""
    short, tenth, long = report["data_sets"].values()
    small_mb, large_mb = report["reading"]["added_mb"].values()
    by_ijson, by_msgspec = (report["reading"]["ratios"][name] for name in YARDSTICKS)
    bars = [
        ("times as fast as ijson, item.domain_name", by_ijson, operator.ge, 8),
        ("times as fast as msgspec, from memory", by_msgspec, operator.ge, 0.8),
        (f"s to prepare {PREPARED_NAMES:,} names", report["names_s"], operator.le, 15),
        ("s of data stage, short records, second start", short["second"]["data_stage_s"], operator.le, 2),
        ("MB at most, short records, first start", short["first"]["peak_mb"], operator.lt, 1000),
        ("MB added by reading the long records", summarize([large_mb]), operator.lt, 150),
    ]
    print(f"\n{'bars (median, min–max)':<46}{'asked':>9}{'reached':>24}")
    for what, reached, is_met, asked in bars:
        verdict = "met" if is_met(reached["median"], asked) else "missed"
        sign = {operator.ge: "≥", operator.le: "≤", operator.lt: "<"}[is_met]
        print(f"{what:<46}{f'{sign} {asked:,}':>9}{spread(reached, ',.2f'):>24}  {verdict}")
    grown_mb = long["first"]["peak_mb"]["median"] - tenth["first"]["peak_mb"]["median"]
    print(
        f"from a tenth of the long records to all of them, reading adds {large_mb - small_mb:+.1f} MB, "
        f"the data stage {grown_mb:+.0f} MB"
    )


def run_stage(options: argparse.Namespace) -> int:
    """Do what train.py does up to its first step, as one process."""
    sources = ", ".join(f"{{path: {label}.json, label: {label}}}" for label in SHARES)
    cache, *settings = options.stage
    overrides = [
        *settings,
        f"data.root={options.folder}",
        f"data.cache_dir={cache}",
        f"data.sources=[{sources}]",
    ]
    config = load_config(ROOT / "config.yaml", overrides)
    from models.training_run import TrainingRun

    with peak_printed_with_copies():
        started_s = time.perf_counter()
        run = TrainingRun(config, "cpu")
        elapsed_s = time.perf_counter() - started_s
        run.one_step()
        print(json.dumps({"data_stage_s": elapsed_s}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
