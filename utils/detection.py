"""Malicious versus benign on one score: ranking, ROC and precision-recall figures, thresholds.

A name is flagged where `score >= threshold`; the score is 1 − P(benign). Everything is NumPy on rows that
were sorted once, and takes row weights, so that a bootstrap resample costs a few sums and no sorting.
"""

from dataclasses import dataclass

import numpy as np

# The false-positive rates a security team can live with; a report quotes the recall at each.
FPR_RATES = (0.01, 0.001, 0.0001)
PREVALENCES = (0.01, 0.001)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows in the order of falling score, equal scores gathered in blocks.

    Attributes
    ----------
    order
        (N,) row numbers by falling score.
    ends
        (B,) position, in that order, of the last row of each block of equal scores.
    scores
        (B,) float64, the distinct scores, falling: the thresholds that can be told apart.
    malicious
        (N,) bool in that order.
    """

    order: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    malicious: np.ndarray


def malicious_scores(probabilities: np.ndarray, benign_index: int) -> np.ndarray:
    """Return 1 − P(benign), (N,) float64.

    In float64 even for float32 probabilities: in float32 every P(benign) under 3e-8 would score the same 1.0,
    and the strictest thresholds live there.
    """
    return 1.0 - np.asarray(probabilities)[:, benign_index].astype(np.float64)


def rank(scores: np.ndarray, malicious: np.ndarray) -> Ranking:
    """Sort rows by falling score and mark where equal scores end.

    Parameters
    ----------
    scores
        (N,) float, no NaN, N >= 1.
    malicious
        (N,) bool.
    """
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    return Ranking(order, ends, falling[ends].astype(np.float64), np.asarray(malicious, dtype=bool)[order])


def cumulative_counts(ranking: Ranking, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Count the flagged malicious and benign names at every threshold of `ranking.scores`.

    Parameters
    ----------
    weights
        (N,) in ranking order; None counts every row once.

    Returns
    -------
    true_positives, false_positives
        (B,) float64 each, rising; the last entries are the totals.
    """
    if weights is None:
        weights = np.ones(len(ranking.order))
    flagged = np.cumsum(weights, dtype=np.float64)[ranking.ends]
    true_positives = np.cumsum(weights * ranking.malicious, dtype=np.float64)[ranking.ends]
    return true_positives, flagged - true_positives


def detection_curve(
    labels: np.ndarray, probabilities: np.ndarray, benign_index: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the flagged malicious and benign names from no threshold to the lowest, (B + 1,) each, first 0.

    Raises
    ------
    ValueError
        Where the names are all benign or all malicious: there is no curve.
    """
    malicious = np.asarray(labels) != benign_index
    if malicious.all() or not malicious.any():
        raise ValueError("a curve of malicious against benign needs names of both kinds")
    hits, misses = cumulative_counts(rank(malicious_scores(probabilities, benign_index), malicious))
    return np.concatenate(([0.0], hits)), np.concatenate(([0.0], misses))


def roc_auc(true_positives: np.ndarray, false_positives: np.ndarray) -> float:
    """Return the area under the ROC curve, equal scores counting one half; NaN without both kinds of name."""
    positives, negatives = true_positives[-1], false_positives[-1]
    if not positives or not negatives:
        return float("nan")
    gained = np.diff(true_positives, prepend=0.0)
    return float(np.dot(gained, negatives - middle(false_positives)) / (positives * negatives))


def middle(cumulative: np.ndarray) -> np.ndarray:
    """Return the count halfway through each block, (B,): rows of one block rank as if shuffled."""
    halfway = cumulative.copy()
    halfway[1:] += cumulative[:-1]
    return halfway / 2


def average_precision(true_positives: np.ndarray, false_positives: np.ndarray) -> float:
    """Return the area under the precision-recall curve as the step sum (scikit-learn's average precision).

    No interpolation between thresholds, which would flatter (Davis and Goadrich 2006). NaN without
    malicious names.
    """
    positives = true_positives[-1]
    if not positives:
        return float("nan")
    flagged = true_positives + false_positives
    precision = np.divide(true_positives, flagged, out=np.zeros_like(flagged), where=flagged > 0)
    return float(np.dot(np.diff(true_positives, prepend=0.0), precision) / positives)


def minimum_benign(rate: float) -> int:
    """Return how many benign names a false-positive rate must rest on to be quoted.

    Under 1 % the rate has to allow ten false positives (10,000 names for 0.1 %, 100,000 for 0.01 %), so that
    the figure does not hang on one odd name. At 1 % and above one is enough, so that a small run has a
    threshold too; its interval says how little that is worth.
    """
    return round((1 if rate >= 0.01 else 10) / rate)


def last_block_within(false_positives: np.ndarray, rate: float) -> int:
    """Return the last block whose false-positive rate is at most `rate`; −1 when even the first exceeds it.

    It is the smallest usable threshold, so the one with the highest recall. A block of equal scores is
    flagged whole or not at all.
    """
    negatives = false_positives[-1]
    allowed = np.floor(rate * negatives)
    if negatives and (allowed + 1) / negatives <= rate:  # 0.29 * 100 is 28.999…, yet 29 of 100 is 29 %
        allowed += 1
    return int(np.searchsorted(false_positives, allowed, side="right")) - 1


def operating_block(true_positives: np.ndarray, false_positives: np.ndarray, rate: float) -> int:
    """Return the last block within the rate that holds a malicious name; −1 where there is none.

    Blocks below it would cost benign names and catch nothing. Where the classes are well apart they reach far
    down, and a threshold there lies in the middle of the benign names.
    """
    block = last_block_within(false_positives, rate)
    if block < 0 or not true_positives[block]:
        return -1
    return int(np.searchsorted(true_positives, true_positives[block]))


def block_at_threshold(ranking: Ranking, threshold: float) -> int:
    """Return the last block with a score >= `threshold`; −1 when no row reaches it."""
    return int(np.searchsorted(-ranking.scores, -threshold, side="right")) - 1


def share_at(cumulative: np.ndarray, block: int) -> float:
    """Return the share of `cumulative`'s total that is flagged at `block` (recall or FPR); NaN of nothing."""
    if not cumulative[-1]:
        return float("nan")
    return float(cumulative[block] / cumulative[-1]) if block >= 0 else 0.0


def precision_at_prevalence(recall: float, fpr: float, prevalence: float) -> float:
    """Return which share of the alarms is right where a share `prevalence` of the names is malicious.

    NaN where no false positive was seen: then the data only bound the precision from below, and 1.0 would
    be a boast.
    """
    if not fpr > 0:
        return float("nan")
    alarms = prevalence * recall
    return alarms / (alarms + (1 - prevalence) * fpr)
