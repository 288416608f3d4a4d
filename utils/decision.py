"""Score to decision: the one owner of which score blocks a name, asks for a second look, or lets it pass.

A checkpoint has thresholds for rates of false positives, chosen on validation, for the score 1 − P(benign)
under the class shares of its training data. A decision is made on that score, unrounded, whatever prior the
user assumes for the probabilities: only so does it keep the rate of false positives that it names.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from utils.errors import ConfigError

if TYPE_CHECKING:  # predict.py asks for the rates before it knows whether there is anything to compute
    import numpy as np

ALLOW, REVIEW, BLOCK = DECISIONS = ("allow", "review", "block")
# At 1 % a team with a million look-ups a day would get ten thousand alarms: that is for a second look only.
DEFAULT_MAX_FPR = "0.001"
REVIEW_MAX_FPR = "0.01"


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """From which scores a name is blocked and reviewed.

    Attributes
    ----------
    block_at
        The score to block from; None where nothing is blocked.
    review_at
        The score to review from, at most `block_at`; equal to it where nothing is for review.
    description
        One line for people: both scores and where they come from.
    """

    block_at: float | None
    review_at: float | None
    description: str

    def decide(self, scores: "np.ndarray") -> list[str | None]:
        """Return the decision on each score (N,) float64; a score at a threshold reaches it."""
        import numpy as np

        if self.review_at is None:
            return [None] * len(scores)
        level = (scores >= self.review_at).astype(np.intp)
        if self.block_at is not None:
            level += scores >= self.block_at
        return np.array(DECISIONS, dtype=object)[level].tolist()


def choose_rule(
    thresholds: Mapping[str, float | None], max_fpr: float | None = None, threshold: float | None = None
) -> DecisionRule:
    """Return the rule for what the user asked for, or the default one.

    Block from the threshold for `max_fpr` (by default 0.1 % false positives) or from `threshold`. Review what
    lies below that and reaches the threshold for 1 %: so no more than 1 % of harmless names ever need
    attention, and with `max_fpr` 0.01, or a lower `threshold`, nothing is for review.

    Parameters
    ----------
    thresholds
        Rate of false positives ("0.01") → score, None where validation could not tell, as in a checkpoint.
    max_fpr, threshold
        At most one of them.

    Raises
    ------
    ConfigError
        The checkpoint has no threshold for `max_fpr`. The default does without: then nothing is blocked.
    """
    review_at = thresholds.get(REVIEW_MAX_FPR)
    if threshold is not None:
        block_at, source = threshold, "--threshold"
    elif max_fpr is not None:
        block_at, source = _threshold_for(thresholds, max_fpr), f"{max_fpr:.4g} false positives"
    else:
        block_at, source = thresholds.get(DEFAULT_MAX_FPR), f"{DEFAULT_MAX_FPR} false positives"
    return _rule(block_at, source, review_at)


def threshold_text(threshold: float, decimals: int = 4) -> str:
    """Write a threshold with some decimals, or as many more as tell it from 0 and from 1."""
    distance = min(threshold, 1 - threshold)
    if distance <= 0:
        return f"{threshold:g}"
    return f"{threshold:.{max(decimals, 1 - math.floor(math.log10(distance)))}f}"


def describe_thresholds(thresholds: Mapping[str, float | None]) -> str:
    """Write all thresholds of a checkpoint in one line."""
    scores = {rate: "none" if score is None else threshold_text(score) for rate, score in thresholds.items()}
    return ", ".join(f"{score} for {100 * float(rate):g} % false positives" for rate, score in scores.items())


def _rule(block_at: float | None, source: str, review_at: float | None) -> DecisionRule:
    review = "" if review_at is None else f"review from {threshold_text(review_at)} ({REVIEW_MAX_FPR})"
    if block_at is None:
        reason = "too few benign names in validation, or no malicious one above them"
        missing = f"the checkpoint has no threshold for {source} ({reason})"
        meaning = "no row gets a decision" if review_at is None else f"nothing is blocked; {review}"
        return DecisionRule(None, review_at, f"{missing}: {meaning}; --threshold chooses one")
    block = f"block from score {threshold_text(block_at)} ({source})"
    if review_at is None or review_at >= block_at:
        return DecisionRule(block_at, block_at, f"{block}, nothing for review")
    return DecisionRule(block_at, review_at, f"{block}, {review}")


def _threshold_for(thresholds: Mapping[str, float | None], max_fpr: float) -> float:
    known = {float(rate): score for rate, score in thresholds.items() if score is not None}
    if max_fpr not in known:
        rates = ", ".join(f"{rate:g}" for rate in sorted(known, reverse=True))
        has = f"it has those for {rates}" if rates else "it has none at all"
        raise ConfigError(f"--max-fpr {max_fpr:g}: the checkpoint has no threshold for this rate; {has}")
    return known[max_fpr]
