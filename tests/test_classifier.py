"""Names to probabilities: the same answer alone, in any batch and in any order."""

import numpy as np
import pytest
import torch

from data.feature_engineering import encode_domains
from models.base_classifier import probabilities_from_logits
from models.checkpoint import load_checkpoint
from models.classifier import DomainClassifier
from tests.toy_domains import MAX_LENGTH, toy_domains
from utils.errors import ConfigError

NAMES, LABELS = toy_domains(150, seed=9)  # most of them not in the training
LONG = "a-very-long-subdomain." * 8 + "example.com"


@pytest.fixture(scope="module")
def classifier(tiny_checkpoint):
    return DomainClassifier.load(tiny_checkpoint)


def test_it_has_learned_the_classes(classifier):
    """Else the tests below could be about a constant."""
    assert (classifier.classify(NAMES).argmax(axis=1) == LABELS).mean() > 0.9
    assert classifier.classes == ("benign", "phishing", "malware")


def test_rows_are_float32_probabilities(classifier):
    answers = classifier.classify([*NAMES, "a.b", LONG])
    assert answers.shape == (152, 3)
    assert answers.dtype == np.float32
    assert answers.sum(axis=1) == pytest.approx(np.ones(152), abs=1e-6)


def test_alone_in_a_batch_and_shuffled_give_the_same_answer(classifier, tiny_checkpoint):
    names = [*NAMES, "a.b", LONG]
    together = classifier.classify(names)
    alone = np.concatenate([classifier.classify([name]) for name in names])
    order = np.random.default_rng(0).permutation(len(names))
    shuffled = np.empty_like(together)
    shuffled[order] = classifier.classify([names[i] for i in order])
    small_batches = DomainClassifier.load(tiny_checkpoint, batch_size=3).classify(names)
    for other in (alone, shuffled, small_batches):
        assert abs(other - together).max() < 1e-6


def test_the_answer_is_the_softmax_of_the_models_logits_over_the_temperature(classifier, tiny_checkpoint):
    checkpoint = load_checkpoint(tiny_checkpoint)
    codes = torch.from_numpy(encode_domains(NAMES, MAX_LENGTH))  # padded to the full length
    expected = torch.softmax(checkpoint.build_model()(codes) / 1.25, dim=1).detach()
    assert abs(classifier.classify(NAMES) - expected.numpy()).max() < 1e-6


def test_of_a_long_name_the_right_end_counts(classifier):
    answers = classifier.classify([LONG, "x" + LONG, LONG[-MAX_LENGTH:], LONG[-MAX_LENGTH + 1 :]])
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])
    assert not np.array_equal(answers[0], answers[3])


def test_no_names_give_no_rows(classifier):
    assert classifier.classify([]).shape == (0, 3)


def test_probabilities_by_hand():
    logits = np.array([[2.0, 0.0], [0.0, 0.0]])
    odds = np.exp(1.0)  # (2 - 0) / temperature 2
    expected = [[odds / (1 + odds), 1 / (1 + odds)], [0.5, 0.5]]
    assert probabilities_from_logits(logits, 2.0) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("name", ["a.b", "login-amber-12.verify.top", LONG])
def test_attention_has_one_weight_for_each_character(classifier, name):
    weights = classifier.attention(name)
    assert weights.shape == (len(name),)
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    seen = min(len(name), MAX_LENGTH)
    assert (weights[: len(name) - seen] == 0).all()
    assert (weights[len(name) - seen :] > 0).all()


# ------------------------------------------------------------------ another prior


def test_a_prior_reweights_the_probabilities(tiny_checkpoint):
    """p'(k|x) ∝ p(k|x) · new(k) / old(k) (Saerens et al. 2002); the old prior of the fixture is uniform."""
    classifier = DomainClassifier.load(tiny_checkpoint)
    plain = classifier.classify(["login-account.com", "cedarfalcon.com"])
    new = {"benign": 0.9, "phishing": 0.08, "malware": 0.02}
    classifier.assume_prior(new)
    expected = plain * np.array(list(new.values()))
    expected /= expected.sum(axis=1, keepdims=True)
    moved = classifier.classify(["login-account.com", "cedarfalcon.com"])
    assert moved == pytest.approx(expected, abs=1e-6)
    assert (moved[:, 0] > plain[:, 0]).all()
    assert classifier.classify([]).shape == (0, 3)


@pytest.mark.parametrize(
    "prior",
    [
        {"benign": 1.0},
        {"benign": 0.5, "phishing": 0.5, "malware": 0.0},
        {"benign": 0.5, "phishing": 0.4, "malware": 0.1, "spam": 0.1},
        {"benign": float("nan"), "phishing": 0.4, "malware": 0.1},
    ],
)
def test_a_prior_that_makes_no_sense(tiny_checkpoint, prior):
    with pytest.raises(ConfigError, match="a share above 0 for each of benign, phishing, malware") as caught:
        DomainClassifier.load(tiny_checkpoint).assume_prior(prior)
    assert all(f"{name}={share:g}" in str(caught.value) for name, share in prior.items()), "what was found"
