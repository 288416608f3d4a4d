"""JSON values to raw records, in which no key stands twice, or none that is read.

To compare all keys of all objects, everything has to be built (`data.json_keys`): most of the time that
reading takes. Whoever wants it faster may have only those keys compared that are read: no answer depends on
the others (`data.fast_json`). What either of the two fast ways refuses is looked at again, one value at a
time, and more slowly.
"""

import json
from collections.abc import Iterable

import msgspec

from data.fast_json import fast_parser
from data.json_checks import RefusedBytesError, integer_of
from data.json_keys import check_all_keys, parts_of_lines, read_surely, repeated
from data.record import WantedFields

# What `RecordDecoder` raises.
REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, RefusedBytesError)


class ObjectWithRepeats(dict):
    """A JSON object that remembers which keys it was given more than once."""

    def __init__(self, pairs: Iterable[tuple[str, object]] = ()) -> None:
        super().__init__()
        self.repeated: set[str] = set()
        for key, value in pairs:
            self[key] = value

    def __setitem__(self, key: str, value: object) -> None:
        if key in self:
            self.repeated.add(key)
        super().__setitem__(key, value)


class RecordDecoder:
    """Decodes one JSON value, or an array of them: an object becomes a raw record, all else stays what it is.

    Parameters
    ----------
    column
        What holds the name: a key, or the way to one; None for one of `data.record.NAME_KEYS`. A column with
        dots is the key of that name, or where there is none the way to it: `dns.rrname`; a number is a place
        in an array, from 0.
    all_keys
        Whether a key that is not read may not stand twice either.
    """

    def __init__(self, column: str | None, all_keys: bool) -> None:
        self._all_keys = all_keys
        self._wanted = WantedFields(column)
        self._parser = fast_parser(self._wanted)
        self._builds_all = all_keys or self._parser is None

    def decode(self, value: bytes) -> object:
        """Return one value.

        Raises
        ------
        DecodeError, UnicodeDecodeError
            It is no JSON.
        RecursionError
            It is nested too deeply: near 1,000 levels, by the parser that meets it.
        RefusedBytesError
            A key stands twice, or an integer has more than 64 bits.
        """
        if self._builds_all:
            return self._decode_lines(value, 0, len(value), b"\n")[0]
        return self._decode_wanted(value)

    def decode_spans(self, buffer: bytearray, spans: list[tuple[int, int]]) -> list[object]:
        """Return the values that stand in these places of `buffer`, one a line.

        Raises
        ------
        DecodeError, UnicodeDecodeError, RecursionError, RefusedBytesError
            One is to be refused, or may be: each has to be looked at.
        """
        if self._builds_all:
            return self._decode_lines(buffer, spans[0][0], spans[-1][1], b"\n")
        with memoryview(buffer) as view:
            return [self._parser.value(view[start:end].tobytes()) for start, end in spans]

    def decode_array(self, buffer: bytearray, start: int, end: int, ending: bytes) -> list[object]:
        """Return the elements of the array in `buffer[start:end]`, one a line; errors as of `decode_spans`.

        Parameters
        ----------
        ending
            What stands between two lines: a comma and a line feed.
        """
        if self._builds_all:
            return self._decode_lines(buffer, start + 1, end - 1, ending)
        with memoryview(buffer) as view, view[start:end] as array:
            return self._parser.elements(array)

    def _decode_lines(self, lines: bytes | bytearray, start: int, end: int, ending: bytes) -> list[object]:
        """Return the values that stand one a line, each built with all that is in it."""
        elements: list[object] = []
        for first, last in parts_of_lines(lines, start, end, ending):
            part = bytes(lines[first:last])
            if (built := read_surely(part, ending)) is not None:
                elements += map(self._raw, built)
            elif ending in part:
                elements += map(self.decode, part.split(ending))
            else:
                elements.append(self._decode_wanted(part))
                if self._all_keys:
                    check_all_keys(part)
        return elements

    def _decode_wanted(self, value: bytes) -> object:
        """Return one value, of which only the keys that are read are compared. Errors as of `decode`."""
        if self._parser is not None:
            try:
                return self._parser.value(value)
            except RefusedBytesError:
                pass
        return self._judged(value)

    def _judged(self, value: bytes) -> object:
        """Return one value by parsers that say what is wrong; they build all of it. Errors as of `decode`."""
        text = value.decode()
        msgspec.json.decode(value, type=msgspec.Raw)  # looks at the syntax of all of it
        built = json.loads(text, object_pairs_hook=ObjectWithRepeats, parse_int=integer_of)
        check_read_keys(built, self._wanted)
        return self._raw(built)

    def _raw(self, built: object) -> object:
        return self._wanted.raw_record(built) if isinstance(built, dict) else built


def check_read_keys(value: object, wanted: WantedFields) -> None:
    """Check a value whose objects are all `ObjectWithRepeats`.

    Raises
    ------
    RefusedBytesError
        A key that is read stands twice in its object.
    """
    if isinstance(value, ObjectWithRepeats):
        for field in wanted.of_object(value):
            _check_way(value, (field.key, *field.inner))


def _check_way(value: object, keys: Iterable[str]) -> None:
    for key in keys:
        if isinstance(value, ObjectWithRepeats):
            if key in value.repeated:
                raise RefusedBytesError(repeated(key))
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return
