"""What `models/allocator.py` is worth: training and prediction with glibc's settings and with ours, in pairs.

python benchmarks/bench_allocator.py
python benchmarks/bench_allocator.py --checkpoint runs/latest/best.pt --repeats 7 --output allocator.json

Each run is a process of its own on one core; the two of a pair follow each other, and the ratio is that of
their processor times. Names: the embedded sample. Linux with glibc only.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.measuring import (
    circumstances,
    make_parser,
    peak_kilobytes,
    print_circumstances,
    run_process,
    spread,
    summarize,
    write_figures,
)

WORK = ("training", "prediction")
SETTINGS = ("glibc's", "ours")


def main() -> int:
    """Measure pairs, print and write."""
    options = parse_arguments()
    if options.run:
        return run(*options.run, options.checkpoint)
    report = circumstances() | {"checkpoint": options.checkpoint.name, "repeats": options.repeats}
    print_circumstances(report)
    print(f"\n{'':<12}{'settings':<12}{'CPU seconds':>22}{'page faults':>14}{'peak MB':>9}")
    for work in WORK:
        runs: dict[str, list[dict]] = {setting: [] for setting in SETTINGS}
        for _ in range(options.repeats):
            for setting, rounds in runs.items():
                arguments = [__file__, "--run", work, setting, "--checkpoint", options.checkpoint]
                rounds.append(json.loads(run_process(arguments, threads=1).stdout.splitlines()[-1]))
        rows = {
            setting: {key: summarize([one[key] for one in rounds]) for key in rounds[0]}
            for setting, rounds in runs.items()
        }
        ratios = [a["cpu_s"] / b["cpu_s"] for a, b in zip(*runs.values(), strict=True)]
        report[work] = rows | {"times_faster": summarize(ratios)}
        for setting, row in rows.items():
            print(f"{work:<12}{setting:<12}{spread(row['cpu_s'], '.2f'):>22}"
                  f"{row['page_faults']['median']:>14,.0f}{row['peak_mb']['median']:>9.0f}")  # fmt: skip
        print(f"{work:<12}{spread(report[work]['times_faster'], '.3f')} times faster", flush=True)
    write_figures(options.output, report)
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=5, repeated="pairs", checkpoint=True)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # in a process of its own
    return parser.parse_args()


def run(work: str, setting: str, checkpoint: Path) -> int:
    """Do the work once in this process and print what it took; loading and the first batches do not count."""
    from models.allocator import keep_freed_memory

    if setting == "ours" and not keep_freed_memory():
        raise RuntimeError("this system has none of glibc's settings, or somebody has set them")
    do = {"training": training_work, "prediction": prediction_work}[work](checkpoint)
    do()
    start_s, start_faults = time.process_time(), page_faults()
    do()
    figures = {"cpu_s": time.process_time() - start_s, "page_faults": page_faults() - start_faults}
    print(json.dumps(figures | {"peak_mb": peak_kilobytes() / 1024}))
    return 0


def page_faults() -> int:
    """Return how often this process had to ask for a page so far."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def training_work(checkpoint: Path) -> Callable[[], object]:
    """Return what trains the checkpoint's network for an epoch on the sample."""
    from benchmarks.bench_training import load_names
    from benchmarks.profile_training import make_trainer
    from models.architectures import build_model
    from models.checkpoint import load_checkpoint

    codes, labels, classes = load_names(None)
    rows = np.random.default_rng(0).permutation(len(labels))
    config = load_checkpoint(checkpoint).config
    model = build_model(len(classes), config)
    return lambda: make_trainer(model, config).train(codes[rows], labels[rows], codes[:2], labels[:2])


def prediction_work(checkpoint: Path) -> Callable[[], object]:
    """Return what classifies the sample's names."""
    from benchmarks.other_predictors import labelled_sample
    from models.classifier import DomainClassifier

    classifier = DomainClassifier.load(checkpoint)
    names, _ = labelled_sample()
    return lambda: classifier.classify(names + names)


if __name__ == "__main__":
    sys.exit(main())
