"""The same model on parts of its part: class by class, slice by slice, family by family."""

from collections.abc import Mapping, Sequence

import numpy as np

from utils.bootstrap import ScoredRows, confusion_matrix, f1_scores, sort_rows, statistics
from utils.report_values import Undefined

MIN_FAMILY_NAMES = 20


def judge_classes(rows: ScoredRows, classes: Sequence[str]) -> dict[str, dict]:
    """Return precision, recall, F1, support and number of predictions of each class."""
    confusion = confusion_matrix(rows)
    hits, support, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    with np.errstate(invalid="ignore"):  # 0/0 is what the report explains as undefined
        precision, recall = hits / predicted, hits / support
    f1 = f1_scores(confusion)
    return {
        name: {
            "precision": precision[k],
            "recall": recall[k],
            "f1": f1[k],
            "support": int(support[k]),
            "predicted": int(predicted[k]),
        }
        for k, name in enumerate(classes)
    }


def judge_slices(
    slices: Mapping[str, np.ndarray],
    labels: np.ndarray,
    probabilities: np.ndarray,
    scores: np.ndarray,
    benign_index: int,
    threshold: float | None,
) -> dict[str, dict]:
    """Judge each slice at the one threshold that holds for all names; None: recall and FPR are undefined."""
    judged = {}
    for name, mask in slices.items():
        mask = np.asarray(mask, dtype=bool)
        malicious = labels[mask] != benign_index
        values = {"roc_auc": float("nan"), "macro_f1": float("nan"), "accuracy": float("nan")}
        if mask.any():
            values = statistics(sort_rows(labels[mask], probabilities[mask], benign_index=benign_index))
        judged[name] = {
            "n": int(mask.sum()),
            "malicious": int(malicious.sum()),
            "benign": int((~malicious).sum()),
            "roc_auc": values["roc_auc"],
            "recall": _flagged_share(scores[mask], malicious, threshold),
            "fpr": _flagged_share(scores[mask], ~malicious, threshold),
            "macro_f1": values["macro_f1"],
            "accuracy": values["accuracy"],
        }
    return judged


def _flagged_share(scores: np.ndarray, among: np.ndarray, threshold: float | None) -> float:
    """Return the share of `among` with a score >= threshold; NaN without such rows or without a threshold."""
    if threshold is None or not among.any():
        return float("nan")
    return float((scores[among] >= threshold).mean())


def judge_families(
    families: np.ndarray | None, malicious: np.ndarray, scores: np.ndarray, threshold: float | None
) -> dict | Undefined:
    """Return the recall at `threshold` of every family of at least `MIN_FAMILY_NAMES` names, worst first.

    Parameters
    ----------
    families
        (N,) str, None where unknown.
    malicious
        (N,) bool; families of benign names are ignored.
    """
    if families is None:
        return Undefined("no families given")
    if threshold is None:
        return Undefined("no threshold; see alarm_threshold")
    known = malicious & np.array([family is not None for family in families], dtype=bool)
    names, codes = np.unique(np.asarray(families)[known].astype(str), return_inverse=True)
    sizes = np.bincount(codes, minlength=len(names))
    recalls = np.bincount(codes, scores[known] >= threshold, len(names)) / np.maximum(sizes, 1)
    large = np.flatnonzero(sizes >= MIN_FAMILY_NAMES)
    worst_first = sorted(large, key=lambda i: (recalls[i], -sizes[i], names[i]))
    return {
        "minimum_names": MIN_FAMILY_NAMES,
        "families": len(names),
        "names": int(known.sum()),
        "worst_first": [{"family": names[i], "n": sizes[i], "recall": recalls[i]} for i in worst_first],
    }
