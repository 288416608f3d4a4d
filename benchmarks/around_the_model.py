"""Speed of everything in predict.py but the network, for `bench_prediction.py`: one process, one thread."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.measuring import on_cores, spread, summarize, time_repeats
from data.data_loader import read_records
from data.domain_name import normalize_domain
from data.feature_engineering import encode_domains
from models.answering import Answerer
from models.classifier import DomainClassifier
from models.prediction_run import ROWS_AT_ONCE
from utils.decision import choose_rule
from utils.prediction_writer import PredictionWriter, make_encoder

REPEATS = 5
MAX_LENGTH = 64
BARS = {"normalise + encode": 400_000, "write JSON Lines": 500_000}


class KnownAnswers(DomainClassifier):
    """A classifier that has its answers already: what is left is all but the network."""

    def learned_probabilities(self, domains: list[str]) -> np.ndarray:
        """Return probabilities (N, K) that differ from row to row, as real ones do."""
        draws = np.random.default_rng(len(domains)).dirichlet(np.ones(len(self.classes)), len(domains))
        return draws.astype(np.float32)


def measure_around(checkpoint: Path, names_file: Path) -> dict[str, dict]:
    """Return names a second of each stage on one core, print them beside their bars."""
    with on_cores(1), tempfile.TemporaryDirectory() as folder:
        stages, count = make_stages(checkpoint, names_file, Path(folder) / "results.jsonl")
        print(f"\n{'around the model, one core':<42}{'names/s':>34}{'bar':>10}")
        report = {}
        for stage, run in stages.items():
            row = summarize([count / elapsed_s for elapsed_s in time_repeats(run, REPEATS)])
            report[stage] = row
            bar = f"{BARS[stage]:,}" if stage in BARS else ""
            print(f"{stage:<42}{spread(row):>34}{bar:>10}", flush=True)
    return report


def make_stages(
    checkpoint: Path, names_file: Path, results: Path
) -> tuple[dict[str, Callable[[], object]], int]:
    """Return stage → what runs it, and for how many names."""
    classifier = KnownAnswers.load(checkpoint)
    answerer = Answerer(classifier, choose_rule(classifier.signature.thresholds, None, None))
    records = list(read_records(names_file))
    names = [record.domain for record in records]
    predictions = [
        answerer.answer(records[i : i + ROWS_AT_ONCE]) for i in range(0, len(records), ROWS_AT_ONCE)
    ]

    def write(format: str) -> None:
        encoder = make_encoder(format, classifier.classes, keep_fields=False, output=results)
        with PredictionWriter(results, encoder) as writer:
            for batch in predictions:
                writer.write(batch)

    def normalize_and_encode() -> None:
        encode_domains([name for name in map(normalize_domain, names) if isinstance(name, str)], MAX_LENGTH)

    def answer() -> None:
        for i in range(0, len(records), ROWS_AT_ONCE):
            answerer.answer(records[i : i + ROWS_AT_ONCE])

    return {
        "read": lambda: sum(1 for _ in read_records(names_file)),
        "normalise + encode": normalize_and_encode,
        "normalise, decide, build rows": answer,
        "write JSON Lines": lambda: write("jsonl"),
        "write CSV": lambda: write("csv"),
    }, len(names)
