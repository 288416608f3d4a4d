"""Checks of JSON that its parsers do not make, or do not survive without."""

import codecs
import decimal
import re
import sys
from collections.abc import Callable
from typing import Any

from data.byte_source import MAX_RECORD_BYTES

# Below Python's own limit for text → int (4,300 unless set lower), beyond which ijson's C extension crashes.
MAX_DIGITS = min(4096, sys.get_int_max_str_digits() or 4096)

_INTEGERS = range(-(2**63), 2**64)
_SHOWN_DIGITS = 24

_DIGITS = b"0123456789"
_LONG_RUN = re.compile(rb"[0-9]{%d,}" % (MAX_DIGITS + 1))
_TWO_DIGITS = re.compile(rb"[0-9](?=[0-9])")
_STRIDE = MAX_DIGITS // 2
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")
# An escaped backslash, a pair of surrogates, or (group 1) a surrogate without its other half.
_SURROGATES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_ESCAPE_BYTES = len(rb"\ud83d")
_NO_TRAPS = decimal.Context(traps=[])


class RefusedBytesError(Exception):
    """The bytes are no valid JSON, or no JSON that can be read safely; never leaves the reader."""


class CheckedBytes:
    """A file for ijson that gives the bytes before the first refused one and raises at the next `read`.

    Stopped is what ijson (yajl) lets through or does not survive:

    - invalid UTF-8 that it overlooks: overlong forms, surrogates, code points beyond U+10FFFF;
    - escaped lone surrogates, which it turns into "?" or into another character;
    - form feed and vertical tab between tokens, which are no JSON white space (RFC 8259, section 2);
    - a record beyond `MAX_RECORD_BYTES`, which it would collect in memory.

    And of more than `MAX_DIGITS` digits in a row only so many are given: its C extension crashes on a longer
    integer, and no name or date has so many.

    Parameters
    ----------
    read_block
        Returns the next bytes, and b"" at the end.
    start
        Bytes that come before the first block.

    Attributes
    ----------
    at_end
        Whether the end of the file has been given: an error after that means that the JSON is cut short.
    """

    def __init__(self, read_block: Callable[[], bytes], start: bytes) -> None:
        self._read_block = read_block
        self._held = start
        self._problem: str | None = None
        self._record_bytes = 0
        self.at_end = False
        self._ending = b""

    def expect_end(self) -> None:
        """Say that the JSON value is complete: at the end of the file, a last line feed is given.

        Of `[] "abc` ijson would not mind the string that is never closed; a line feed in a string it does.
        """
        self._ending = b"\n"

    def start_record(self) -> None:
        """Say that a record is complete: the limit of a record's size counts from here."""
        self._record_bytes = 0

    def read(self, size: int = -1) -> bytes:
        """Return the next checked bytes, as many as there are at hand; `size` only matters where it is 0."""
        if size == 0:
            return b""
        while self._problem is None:
            block = self._read_block()
            if not block:
                block, self._ending = self._ending, b""
            checked = self._checked(self._held + block, at_end=not block)
            self._record_bytes += len(checked)
            if self._record_bytes > MAX_RECORD_BYTES:
                self._problem = f"the record is longer than {MAX_RECORD_BYTES // 2**20} MiB"
                break
            if checked or (not block and self._problem is None):
                self.at_end = not checked
                return checked
        raise RefusedBytesError(self._problem)

    def _checked(self, data: bytes, at_end: bool) -> bytes:
        """Return the start of `data` that is good and complete; keep the rest for the next block."""
        data = _with_short_numbers(data)
        end = len(data)
        if not data.isascii():
            try:
                _, end = codecs.utf_8_decode(data, "strict", at_end)
            except UnicodeDecodeError as error:
                end = self._refuse(error.start, f"invalid UTF-8 ({error.reason})")
        for character in (b"\x0b", b"\x0c"):
            index = data.find(character, 0, end)
            if index >= 0:
                end = self._refuse(index, f"invalid character 0x{character.hex()}")
        if not at_end and self._problem is None:
            end = _complete_end(data, end)
        if b"\\ud" in data or b"\\uD" in data:
            lone = next((match for match in _SURROGATES.finditer(data, 0, end) if match[1]), None)
            if lone:
                end = self._refuse(lone.start(), f"half of a surrogate pair, {lone[1].decode()}")
        self._held = data[end:]
        return data[:end]

    def _refuse(self, index: int, problem: str) -> int:
        self._problem = problem
        return index


def untrapped(step: Callable[..., Any], *arguments: object) -> Any:
    """Take one step of ijson's parser, with numbers beyond Decimal as NaN: no name is among them."""
    with decimal.localcontext(_NO_TRAPS):
        return step(*arguments)


def what_is_wrong(error: Exception, checked: CheckedBytes) -> str:
    """Return one line about what ended the reading; yajl adds the bytes around it on further lines."""
    if isinstance(error, RefusedBytesError):
        return str(error)
    if checked.at_end:
        return "the file ends inside the JSON: it is truncated"
    text = str(error)
    if text.startswith(("b'", 'b"')):  # where yajl's message is no UTF-8, ijson gives its repr
        text = text[2:].replace("\\n", "\n").replace("\\'", "'")
    return f"not valid JSON ({text.partition(chr(10))[0].strip()})"


def _with_short_numbers(data: bytes) -> bytes:
    """Return `data` with every run of digits cut to `MAX_DIGITS`."""
    # A longer run covers two neighbours of a sparse sample, and all that lies between them.
    sample = data[::_STRIDE]
    starts = (match.start() * _STRIDE for match in _TWO_DIGITS.finditer(sample))
    if any(data[start : start + _STRIDE].isdigit() for start in starts):
        return _LONG_RUN.sub(lambda run: run[0][:MAX_DIGITS], data)
    return data


def _complete_end(data: bytes, end: int) -> int:
    """Return where to cut `data`, at `end` or before, so as not to tear two escapes or a run of digits."""
    tail = data[max(0, end - MAX_DIGITS - 1) : end]
    end -= len(tail) - len(tail.rstrip(_DIGITS))
    # Only now: the digits may be an escape's.
    escape = data.find(b"\\", max(0, end - 2 * _ESCAPE_BYTES), end)
    if escape >= 0:
        end = escape - _backslashes_before(data, escape) % 2
        high = end - _ESCAPE_BYTES
        if high >= 0 and _HIGH_SURROGATE.match(data, high, end) and _backslashes_before(data, high) % 2 == 0:
            end = high
    return end


def _backslashes_before(data: bytes, index: int) -> int:
    return index - len(data[:index].rstrip(b"\\"))


def check_number(value: object) -> None:
    """Check a value that a parser has made: an integer beyond 64 bits is another one to another program.

    Raises
    ------
    RefusedBytesError
        It is one.
    """
    if type(value) is int and value not in _INTEGERS:
        raise _long_integer(str(value))


def integer_of(digits: str) -> int:
    """Return the number that some digits in JSON stand for; errors as of `check_number`."""
    # Python's own limit for text → int is near.
    if len(digits) > _SHOWN_DIGITS or int(digits) not in _INTEGERS:
        raise _long_integer(digits)
    return int(digits)


def _long_integer(digits: str) -> RefusedBytesError:
    shown = digits if len(digits) <= _SHOWN_DIGITS else f"{digits[:_SHOWN_DIGITS]}…"
    return RefusedBytesError(f"expected integers of at most 64 bits, found {shown}")
