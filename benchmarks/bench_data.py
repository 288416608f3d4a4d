"""The data stage of a training, from the files to the first step: seconds and memory, first and second time.

python benchmarks/bench_data.py --folder /large/disk/folder
python benchmarks/bench_data.py --folder folder --gigabytes 0.2 --names 100000 --output data.json

It makes two data sets with a seed. One has short records and 1.1 million names, as many as the Zenodo files:
what the names cost. The other has records as long as Zenodo's, 100 MB and then 1 GB: what the bytes cost.
A first start with `data.check_all_keys: false` stands beside each, which compares only the JSON keys that are
read. Each figure is of a process of its own; its memory includes that of its copies that read. Files that are
there already are used again.
"""

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import (
    circumstances,
    make_parser,
    peak_printed_with_copies,
    positive,
    print_circumstances,
    run_process,
    summarize,
    write_figures,
)
from tests.zenodo_records import made_up_name, write_records
from utils.config import load_config

ROOT = Path(__file__).resolve().parents[1]
# Name → whether the cache is empty, and what is set.
STARTS = {
    "first": (True, []),
    "second": (False, []),
    "first, read keys": (True, ["data.check_all_keys=false"]),
}
SHARES = {"benign": 0.76, "phishing": 0.15, "malware": 0.09}  # of the Zenodo files


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
