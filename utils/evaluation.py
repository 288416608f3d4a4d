"""Labels and probabilities in, one JSON-ready report out.

`evaluate` judges one model on one part of the data; `paired_differences` says whether two models on the same
part differ by more than chance; `thresholds_at_fpr` chooses thresholds (on validation, to be handed to the
test part); `validation_metrics` is the cheap selection an epoch can afford.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from utils.bootstrap import (
    CONFIDENCE,
    ScoredRows,
    confusion_matrix,
    interval,
    resample,
    sort_rows,
    statistics,
)
from utils.breakdowns import judge_classes, judge_families, judge_slices
from utils.calibration import calibration_metrics
from utils.detection import (
    FPR_RATES,
    cumulative_counts,
    last_block_within,
    malicious_scores,
    minimum_benign,
    operating_block,
    rank,
    share_at,
)
from utils.operating_points import alarm_threshold, judge_detection
from utils.report_values import Undefined, to_builtins


def evaluate(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    benign: str,
    groups: np.ndarray | None = None,
    thresholds: Mapping[str, float | None] | None = None,
    slices: Mapping[str, np.ndarray] | None = None,
    families: np.ndarray | None = None,
    lookups_per_day: int = 1_000_000,
    resamples: int = 200,
    seed: int = 0,
) -> dict:
    """Judge one model on one part of the data.

    Parameters
    ----------
    labels, probabilities
        (N,) integers 0…K−1, N >= 1; (N, K), rows summing to 1. The predicted class is the largest; the
        malicious score is 1 − P(benign).
    classes, benign
        K names in column order, and which of them is no alarm.
    groups
        (N,) what is drawn together in the bootstrap: a hash of the registered domain. None: every row alone.
    thresholds
        What `thresholds_at_fpr` chose on validation: rate → score. Without them recall is quoted only at
        thresholds chosen on this very part, which flatters.
    slices, families
        Name → (N,) bool mask; (N,) family of malicious names, None where unknown.
    lookups_per_day
        For false alarms a day, taking every look-up as benign (nearly all are).
    resamples, seed
        Bootstrap; 0 resamples leaves the intervals out.

    Returns
    -------
    Builtins only, no NaN: None where a figure is undefined, and `undefined` maps its place to the reason.

    Raises
    ------
    ValueError
        Where the arguments do not fit together (shapes, label range, probabilities that are none).
    """
    labels, probabilities = _checked(labels, probabilities, classes, benign)
    _check_lengths(len(labels), {"groups": groups, "families": families})
    _check_lengths(len(labels), slices or {})
    benign_index = list(classes).index(benign)
    rows = sort_rows(labels, probabilities, benign_index=benign_index, groups=groups, thresholds=thresholds)
    values = statistics(rows)
    scores = malicious_scores(probabilities, benign_index)
    detection = judge_detection(rows, values, classes, thresholds or {}, lookups_per_day)
    alarm = alarm_threshold(detection)
    cut = alarm["threshold"] if isinstance(alarm["threshold"], float) else None
    report = {
        **_class_counts(labels, classes, benign),
        "accuracy": values["accuracy"],
        "macro_f1": values["macro_f1"],
        "per_class": judge_classes(rows, classes),
        "confusion": confusion_matrix(rows).astype(int),
        "detection": detection,
        "calibration": calibration_metrics(labels, probabilities, benign_index=benign_index),
        **_bootstrap(rows, classes, resamples, seed, is_grouped=groups is not None),
        "alarm_threshold": alarm,
        "slices": judge_slices(slices or {}, labels, probabilities, scores, benign_index, cut),
        "families": judge_families(families, labels != benign_index, scores, cut),
    }
    return to_builtins(report)


def _class_counts(labels: np.ndarray, classes: Sequence[str], benign: str) -> dict:
    """Return what the names are, whatever a model says of them."""
    counts = np.bincount(labels, minlength=len(classes))
    return {
        "n": len(labels),
        "classes": list(classes),
        "benign": benign,
        "class_counts": dict(zip(classes, counts, strict=True)),
        "majority_class": classes[int(counts.argmax())],
        "majority_share": counts.max() / len(labels),
    }


def _bootstrap(
    rows: ScoredRows, classes: Sequence[str], resamples: int, seed: int, *, is_grouped: bool
) -> dict:
    """Return the intervals, and how they were made."""
    made = {
        "resamples": resamples,
        "seed": seed,
        "confidence": CONFIDENCE,
        "groups": rows.num_groups,
        "grouped": is_grouped,
    }
    return {"bootstrap": made, "intervals": _intervals(rows, classes, resamples, seed)}


def thresholds_at_fpr(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    *,
    benign: str,
    rates: Sequence[float] = FPR_RATES,
) -> dict[str, float | None]:
    """Choose, for each rate, the smallest score t of a malicious name with FPR(score >= t) <= rate.

    Returns
    -------
    dict
        `f"{rate:g}"` → t. None where there are fewer benign names than `utils.detection.minimum_benign` asks
        for, or where no malicious name scores high enough.
    """
    labels, probabilities = _checked(labels, probabilities, classes, benign)
    benign_index = list(classes).index(benign)
    ranking = rank(malicious_scores(probabilities, benign_index), labels != benign_index)
    hits, misses = cumulative_counts(ranking)
    chosen: dict[str, float | None] = {}
    for rate in rates:
        block = operating_block(hits, misses, rate)
        usable = misses[-1] >= minimum_benign(rate) and block >= 0
        chosen[f"{rate:g}"] = float(ranking.scores[block]) if usable else None
    return chosen


def validation_metrics(labels: np.ndarray, probabilities: np.ndarray, benign_index: int) -> dict[str, float]:
    """Compute macro_f1, auc and recall_at_1pct_fpr: some 100 ms for 250,000 names, fit for every epoch.

    Unlike a report, `recall_at_1pct_fpr` is given for any number of benign names. NaN where undefined
    (auc and recall need both benign and malicious names).
    """
    rows = sort_rows(np.asarray(labels), np.asarray(probabilities), benign_index=benign_index)
    values = statistics(rows)
    hits, misses = cumulative_counts(rows.ranking)
    recall = share_at(hits, last_block_within(misses, 0.01)) if misses[-1] else float("nan")
    return {"macro_f1": values["macro_f1"], "auc": values["roc_auc"], "recall_at_1pct_fpr": recall}


def paired_differences(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    classes: Sequence[str],
    *,
    benign: str,
    groups: np.ndarray | None = None,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, dict]:
    """Say by how much `first` is above `second`, both (N, K) on the same rows, with a paired interval.

    Both models are judged on the same resamples, so what is hard for both cancels out; two separate
    intervals that overlap would hide a real difference.

    Returns
    -------
    dict
        Figure → {difference, interval: [low, high] or None}. An interval without 0 is beyond chance.
    """
    benign_index = list(classes).index(benign)
    points, draws = [], []
    for probabilities in (first, second):
        checked_labels, checked = _checked(labels, probabilities, classes, benign)
        rows = sort_rows(checked_labels, checked, benign_index=benign_index, groups=groups)
        points.append(statistics(rows))
        draws.append(resample(rows, resamples, seed))
    return to_builtins(
        {
            _with_class_name(name, classes): {
                "difference": points[0][name] - points[1][name],
                "interval": interval(draws[0][name] - draws[1][name]) if resamples else None,
            }
            for name in points[0]
        },
        explain=False,
    )


def _checked(
    labels: np.ndarray, probabilities: np.ndarray, classes: Sequence[str], benign: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as int64 and probabilities as an array, or raise ValueError saying what does not fit."""
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    if benign not in classes:
        raise ValueError(f"the benign class {benign!r} is not among the classes {list(classes)}")
    if not labels.size or labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be (N,) integers, N >= 1; got shape {labels.shape}, {labels.dtype}")
    if probabilities.shape != (len(labels), len(classes)):
        expected = (len(labels), len(classes))
        raise ValueError(f"probabilities must have the shape {expected}; got {probabilities.shape}")
    if labels.min() < 0 or labels.max() >= len(classes):
        raise ValueError(f"labels must lie in 0…{len(classes) - 1}; got {labels.min()}…{labels.max()}")
    off = np.abs(probabilities.sum(axis=1, dtype=np.float64) - 1)
    if not (off < 1e-3).all() or probabilities.min() < 0:  # `not <` catches NaN too
        raise ValueError("probabilities must be >= 0 and each row must sum to 1")
    return labels.astype(np.int64), probabilities


def _check_lengths(n: int, arrays: Mapping[str, np.ndarray | None]) -> None:
    """Raise ValueError for an array (groups, families, a slice's mask) that is not (N,)."""
    for name, array in arrays.items():
        if array is not None and np.shape(array) != (n,):
            raise ValueError(f"{name!r} must have the shape {(n,)}; got {np.shape(array)}")


def _intervals(rows: ScoredRows, classes: Sequence[str], resamples: int, seed: int) -> dict:
    """Return figure → (low, high) by bootstrap over groups."""
    if not resamples:
        return {}
    missing = Undefined("too few of the resamples define it")
    return {
        _with_class_name(name, classes): interval(drawn) or missing
        for name, drawn in resample(rows, resamples, seed).items()
    }


def _with_class_name(statistic: str, classes: Sequence[str]) -> str:
    """Turn `roc_auc:1` into `roc_auc:phishing`."""
    name, colon, number = statistic.partition(":")
    return f"{name}:{classes[int(number)]}" if colon else name
