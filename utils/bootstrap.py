"""Every figure that gets an interval, and the intervals: a bootstrap over registered domains.

Names of one registered domain stand or fall together, so whole groups are drawn, not rows (the cluster
bootstrap; Field and Welsh 2007, "Bootstrapping clustered data"). The rows are sorted once; a resample
is a vector of row weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from utils.detection import (
    FPR_RATES,
    Ranking,
    average_precision,
    block_at_threshold,
    cumulative_counts,
    last_block_within,
    malicious_scores,
    middle,
    minimum_benign,
    rank,
    roc_auc,
    share_at,
)

CONFIDENCE = 0.95
# Resamples can lack a class altogether in tiny parts; an interval from fewer than this share would mislead.
MIN_DEFINED_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """One part of the data with one model's answers, sorted by falling score, ready to be reweighted.

    Attributes
    ----------
    ranking
        The rows by malicious score.
    labels
        (N,) in ranking order.
    cells
        (N,) label · K + predicted class, in ranking order: where the row falls in the confusion matrix.
    block
        (N,) the block of equal scores a row belongs to.
    groups
        (N,) group numbers 0…G−1 in ranking order.
    num_groups, num_classes, benign_index
        G, K and benign's place.
    present
        (K,) bool: classes with names in this part. Macro-F1 is their mean.
    rates
        False-positive rates with enough benign names here to choose a threshold.
    fixed_blocks
        rate as a string → the last block flagged at the threshold chosen on validation.
    """

    ranking: Ranking
    labels: np.ndarray
    cells: np.ndarray
    block: np.ndarray
    groups: np.ndarray
    num_groups: int
    num_classes: int
    benign_index: int
    present: np.ndarray
    rates: tuple[float, ...]
    fixed_blocks: dict[str, int]


def sort_rows(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    benign_index: int,
    groups: np.ndarray | None = None,
    thresholds: Mapping[str, float | None] | None = None,
) -> ScoredRows:
    """Sort a part once for `statistics`. Arguments as for `utils.evaluation.evaluate`."""
    num_classes = probabilities.shape[1]
    ranking = rank(malicious_scores(probabilities, benign_index), labels != benign_index)
    starts = np.zeros(len(labels), dtype=np.int64)
    starts[ranking.ends[:-1] + 1] = 1
    codes = np.arange(len(labels)) if groups is None else np.unique(groups, return_inverse=True)[1]
    num_benign = int((labels == benign_index).sum())
    fixed = {
        rate: block_at_threshold(ranking, threshold)
        for rate, threshold in (thresholds or {}).items()
        if threshold is not None
    }
    return ScoredRows(
        ranking=ranking,
        labels=labels[ranking.order],
        cells=(labels * num_classes + probabilities.argmax(axis=1))[ranking.order],
        block=np.cumsum(starts),
        groups=codes[ranking.order],
        num_groups=int(codes.max()) + 1,
        num_classes=num_classes,
        benign_index=benign_index,
        present=np.bincount(labels, minlength=num_classes) > 0,
        rates=tuple(rate for rate in FPR_RATES if num_benign >= minimum_benign(rate)),
        fixed_blocks=fixed,
    )


def confusion_matrix(rows: ScoredRows, weights: np.ndarray | None = None) -> np.ndarray:
    """Return (K, K) float64 counts: rows are the true class, columns the predicted one."""
    size = rows.num_classes
    return np.bincount(rows.cells, weights, size * size).reshape(size, size).astype(np.float64)


def f1_scores(confusion: np.ndarray) -> np.ndarray:
    """Return 2·TP / (2·TP + FP + FN) a class, (K,); NaN for a class neither seen nor predicted."""
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    return np.divide(2 * confusion.diagonal(), total, out=np.full(len(total), np.nan), where=total > 0)


def statistics(rows: ScoredRows, weights: np.ndarray | None = None) -> dict[str, float]:
    """Compute every figure that gets an interval, from row weights.

    Parameters
    ----------
    weights
        (N,) in ranking order; None counts each row once and gives the point values.

    Returns
    -------
    dict of str to float
        accuracy, macro_f1, roc_auc, pr_auc; for malicious class number k `roc_auc:k`; for a rate r
        `recall@r` (threshold chosen on these rows), `recall@r:k`, and with validation's threshold
        `recall@r,validation` and `fpr@r,validation`. NaN where undefined.
    """
    confusion = confusion_matrix(rows, weights)
    hits, misses = cumulative_counts(rows.ranking, weights)
    total = confusion.sum()
    values = {
        "accuracy": float(confusion.trace() / total) if total else float("nan"),
        "macro_f1": _macro_f1(confusion, rows.present),
        "roc_auc": roc_auc(hits, misses),
        "pr_auc": average_precision(hits, misses),
    }
    values.update(_class_aucs(rows, weights, misses))
    for rate in rows.rates:
        block = last_block_within(misses, rate) if misses[-1] else -1
        values[f"recall@{rate:g}"] = share_at(hits, block) if misses[-1] else float("nan")
        values.update(_class_recalls(rows, weights, block, f"recall@{rate:g}"))
    for rate, block in rows.fixed_blocks.items():
        values[f"recall@{rate},validation"] = share_at(hits, block)
        values[f"fpr@{rate},validation"] = share_at(misses, block)
        values.update(_class_recalls(rows, weights, block, f"recall@{rate},validation"))
    return values


def _macro_f1(confusion: np.ndarray, present: np.ndarray) -> float:
    """Average F1 over the classes the part holds (and this resample still has)."""
    kept = present & (confusion.sum(axis=1) > 0)
    return float(f1_scores(confusion)[kept].mean()) if kept.any() else float("nan")


def _class_aucs(rows: ScoredRows, weights: np.ndarray | None, misses: np.ndarray) -> dict[str, float]:
    """Return the ROC-AUC of each malicious class against benign, on the one malicious score."""
    outranked = (misses[-1] - middle(misses))[rows.block]  # benign names below each row, ties one half
    won = np.bincount(rows.labels, outranked if weights is None else outranked * weights, rows.num_classes)
    pairs = np.bincount(rows.labels, weights, rows.num_classes) * misses[-1]
    return {
        f"roc_auc:{k}": float(won[k] / pairs[k]) if pairs[k] else float("nan")
        for k in range(rows.num_classes)
        if k != rows.benign_index
    }


def _class_recalls(rows: ScoredRows, weights: np.ndarray | None, block: int, name: str) -> dict[str, float]:
    """Return the share of each malicious class that is flagged at `block`."""
    end = rows.ranking.ends[block] + 1 if block >= 0 else 0
    flagged = np.bincount(rows.labels[:end], None if weights is None else weights[:end], rows.num_classes)
    support = np.bincount(rows.labels, weights, rows.num_classes)
    return {
        f"{name}:{k}": float(flagged[k] / support[k]) if support[k] else float("nan")
        for k in range(rows.num_classes)
        if k != rows.benign_index
    }


def resample(rows: ScoredRows, resamples: int, seed: int) -> dict[str, np.ndarray]:
    """Return `statistics` of `resamples` bootstrap resamples, each name → (resamples,).

    The draws depend on the seed and the groups alone, so two models on the same rows see the same resamples
    and their figures may be subtracted pair by pair.
    """
    generator = np.random.default_rng(seed)
    size = rows.num_groups
    drawn = []
    for _ in range(resamples):
        picks = np.bincount(generator.integers(0, size, size), minlength=size).astype(np.float64)
        drawn.append(statistics(rows, picks[rows.groups]))
    return {name: np.array([values[name] for values in drawn]) for name in (drawn[0] if drawn else ())}


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """Return the percentile interval at `CONFIDENCE`; None where too few resamples define the figure."""
    defined = values[np.isfinite(values)]
    if len(values) < 2 or len(defined) < MIN_DEFINED_SHARE * len(values):
        return None
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, (tail, 1 - tail))
    return float(low), float(high)
