"""Explanations: what is marked moved the score, on the shipped model more than random parts or attention."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from data.feature_engineering import UNKNOWN, encode_domains
from models.classifier import DomainClassifier
from models.explanation import (
    HIDDEN,
    MAX_SPANS,
    Explanation,
    Span,
    candidate_spans,
    explain,
    hide,
    malicious_log_odds,
    score_texts,
)
from tests.toy_domains import toy_domains

ROOT = Path(__file__).parent.parent
SHIPPED_MODEL = ROOT / "models" / "pretrained" / "default.pt"
NAMES_A_CLASS = 80


@pytest.fixture(scope="module")
def shipped():
    return DomainClassifier.load(SHIPPED_MODEL)


@pytest.fixture(scope="module")
def names(shipped):
    """Some names of each class of the embedded sample, all of which the model sees whole."""
    rng = np.random.default_rng(0)
    chosen = []
    for part in ("benign", "phishing", "malware"):
        records = json.loads((ROOT / "data" / "sample" / f"{part}.json").read_text("utf-8"))
        fitting = [r["domain_name"] for r in records if len(r["domain_name"]) <= shipped.signature.max_length]
        chosen += rng.choice(fitting, NAMES_A_CLASS, replace=False).tolist()
    return chosen


@pytest.fixture(scope="module")
def explained(shipped, names):
    return explain(shipped, names)


@pytest.fixture
def tiny(tiny_checkpoint):
    return DomainClassifier.load(tiny_checkpoint)


def deleted(domain, places):
    """Return a name without some characters; one that has none left is the hidden character."""
    return "".join(c for i, c in enumerate(domain) if i not in places) or HIDDEN


def hidden(domain, places):
    return "".join(HIDDEN if i in places else c for i, c in enumerate(domain))


# ------------------------------------------------------------------ faithfulness, on the shipped model


@pytest.mark.slow
@pytest.mark.parametrize("remove", [hidden, deleted])
def test_removing_what_is_marked_moves_the_answer_more_than_anything_else(shipped, names, explained, remove):
    """Three rivals of the same number of characters: scattered at random, random spans, most attention."""
    rng = np.random.default_rng(1)
    whole = malicious_log_odds(shipped, names)
    side = np.sign(whole)
    spans = [
        [(s.start, s.end) for s in e.spans if s.weight * d > 0] for e, d in zip(explained, side, strict=True)
    ]
    marked = [{i for start, end in own for i in range(start, end)} for own in spans]
    attention = [np.argsort(-shipped.attention(name), kind="stable") for name in names]

    def random_spans(name, own):
        starts = [int(rng.integers(len(name) - (end - start) + 1)) for start, end in own]
        return {i + k for i, (s, e) in zip(starts, own, strict=True) for k in range(e - s)}

    rivals = {
        "random characters": [
            set(rng.choice(len(n), len(m), replace=False).tolist())
            for n, m in zip(names, marked, strict=True)
        ],
        "random spans": [random_spans(n, own) for n, own in zip(names, spans, strict=True)],
        "attention": [set(order[: len(m)].tolist()) for order, m in zip(attention, marked, strict=True)],
    }

    def drop(places):
        """Return how far the answer moves away from its side, in log-odds, on average."""
        removed = [remove(name, own) for name, own in zip(names, places, strict=True)]
        return float(((whole - malicious_log_odds(shipped, removed)) * side).mean())

    mine = drop(marked)
    for rival, places in rivals.items():
        assert mine > 1.2 * drop(places), f"{mine:.2f} against {drop(places):.2f} of {rival}"
    share = np.mean([len(m) / len(n) for m, n in zip(marked, names, strict=True)])
    assert share < 0.5, f"{share:.0%} of the characters are marked: that explains nothing"
    assert np.mean([bool(m) for m in marked]) > 0.8, "nearly every name has a reason"


@pytest.mark.slow
def test_every_weight_is_what_hiding_the_span_does(shipped, names, explained):
    whole = malicious_log_odds(shipped, names)
    variants, weights, scores = [], [], []
    for name, log_odds, explanation in zip(names, whole, explained, strict=True):
        assert explanation.score == pytest.approx(1 / (1 + np.exp(-log_odds)), abs=1e-4)
        for span in explanation.spans:
            assert name[span.start : span.end] == span.text
            variants.append(hide(name, span.start, span.end))
            weights.append(log_odds - span.weight)
            scores.append(span.score_without)
    assert len(variants) > len(names)
    again = malicious_log_odds(shipped, variants)
    np.testing.assert_allclose(again, weights, atol=2e-3)
    np.testing.assert_allclose(1 / (1 + np.exp(-again)), scores, atol=1e-3)


@pytest.mark.slow
def test_spans_are_few_do_not_overlap_and_stand_in_order(explained):
    for explanation in explained:
        spans = explanation.spans
        assert len(spans) <= 2 * MAX_SPANS
        assert all(a.end <= b.start for a, b in pairwise(spans))
        assert all(span.start < span.end for span in spans)


# ------------------------------------------------------------------ on a model that has learned made-up words


def test_malicious_names_have_a_part_that_raises_the_score(tiny):
    """Where the model is sure, no single part may matter; for most names one does."""
    names = [name for name, label in zip(*toy_domains(60, seed=3), strict=True) if label]
    raised = [any(span.weight > 0 for span in e.spans) for e in explain(tiny, names)]
    assert np.mean(raised) > 0.3


def test_names_are_explained_alone_as_in_company(tiny):
    names, _ = toy_domains(40, seed=5)
    together = explain(tiny, names)
    for name, explanation in zip(names[:6], together, strict=False):
        (alone,) = explain(tiny, [name])
        assert [(s.start, s.end) for s in alone.spans] == [(s.start, s.end) for s in explanation.spans]
        assert alone.score == pytest.approx(explanation.score, abs=1e-5)


@pytest.mark.parametrize("name", ["a.io", "x" * 63 + ".com", ".".join(["abc"] * 50) + ".com", "_.-.io"])
def test_short_and_long_names(tiny, name):
    (explanation,) = explain(tiny, [name])
    unseen = max(len(name) - tiny.signature.max_length, 0)
    for span in explanation.spans:
        assert name[span.start : span.end] == span.text
        assert span.start >= unseen, "what the model does not see explains nothing"


def test_no_names_no_explanations(tiny):
    assert explain(tiny, []) == []


class Counting:
    """Passes names on to a classifier and counts them."""

    def __init__(self, classifier):
        self.classes, self.signature, self._classifier = classifier.classes, classifier.signature, classifier
        self.asked = []

    def learned_probabilities(self, domains):
        self.asked.append(len(domains))
        return self._classifier.learned_probabilities(domains)


@pytest.mark.parametrize("count", [1, 60])
def test_names_are_explained_in_three_passes(tiny, count):
    """The name, windows of it, spans of it: what an answer at the prompt costs depends on nothing else."""
    names, _ = toy_domains(count, seed=11)
    counting = Counting(tiny)
    explain(counting, names)
    assert len(counting.asked) == 3
    assert counting.asked[0] == count
    assert counting.asked[1] <= 2 * sum(map(len, names))
    assert counting.asked[2] <= 3 * 2 * MAX_SPANS * count


def test_a_prior_does_not_change_an_explanation(tiny):
    names, _ = toy_domains(12, seed=7)
    before = explain(tiny, names)
    tiny.assume_prior({"benign": 0.98, "phishing": 0.01, "malware": 0.01})
    assert explain(tiny, names) == before


# ------------------------------------------------------------------ the parts


def test_the_hidden_character_is_unknown_to_the_model():
    assert encode_domains([HIDDEN], 1)[0, 0] == UNKNOWN
    assert hide("abcdef.com", 2, 4) == "ab??ef.com"


def test_candidates_have_both_directions_the_stronger_first_wins():
    effects = np.array([0, 3, 3, 0, -2, -2, 0, 0, 0.2, 0])
    assert candidate_spans(effects) == [(1, 3), (4, 6)]
    assert candidate_spans(effects, offset=10, first=-1) == [(11, 13), (14, 16)]
    assert candidate_spans(np.zeros(5)) == []
    assert candidate_spans(np.empty(0)) == []


def test_a_gap_of_one_character_joins_and_one_of_two_parts():
    assert candidate_spans(np.array([1, 0, 1, 0, 0, 1.0])) == [(0, 3), (5, 6)]


def test_sentences_say_what_each_part_did_those_for_the_answer_first():
    spans = [Span(0, 3, "abc", 0.5, 0.8), Span(4, 7, "com", -2.0, 0.98), Span(8, 9, "x", 0.9, 0.73)]
    for_malicious = ["'x' raises the score from 0.73 to 0.87", "'abc' raises the score from 0.80 to 0.87"]
    for_benign = ["'com' lowers the score from 0.98 to 0.87"]
    assert Explanation(0.87, spans).sentences() == for_malicious + for_benign
    assert Explanation(0.3, [spans[0], spans[1]]).sentences()[0].startswith("'com' lowers")
    assert Explanation(1.0, [Span(0, 1, "a", 3.0, 0.99999)]).sentences() == [], "no visible change, no claim"


@pytest.mark.parametrize(
    ("scores", "texts"),
    [
        ((0.5, 0.75), ["0.50", "0.75"]),
        ((0.5, 0.502), ["0.500", "0.502"]),
        ((0.998, 0.5), ["0.998", "0.500"]),
        ((0.99991, 0.9998), ["0.9999", "0.9998"]),
    ],
)
def test_scores_have_as_many_decimals_as_they_need(scores, texts):
    assert score_texts(*scores) == texts
