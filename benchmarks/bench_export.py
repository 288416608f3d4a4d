"""A checkpoint and its exports: size, names a second on one core, start-up of predict.py.

    python benchmarks/bench_export.py --folder FOLDER
    python benchmarks/bench_export.py --folder FOLDER --checkpoint runs/latest/best.pt --names 5000

The names are made with a seed and are as long as real ones (see bench_names.py). The runtimes take turns, so
that a difference compares neighbours in time; speed is in CPU seconds of one thread, from normalised names to
probabilities. Start-up is a whole process that answers one name.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before a runtime is loaded
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import export
from benchmarks.bench_names import make_names
from benchmarks.measuring import (
    ROOT,
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    run_process,
    summarize,
    write_figures,
)
from data.feature_engineering import encode_domains
from models.base_classifier import DEFAULT_BATCH_SIZE
from models.checkpoint import load_checkpoint
from models.classifier import DomainClassifier
from models.export_check import RUNNERS
from models.length_batches import length_sorted_batches
from models.onnx_classifier import OnnxClassifier

FILES = {"onnx": "model.onnx", "torchscript": "model.ts", "torch-export": "model.pt2"}
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
    """Export, measure, print and write."""
    options = parse_arguments()
    options.folder.mkdir(parents=True, exist_ok=True)
    files = {"checkpoint": options.checkpoint}
    for format, name in FILES.items():
        files[format] = options.folder / name
        export.export_model(options.checkpoint, files[format], format)
    report = circumstances() | {"checkpoint": options.checkpoint.name, "names": options.names}
    print_circumstances(report)
    report["size_mb"] = {key: round(file.stat().st_size / 1e6, 1) for key, file in files.items()}
    report["names_per_s"] = measure_speed(options, files)
    report["start_up"] = measure_start_up(options, files)
    print(
        f"\n{'':16}{'MB':>7}{'names/s':>10}{'min':>8}{'max':>8}{'start-up s':>12}{'CPU s':>7}{'peak MB':>9}"
    )
    for key in files:
        speed, start = report["names_per_s"][key], report["start_up"].get(key)
        line = f"{key:16}{report['size_mb'][key]:>7.1f}{speed['median']:>10,.0f}{speed['min']:>8,.0f}"
        line += f"{speed['max']:>8,.0f}"
        if start:
            line += f"{start['seconds']['median']:>12.2f}{start['cpu_seconds']['median']:>7.2f}"
            line += f"{start['peak_mb']['median']:>9.0f}"
        print(line)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=5, checkpoint=True)
    parser.add_argument("--folder", type=Path, required=True, help="where the exports go")
    parser.add_argument("--names", type=positive, default=20_000, help="default: %(default)s")
    return parser.parse_args()


def measure_speed(options: argparse.Namespace, files: dict[str, Path]) -> dict[str, dict[str, float]]:
    """Return names a CPU second of each file, and require that all answer alike."""
    import torch

    torch.set_num_threads(1)
    names = make_names(options.names, seed=0)
    max_length = load_checkpoint(options.checkpoint).max_length
    classify: dict[str, Callable] = {
        "checkpoint": DomainClassifier.load(options.checkpoint).classify,
        "onnx": OnnxClassifier.load(files["onnx"], "cpu").classify,
        "torchscript": batched(RUNNERS["torchscript"](files["torchscript"].read_bytes()), max_length),
        "torch-export": batched(
            RUNNERS["torch-export"](files["torch-export"].read_bytes()), max_length, max_length
        ),
    }
    expected = classify["checkpoint"](names)  # this first round does not count
    for key, run in classify.items():
        if not np.abs(run(names) - expected).max() <= 1e-4:
            raise RuntimeError(f"{key} answers otherwise")
    elapsed_s: dict[str, list[float]] = {key: [] for key in classify}
    for _ in range(options.repeats):
        for key, run in classify.items():
            start_s = time.process_time()
            run(names)
            elapsed_s[key].append(time.process_time() - start_s)
    return {key: summarize([len(names) / s for s in seconds]) for key, seconds in elapsed_s.items()}


def batched(run: Callable, max_length: int, width: int | None = None) -> Callable[[list[str]], np.ndarray]:
    """Return a function from names to probabilities; batches are as long as their longest, or `width`."""

    def classify(names: list[str]) -> np.ndarray:
        codes = encode_domains(names, max_length)
        lengths = np.minimum([len(name) for name in names], max_length)
        results: list[np.ndarray] = []
        order = []
        for rows in length_sorted_batches(lengths, DEFAULT_BATCH_SIZE):
            batch = np.ascontiguousarray(codes[rows, : width or int(lengths[rows[-1]])])
            results.append(run(batch)[1])
            order.append(rows)
        probabilities = np.concatenate(results)
        return probabilities[np.argsort(np.concatenate(order), kind="stable")]

    return classify


def measure_start_up(options: argparse.Namespace, files: dict[str, Path]) -> dict[str, dict]:
    """Return what a process of predict.py takes that answers one name, of the two files that it reads."""
    name = options.folder / "one.txt"
    name.write_text("example.com\n", encoding="utf-8")
    runs: dict[str, list] = {"checkpoint": [], "onnx": []}
    for _ in range(options.repeats):
        for key, figures in runs.items():
            arguments = ["--input", str(name), "--checkpoint", str(files[key]), "--device", "cpu"]
            before = os.times()
            process = run_process(
                ["-c", PROGRAM, str(ROOT), *arguments, "--output", str(options.folder / f"{key}.jsonl")],
                threads=1,
            )
            after = os.times()
            cpu_s = sum(after[2:4]) - sum(before[2:4])  # of the children
            figures.append((process.elapsed_s, cpu_s, process.peak_mb))
    return {
        key: {
            label: summarize([row[i] for row in figures])
            for i, label in enumerate(("seconds", "cpu_seconds", "peak_mb"))
        }
        for key, figures in runs.items()
    }


if __name__ == "__main__":
    sys.exit(main())
