"""Training speed of our network against the same layers in Keras 3 and in plain PyTorch; their loss curves.

python benchmarks/bench_training.py --other-python ENVIRONMENT/bin/python
python benchmarks/bench_training.py --repeats 1 --steps 20                 without Keras

Embedding 64, two convolutions of 128, bidirectional LSTM of 128, attention (same_layers.py). All start from
the same weights and take the same batches of the embedded sample's names, real ones. Keras and plain PyTorch
pad every name to 64, as their users do; ours pads a batch to its longest name. Where the processor trains in
bfloat16, ours and Keras do it too (`training.precision: bf16`, the policy `mixed_bfloat16`). Each run is a
process of its own on one or two cores, the systems in turn, so that a ratio compares neighbours in time.
ENVIRONMENT is where benchmarks/requirements.txt is installed.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.measuring import (
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    run_process,
    spread,
    summarize,
    write_figures,
)
from benchmarks.same_layers import MAX_LENGTH, save_job
from data.data_loader import read_records
from data.domain_name import normalize_domain
from data.feature_engineering import NUM_CODES, code_lengths, encode_domains
from utils.errors import ConfigError

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "data" / "sample"
OURS, PLAIN, KERAS = "ours", "plain PyTorch", "Keras"
OURS_BF16, KERAS_BF16 = "ours, bfloat16", "Keras, bfloat16"  # `training.precision: bf16`, `mixed_bfloat16`
PROGRAMS = {
    OURS: ["train_ours.py"],
    OURS_BF16: ["train_ours.py", "bf16"],
    PLAIN: ["train_plain_pytorch.py"],
    KERAS: ["train_keras.py"],
    KERAS_BF16: ["train_keras.py", "bf16"],
}
BARS = {PLAIN: 3.0, KERAS: 6.0}
SMOOTHED_STEPS = 10  # the loss of one batch says little


def main() -> int:
    """Make the jobs, measure, print and write."""
    options = parse_arguments()
    codes, labels, classes = load_names(options.labelled)
    report = circumstances() | {
        "other_versions": other_versions(options.other_python),
        "data": {
            "names": len(labels),
            "classes": classes,
            "mean_length": round(float(code_lengths(codes).mean()), 2),
        },
        "batch_size": options.batch_size,
        "steps": options.steps,
        "repeats": options.repeats,
    }
    print_circumstances(report)
    print(", ".join(f"{name} {number}" for name, number in report["other_versions"].items()))
    print(f"{len(labels):,} names of {report['data']['mean_length']} characters on average; "
          f"{options.steps} steps of {options.batch_size}\n", flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        jobs = [make_job(Path(folder), codes, labels, len(classes), options, seed) for seed in (0, 1)]
        runs = measure(jobs[0], options)
        other_start = run(OURS, jobs[1], options, max(options.threads))
    report["speed"] = speed_figures(runs)
    report["loss"] = compare_losses(runs, other_start["losses"], max(options.threads))
    print_report(report)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=3, repeated="of each run")
    parser.add_argument("--other-python", type=Path, help="the interpreter that has Keras; without: no Keras")
    parser.add_argument(
        "--labelled", action="append", metavar="LABEL=FILE", help="names to train on; default: the sample"
    )
    parser.add_argument("--steps", type=positive, default=40, help="default: %(default)s")
    parser.add_argument("--batch-size", type=positive, default=256, help="default: %(default)s")
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=[1, 2], help="cores, default: %(default)s"
    )
    return parser.parse_args()


def load_names(labelled: list[str] | None) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the codes (N, 64), the labels (N,) and the classes of the files."""
    classes = ("benign", "phishing", "malware")
    pairs = labelled or [f"{label}={SAMPLE / label}.json" for label in classes]
    names, labels, classes = [], [], sorted({pair.partition("=")[0] for pair in pairs})
    for pair in pairs:
        label, _, path = pair.partition("=")
        found = [normalize_domain(record.domain) for record in read_records(Path(path))]
        names += [name for name in found if isinstance(name, str)]
        labels += [classes.index(label)] * (len(names) - len(labels))
    return encode_domains(names, MAX_LENGTH), np.array(labels), classes


def has_bfloat16() -> bool:
    """Tell whether this processor trains in bfloat16."""
    import torch

    from models.device import uses_bfloat16

    try:
        return uses_bfloat16("bf16", torch.device("cpu"))
    except ConfigError:
        return False


def make_job(
    folder: Path,
    codes: np.ndarray,
    labels: np.ndarray,
    num_classes: int,
    options: argparse.Namespace,
    seed: int,
) -> Path:
    """Write the training set, in random order and again from the start where it is short, and the weights."""
    from benchmarks.train_ours import batch_order, initial_weights

    count = options.steps * options.batch_size
    rows = np.resize(np.random.default_rng(0).permutation(len(labels)), count)
    path = folder / f"job-{seed}.npz"
    save_job(
        path,
        codes[rows],
        labels[rows],
        batch_order(codes[rows], options.batch_size),
        initial_weights(num_classes, options.batch_size, seed),
        batch_size=options.batch_size,
        num_codes=NUM_CODES,
        num_classes=num_classes,
    )
    return path


def run(system: str, job: Path, options: argparse.Namespace, threads: int) -> dict:
    """Train one system in a process of its own and return its figures."""
    python = options.other_python if system in (KERAS, KERAS_BF16) else sys.executable
    program, *precision = PROGRAMS[system]
    done = run_process([HERE / program, job, *precision], python=python, threads=threads)
    return json.loads(done.stdout.splitlines()[-1])


def measure(job: Path, options: argparse.Namespace) -> dict[int, dict[str, list[dict]]]:
    """Return threads → system → the figures of each repeat, the systems in turn."""
    left_out = set() if options.other_python else {KERAS, KERAS_BF16}
    left_out |= set() if has_bfloat16() else {OURS_BF16, KERAS_BF16}
    systems = [system for system in PROGRAMS if system not in left_out]
    runs = {threads: {system: [] for system in systems} for threads in options.threads}
    for _ in range(options.repeats):
        for threads in options.threads:
            for system in systems:
                runs[threads][system].append(run(system, job, options, threads))
    return runs


def speed_figures(runs: dict[int, dict[str, list[dict]]]) -> dict[str, dict]:
    """Return names a second of each system, and how many times faster ours is, round by round."""
    figures = {}
    for threads, systems in runs.items():
        for system, rounds in systems.items():
            row = {key: summarize([one[key] for one in rounds]) for key in ("names_per_s", "names_per_cpu_s")}
            if system not in (OURS, OURS_BF16):
                row["times_slower_than"] = {
                    ours: summarize(_ratios(systems[ours], rounds))
                    for ours in (OURS, OURS_BF16)
                    if ours in systems
                }
                row["bar"] = BARS.get(system)
            figures[f"{system}, {threads} cores"] = row
    return figures


def _ratios(faster: list[dict], slower: list[dict]) -> list[float]:
    return [one["names_per_s"] / other["names_per_s"] for one, other in zip(faster, slower, strict=True)]


def compare_losses(runs: dict, other_start: list[float], threads: int) -> dict[str, dict]:
    """Return each system's loss curve, and how far it is from ours.

    What "the same" means is measured: `ours, other start` is our network from other random weights, on the
    same batches.
    """
    curves = {system: rounds[0]["losses"] for system, rounds in runs[threads].items()}
    curves["ours, other start"] = other_start
    ours = smoothed(curves[OURS])
    return {
        system: {
            "final": round(float(smoothed(curve)[-1]), 4),
            "largest_gap_to_ours": round(float(np.abs(smoothed(curve) - ours).max()), 4),
            "losses": curve,
        }
        for system, curve in curves.items()
    }


def smoothed(losses: list[float]) -> np.ndarray:
    """Return the mean of every `SMOOTHED_STEPS` steps in a row."""
    width = min(SMOOTHED_STEPS, len(losses))
    return np.convolve(losses, np.full(width, 1 / width), mode="valid")


def other_versions(python: Path | None) -> dict[str, str]:
    """Return the versions of what the project itself does not install."""
    if python is None:
        return {"Keras": "not measured (give --other-python)"}
    program = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({n: m.version(n) for n in ('keras', 'tensorflow')}))"
    )
    return json.loads(run_process(["-c", program], python=python).stdout)


def print_report(report: dict) -> None:
    """Print the report as tables."""
    ours = [OURS, OURS_BF16]
    heads = "".join(f"{f'× slower than {one}':>32}" for one in ours)
    print(f"{'system, cores':<26}{'names/s':>22}{'names per CPU second':>22}{heads}{'bar':>6}")
    for name, row in report["speed"].items():
        ratios = row.get("times_slower_than", {})
        slower = "".join(f"{spread(ratios[one], '.2f') if one in ratios else '':>32}" for one in ours)
        bar = row.get("bar") or ""
        print(
            f"{name:<26}{spread(row['names_per_s']):>22}{spread(row['names_per_cpu_s']):>22}{slower}{bar:>6}"
        )
    print(f"\nloss, mean of {SMOOTHED_STEPS} steps, same start and same batches")
    for name, row in report["loss"].items():
        print(f"{name:<26}at the end {row['final']:.4f}, at most {row['largest_gap_to_ours']:.4f} from ours")


if __name__ == "__main__":
    sys.exit(main())
