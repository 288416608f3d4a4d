"""NameTable reads like the list of strings that it stands for."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.feature_engineering import encode_domains
from data.name_table import NameTable, offsets_from_lengths
from tests.labelled import name_table

names_lists = st.lists(st.text("abz019-._", max_size=70), max_size=20)
properties = settings(derandomize=True, deadline=None)


@properties
@given(names_lists)
def test_it_reads_like_a_list(names):
    table = name_table(names)
    assert isinstance(table, Sequence)
    assert len(table) == len(names)
    assert list(table) == names
    assert [table[row] for row in range(len(names))] == names
    assert [table[row - len(names)] for row in range(len(names))] == names
    assert list(reversed(table)) == names[::-1]
    assert all(name in table for name in names)


@properties
@given(names_lists, st.data())
def test_take_gives_the_rows_in_their_order(names, data):
    rows = data.draw(st.lists(st.integers(0, len(names) - 1), max_size=30)) if names else []
    taken = name_table(names).take(np.array(rows, dtype=np.int64))
    assert list(taken) == [names[row] for row in rows]
    assert list(taken.take(np.arange(len(rows))[::-1])) == [names[row] for row in rows][::-1]


@properties
@given(st.lists(names_lists, min_size=1, max_size=4))
def test_concatenate_puts_tables_one_after_the_other(parts):
    table = NameTable.concatenate([name_table(names) for names in parts])
    assert list(table) == [name for names in parts for name in names]


@properties
@given(names_lists)
def test_it_encodes_like_a_list(names):
    expected = encode_domains(names, 20)
    assert np.array_equal(encode_domains(name_table(names), 20), expected)


@pytest.mark.parametrize("row", [3, -4, 100])
def test_a_row_beyond_the_end_is_an_index_error(row):
    with pytest.raises(IndexError):
        name_table(["a.com", "b.com", "c.com"])[row]


def test_a_slice_is_refused():
    with pytest.raises(TypeError, match="take"):
        name_table(["a.com"])[0:1]


def test_a_million_names_take_their_bytes_and_eight_each():
    table = name_table(["0123456789.example"] * 100_000)
    assert table.blob.nbytes + table.offsets.nbytes == 100_000 * (18 + 8) + 8


def test_offsets_of_more_than_32_bits_do_not_wrap():
    lengths = np.full(40_000, 65_535, dtype=np.uint16)  # 2.6 GB of names
    assert offsets_from_lengths(lengths)[-1] == 40_000 * 65_535
