"""One process against several on this machine's cores: training, its exchange of gradients, prediction.

python benchmarks/bench_scaling.py --folder FOLDER
python benchmarks/bench_scaling.py --folder FOLDER --processes 1 2 4 --names 200000 --repeats 5

The names are made with a seed and are as long as real ones (see bench_names.py); the network and the batch
are the shipped model's. Every process has one core and one thread. Training: names a second in the second
epoch, validation included. Prediction: 16 files that the processes divide, beyond the start-up. Efficiency
is the speed over that of one process and the number of processes. The runs take turns, so that a ratio
compares neighbours in time.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import yaml

from benchmarks.bench_names import make_names
from benchmarks.measuring import (
    ROOT,
    circumstances,
    make_parser,
    on_cores,
    positive,
    print_circumstances,
    run_process,
    spread,
    summarize,
    write_figures,
)
from benchmarks.scaling_on_paper import num_weights_of

CHECKPOINT = ROOT / "models" / "pretrained" / "default.pt"
CLASSES = ("benign", "phishing", "malware")
EXCHANGES = 30
FILES = 16  # of names to predict
TRAIN, EXCHANGE, PREDICT = "training", "exchange", "prediction"


def main() -> int:
    """Make the names, measure in turn, print and write."""
    options = parse_arguments()
    if options.exchange_of:
        return exchange(options.exchange_of)
    os.environ["OMP_NUM_THREADS"] = "1"  # of each process
    options.folder.mkdir(parents=True, exist_ok=True)
    report = circumstances() | {"names": options.names, "repeats": options.repeats}
    print_circumstances(report)
    config, num_weights = prepare(options)
    report["weights"] = num_weights
    found = {(what, count): [] for what in (TRAIN, EXCHANGE, PREDICT) for count in options.processes}
    for _ in range(options.repeats):
        for count in options.processes:
            found[TRAIN, count].append(train(options.folder, config, count))
            found[EXCHANGE, count].append(time_exchange(num_weights, count))
            found[PREDICT, count].append(predict(options, count))
    report["figures"] = {
        f"{what}, {count} processes": summarize(values) for (what, count), values in found.items()
    }
    report["efficiency"] = {what: efficiencies(found, what, options.processes) for what in (TRAIN, PREDICT)}
    print_report(report, options.processes)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=3)
    parser.add_argument("--folder", type=Path, required=True, help="where names, runs and results go")
    parser.add_argument(
        "--processes", type=positive, nargs="+", default=[1, 2], help="default: %(default)s; 1 comes first"
    )
    parser.add_argument("--names", type=positive, default=60_000, help="default: %(default)s")
    parser.add_argument("--exchange-of", type=positive, help=argparse.SUPPRESS)  # what a process runs itself
    return parser.parse_args()


def prepare(options: argparse.Namespace) -> tuple[Path, int]:
    """Write the names and a configuration like the shipped model's; return it and the number of weights."""
    from models.checkpoint import load_checkpoint
    from utils.config import DataConfig, SourceConfig

    names = sorted(set(make_names(options.names, seed=0)))
    shutil.rmtree(options.folder / "names", ignore_errors=True)
    (options.folder / "names").mkdir()
    for k in range(FILES):
        path = options.folder / "names" / f"{k:02}.txt"
        path.write_text("\n".join(names[k::FILES]) + "\n", encoding="utf-8")
    (options.folder / "one.txt").write_text(names[0] + "\n", encoding="utf-8")
    for k, label in enumerate(CLASSES):
        (options.folder / f"{label}.txt").write_text("\n".join(names[k::3]) + "\n", encoding="utf-8")
    checkpoint = load_checkpoint(CHECKPOINT)
    shipped = checkpoint.config
    config = replace(
        shipped,
        data=DataConfig(
            root=str(options.folder.resolve()),
            classes=CLASSES,
            sources=tuple(SourceConfig(path=f"{label}.txt", label=label) for label in CLASSES),
            max_length=shipped.data.max_length,
            cache_dir=str(options.folder.resolve() / "cache"),
        ),
        training=replace(
            shipped.training,
            epochs=2,
            averaged_epochs=0,
            schedule="constant",
            early_stopping_metric="val_loss",
        ),
        evaluation=replace(shipped.evaluation, baseline=False, bootstrap_resamples=0, calibrate=False),
        output=replace(shipped.output, directory="runs", name="scaling", tensorboard=False, figures=False),
    )
    path = options.folder / "config.yaml"
    path.write_text(yaml.safe_dump(config.to_dict(), sort_keys=False), encoding="utf-8")
    return path.resolve(), num_weights_of(CHECKPOINT)[0]


def torchrun(
    script: Path, count: int, *arguments: str | Path, folder: Path | None = None
) -> tuple[float, str]:
    """Run a script in so many processes; return seconds and what it printed."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    with on_cores(count):
        done = run_process([*launcher, script, *arguments], folder=folder)
    return done.elapsed_s, done.stdout


def train(folder: Path, config: Path, count: int) -> float:
    """Return names a second of the second epoch."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    torchrun(ROOT / "train.py", count, "--config", config, "--device", "cpu", folder=folder)
    rows = (folder / "runs" / "latest" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(rows[1])["names_per_s"]


def time_exchange(num_weights: int, count: int) -> float:
    """Return the milliseconds of an all-reduce of the gradient alone."""
    _, stdout = torchrun(Path(__file__).resolve(), count, "--folder", ".", "--exchange-of", str(num_weights))
    return float(stdout.split()[-1])


def exchange(num_weights: int) -> int:
    """In one of several processes: exchange numbers, and let the first print the milliseconds."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    gradient = torch.ones(num_weights)
    elapsed_s = []
    for _ in range(EXCHANGES):
        dist.barrier()
        start_s = time.perf_counter()
        dist.all_reduce(gradient)
        elapsed_s.append(time.perf_counter() - start_s)
    if dist.get_rank() == 0:
        print(statistics.median(elapsed_s) * 1e3)
    dist.destroy_process_group()
    return 0


def predict(options: argparse.Namespace, count: int) -> float:
    """Return names a second beyond what a single name takes."""
    elapsed_s = []
    for name in ("one.txt", "names/*.txt"):
        results = options.folder / "results"
        shutil.rmtree(results, ignore_errors=True)
        arguments = ["--input", options.folder / name, "--output", f"{results}/", "--checkpoint", CHECKPOINT]
        elapsed_s.append(torchrun(ROOT / "predict.py", count, *arguments, "--device", "cpu")[0])
    manifest = json.loads((results / "manifest.json").read_text(encoding="utf-8"))
    return manifest["rows"] / (elapsed_s[1] - elapsed_s[0])


def efficiencies(found: dict, what: str, processes: list[int]) -> dict[int, float]:
    """Return number of processes → efficiency, the median over the repeats, each against its neighbour."""
    alone = found[what, processes[0]]
    return {
        count: round(
            statistics.median(
                speed / base / (count / processes[0])
                for speed, base in zip(found[what, count], alone, strict=True)
            ),
            3,
        )
        for count in processes
    }


def print_report(report: dict, processes: list[int]) -> None:
    """Print a Markdown table."""
    print(f"\n{report['weights']:,} weights, a gradient of {report['weights'] * 4 / 1e6:.1f} MB\n")
    print(
        "| processes | training with validation, names/s | efficiency | exchange, ms "
        "| prediction of 16 files beyond the start-up, names/s | efficiency |"
    )
    print("|---:|---:|---:|---:|---:|---:|")
    for count in processes:
        figures = {
            what: report["figures"][f"{what}, {count} processes"] for what in (TRAIN, EXCHANGE, PREDICT)
        }
        print(
            f"| {count} | {spread(figures[TRAIN])} | {report['efficiency'][TRAIN][count]:.0%} "
            f"| {spread(figures[EXCHANGE], ',.1f')} | {spread(figures[PREDICT])} "
            f"| {report['efficiency'][PREDICT][count]:.0%} |"
        )


if __name__ == "__main__":
    sys.exit(main())
