"""JSON arrays of records that are kept whole or whose name lies deep: slower than `data.json_reader`.

Records keep their bytes where they stand one a line, as mongoexport writes them. In any other layout they are
built and written again: the same values in the same order, without white space, and of a key that may stand
twice, the last.
"""

import decimal
import math
from collections.abc import Callable, Iterator
from itertools import chain

import ijson
import msgspec

from data import byte_source
from data.byte_source import READ_BYTES, ByteSource
from data.json_checks import CheckedBytes, RefusedBytesError, check_number, untrapped, what_is_wrong
from data.json_keys import unique_keys
from data.json_reader import array_start
from data.record import Record, WantedFields, record_from_json
from data.record_decoder import REFUSALS, ObjectWithRepeats, RecordDecoder, check_read_keys

MAX_DEPTH = 500  # msgspec's own limit lies near Python's recursion limit (1,000)

_encode = msgspec.json.Encoder(decimal_format="number").encode


def read_whole_json(
    source: ByteSource, column: str | None, keep_fields: bool, all_keys: bool
) -> Iterator[Record]:
    """Yield the records of one JSON array in any layout, or of one JSON object that is a record.

    Raises
    ------
    DataError
        After the good records: the JSON is damaged or ends early, with the number of the record where it is.
    """
    if not source.head.strip():
        return
    decode = RecordDecoder(column, all_keys).decode
    number = 0
    start = array_start(source)
    if start is None:
        rest = b""
    else:
        source.skip(start)
        rest = b"["
        for line in source.pieces(byte_source.MAX_RECORD_BYTES):
            record = _record_of_line(line, number + 1, column, decode, keep_fields)
            if record is None:
                # The stand-in keeps the grammar: an array must not end right after a comma.
                rest = (b"[null," if number else b"[") + line
                break
            number += 1
            yield record
    yield from _read_any_layout(source, rest, number, column, keep_fields, all_keys)


def _record_of_line(
    line: bytes, number: int, column: str | None, decode: Callable[[bytes], object], keep: bool
) -> Record | None:
    """Return the record of a line that is one value and a comma; None for any other."""
    value = line.rstrip(b"\r\n").removesuffix(b",")
    if not line.endswith((b",\n", b",\r\n")):
        return None
    try:
        element = decode(value)
    except REFUSALS:
        return None
    record = record_from_json(element, f"record {number}", column)
    if keep:
        record.fields = msgspec.Raw(value.strip())
    return record


def _read_any_layout(
    source: ByteSource, start: bytes, number: int, column: str | None, keep: bool, all_keys: bool
) -> Iterator[Record]:
    """Yield the records after the first `number`, by ijson, from `start` and what is left in `source`."""
    parts = (start[place : place + READ_BYTES] for place in range(0, len(start), READ_BYTES))
    checked = CheckedBytes(lambda: next(parts, None) or source.read(), b"")
    events = iter(ijson.basic_parse(checked, buf_size=READ_BYTES))
    events = unique_keys(events) if all_keys else events
    wanted = WantedFields(column)
    decode = RecordDecoder(column, all_keys=False).decode  # of what is built anew: no key stands twice in it
    try:
        event, value = untrapped(next, events)
        is_array = event == "start_array"
        if number:
            next(events)  # the stand-in
        while True:
            if is_array:
                event, value = untrapped(next, events)
            if event == "end_array":
                break
            built = untrapped(_build, chain([(event, value)], events))
            check_read_keys(built, wanted)
            element = _encode(built)
            number += 1
            checked.start_record()
            record = record_from_json(decode(element), f"record {number}", column)
            if not is_array and (event != "start_map" or record.error):
                problem = record.error or "a single value"
                raise source.error(f"expected a JSON array of records, found one object, and {problem}")
            if keep:
                record.fields = msgspec.Raw(element)
            yield record
            if not is_array:
                break
        checked.expect_end()
        untrapped(list, events)
    except (ijson.JSONError, RefusedBytesError, UnicodeDecodeError) as error:
        raise source.error(what_is_wrong(error, checked), f"record {number + 1}") from error


def _build(events: Iterator[tuple[str, object]]) -> object:
    """Return the next value; numbers as they are, as far as they are numbers that JSON output can hold."""
    builder = ijson.ObjectBuilder(map_type=ObjectWithRepeats)
    depth = 0
    for event, value in events:
        if event in ("start_map", "start_array"):
            depth += 1
            if depth > MAX_DEPTH:
                raise RefusedBytesError(f"nested more than {MAX_DEPTH} levels deep")
        elif event in ("end_map", "end_array"):
            depth -= 1
        elif event == "number":
            value = _plain_number(value)
        builder.event(event, value)
        if not depth and event != "map_key":
            return builder.value
    raise RefusedBytesError("the value does not end")


def _plain_number(value: int | decimal.Decimal) -> int | decimal.Decimal | None:
    check_number(value)
    if isinstance(value, int):
        return value
    return value if math.isfinite(value) else None  # as a float: 1e400 is infinite
