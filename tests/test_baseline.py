"""The TF-IDF baseline and the shortcut audit, on made-up names."""

import numpy as np
import pytest

from utils.baseline import train_baseline
from utils.shortcut_audit import audit_shortcuts

LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def random_names(count, tld, seed, *, length=8):
    """Return names of random letters under one TLD."""
    drawn = np.random.default_rng(seed).choice(LETTERS, (count, length))
    return ["".join(row) + tld for row in drawn]


@pytest.fixture(scope="module")
def words_and_noise():
    """Return 300 names of words (class 0) and 300 of random letters (class 2)."""
    generator = np.random.default_rng(0)
    words = ["garden", "coffee", "travel", "school", "market", "weather", "library", "museum"]
    names = ["-".join(generator.choice(words, 2)) + ".example" for _ in range(300)]
    return names + random_names(300, ".example", 1, length=14), np.repeat([0, 2], 300)


def test_baseline_learns_and_keeps_the_columns_of_absent_classes(words_and_noise):
    names, labels = words_and_noise
    baseline = train_baseline(names, labels, num_classes=4)
    probabilities = baseline.predict_proba(["coffee-school.example", "xqzkwvjphtrbgm.example"])
    assert probabilities.shape == (2, 4)
    assert probabilities.argmax(axis=1).tolist() == [0, 2]
    assert (probabilities[:, [1, 3]] == 0).all()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-12)
    assert train_baseline(names, labels).num_classes == 3


def test_baseline_is_deterministic_and_predicts_any_batch_alike(words_and_noise, monkeypatch):
    names, labels = words_and_noise
    first = train_baseline(names, labels, seed=5).predict_proba(names)
    monkeypatch.setattr("utils.baseline.BLOCK_SIZE", 7)
    assert np.array_equal(train_baseline(names, labels, seed=5).predict_proba(names), first)


def test_baseline_caps_its_features_and_reads_only_characters(words_and_noise):
    names, labels = words_and_noise
    assert train_baseline(names, labels, max_features=50).num_features == 50
    unseen = train_baseline(names, labels).predict_proba(["5555"])  # no n-gram in common
    assert np.isfinite(unseen).all()


def test_baseline_heeds_class_weights(words_and_noise):
    names, labels = words_and_noise
    ambiguous = ["museum" + name for name in random_names(20, ".example", 3)]
    plain = train_baseline(names, labels).predict_proba(ambiguous)
    weighted = train_baseline(names, labels, class_weight=np.array([1.0, 1.0, 5.0])).predict_proba(ambiguous)
    assert (weighted[:, 2] > plain[:, 2]).all()
    balanced = train_baseline(names, labels, class_weight="balanced").predict_proba(ambiguous)
    assert np.allclose(balanced, plain, atol=0.02)  # the classes are balanced already


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 0], {}, "at least two classes"),
        ([0, 3], {"num_classes": 3}, r"one label in 0…2 for each of 2"),
        ([0], {"num_classes": 3}, "one label"),
        ([0, 1], {"class_weight": np.ones(3)}, r"class_weight must be \(2,\)"),
    ],
)
def test_baseline_refuses_what_it_cannot_learn(labels, options, message):
    with pytest.raises(ValueError, match=message):
        train_baseline(["a.example", "b.example"], np.array(labels), **options)


def test_audit_finds_a_tld_shortcut_and_only_that():
    train = random_names(500, ".good", 1) + random_names(500, ".evil", 2)
    test = random_names(200, ".good", 3) + random_names(200, ".evil", 4)
    audit = audit_shortcuts(train, np.repeat([0, 1], 500), test, np.repeat([0, 1], 200), benign_index=0)
    scores = audit["features"]
    assert scores["tld"] == {"macro_f1": 1.0, "roc_auc": 1.0, "recall_at_1pct_fpr": 1.0}
    assert scores["all"]["roc_auc"] == 1.0
    assert scores["length"]["roc_auc"] == scores["label_count"]["roc_auc"] == 0.5
    assert list(scores) == ["tld", "length", "label_count", "all"]


def test_audit_finds_length_and_label_count():
    train = random_names(300, ".example", 1) + random_names(300, ".a.example", 2, length=8)
    labels = np.repeat([0, 1], 300)
    scores = audit_shortcuts(train, labels, train[::2], labels[::2], benign_index=0)["features"]
    assert scores["length"]["macro_f1"] == scores["label_count"]["macro_f1"] == 1.0
    assert scores["tld"]["roc_auc"] == 0.5


def test_audit_learns_tlds_from_training_alone():
    # The test names' TLDs never occur in training: their labels must not leak into the encoding.
    train = random_names(300, ".good", 1) + random_names(300, ".evil", 2)
    test = random_names(100, ".newgood", 3) + random_names(100, ".newevil", 4)
    scores = audit_shortcuts(train, np.repeat([0, 1], 300), test, np.repeat([0, 1], 100), benign_index=0)
    assert scores["features"]["tld"]["roc_auc"] == 0.5


def test_audit_takes_a_new_tld_for_an_average_one():
    train = random_names(400, ".good", 1) + random_names(100, ".evil", 2)
    audit = audit_shortcuts(
        train, np.repeat([0, 1], [400, 100]), random_names(50, ".new", 3), np.zeros(50, int), benign_index=0
    )
    assert audit["features"]["tld"]["macro_f1"] == 1.0  # four in five are benign, so a new one is too


def test_audit_keeps_the_place_of_an_absent_class():
    names, labels = random_names(100, ".a", 1) + random_names(100, ".b", 2), np.repeat([0, 2], 100)
    assert audit_shortcuts(names, labels, names, labels, benign_index=0)["features"]["tld"]["macro_f1"] == 1.0


def test_audit_says_none_where_a_figure_is_undefined():
    names, labels = random_names(100, ".a", 1) + random_names(100, ".b", 2), np.repeat([0, 2], 100)
    scores = audit_shortcuts(names, labels, names[:100], labels[:100], benign_index=0)["features"]["tld"]
    assert scores == {"macro_f1": 1.0, "roc_auc": None, "recall_at_1pct_fpr": None}
