"""The report of a run: every part judged, the baseline and the shortcuts beside it, as one JSON-ready dict.

Arrays come in as arguments; who reads files and who computes logits is the scripts' business.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.baseline import train_baseline
from utils.calibration import calibration_metrics
from utils.config import EvaluationConfig
from utils.evaluation import evaluate, paired_differences, thresholds_at_fpr
from utils.shortcut_audit import audit_shortcuts

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PartScores:
    """One part of the data and what the model said of it; arrays have one entry a name.

    Attributes
    ----------
    domains
        N normalised names.
    labels, groups
        (N,) class number, and a hash of the registered domain.
    families
        (N,) family of the malicious names or None.
    slices
        Name → (N,) bool mask.
    probabilities, uncalibrated
        (N, K) after and before temperature scaling.
    """

    domains: Sequence[str]
    labels: np.ndarray
    groups: np.ndarray
    families: np.ndarray
    slices: Mapping[str, np.ndarray]
    probabilities: np.ndarray
    uncalibrated: np.ndarray


class Judge:
    """Evaluates parts with the same classes, thresholds and settings."""

    def __init__(
        self,
        classes: Sequence[str],
        thresholds: Mapping[str, float | None],
        settings: EvaluationConfig,
        seed: int,
    ) -> None:
        self.classes = tuple(classes)
        self.benign_index = self.classes.index(settings.benign_class)
        self.thresholds = thresholds
        self.settings = settings
        self.seed = seed

    def judge(
        self, part: PartScores, probabilities: np.ndarray, thresholds: Mapping | None
    ) -> dict[str, Any]:
        """Return `evaluate`'s dict for probabilities (N, K) of the names of `part`."""
        return evaluate(
            part.labels,
            probabilities,
            self.classes,
            benign=self.settings.benign_class,
            groups=part.groups,
            thresholds=thresholds,
            slices=part.slices,
            families=part.families,
            lookups_per_day=self.settings.lookups_per_day,
            resamples=self.settings.bootstrap_resamples,
            seed=self.seed,
        )

    def compare(self, part: PartScores, others: np.ndarray) -> dict[str, Any]:
        """Say by how much the model is better on `part` than another with probabilities `others` (N, K)."""
        return paired_differences(
            part.labels,
            part.probabilities,
            others,
            self.classes,
            benign=self.settings.benign_class,
            groups=part.groups,
            resamples=self.settings.bootstrap_resamples,
            seed=self.seed,
        )

    def report(
        self,
        facts: Mapping[str, Any],
        parts: Mapping[str, PartScores],
        train: tuple[Sequence[str], np.ndarray] | None,
    ) -> tuple[dict[str, Any], np.ndarray | None]:
        """Return the whole report, and the baseline's probabilities (N, K) on the test part for the figures.

        Parameters
        ----------
        facts
            What is known without judging: the report's entries run, data, split, prior, temperature.
        parts
            Part name → scores; "test" is compared with the baseline.
        train
            Names and labels of the training part, from which the baseline and the shortcuts learn; None
            leaves both out.
        """
        test = parts["test"]
        report = {
            **facts,
            "classes": list(self.classes),
            "benign": self.settings.benign_class,
            "parts": {
                name: self.judge(part, part.probabilities, self.thresholds) for name, part in parts.items()
            },
            "uncalibrated": {
                name: calibration_metrics(part.labels, part.uncalibrated, benign_index=self.benign_index)
                for name, part in parts.items()
            },
        }
        if train is None:
            return report, None
        domains, labels = list(train[0]), train[1]
        report["shortcuts"] = audit_shortcuts(
            domains,
            labels,
            list(test.domains),
            test.labels,
            benign_index=self.benign_index,
            num_classes=len(self.classes),
        )
        if not self.settings.baseline:
            return report, None
        logger.info("training the baseline: TF-IDF of 1 to 4 characters and logistic regression")
        baseline = train_baseline(domains, labels, num_classes=len(self.classes), seed=self.seed)
        probabilities = baseline.predict_proba(list(test.domains))
        thresholds = None
        if "validation" in parts:
            seen = parts["validation"]
            thresholds = thresholds_at_fpr(
                seen.labels,
                baseline.predict_proba(list(seen.domains)),
                self.classes,
                benign=self.settings.benign_class,
            )
        report["baseline"] = {"test": self.judge(test, probabilities, thresholds)}
        report["differences"] = {"test": self.compare(test, probabilities)}
        return report, probabilities
