"""JSON values to raw records, none of which has a key twice in an object.

To compare all keys of all objects, everything has to be built (`data.json_keys`): most of the time that
reading takes. Whoever wants it faster may have only those keys compared that are read: no answer depends on
the others. Then msgspec builds the wanted fields, skips all others, and takes the last of equal keys. To
notice them, wanted keys are counted: msgspec hands a value of a type that it does not know (`object`) to a
hook, once for each time that its key stands there, however that is spelled. Where more were counted than came
out, a key stood twice.
"""

import json
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Annotated, Any

import msgspec
from msgspec import UNSET

from data.json_checks import RefusedBytesError, check_utf8
from data.json_integers import IntegerCheck
from data.json_keys import check_all_keys, parts_of_lines, read_surely, repeated
from data.record import DATE_KEYS, attribute_of_key, is_path

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
        self._column = column
        self._all_keys = all_keys
        self._check_integers = IntegerCheck()
        # Nearly all dates are objects, and so is what a path leads into. Where one is something else, the
        # second decoder takes it.
        self._decoders = _ObjectDecoder(column), _ValueDecoder(column)

    def decode(self, value: bytes | bytearray) -> object:
        """Return one value.

        Raises
        ------
        DecodeError, UnicodeDecodeError, RecursionError
            It is no JSON.
        RefusedBytesError
            A key stands twice, or an integer has more than 64 bits.
        """
        if not self._all_keys:
            return self._decode_wanted(value)
        return self._decode_lines(value, 0, len(value), b"\n")[0]

    def _decode_wanted(self, value: bytes | bytearray) -> object:
        if not value.isascii():
            value.decode()
        self._check_integers(value, 0, len(value))
        try:
            return self._decode_surely(lambda decoder: decoder.each([value]))[0]
        except RefusedBytesError:
            pass
        try:
            built = json.loads(value.decode(), object_pairs_hook=ObjectWithRepeats, parse_int=float)
        except json.JSONDecodeError as error:  # behind a value of a type that neither decoder knows
            raise msgspec.DecodeError(str(error)) from None
        check_read_keys(built, self._column)
        return self._decoders[1].each([value])[0]

    def decode_spans(self, buffer: bytearray, spans: list[tuple[int, int]]) -> list[object]:
        """Return the values that stand in these places of `buffer`, one a line.

        Raises
        ------
        DecodeError, UnicodeDecodeError, RecursionError, RefusedBytesError
            One is to be refused, or may be: each has to be looked at.
        """
        if self._all_keys:
            return self._decode_lines(buffer, spans[0][0], spans[-1][1], b"\n")
        self._check_skipped(buffer, spans[0][0], spans[-1][1])
        with memoryview(buffer) as view:
            values = [view[start:end] for start, end in spans]
            try:
                return self._decode_surely(lambda decoder: decoder.each(values))
            finally:
                for value in values:
                    value.release()

    def decode_array(self, buffer: bytearray, start: int, end: int, ending: bytes) -> list[object]:
        """Return the elements of the array in `buffer[start:end]`, one a line; errors as of `decode_spans`.

        Parameters
        ----------
        ending
            What stands between two lines: a comma and a line feed.
        """
        if self._all_keys:
            return self._decode_lines(buffer, start + 1, end - 1, ending)
        self._check_skipped(buffer, start, end)
        with memoryview(buffer) as view, view[start:end] as array:
            return self._decode_surely(lambda decoder: decoder.array(array))

    def _decode_lines(self, lines: bytes | bytearray, start: int, end: int, ending: bytes) -> list[object]:
        """Return the values that stand one a line, and have all their keys compared."""
        element_of = self._decoders[1].element_of
        elements: list[object] = []
        for first, last in parts_of_lines(lines, start, end, ending):
            part = bytes(lines[first:last])
            if (built := read_surely(part, ending)) is not None:
                elements += map(element_of, built)
            elif ending in part:
                elements += map(self.decode, part.split(ending))
            else:
                elements.append(self._decode_wanted(part))
                check_all_keys(part)
        return elements

    def _check_skipped(self, buffer: bytearray, start: int, end: int) -> None:
        """Check what msgspec does not look at in the values that it skips."""
        check_utf8(buffer, start, end)
        self._check_integers(buffer, start, end)

    def _decode_surely(self, decode: Callable[["_CountingDecoder"], list[object]]) -> list[object]:
        for decoder in self._decoders:
            try:
                elements = decode(decoder)
            except msgspec.ValidationError:
                continue
            if decoder.is_right(elements):
                return elements
        raise RefusedBytesError("a key may stand twice")


class _CountingDecoder:
    """A decoder that counts the wanted keys, each as often as it stands there."""

    def __init__(self, column: str | None) -> None:
        self._levels = {"sourced_on": len(DATE_KEYS)}  # field → how deep keys are read in it
        if is_path(column):
            root, *keys = column.split(".")
            self._levels = {field: levels for field, levels in self._levels.items() if field != root}
            self._levels["outer"] = len(keys)
        self._record = self._record_type(column)
        count, self._start_counting, self._counted = _counter()
        value = self._record | str | int | float | bool | None | list
        self._decode_one = msgspec.json.Decoder(value, dec_hook=count).decode
        self._decode_array = msgspec.json.Decoder(list[value], dec_hook=count).decode

    def each(self, values: list[bytes | bytearray]) -> list[object]:
        """Return what each of `values` is."""
        self._start_counting()
        return [self._decode_one(value) for value in values]

    def element_of(self, built: object) -> object:
        """Return what `each` returns for a value, of what it is when all of it is built."""
        if type(built) is not dict:
            return built
        return self._record(*[built.get(key, UNSET) for key in self._keys])

    def array(self, array: memoryview) -> list[object]:
        """Return the elements of an array."""
        self._start_counting()
        return self._decode_array(array)

    def _record_type(self, column: str | None) -> type[msgspec.Struct]:
        """Return the type of a raw record: `data.record.RawRecord` for any column."""
        fields = [(attribute, key) for key, attribute in attribute_of_key(column).items()]
        root = column.partition(".")[0] if is_path(column) else None
        missing = {attribute: UNSET for attribute, key in fields if key == root}
        fields = [pair for pair in fields if pair[1] != root] + [("outer", root)] * (root is not None)
        typed = [
            (attribute, self._field_type(attribute), msgspec.field(default=UNSET, name=key))
            for attribute, key in fields
        ]
        self._keys = [key for _, key in fields]
        return msgspec.defstruct("RawRecord", typed, namespace=missing, gc=False)

    def _records_and_keys(self, elements: list[object]) -> tuple[list[msgspec.Struct], int]:
        """Return the objects among `elements`, and how many fields of them are there."""
        records = [element for element in elements if type(element) is self._record]
        fields = list(chain.from_iterable(map(msgspec.structs.astuple, records)))
        return records, len(fields) - fields.count(UNSET)


def _counter() -> tuple[Callable[[type, object], object], Callable[[], None], Callable[[], int]]:
    """Return a hook for a decoder, what makes it count from zero, and what tells how often it was called."""
    number = 0

    def count(_: type, value: object) -> object:
        nonlocal number
        number += 1
        return value

    def start() -> None:
        nonlocal number
        number = 0

    return count, start, lambda: number


class _ObjectDecoder(_CountingDecoder):
    """Where dates and what paths lead into are objects: it counts their keys in place of the field's own.

    At least one key stands in each, so no field can be there and not be counted.
    """

    def is_right(self, elements: list[object]) -> bool:
        """Tell whether no wanted key of `elements`, which were decoded last, stands twice."""
        records, keys = self._records_and_keys(elements)
        if self._counted() == keys:  # nearly always one key in a date
            return True
        for field, levels in self._levels.items():
            values = [value for record in records if (value := getattr(record, field)) is not UNSET]
            odd = [value for value in values if len(value) > 1 or type(next(iter(value.values()))) is not str]
            keys += sum(_keys_within(value, levels) for value in odd) - len(odd)
        return self._counted() == keys

    def _field_type(self, attribute: str) -> Any:
        if attribute not in self._levels:
            return object
        inner = _type_of_levels(self._levels[attribute] - 1)
        return Annotated[dict[object, inner], msgspec.Meta(min_length=1)] | msgspec.UnsetType


class _ValueDecoder(_CountingDecoder):
    """Where dates and what paths lead into are anything else, in which there are no keys."""

    def is_right(self, elements: list[object]) -> bool:
        """Tell whether no wanted key of `elements`, which were decoded last, stands twice."""
        records, keys = self._records_and_keys(elements)
        return self._counted() == keys and not any(
            isinstance(getattr(record, field), dict | list) for field in self._levels for record in records
        )

    def _field_type(self, _: str) -> Any:
        return object


def check_read_keys(value: object, column: str | None) -> None:
    """Check a value whose objects are all `ObjectWithRepeats`.

    Raises
    ------
    RefusedBytesError
        A key that is read stands twice in its object.
    """
    if not isinstance(value, ObjectWithRepeats):
        return
    for key in attribute_of_key(column):
        if key in value.repeated:
            raise RefusedBytesError(repeated(key))
    _check_way(value, ("sourced_on", *DATE_KEYS))
    if is_path(column) and column not in value:
        _check_way(value, column.split("."))


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


def _type_of_levels(levels: int) -> Any:
    """Return the type of any JSON value whose keys are counted so many levels deep."""
    if levels == 0:
        return Any
    inner = _type_of_levels(levels - 1)
    return dict[object, inner] | list[inner] | str | int | float | bool | None


def _keys_within(value: object, levels: int) -> int:
    """Return how many keys of a value of `_type_of_levels(levels)` there are."""
    if levels == 0 or type(value) not in (dict, list):
        return 0
    keys, items = (0, value) if type(value) is list else (len(value), value.values())
    for item in items:
        keys += _keys_within(item, levels - 1)
    return keys
