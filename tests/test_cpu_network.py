"""The network laid out for a CPU gives the logits of the plain one, whatever the sizes and lengths."""

import numpy as np
import pytest
import torch
from torch import nn

from data.feature_engineering import PADDING
from models.cpu_network import CpuNetwork, for_cpu
from models.ngram_evidence import hash_powers, ngram_hashes
from tests.test_model import make_model, random_codes

CLOSE = {"rtol": 0, "atol": 1e-5}
EVIDENCE = {"evidence_ngrams": 5, "evidence_buckets": 997}
SIZES = {
    "plain": {},
    "evidence": EVIDENCE,
    "two classes, one convolution": EVIDENCE | {"num_classes": 2, "conv_filters": (6,)},
    "four classes, max-pooling": EVIDENCE | {"num_classes": 4, "max_pooling": True},
    "pooled in threes": EVIDENCE | {"pool_size": 3, "max_pooling": True},
    "pooled in fours, no evidence": {"pool_size": 4, "max_pooling": True},
    "kernel of five": EVIDENCE | {"kernel_size": 5, "pool_size": 2},
    "even kernel, three convolutions": EVIDENCE | {"kernel_size": 4, "conv_filters": (6, 7, 5)},
    "kernel of one, no dense layer": EVIDENCE | {"kernel_size": 1, "dense_units": ()},
    "longer n-grams than some names": EVIDENCE | {"evidence_ngrams": 9, "max_pooling": True},
}
BATCHES = {
    "of one length": [12] * 5,
    "of many lengths, unsorted": [7, 1, 20, 3, 20, 2, 13],
    "of one character": [1, 1],
    "of two and three": [2, 3],
    "one name": [17],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("lengths", BATCHES.values(), ids=BATCHES)
def test_it_gives_the_logits_of_the_plain_network(sizes, lengths):
    model = make_model(**sizes)
    network = for_cpu(model)
    assert isinstance(network, CpuNetwork)
    codes = random_codes(lengths, max(lengths))
    expected = model(codes).detach()
    assert len(lengths) == 1 or expected.std(dim=0).max() > 0.01, "logits differ from name to name"
    torch.testing.assert_close(network(codes), expected, **CLOSE)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_no_padding_and_no_company_changes_a_logit(sizes):
    network, lengths = for_cpu(make_model(**sizes)), [5, 19, 1, 8]
    codes = random_codes(lengths, 30)
    together = network(codes)
    alone = [network(codes[row : row + 1, :length]) for row, length in enumerate(lengths)]
    torch.testing.assert_close(together, torch.cat(alone), **CLOSE)


def test_a_row_of_nothing_but_padding_is_finite_and_harms_no_other():
    network = for_cpu(make_model(**SIZES["pooled in threes"]))
    codes = random_codes([9, 0, 4], 9)
    logits = network(codes)
    assert logits.isfinite().all()
    torch.testing.assert_close(logits[[0, 2]], network(codes[[0, 2]]), **CLOSE)


def test_the_codes_and_the_plain_network_stay_as_they_are():
    model = make_model(**SIZES["kernel of five"])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    codes = random_codes([4, 9], 12)
    copy = codes.clone()
    for_cpu(model)(codes)
    assert torch.equal(codes, copy)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_other_networks_are_left_alone():
    class Other(nn.Module):
        """A network of somebody else."""

    learned = make_model(ngram_sizes=(2,), ngram_buckets=50, ngram_dim=2)
    many_classes = make_model(num_classes=5, **EVIDENCE)
    for model in (Other(), learned, many_classes):
        assert for_cpu(model) is model


def test_hashes_are_sums_of_powers():
    codes = random_codes([9], 9)
    hashes, present = ngram_hashes(codes, 6)
    powers, constants, prime = hash_powers(6)
    text = hashes[0, :, 0].tolist()  # one character is its own hash
    for place, size in np.argwhere(present[0].numpy()):
        gram = text[place - size : place + 1]
        total = sum(c * power for c, power in zip(reversed(gram), powers, strict=False))
        assert (total + constants[size].item()) % prime == hashes[0, place, size].item()
    assert PADDING not in text
