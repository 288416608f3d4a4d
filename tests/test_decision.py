"""Score to decision: which thresholds count, what lies between them, and what a prior must not change."""

from pathlib import Path

import numpy as np
import pytest

from data.record import Record
from models.answering import Answerer
from tests.fake_classifier import PRIOR, THRESHOLDS, FakeClassifier
from utils.calibration import reweight_prior
from utils.decision import DEFAULT_MAX_FPR, choose_rule, describe_thresholds, threshold_text
from utils.errors import EXIT_USAGE, ConfigError

SCORES = np.array([0.0, 0.5, 0.8999, 0.9, 0.95, 0.9799, 0.98, 1.0])
A, R, B = "allow", "review", "block"


@pytest.mark.parametrize(
    ("asked", "decisions"),
    [
        ({}, [A, A, A, R, R, R, B, B]),
        ({"max_fpr": 0.001}, [A, A, A, R, R, R, B, B]),
        ({"max_fpr": 0.01}, [A, A, A, B, B, B, B, B]),
        ({"threshold": 0.96}, [A, A, A, R, R, B, B, B]),
        ({"threshold": 0.9}, [A, A, A, B, B, B, B, B]),
        ({"threshold": 0.5}, [A, B, B, B, B, B, B, B]),
        ({"threshold": 1.0}, [A, A, A, R, R, R, R, B]),
        ({"threshold": 0.0}, [B] * 8),
    ],
)
def test_block_from_what_was_asked_for_and_review_from_one_percent(asked, decisions):
    assert choose_rule(THRESHOLDS, **asked).decide(SCORES) == decisions


@pytest.mark.parametrize(
    ("thresholds", "decisions", "said"),
    [
        ({"0.01": 0.9, "0.001": None}, [A, A, A, R, R, R, R, R], "nothing is blocked; review from 0.9"),
        ({"0.001": 0.98}, [A, A, A, A, A, A, B, B], "nothing for review"),
        ({"0.01": None, "0.001": None}, [None] * 8, "no row gets a decision"),
        ({}, [None] * 8, "no row gets a decision"),
    ],
)
def test_a_checkpoint_that_lacks_thresholds_says_what_follows(thresholds, decisions, said):
    rule = choose_rule(thresholds)
    assert rule.decide(SCORES) == decisions
    assert said in rule.description


@pytest.mark.parametrize(
    ("threshold", "text"),
    [
        (0.958309, "0.9583"),
        (0.9, "0.9000"),
        (9.537e-7, "0.00000095"),
        (1 - 1.2e-7, "0.99999988"),
        (0.0, "0"),
        (1.0, "1"),
    ],
)
def test_a_threshold_is_written_neither_as_0_nor_as_1_unless_it_is(threshold, text):
    assert threshold_text(threshold) == text
    assert f"block from score {text} (" in choose_rule({"0.001": threshold}).description


def test_all_thresholds_in_one_line_for_people():
    line = "0.9000 for 1 % false positives, none for 0.1 % false positives"
    assert describe_thresholds({"0.01": 0.9, "0.001": None}) == line


@pytest.mark.parametrize(
    ("thresholds", "rate", "said"),
    [
        (
            THRESHOLDS,
            0.0001,
            r"--max-fpr 0\.0001: .* no threshold for this rate; it has those for 0\.01, 0\.001",
        ),
        (THRESHOLDS, 0.05, r"--max-fpr 0\.05: .* it has those for 0\.01, 0\.001"),
        ({"0.01": None}, 0.01, "it has none at all"),
    ],
)
def test_a_rate_that_the_checkpoint_does_not_have_is_one_line(thresholds, rate, said):
    with pytest.raises(ConfigError, match=said) as caught:
        choose_rule(thresholds, rate)
    assert caught.value.exit_code == EXIT_USAGE


def test_the_default_is_the_one_of_the_model_card():
    card = (Path(__file__).parent.parent / "models" / "pretrained" / "MODEL_CARD.md").read_text("utf-8")
    stated = card.partition("## Default decision")[2].partition("##")[0]
    assert f"the threshold for {100 * float(DEFAULT_MAX_FPR):g} % false positives" in " ".join(stated.split())


def test_a_prior_moves_probabilities_and_no_decision():
    """A rate of false positives is one of scores under the training prior, whatever the user assumes."""
    records = [Record(f"name{number}.com", None, None, None, "") for number in range(300)]
    rule = choose_rule({"0.01": 0.6, "0.001": 0.7})
    plain = Answerer(FakeClassifier(), rule).answer(records)
    classifier = FakeClassifier()
    rare = {"benign": 0.998, "phishing": 0.001, "malware": 0.001}
    classifier.assume_prior(rare)
    moved = Answerer(classifier, rule).answer(records)
    assert {p.decision for p in plain} == {A, R, B}
    for before, after in zip(plain, moved, strict=True):
        assert (after.decision, after.score, after.threshold) == (before.decision, before.score, 0.7)
        assert after.score == pytest.approx(1 - before.probabilities["benign"], abs=1e-6)
        expected = reweight_prior(
            np.array([before.probabilities.values()]), np.array([*PRIOR.values()]), np.array([*rare.values()])
        )
        assert [*after.probabilities.values()] == pytest.approx(
            expected[0].tolist(), abs=2e-3
        )  # both are rounded
        assert after.label == max(after.probabilities, key=after.probabilities.__getitem__)
    assert sum(p.label == "benign" for p in moved) > sum(p.label == "benign" for p in plain) + 50
