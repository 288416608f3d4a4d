"""JSON arrays of records, in any layout, in flat memory.

Two readers share one file. An array with one record a line, as mongoexport writes it, is cut at the line ends
and decoded a block at a time (`data.json_blocks`, `data.record_decoder`). As soon as a line is no
whole record, all that is left goes to ijson: another layout, a damaged record, the end of the array. So each
error about an array comes from one place, and the fast reader only must not take what the other refuses;
`CheckedBytes` adds to ijson what the fast parsers refuse by themselves (tests/test_reader_equivalence.py).

Numbers are read without `use_float`: with it, an integer beyond 64 bits is an error without a place.
"""

import decimal
import logging
import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import chain

import ijson

from data.byte_range import ByteRange
from data.byte_source import READ_BYTES, ByteSource
from data.json_blocks import read_one_a_line
from data.json_checks import CheckedBytes, RefusedBytesError, check_number, untrapped, what_is_wrong
from data.json_keys import repeated, unique_keys
from data.record import RawRecord, Record, WantedFields, record_from_json

# Zenodo's records nest 8 deep. The fast parsers stop near 1,000 levels, long before.
MAX_DEPTH = 10_000

_ARRAY_OPENING = re.compile(rb"[ \t\r\n]*\[[ \t\r\n]*")
# Stands for records that were read before: it keeps the grammar, in which no array ends after a comma.
_STAND_IN = b"[null,"
_END = object()  # what comes after the last element
_OPENINGS = frozenset({"start_map", "start_array"})
_DEPTH_CHANGES = {"start_map": 1, "start_array": 1, "end_map": -1, "end_array": -1}


def read_json(source: ByteSource, column: str | None, all_keys: bool) -> Iterator[Iterable[Record]]:
    """Yield the records of one JSON array in any layout, or of one JSON object that is a record, in batches.

    Raises
    ------
    DataError
        After the good records: the JSON is damaged or ends early, with the number of the record where it is.
    """
    if not source.head.strip():
        return
    start = array_start(source)
    if start is None:
        yield _read_any_layout(source, iter(()), 0, column, all_keys)
        return
    source.skip(start)
    number, rest = yield from read_one_a_line(source, column, all_keys, source.head)
    start = chain((_STAND_IN if number else b"[",), rest)
    yield _read_any_layout(source, start, number, column, all_keys, follows_stand_in=number > 0)


def read_array_part(source: ByteRange, column: str | None, all_keys: bool) -> Iterator[Iterable[Record]]:
    """Yield the records of a part of an array, of whose lines each is one record and a comma, in batches.

    Raises
    ------
    DataError
        It may be that the array is damaged, but also that its layout is another: the whole file tells.
    """
    if source.head:
        start = array_start(source)
        if start is None:
            raise source.error("expected a JSON array of records")
        source.skip(start)
    number, rest = yield from read_one_a_line(source, column, all_keys, source.head or source.line_before)
    first = next(rest, b"")
    if first or source.is_last:
        start = chain((_STAND_IN, first), rest)
        yield _read_any_layout(source, start, number, column, all_keys, follows_stand_in=True)


def _read_any_layout(
    source: ByteSource,
    start: Iterator[bytes],
    number: int,
    column: str | None,
    all_keys: bool,
    follows_stand_in: bool = False,
) -> Iterator[Record]:
    """Yield the records after the first `number`, by ijson, from `start` and what is left in `source`.

    `start` comes in small pieces: ijson makes all events of what it is given, and a record's size is counted
    by pieces.
    """
    _warn_of_slow_backend()
    checked = CheckedBytes(lambda: next(start, None) or source.read(), b"")
    events = iter(ijson.basic_parse(checked, buf_size=READ_BYTES))
    events = unique_keys(events) if all_keys else events
    wanted = WantedFields(column)
    try:
        first, _ = untrapped(next, events)
        if first == "start_map":
            yield untrapped(_single_record, source, events, wanted, column)
        elif first != "start_array":
            raise source.error("expected a JSON array of records, found a single value")
        elif follows_stand_in:
            next(events)
        while first == "start_array":
            element = untrapped(_next_element, events, wanted)
            if element is _END:
                break
            number += 1
            checked.start_record()
            yield record_from_json(element, f"record {number}", column)
        # Only white space may follow; anything else is the parser's error.
        checked.expect_end()
        untrapped(list, events)
    except (ijson.JSONError, RefusedBytesError, UnicodeDecodeError) as error:
        raise source.error(what_is_wrong(error, checked), f"record {number + 1}") from error


def array_start(source: ByteSource) -> int | None:
    """Return where the first element of an array begins in `source.head`; None where it is no array."""
    opening = _ARRAY_OPENING.match(source.head)
    return opening and opening.end()


def _next_element(events: Iterator[tuple[str, object]], wanted: WantedFields) -> object:
    """Return the next element of the array as the fast reader's decoder would; `_END` after the last."""
    event, value = next(events)
    if event == "end_array":
        return _END
    if event == "start_map":
        return _raw_record(events, wanted)
    _skip(events, event, value)
    return [] if event == "start_array" else _scalar(value)


def _raw_record(events: Iterator[tuple[str, object]], wanted: WantedFields) -> RawRecord:
    """Return the wanted fields of the object whose start has been read; each stands there once."""
    values: dict[str, object] = {}
    key = ""
    for event, value in events:
        if event == "map_key":
            key = value
            if key in values:
                raise RefusedBytesError(repeated(key))
        elif event == "end_map":
            break
        elif key not in wanted.inner:
            _skip(events, event, value)
        else:
            values[key] = _small_value(events, event, value, wanted.inner[key])
    return wanted.raw_record(values)


def _small_value(
    events: Iterator[tuple[str, object]], event: str, value: object, keys: tuple[str, ...]
) -> object:
    """Return a value of a wanted field: of an object the first of `keys`, and of an array that it is one."""
    if event != "start_map" or not keys:
        _skip(events, event, value)
        return [] if event == "start_array" else {} if event == "start_map" else _scalar(value)
    fields: dict[str, object] = {}
    key = ""
    for inner, item in events:
        if inner == "map_key":
            key = item
            if key in fields:
                raise RefusedBytesError(repeated(key))
        elif inner == "end_map":
            break
        elif key == keys[0]:
            fields[key] = _small_value(events, inner, item, keys[1:])
        else:
            _skip(events, inner, item)
    return fields


def _skip(events: Iterator[tuple[str, object]], event: str, value: object) -> None:
    """Read on to the end of the value that begins with `event`."""
    if event not in _OPENINGS:
        check_number(value)
        return
    depth = 1
    for event, value in events:
        if event in _DEPTH_CHANGES:
            depth += _DEPTH_CHANGES[event]
            if depth > MAX_DEPTH:
                raise RefusedBytesError(f"nested more than {MAX_DEPTH} levels deep")
            if not depth:
                return
        elif event == "number":
            check_number(value)


def _scalar(value: object) -> object:
    """Return a value as other parsers would: numbers with a fraction as float, and too small ones as zero."""
    if isinstance(value, decimal.Decimal):
        return 0.0 if value.is_nan() else float(value)
    return value


def _single_record(
    source: ByteSource, events: Iterator[tuple[str, object]], wanted: WantedFields, column: str | None
) -> Record:
    record = record_from_json(_raw_record(events, wanted), "record 1", column)
    if record.error:
        raise source.error(f"expected a JSON array of records, found one object, and {record.error}")
    return record


@cache
def _warn_of_slow_backend() -> None:
    if ijson.backend_name == "python":
        logging.getLogger(__name__).warning(
            "ijson has no C extension here and reads JSON in pure Python, about 18 times slower: "
            "reinstall ijson from a wheel with the yajl2_c backend"
        )
