"""The thresholds an operator could run at: what each catches, what it costs, overall and class by class.

The same rate has two thresholds: one chosen on the very rows it is judged on (a bound that flatters), and one
chosen on validation, with the false-positive rate it really has here.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from utils.bootstrap import ScoredRows
from utils.detection import (
    FPR_RATES,
    PREVALENCES,
    cumulative_counts,
    minimum_benign,
    operating_block,
    precision_at_prevalence,
    share_at,
)
from utils.report_values import Undefined

# Slices and families are all cut at one threshold, the one most deployments start from.
ALARM_RATE = "0.01"


def judge_detection(
    rows: ScoredRows,
    values: Mapping[str, float],
    classes: Sequence[str],
    thresholds: Mapping[str, float | None],
    lookups_per_day: int,
) -> dict:
    """Return the malicious-versus-benign section of a report.

    Parameters
    ----------
    values
        `utils.bootstrap.statistics(rows)`.
    thresholds
        Rate → score chosen on validation; may be empty.
    """
    hits, misses = cumulative_counts(rows.ranking)
    at_fpr = {}
    for rate in sorted({f"{rate:g}" for rate in FPR_RATES} | set(thresholds), key=float, reverse=True):
        needed = minimum_benign(float(rate))
        own = Undefined(f"needs at least {needed:,} benign names; this part has {int(misses[-1]):,}")
        if float(rate) in rows.rates:
            block = operating_block(hits, misses, float(rate))
            score = rows.ranking.scores[block] if block >= 0 else float("nan")
            own = _operating_point(hits, misses, block, score, lookups_per_day)
        fixed = Undefined("no threshold was chosen on validation")
        if rate in rows.fixed_blocks:
            block = rows.fixed_blocks[rate]
            fixed = _operating_point(hits, misses, block, thresholds[rate], lookups_per_day)
        at_fpr[rate] = {"this_part": own, "validation": fixed}
    support = np.bincount(rows.labels, minlength=rows.num_classes)
    return {
        "malicious": int(hits[-1]),
        "benign": int(misses[-1]),
        "roc_auc": values["roc_auc"],
        "pr_auc": values["pr_auc"],
        "lookups_per_day": lookups_per_day,
        "at_fpr": at_fpr,
        "per_class": {
            name: _judge_class(values, k, int(support[k]), at_fpr)
            for k, name in enumerate(classes)
            if k != rows.benign_index
        },
    }


def _operating_point(
    hits: np.ndarray, misses: np.ndarray, block: int, threshold: float, lookups_per_day: int
) -> dict:
    """Return what flagging everything up to `block` catches and costs."""
    recall, fpr = share_at(hits, block), share_at(misses, block)
    return {
        "threshold": float(threshold),
        "recall": recall,
        "fpr": fpr,
        "false_positives": int(misses[block]) if block >= 0 else 0,
        "precision_at_prevalence": {f"{p:g}": precision_at_prevalence(recall, fpr, p) for p in PREVALENCES},
        "false_alarms_per_day": fpr * lookups_per_day,
    }


def _judge_class(values: Mapping[str, float], k: int, n: int, at_fpr: Mapping[str, dict]) -> dict:
    """Return one malicious class against benign: AUC, and recall at every threshold of `at_fpr`."""
    missing = Undefined("no threshold; see detection/at_fpr")
    return {
        "n": n,
        "roc_auc": values[f"roc_auc:{k}"],
        "recall_at_fpr": {
            rate: {
                "this_part": values.get(f"recall@{rate}:{k}", missing),
                "validation": values.get(f"recall@{rate},validation:{k}", missing),
            }
            for rate in at_fpr
        },
    }


def alarm_threshold(detection: Mapping) -> dict:
    """Return the 1 % threshold that slices and families are cut at: validation's, else this part's own."""
    points = detection["at_fpr"][ALARM_RATE]
    for source in ("validation", "this_part"):
        if isinstance(points[source], dict):
            return {"rate": ALARM_RATE, "chosen_on": source, "threshold": points[source]["threshold"]}
    return {"rate": ALARM_RATE, "chosen_on": points["this_part"], "threshold": points["this_part"]}
