"""Arithmetic of each model, the peak of the machine's matrix products, and where a training step's time goes.

    python benchmarks/profile_training.py
    python benchmarks/profile_training.py --precision bf16
    python benchmarks/profile_training.py --checkpoints runs/latest/best.pt --threads 1 --output profile.json

Multiply-adds are counted from the sizes of the weights and the names' real lengths, padding left out: what is
lost to padding shows as a lower share of the peak. A training step counts as three forward passes (the pass
itself, the gradients of the inputs, those of the weights). The peak is the best of many products of square
matrices in the numbers that are computed in: float32, or in training bfloat16 with `--precision bf16`. The
profile is of one thread, since in training each thread computes a part of a batch by itself. Names: the
embedded sample.
"""

import argparse
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import nn

from benchmarks.bench_training import load_names
from benchmarks.measuring import (
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    summarize,
    write_figures,
)
from benchmarks.same_layers import Stopwatch
from benchmarks.step_profile import profile_steps
from benchmarks.train_ours import make_config
from data.feature_engineering import code_lengths
from models.allocator import keep_freed_memory
from models.architectures import build_model
from models.batching import predict_logits
from models.checkpoint import load_checkpoint
from models.classifier import DEFAULT_BATCH_SIZE
from models.model_trainer import ModelTrainer
from utils.config import Config

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "pretrained"
SAME_LAYERS = "layers of bench_training.py"
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
MATRIX_SIZES = (256, 512, 768, 1024, 1536)
# Parameter name starts with → how often a name uses it: per character, per step of the LSTM, or once.
PER_CHARACTER, PER_STEP, ONCE = ("convolutions.",), ("lstm.", "attention."), ("dense.", "classifier.")


def main() -> int:
    """Measure, print and write."""
    options = parse_arguments()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    codes, labels, classes = load_names(None)
    peak_of = {precision: matrix_peak_gflops(TYPES[precision]) for precision in {"fp32", options.precision}}
    peaks = {"training": peak_of[options.precision], "prediction": peak_of["fp32"]}
    report = circumstances() | {"threads": options.threads, "precision": options.precision}
    report |= {"peak_gflop_per_s": peaks, "models": {}}
    print_circumstances(report)
    print(f"{options.threads} threads; matrix products reach {peaks['training']:.0f} GFLOP/s in training "
          f"({options.precision}), {peaks['prediction']:.0f} in prediction; "
          f"{len(labels):,} names of {code_lengths(codes).mean():.1f} characters on average")  # fmt: skip
    for name, config in configurations(options.checkpoints, options.batch_size).items():
        config = with_precision(config, options.precision)
        figures = measure(config, codes, labels, len(classes), peaks, options.steps)
        report["models"][name] = figures
        print_figures(name, figures)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    shipped = sorted(SHIPPED.glob("*.pt"))
    parser.add_argument(
        "--checkpoints", type=Path, nargs="*", default=shipped, help="default: shipped models"
    )
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="default: all cores")
    parser.add_argument("--steps", type=positive, default=40, help="to time, default: %(default)s")
    parser.add_argument(
        "--batch-size",
        type=positive,
        default=256,
        help="of bench_training.py, default: %(default)s",
    )
    parser.add_argument(
        "--precision", choices=sorted(TYPES), default="fp32", help="of training, default: %(default)s"
    )
    return parser.parse_args()


def configurations(checkpoints: list[Path], batch_size: int) -> dict[str, Config]:
    """Return name → configuration of the models to look at."""
    found = {SAME_LAYERS: make_config(batch_size)}
    return found | {path.name: load_checkpoint(path).config for path in checkpoints}


def with_precision(config: Config, precision: str) -> Config:
    """Return the configuration with another `training.precision`."""
    return replace(config, training=replace(config.training, precision=precision))


def matrix_peak_gflops(dtype: torch.dtype) -> float:
    """Return what matrix products of such numbers reach at best, in 10⁹ operations a second."""
    best = 0.0
    for size in MATRIX_SIZES:
        a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        torch.mm(a, b, out=out)
        for _ in range(max(5, 2**31 // size**3)):
            start_s = time.perf_counter()
            torch.mm(a, b, out=out)
            best = max(best, 2e-9 * size**3 / (time.perf_counter() - start_s))
    return best


def multiply_adds(model: nn.Module, config: Config, lengths: np.ndarray) -> dict[str, float]:
    """Return the multiply-adds of a forward pass by part, the mean over names of these `lengths` (N,)."""
    uses = {
        PER_CHARACTER: lengths.mean(),
        PER_STEP: np.ceil(lengths / config.model.pool_size).mean(),
        ONCE: 1.0,
    }
    counts: dict[str, float] = {}
    for name, weight in model.state_dict().items():
        if weight.dim() < 2 or name.startswith(("embedding.", "ngrams.", "evidence.")):
            continue  # a bias is an addition, a table is looked up
        (times,) = [number for starts, number in uses.items() if name.startswith(starts)]
        part = name.partition(".")[0]
        counts[part] = counts.get(part, 0.0) + weight.numel() * float(times)
    return counts


def measure(
    config: Config,
    codes: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    peaks: dict[str, float],
    steps: int,
) -> dict:
    """Return arithmetic, speed, share of the peak, and the profile of one model."""
    torch.manual_seed(0)
    model = build_model(num_classes, config)
    counts = multiply_adds(model, config, code_lengths(codes))
    gflop = 2e-9 * sum(counts.values())
    figures = {"weights": sum(p.numel() for p in model.parameters()), "multiply_adds_a_name": counts}
    rows = np.resize(np.random.default_rng(0).permutation(len(labels)), steps * config.training.batch_size)
    training = train_names_per_s(model, config, codes[rows], labels[rows])
    prediction = predict_names_per_s(model, codes)
    for name, names_per_s, passes in (("training", training, 3), ("prediction", prediction, 1)):
        figures[name] = {
            "names_per_s": names_per_s,
            "gflop_per_s": round(passes * gflop * names_per_s["median"], 1),
            "share_of_peak": round(passes * gflop * names_per_s["median"] / peaks[name], 3),
        }
    profiled = rows[: 12 * config.training.batch_size]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    figures["step"] = profile_steps(make_trainer(model, config), codes[profiled], labels[profiled])
    torch.set_num_threads(threads)
    return figures


def make_trainer(model: nn.Module, config: Config) -> ModelTrainer:
    """Return a trainer for one epoch."""
    settings = config.to_dict()
    settings["training"] |= {"epochs": 1, "class_weights": "none", "early_stopping_metric": "val_loss"}
    return ModelTrainer(model, settings, "cpu", show_progress=False)


def train_names_per_s(model: nn.Module, config: Config, codes: np.ndarray, labels: np.ndarray) -> dict:
    """Return the speed of the trainer's steps, in four parts of the epoch."""
    trainer, stopwatch = make_trainer(model, config), Stopwatch()
    hook = trainer.optimizer.register_step_post_hook(lambda *_: stopwatch.note())
    trainer.train(codes, labels, codes[:2], labels[:2])
    hook.remove()
    ends = np.array(stopwatch.clock_s)[3:]
    parts = [part for part in np.array_split(np.diff(ends), 4) if len(part)]
    return summarize([config.training.batch_size / float(part.mean()) for part in parts])


def predict_names_per_s(model: nn.Module, codes: np.ndarray) -> dict:
    """Return the speed of prediction, without files, of five repeats."""
    speeds = []
    for _ in range(6):
        start_s = time.perf_counter()
        predict_logits(model, codes, DEFAULT_BATCH_SIZE, torch.device("cpu"))
        speeds.append(len(codes) / (time.perf_counter() - start_s))
    return summarize(speeds[1:])


def print_figures(name: str, figures: dict) -> None:
    """Print what was measured of one model."""
    counts = figures["multiply_adds_a_name"]
    parts = ", ".join(f"{part} {count / 1e6:.2f}" for part, count in counts.items())
    total = sum(counts.values()) / 1e6
    print(f"\n{name}: {figures['weights']:,} weights, {total:.2f} million multiply-adds a name ({parts})")
    for what in ("training", "prediction"):
        row = figures[what]
        print(f"  {what}: {row['names_per_s']['median']:,.0f} names/s, {row['gflop_per_s']:.0f} GFLOP/s, "
              f"{row['share_of_peak']:.0%} of the peak")  # fmt: skip
    step = figures["step"]
    print(
        f"  a step of {step['names']} names on one thread, under the profiler: {step['milliseconds']:.1f} ms"
    )
    for part, share in step["shares"].items():
        print(f"    {part:<24}{share['forward']:>7.1%} forward{share['backward']:>8.1%} backward")
    print("  operators that take most: " + ", ".join(
        f"{operator} {share:.0%}" for operator, share in step["operators"].items()
    ))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
