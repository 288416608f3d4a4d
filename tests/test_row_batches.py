"""Rows in batches: all of them, in order, errors last; from a pipe without waiting for a full batch."""

import threading

import pytest

from utils.row_batches import file_batches, live_batches


@pytest.mark.parametrize("batches", [file_batches, live_batches])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 1000])
def test_every_row_comes_once_in_order(batches, count):
    found = list(batches(iter(range(count)), 10))
    assert [row for batch in found for row in batch] == list(range(count))
    assert all(0 < len(batch) <= 10 for batch in found)


@pytest.mark.parametrize("batches", [file_batches, live_batches])
def test_an_error_comes_after_the_rows_before_it(batches):
    def rows():
        yield from range(15)
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        found.extend(row for batch in batches(rows(), 10) for row in batch)
    assert found == list(range(15))


def test_a_live_row_is_not_kept_waiting():
    answered = threading.Event()

    def rows():
        yield "first"
        assert answered.wait(10), "the first row was not handed on before the second"
        yield "second"

    batches = live_batches(rows(), 10)
    assert next(batches) == ["first"]
    answered.set()
    assert list(batches) == [["second"]]


def test_file_batches_are_full():
    assert [len(batch) for batch in file_batches(range(25), 10)] == [10, 10, 5]
