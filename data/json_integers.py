"""Integers beyond 64 bits in JSON text: no two programs agree on their value, so no reader takes them.

Found without parsing. Such an integer has 19 digits or more, so among the 4-byte words of the text it covers
two neighbours that begin at a multiple of 12 bytes. NumPy looks at those alone, and then around the few that
are digits; what is left is judged one by one: its value, what stands beside it, whether it is in a string.
"""

import re
from collections.abc import Iterator

import numpy as np

from data.json_checks import RefusedBytesError

INTEGERS = range(-(2**63), 2**64)
_MIN_DIGITS = len(str(INTEGERS[-1])) - 1
_STEP = 3  # words; see above
_MAX_BEFORE = 4 * (_STEP + 1)  # digits of a run before the first place that is looked at, and some more
_NEAR = np.array([[-1], [0], [1], [2]])  # words: one before the two, the two, one after
# Four digits in a word: 0x30 to 0x39, which begin with 3 also when 6 is added to each.
_HIGH_NIBBLES, _THREES, _SIXES = np.array([0xF0F0F0F0, 0x30303030, 0x06060606], np.uint32)

_DIGITS = re.compile(rb"[0-9]+")
# What stands beside a number: outside strings nothing else can.
_BEFORE = b"[,: \t\r\n"
_AFTER = b"],} \t\r\n"
_ESCAPED = re.compile(rb"\\.", re.DOTALL)
_SHOWN_DIGITS = 24


class IntegerCheck:
    """Finds integers beyond 64 bits. One for each reader: it keeps the room for its intermediate results."""

    def __init__(self) -> None:
        self._sample = np.empty(0, np.uint32)
        self._is_digits = np.empty(0, bool)

    def __call__(self, data: bytes | bytearray, start: int, end: int) -> None:
        """Check that no integer in `data[start:end]`, outside strings, is beyond 64 bits, signed or unsigned.

        Parameters
        ----------
        data
            JSON whose strings hold no line feed; a value or a line begins at `start`.

        Raises
        ------
        RefusedBytesError
            There is one.
        """
        places = self._suspicious_places(data, start, end)
        if not places:
            return
        counted, in_string = start, False
        for first, last in _long_integers(data, start, end, places):
            line = data.rfind(b"\n", counted, first) + 1
            counted, in_string = (line, False) if line else (counted, in_string)
            in_string ^= _has_odd_quotes(data[counted:first])
            counted = first
            if not in_string:
                raise RefusedBytesError(_beyond_64_bits(data[first:last].decode()))

    def _suspicious_places(self, data: bytes | bytearray, start: int, end: int) -> list[int]:
        """Return the first place in each run of 19 digits that is looked at, and places in other digits."""
        low = start - start % 4
        words = np.frombuffer(data, np.uint32, (end - low) // 4, low)
        if len(words) < 2:
            return []
        left, right = words[:-1:_STEP], words[1::_STEP]
        if len(left) > len(self._sample):
            self._sample, self._is_digits = np.empty(len(left), np.uint32), np.empty(len(left), bool)
        sample, is_digits = self._sample[: len(left)], self._is_digits[: len(left)]
        np.bitwise_and(left, right, out=sample)
        sample &= _HIGH_NIBBLES
        places = np.equal(sample, _THREES, out=is_digits).nonzero()[0] * _STEP
        # Of 19 digits, at least 11 stand outside these two words: 4 before them, or 4 after.
        near = words.take(places + _NEAR, mode="clip")
        before, first, second, after = (near & (near + _SIXES) & _HIGH_NIBBLES) == _THREES
        return (low + 4 * places[first & second & (before | after)]).tolist()


def check_number(value: object) -> None:
    """Check a value that a parser has made: an int is of 64 bits.

    Raises
    ------
    RefusedBytesError
        It is not.
    """
    if type(value) is int and value not in INTEGERS:
        raise RefusedBytesError(_beyond_64_bits(str(value)))


def _beyond_64_bits(digits: str) -> str:
    shown = digits if len(digits) <= _SHOWN_DIGITS else f"{digits[:_SHOWN_DIGITS]}…"
    return f"expected integers of at most 64 bits, found {shown}"


def _long_integers(
    data: bytes | bytearray, start: int, end: int, places: list[int]
) -> Iterator[tuple[int, int]]:
    """Yield where each integer beyond 64 bits begins and ends, in a string or not."""
    done = start
    for place in places:
        if place < done:  # in the run before, or before the start
            continue
        before = data[max(done, place - _MAX_BEFORE) : place]
        first = place - (len(before) - len(before.rstrip(b"0123456789")))
        done = last = _DIGITS.match(data, place, end).end()
        if last - first < _MIN_DIGITS:
            continue
        if first > start and data[first - 1] == ord("-"):
            first -= 1
        is_number = (first == start or data[first - 1] in _BEFORE) and (last == end or data[last] in _AFTER)
        # No more digits than tell that it is too long: Python's own limit for text → int is near.
        if is_number and int(data[first : min(last, first + 22)]) not in INTEGERS:
            yield first, last


def _has_odd_quotes(text: bytes | bytearray) -> bool:
    """Tell whether JSON ends in a string if it began outside of any, and the other way round."""
    if b"\\" in text:
        text = _ESCAPED.sub(b"", text)
    return text.count(b'"') % 2 == 1
