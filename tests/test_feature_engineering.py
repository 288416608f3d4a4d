"""Names to codes: equal to a slow reference, whatever the characters and lengths."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from data.feature_engineering import ALPHABET, NUM_CODES, PADDING, UNKNOWN, code_lengths, encode_domains

properties = settings(derandomize=True, deadline=None, max_examples=300)


def encode_slowly(domains, max_length):
    """The definition, one character at a time."""
    rows = []
    for domain in domains:
        kept = domain[max(0, len(domain) - max_length) :]
        codes = [ALPHABET.index(character) + 2 if character in ALPHABET else UNKNOWN for character in kept]
        rows.append(codes + [PADDING] * (max_length - len(kept)))
    return np.array(rows, dtype=np.uint8).reshape(len(domains), max_length)


def test_codes_are_fixed():
    # Checkpoints depend on every one of these numbers.
    assert (PADDING, UNKNOWN, NUM_CODES) == (0, 1, 41)
    assert ALPHABET == "abcdefghijklmnopqrstuvwxyz0123456789-._"
    assert encode_domains(["az09-._!"], 9).tolist() == [[2, 27, 28, 37, 38, 39, 40, 1, 0]]


@properties
@given(st.lists(st.text(st.sampled_from(ALPHABET) | st.characters(), max_size=80)), st.integers(1, 70))
@example(["", "a.com", "", "x" * 300], 1)
@example(["\0", "a\0", "\0a", "a\0b\0\0"], 4)
@example(["bücher.de", "💩.la", "\ud800.com", "GOOGLE.COM", "\x7f\x80\xff"], 16)
def test_equals_the_slow_reference(domains, max_length):
    codes = encode_domains(domains, max_length)
    assert codes.dtype == np.uint8
    assert codes.shape == (len(domains), max_length)
    np.testing.assert_array_equal(codes, encode_slowly(domains, max_length))
    lengths = code_lengths(codes)
    assert lengths.dtype == np.int64
    assert lengths.tolist() == [min(len(domain), max_length) for domain in domains]


def test_long_name_keeps_its_right_end():
    name = "a" * 60 + ".login.example.com"
    np.testing.assert_array_equal(encode_domains([name], 17), encode_domains(["login.example.com"], 17))


def test_upper_case_is_unknown():
    assert encode_domains(["A"], 1).tolist() == [[UNKNOWN]]


def test_row_does_not_depend_on_the_others():
    names = ["google.com", "é" * 90, "", "x" * 63 + ".example.com"]
    together = encode_domains(names, 64)
    for row, name in zip(together, names, strict=True):
        np.testing.assert_array_equal(row, encode_domains([name], 64)[0])


def test_takes_any_sequence_and_leaves_it_alone():
    names = ["google.com", "a" * 100]
    expected = encode_domains(names, 20)
    assert names == ["google.com", "a" * 100]
    np.testing.assert_array_equal(encode_domains(tuple(names), 20), expected)
    np.testing.assert_array_equal(encode_domains(np.array(names), 20), expected)
    np.testing.assert_array_equal(encode_domains(np.array(names, dtype=object), 20), expected)


def test_no_names():
    assert encode_domains([], 64).shape == (0, 64)
    assert code_lengths(encode_domains([], 64)).shape == (0,)


@pytest.mark.parametrize("max_length", [0, -1])
def test_max_length_below_one_is_refused(max_length):
    with pytest.raises(ValueError, match=f"'max_length' parameter must be an integer >= 1. Got {max_length}"):
        encode_domains(["google.com"], max_length)
