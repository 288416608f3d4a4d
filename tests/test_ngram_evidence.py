"""N-gram evidence: the hashes, the channels, the linear model, and that no name judges itself."""

import numpy as np
import pytest
import torch

from data.feature_engineering import ALPHABET, encode_domains
from models import ngram_evidence
from models.cnn_lstm_model import CNN_LSTM_Model
from models.evidence_fit import EvidenceTables, evidence_folds, fit_evidence
from models.ngram_evidence import NgramEvidence, ngram_hashes
from utils.config import ModelConfig
from utils.errors import DataError

SIZES = ModelConfig(evidence_ngrams=4, evidence_buckets=4_001, evidence_folds=3)
NAMES = ["example.com", "a.io", "bank-login.example.net", "aaaaaaaa.org", "xn--bcher-kva.example"]
CLASSES = 3


def evidence_with(seed):
    """Return evidence whose table and fold tables are full of different numbers."""
    draw = np.random.default_rng(seed)
    count = SIZES.evidence_folds + 1
    tables = draw.integers(-127, 128, (count, SIZES.evidence_buckets, CLASSES)).astype(np.int8)
    scales = draw.uniform(0.01, 0.05, (count, CLASSES)).astype(np.float32)
    biases = draw.normal(size=(count, CLASSES)).astype(np.float32)
    evidence = NgramEvidence(CLASSES, SIZES).eval()
    EvidenceTables(tables, scales, biases).fill(evidence)
    return evidence


def slow_grams(name):
    """Return place of the last character and n-gram, of "^name$", as text."""
    text = f"^{name}$"
    return {
        (end, n): text[end - n + 1 : end + 1]
        for n in range(1, SIZES.evidence_ngrams + 1)
        for end in range(n - 1, len(text))
    }


def test_two_ngrams_have_one_hash_exactly_when_they_are_the_same():
    codes = torch.from_numpy(encode_domains(NAMES, 40))
    hashes, present = ngram_hashes(codes, SIZES.evidence_ngrams)
    seen = {}
    for row, name in enumerate(NAMES):
        grams = slow_grams(name)
        assert {(t, n + 1) for t, n in present[row].nonzero().tolist()} == grams.keys()
        for (place, n), gram in grams.items():
            seen.setdefault(gram, set()).add(int(hashes[row, place, n - 1]))
    assert all(len(found) == 1 for found in seen.values())
    assert len(set.union(*seen.values())) == len(seen), "no two n-grams of these names collide"


def test_the_codes_of_the_ends_are_in_no_name():
    every = encode_domains([ALPHABET, "é"], 64)
    assert {ngram_evidence.START, ngram_evidence.END}.isdisjoint(every.flatten().tolist())


def test_padding_and_company_change_nothing():
    evidence = evidence_with(0)
    together_channels, together = evidence(torch.from_numpy(encode_domains(NAMES, 64)))
    for row, name in enumerate(NAMES):
        channels, logits = evidence(torch.from_numpy(encode_domains([name], len(name))))
        torch.testing.assert_close(together[row], logits[0])
        torch.testing.assert_close(together_channels[row, : len(name)], channels[0])
        assert not together_channels[row, len(name) :].any()


def test_a_row_of_nothing_but_padding_is_finite():
    channels, logits = evidence_with(0)(torch.zeros(2, 5, dtype=torch.uint8))
    assert channels.isfinite().all()
    assert logits.isfinite().all()


def test_an_ngram_stands_at_its_last_character_and_those_with_the_end_mark_at_the_last_of_the_name():
    evidence = evidence_with(0)
    name = "abc.de"
    codes = torch.from_numpy(encode_domains([name], 10))
    hashes, _ = ngram_hashes(codes, SIZES.evidence_ngrams)
    channels, _ = evidence(codes)

    def expected(place):  # in "^abc.de$"
        found = torch.zeros(SIZES.evidence_ngrams, CLASSES)
        for n in range(1, min(SIZES.evidence_ngrams, place + 1) + 1):
            row = evidence.table[hashes[0, place, n - 1] % SIZES.evidence_buckets]
            found[n - 1] = row * evidence.scale * evidence.channel_scale
        return found.flatten()

    for t in range(len(name) - 1):
        torch.testing.assert_close(channels[0, t], expected(t + 1))
    torch.testing.assert_close(channels[0, 5], expected(6) + expected(7))


def test_training_names_see_the_table_of_their_fold_and_others_the_last():
    evidence = evidence_with(0)
    codes = torch.from_numpy(encode_domains(NAMES[:3], 40))
    for fold in range(SIZES.evidence_folds):
        alone = NgramEvidence(CLASSES, SIZES)
        alone.table, alone.scale = evidence.fold_tables[fold], evidence.fold_scales[fold]
        alone.bias = evidence.fold_biases[fold]
        folds = torch.full((3,), fold)
        for found, wanted in zip(evidence(codes, folds), alone(codes), strict=True):
            torch.testing.assert_close(found, wanted)
    assert not torch.allclose(evidence(codes)[1], evidence(codes, folds)[1])


# ------------------------------------------------------------------ the fit


def toy_names(count, seed=0):
    """Return names whose class can be seen in an n-gram, their codes, labels and folds."""
    draw = np.random.default_rng(seed)
    marks = np.array(["shop", "login", "qzx"])
    labels = draw.integers(0, CLASSES, count)
    letters = np.array(list("abcdefghijklmnop"))
    names = ["".join(draw.choice(letters, 5)) + marks[label] + ".com" for label in labels]
    folds = evidence_folds(draw.integers(0, 2**63, count).astype(np.uint64), SIZES)
    return encode_domains(names, 32), labels, folds


def test_the_table_is_the_linear_model_and_knows_new_names():
    codes, labels, folds = toy_names(1_500)
    evidence = NgramEvidence(CLASSES, SIZES)
    fit_evidence(codes, labels, folds, CLASSES, SIZES).fill(evidence)
    new_codes, new_labels, _ = toy_names(300, seed=1)
    _, logits = evidence(torch.from_numpy(new_codes))
    assert (logits.argmax(1).numpy() == new_labels).mean() > 0.98


@pytest.mark.parametrize("fold", range(SIZES.evidence_folds))
def test_what_a_fold_sees_does_not_depend_on_its_own_labels(fold):
    codes, labels, folds = toy_names(600)
    before = fit_evidence(codes, labels, folds, CLASSES, SIZES)
    changed = np.where(folds == fold, (labels + 1) % CLASSES, labels)
    after = fit_evidence(codes, changed, folds, CLASSES, SIZES)
    assert (after.tables[fold] == before.tables[fold]).all()
    assert (after.tables[-1] != before.tables[-1]).any()


def test_a_class_without_training_names_is_bearable():
    codes, labels, folds = toy_names(300)
    tables = fit_evidence(codes, np.where(labels == 2, 0, labels), folds, CLASSES, SIZES)
    assert np.isfinite(tables.scales).all()
    assert np.isfinite(tables.biases).all()


def test_tables_come_back_from_a_file_and_a_damaged_file_is_told(tmp_path):
    codes, labels, folds = toy_names(200)
    tables = fit_evidence(codes, labels, folds, CLASSES, SIZES)
    path = tmp_path / "evidence.npz"
    tables.save(path)
    again = EvidenceTables.load(path)
    for name in ("tables", "scales", "biases"):
        assert (getattr(again, name) == getattr(tables, name)).all()
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"evidence\.npz"):
        EvidenceTables.load(path)


def test_names_of_one_registered_domain_are_in_one_fold():
    groups = np.repeat(np.random.default_rng(0).integers(0, 2**63, 50).astype(np.uint64), 3)
    folds = evidence_folds(groups, SIZES).reshape(50, 3)
    assert (folds == folds[:, :1]).all()
    assert set(folds.flatten()) == set(range(SIZES.evidence_folds))


def test_the_network_reads_its_evidence():
    torch.manual_seed(0)
    model = CNN_LSTM_Model(41, CLASSES, {"model": {"evidence_ngrams": 4, "evidence_buckets": 4_001}}).eval()
    codes = torch.from_numpy(encode_domains(NAMES, 40))
    blank = model(codes)
    evidence = evidence_with(0)
    model.evidence.table.copy_(evidence.table)
    model.evidence.scale.copy_(evidence.scale)
    assert not torch.allclose(model(codes), blank)
