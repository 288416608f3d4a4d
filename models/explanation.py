"""Why a name got its answer: the parts whose hiding moves the score, measured, not guessed.

Each character alone and each three in a row are hidden, that is given the code for characters outside the
alphabet, and the model is asked again (occlusion: Zeiler, Fergus 2014, arXiv:1311.2901; for text: Li, Monroe,
Jurafsky 2016, arXiv:1612.08220). Characters that matter are joined to spans, and each span is hidden as a
whole: its weight is what that did to the model's answer.

Chosen by measurement (docs/EXPLANATIONS.md, benchmarks/bench_explanation.py): hiding or deleting what is
marked moves the answer further than random parts or the characters with most attention do. Integrated
gradients are no better and need the network's insides; this asks the classifier only.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

HIDDEN = "?"  # no character of the alphabet: it gets the code UNKNOWN
NAMES_AT_ONCE = 128  # some 2,500 variants: enough to sort into batches by length
MAX_SPANS = 3  # of each direction
WINDOWS = (1, 3)  # characters hidden together: one is sharpest, three find what one cannot break
# Of the strongest character in its direction: from there on a character belongs to a part that matters.
# Lower marks half the name, higher leaves parts of words.
_CHARACTER_SHARE = 0.5
_SHORTEST_SPAN = 3  # a shorter one says nothing to a reader
# A part is lengthened, and widened to its word, where that keeps so much of its weight.
_LONGER_SHARE = 0.4
_WORD_SHARE = 0.9
_SPAN_SHARE = 0.2  # of the strongest span: weaker ones are noise beside it
_SHORT_SPAN_SHARE = 0.5  # the same for a span too short to read
_SMALLEST_WEIGHT = 0.1  # log-odds: a score of 0.50 moves to 0.52
_WORD = re.compile(r"[^.-]+")


class Classifier(Protocol):
    """What an explanation needs of a classifier: see `models.base_classifier.BaseClassifier`."""

    classes: Sequence[str]

    @property
    def signature(self): ...
    def learned_probabilities(self, domains: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a name that moved the score.

    Attributes
    ----------
    start, end
        Places in the normalised name: `name[start:end]` is `text`.
    text
        The part.
    weight
        The log-odds of malicious against benign, less those with the part hidden: above 0 the part speaks for
        malicious, below 0 for benign. Weights of several parts do not add up.
    score_without
        The score 1 − P(benign) with the part hidden.
    """

    start: int
    end: int
    text: str
    weight: float
    score_without: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What moved the score of one name.

    Attributes
    ----------
    score
        1 − P(benign) of the whole name under the model's own class shares, as decisions are made on it.
    spans
        Not overlapping, from left to right; may be empty where no part stands out.
    """

    score: float
    spans: list[Span]

    def sentences(self) -> list[str]:
        """Return what each span did to the score, as short sentences for people.

        First those that speak for the answer, then those against it; the strongest first.
        """
        side = 1 if self.score >= 0.5 else -1
        found = []
        for span in sorted(self.spans, key=lambda span: (span.weight * side < 0, -abs(span.weight))):
            before, after = score_texts(span.score_without, self.score)
            if before != after:
                verb = "raises" if span.weight > 0 else "lowers"
                found.append(f"'{span.text}' {verb} the score from {before} to {after}")
        return found


def score_texts(*scores: float) -> list[str]:
    """Write scores with as few decimals (2 to 4) as tell them apart from each other and from 0 and 1."""
    for decimals in (2, 3, 4):
        texts = [f"{score:.{decimals}f}" for score in scores]
        if len({*texts, f"{0:.{decimals}f}", f"{1:.{decimals}f}"}) == len(scores) + 2:
            break
    return texts


def explain(classifier: Classifier, domains: Sequence[str]) -> list[Explanation]:
    """Explain the answers for normalised names, in their order.

    Costs as much as classifying twice as many names as there are characters and some more.
    """
    explanations = []
    for start in range(0, len(domains), NAMES_AT_ONCE):
        explanations += _explain_some(classifier, domains[start : start + NAMES_AT_ONCE])
    return explanations


def malicious_log_odds(classifier: Classifier, domains: Sequence[str]) -> np.ndarray:
    """Return log((1 − P(benign)) / P(benign)), (N,) float64, finite."""
    p = classifier.learned_probabilities(domains).astype(np.float64)
    benign = list(classifier.classes).index(classifier.signature.benign_class)
    malicious = np.delete(p, benign, axis=1).sum(axis=1)  # not 1 − P(benign), which rounds to 0
    smallest = np.finfo(np.float32).tiny
    return np.log(np.maximum(malicious, smallest)) - np.log(np.maximum(p[:, benign], smallest))


def hide(domain: str, start: int, end: int) -> str:
    """Return a name with the characters from `start` to `end` replaced by the hidden one."""
    return domain[:start] + HIDDEN * (end - start) + domain[end:]


def _explain_some(classifier: Classifier, domains: Sequence[str]) -> list[Explanation]:
    """Ask twice: with windows of characters hidden, and with each span that this suggests."""
    whole = malicious_log_odds(classifier, domains)
    unseen = [max(len(domain) - classifier.signature.max_length, 0) for domain in domains]
    windows = [_windows(n, len(domain)) for n, domain in zip(unseen, domains, strict=True)]
    drops = _drops(classifier, domains, whole, windows)
    effects = [
        character_effects(len(domain), own, drop)
        for domain, own, drop in zip(domains, windows, drops, strict=True)
    ]
    runs = [
        candidate_spans(effect[n:], n, 1 if w > 0 else -1)
        for n, effect, w in zip(unseen, effects, whole, strict=True)
    ]
    forms = [_forms(domain, own, n) for domain, own, n in zip(domains, runs, unseen, strict=True)]
    weights = _drops(classifier, domains, whole, [[s for form in f for s in form] for f in forms])
    return [
        Explanation(_score(w), _strongest(domain, w, *_choose(form, weight)))
        for domain, w, form, weight in zip(domains, whole, forms, weights, strict=True)
    ]


def _windows(start: int, end: int) -> list[tuple[int, int]]:
    """Return every window of each size of `WINDOWS` between two places."""
    return [(i, i + size) for size in WINDOWS for i in range(start, end - size + 1)]


def _drops(
    classifier: Classifier,
    domains: Sequence[str],
    whole: np.ndarray,
    spans: Sequence[Sequence[tuple[int, int]]],
) -> list[np.ndarray]:
    """Return for each name the log-odds less those with each of its spans hidden: one array a name."""
    variants = [hide(domain, *span) for domain, own in zip(domains, spans, strict=True) for span in own]
    hidden = malicious_log_odds(classifier, variants) if variants else np.empty(0)
    ends = np.cumsum([len(own) for own in spans])
    return [w - part for w, part in zip(whole, np.split(hidden, ends[:-1]), strict=True)]


def character_effects(length: int, windows: Sequence[tuple[int, int]], drops: np.ndarray) -> np.ndarray:
    """Return (length,) the mean over the windows that hold a character of their drop a character."""
    total, count = np.zeros(length), np.zeros(length)
    for (start, end), drop in zip(windows, drops, strict=True):
        total[start:end] += drop / (end - start)
        count[start:end] += 1
    return total / np.maximum(count, 1)


def candidate_spans(effects: np.ndarray, offset: int = 0, first: int = 1) -> list[tuple[int, int]]:
    """Join characters that matter to a few spans (start, end) of each direction, not overlapping.

    Parameters
    ----------
    effects
        (T,) what hiding each character takes from the log-odds.
    offset
        Place of the first of them in the name.
    first
        1 where spans that raise the log-odds come first, -1 where those that lower them do.
    """
    chosen: list[tuple[int, int]] = []
    for effect in (first * effects, -first * effects):
        marked = np.flatnonzero(effect >= max(_CHARACTER_SHARE * effect.max(initial=0), 1e-9))
        spans = _runs(marked.tolist())
        spans.sort(key=lambda span: -effect[slice(*span)].sum())
        chosen += [span for span in spans if not _overlaps(span, chosen)][:MAX_SPANS]
    return [(start + offset, end + offset) for start, end in sorted(chosen)]


def _forms(domain: str, spans: list[tuple[int, int]], unseen: int) -> list[list[tuple[int, int]]]:
    """Return the spans in three forms, one list each: as they are, long enough to read, widened to words.

    No form of a span overlaps any form of another one.
    """
    words = [(max(start, unseen), end) for start, end in (m.span() for m in _WORD.finditer(domain))]
    forms: list[list[tuple[int, int]]] = [[], [], []]
    for i, (start, end) in enumerate(spans):
        least = forms[2][-1][1] if i else unseen
        most = spans[i + 1][0] if i + 1 < len(spans) else len(domain)
        longer = _lengthened(start, end, least, most)
        touched = [longer, *(word for word in words if _overlaps(word, [longer]))]
        wide = min(s for s, _ in touched), max(e for _, e in touched)
        forms[0].append((start, end))
        forms[1].append(longer)
        forms[2].append(wide if least <= wide[0] and wide[1] <= most else longer)
    return forms


def _lengthened(start: int, end: int, least: int, most: int) -> tuple[int, int]:
    """Lengthen a short span to both sides, between two limits."""
    while end - start < _SHORTEST_SPAN and (start > least or end < most):
        end = min(end + 1, most)
        if end - start < _SHORTEST_SPAN:
            start = max(start - 1, least)
    return start, end


def _choose(
    forms: list[list[tuple[int, int]]], weights: np.ndarray
) -> tuple[list[tuple[int, int]], np.ndarray]:
    """Take of each span the longest form that keeps its weight; `weights` are those of all forms in a row."""
    own, longer, wide = weights.reshape(3, -1)
    take_longer = longer * np.sign(own) >= _LONGER_SHARE * np.abs(own)
    best = np.where(take_longer, longer, own)
    take_wide = wide * np.sign(own) >= _WORD_SHARE * np.abs(best)
    index = np.where(take_wide, 2, np.where(take_longer, 1, 0))
    spans = [forms[form][i] for i, form in enumerate(index.tolist())]
    return spans, np.where(take_wide, wide, best)


def _runs(places: Iterable[int]) -> list[tuple[int, int]]:
    """Join places, ascending, with at most one place missing between them."""
    return _join(((place, place + 1) for place in places), gap=1)


def _join(spans: Iterable[tuple[int, int]], gap: int = 0) -> list[tuple[int, int]]:
    """Join spans, ascending, that overlap, touch, or leave at most `gap` places between them."""
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= gap:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined


def _overlaps(span: tuple[int, int], others: Iterable[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in others)


def _strongest(
    domain: str, whole: float, spans: Sequence[tuple[int, int]], weights: np.ndarray
) -> list[Span]:
    """Return the spans whose hiding moves the answer, as a whole, enough to be worth a word."""
    strongest = np.abs(weights).max(initial=0)
    found = []
    for (start, end), weight in zip(spans, weights.tolist(), strict=True):
        share = _SPAN_SHARE if end - start >= _SHORTEST_SPAN else _SHORT_SPAN_SHARE
        if abs(weight) >= max(_SMALLEST_WEIGHT, share * strongest):
            without = _score(whole - weight)
            found.append(Span(start, end, domain[start:end], round(weight, 3), round(without, 6)))
    return found


def _score(log_odds: float) -> float:
    """Return the probability with these log-odds."""
    return float(1 / (1 + np.exp(-log_odds)))
