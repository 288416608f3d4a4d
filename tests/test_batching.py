"""Batches by length: every row once, the same for the same seed, and answers in the order of the rows."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from models.batching import batch_threads, predict_logits, training_batches
from models.classifier import DomainClassifier
from models.device import tensor_float32
from models.length_batches import length_sorted_batches
from tests.test_model import make_model, random_codes
from utils.errors import UserError

CPU = torch.device("cpu")


def lengths_of(count, seed=0):
    return np.random.default_rng(seed).integers(1, 40, count)


@pytest.mark.parametrize(("count", "batch_size"), [(0, 4), (1, 4), (7, 4), (8, 4), (5000, 16), (3, 1)])
def test_training_batches_hold_every_row_once(count, batch_size):
    batches = training_batches(lengths_of(count), batch_size, np.random.default_rng(0))
    assert sorted(np.concatenate([*batches, []]).tolist()) == list(range(count))
    assert all(1 <= len(batch) <= batch_size for batch in batches)
    assert len(batches) >= -(-count // batch_size)


def test_training_batches_follow_the_generator_only():
    lengths = lengths_of(3000)
    first, second, other = (training_batches(lengths, 16, np.random.default_rng(s)) for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_training_batches_hold_names_of_similar_length():
    lengths = lengths_of(16 * 64)
    batches = training_batches(lengths, 16, np.random.default_rng(0))
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.05 * lengths.sum()  # at random it is about twice the sum


def test_training_batches_are_not_in_the_order_of_length():
    lengths = lengths_of(16 * 64)
    longest = [lengths[batch].max() for batch in training_batches(lengths, 16, np.random.default_rng(0))]
    assert longest != sorted(longest)


def test_length_sorted_batches_go_from_short_to_long():
    lengths = np.minimum(lengths_of(100), 24)
    batches = list(length_sorted_batches(lengths, 32))
    assert [len(batch) for batch in batches] == [32, 32, 32, 4]
    rows = np.concatenate(batches)
    assert sorted(rows.tolist()) == list(range(100))
    assert (np.diff(lengths[rows]) >= 0).all()


@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_batches_of_long_names_have_no_more_characters_than_others(batch_size):
    lengths = np.array([0, 0, *[10] * 50, *[64] * 50, 253])
    batches = list(length_sorted_batches(lengths, batch_size))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * lengths[batch].max() <= batch_size * 24
    assert max(map(len, batches)) == batch_size


class WidthModel(nn.Module):
    """Answers with the first code of a row and the width of its batch."""

    def forward(self, codes):
        return torch.stack([codes[:, 0].float(), torch.full((len(codes),), float(codes.size(1)))], dim=1)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_logits_come_in_the_order_of_the_rows_from_batches_of_the_least_width(as_tensor):
    codes = random_codes([9, 2, 5, 0, 7], 12)
    given = codes if as_tensor else codes.numpy()
    logits = predict_logits(WidthModel(), given, 2, CPU)
    assert logits.dtype == torch.float32
    assert torch.equal(logits[:, 0], codes[:, 0].float())
    # sorted by length: rows 3 and 1, then 2 and 4, then 0; an empty row still has one column
    assert logits[:, 1].tolist() == [9, 2, 7, 2, 7]


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_size_of_the_batch_changes_no_logit(batch_size):
    model, codes = make_model(), random_codes(lengths_of(20), 40)
    expected = torch.cat([model(row.unsqueeze(0)) for row in codes])
    torch.testing.assert_close(predict_logits(model, codes, batch_size, CPU), expected, rtol=0, atol=1e-5)


def test_prediction_uses_no_dropout_and_leaves_the_mode_as_it_was():
    model, codes = make_model(dropout_rate=0.9, train=True), random_codes(lengths_of(20), 40)
    assert torch.equal(predict_logits(model, codes, 8, CPU), predict_logits(model, codes, 8, CPU))
    assert model.training
    model.eval()
    predict_logits(model, codes, 8, CPU)
    assert not model.training


def test_no_rows_give_no_logits():
    assert len(predict_logits(make_model(), random_codes([], 5), 8, CPU)) == 0


class SmallMemory(nn.Module):
    """Has memory for so many rows; keeps the sizes that were tried."""

    def __init__(self, rows):
        super().__init__()
        self.rows, self.tried = rows, []

    def forward(self, codes):
        self.tried.append(len(codes))
        if len(codes) > self.rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return codes[:, :1].float()


@pytest.mark.parametrize("rows", [1, 3, 5, 8])
def test_a_batch_that_does_not_fit_is_halved_and_so_are_those_after_it(rows, caplog):
    codes = random_codes(np.minimum(lengths_of(24), 20), 40)  # as many names in each batch
    model, told = SmallMemory(rows), []
    logits = predict_logits(model, codes, 8, CPU, told.append)
    assert torch.equal(logits, codes[:, :1].float()), "each row is answered once, in its place"
    fits = max(size for size in (8, 4, 2, 1) if size <= rows)
    halvings = {8: 0, 4: 1, 2: 2, 1: 3}[fits]
    assert told == ([fits] if halvings else [])
    assert model.tried == [8, 4, 2, 1][:halvings] + [fits] * (24 // fits)
    assert len(caplog.messages) == halvings


def test_not_even_one_name_fits():
    with pytest.raises(UserError, match=r"^cpu: too little memory for a single name: CUDA out of memory"):
        predict_logits(SmallMemory(0), random_codes([5, 6], 8), 2, CPU)


def test_the_classifier_remembers_what_fits(tiny_checkpoint):
    classifier = DomainClassifier.load(tiny_checkpoint, batch_size=8)
    expected = classifier.classify(["amberbasin7.com", "cedardelta1.com", "login-x.verify.top"] * 5)
    forward, tried = classifier.network.forward, []

    def small(codes):
        tried.append(len(codes))
        if len(codes) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return forward(codes)

    classifier.network.forward = small
    for _ in range(2):
        answers = classifier.classify(["amberbasin7.com", "cedardelta1.com", "login-x.verify.top"] * 5)
        np.testing.assert_allclose(answers, expected, atol=1e-6)
    assert classifier.batch_size == 2
    assert tried[:3] == [8, 4, 2]
    assert max(tried[3:]) == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")
def test_cuda_gives_the_logits_of_the_cpu():
    model, codes = make_model(), random_codes(lengths_of(500), 40)
    expected = predict_logits(model, codes, 64, CPU)
    with tensor_float32(allowed=False):
        found = predict_logits(model.cuda(), codes, 64, torch.device("cuda"))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_threads_give_the_same_logits_in_the_same_order():
    lengths = lengths_of(200)
    codes, model = random_codes(lengths, 40), make_model()
    alone = predict_logits(model, codes, 16, CPU)
    with ThreadPoolExecutor(3, initializer=lambda: torch.set_num_threads(1)) as threads:
        torch.testing.assert_close(predict_logits(model, codes, 16, CPU, threads=threads), alone)


@pytest.mark.parametrize(
    ("available", "most", "expected"),
    [
        (1, None, 1),
        (2, None, 2),
        (8, None, 8),
        (8, 4, 4),
        (6, 4, 3),
        (3, 2, 2),
        (7, 4, 3),
        (2, 1, 1),
        (4, 0, 1),
    ],
)
def test_threads_leave_as_few_cores_idle_as_can_be(monkeypatch, available, most, expected):
    each = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: available)
    monkeypatch.setattr(torch, "set_num_threads", each.append)
    threads, count = batch_threads(torch.device("cpu"), most)
    assert count == expected
    assert (threads is None) == (count == 1)
    if threads is not None:
        threads.submit(int).result()
        assert each == [available // count]
    assert batch_threads(torch.device("cuda"), most) == (None, 1)
