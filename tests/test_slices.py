"""Slices: each definition on names picked for it, and the lines that share all names out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.domain_name import normalize_domain
from data.slices import slice_masks
from tests.domain_name_cases import CASES

NORMAL_NAMES = sorted({case.domain for case in CASES if case.domain})
PARTITIONS = [
    ("hosting platform", "own registered domain"),
    ("bare registered domain", "subdomain"),
    ("length ≤ 10", "length 11–20", "length 21–35", "length > 35"),
    ("punycode", "no punycode"),
    ("with digits", "no digits"),
]

SHORT = {"own registered domain": "own", "bare registered domain": "bare", "hosting platform": "hosted"}


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        ("google.com", "own, bare, length ≤ 10, no punycode, no digits"),
        ("maps.google.com", "own, subdomain, length 11–20, no punycode, no digits"),
        ("163.com", "own, bare, length ≤ 10, no punycode, with digits"),
        ("news.bbc.co.uk", "own, subdomain, length 11–20, no punycode, no digits"),
        ("gov.uk", "own, bare, length ≤ 10, no punycode, no digits"),
        ("github.io", "hosted, bare, length ≤ 10, no punycode, no digits"),
        ("octocat.github.io", "hosted, bare, length 11–20, no punycode, no digits"),
        ("a1.octocat.github.io", "hosted, subdomain, length 11–20, no punycode, with digits"),
        ("xn--ls8h.la", "own, bare, length 11–20, punycode, no digits"),
        ("1.xn--ls8h.la", "own, subdomain, length 11–20, punycode, with digits"),
        ("exn--1a.com", "own, bare, length 11–20, no punycode, with digits"),
    ],
)
def test_definitions(domain, expected):
    assert normalize_domain(domain) == domain
    slices = [SHORT.get(name, name) for name, mask in slice_masks([domain]).items() if mask[0]]
    assert ", ".join(slices) == expected


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (10, "length ≤ 10"),
        (11, "length 11–20"),
        (20, "length 11–20"),
        (21, "length 21–35"),
        (35, "length 21–35"),
        (36, "length > 35"),
    ],
)
def test_length_bounds(length, expected):
    masks = slice_masks(["a" * (length - 4) + ".com"])
    assert [name for name, mask in masks.items() if name.startswith("length") and mask[0]] == [expected]


@settings(derandomize=True, deadline=None)
@given(st.lists(st.sampled_from(NORMAL_NAMES), max_size=30))
def test_every_name_is_in_one_slice_of_each_line(domains):
    masks = slice_masks(domains)
    assert sorted(masks) == sorted(name for partition in PARTITIONS for name in partition)
    for partition in PARTITIONS:
        stacked = np.stack([masks[name] for name in partition])
        assert stacked.dtype == np.bool_
        assert stacked.shape == (len(partition), len(domains))
        assert (stacked.sum(axis=0) == 1).all()
