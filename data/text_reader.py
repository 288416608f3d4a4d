"""Files of lines: one name a line, names in a column between white space, and JSON Lines."""

from collections.abc import Iterable, Iterator

import msgspec

from data.byte_source import ByteSource
from data.decoded_lines import TOO_LONG, decoded_lines
from data.json_checks import RefusedBytesError
from data.record import Record, malformed, record_from_json, records_from_json
from data.record_decoder import REFUSALS, RecordDecoder


def read_text(source: ByteSource, keep_fields: bool = False) -> Iterator[Record]:
    """Yield a record for each line that is not blank; a line that is no UTF-8 is malformed."""
    for position, line, problem in decoded_lines(source):
        if problem is not None:
            yield malformed(position, problem)
            continue
        name = line.strip()
        if name:
            fields = {"line": name} if keep_fields else msgspec.UNSET
            yield Record(name, None, None, None, position, None, False, fields)


def read_columns(source: ByteSource, number: int, keep_fields: bool = False) -> Iterator[Record]:
    """Yield a record for each line that is not blank: what stands in its column `number`, from 1.

    Columns stand between tabs where the line holds one, else between runs of white space.
    """
    for position, line, problem in decoded_lines(source):
        if problem is not None:
            yield malformed(position, problem)
            continue
        cells = line.split("\t") if "\t" in line else line.split()
        if not any(cells) or line.isspace():
            continue
        fields = {"line": line.strip()} if keep_fields else msgspec.UNSET
        if len(cells) < number:
            error = f"expected a name in column {number}, found {len(cells)} of {number} columns"
            yield Record(None, None, None, None, position, error, False, fields)
        else:
            yield Record(cells[number - 1].strip(), None, None, None, position, None, False, fields)


def read_json_lines(
    source: ByteSource, column: str | None, keep_fields: bool, all_keys: bool
) -> Iterator[Iterable[Record]]:
    """Yield a record for each line that is not blank, in batches; a line that is no JSON value is malformed.

    Each batch is to be taken before the next is asked for.
    """
    decoder = RecordDecoder(column, all_keys)
    number = 0
    for buffer, start, end in source.line_blocks():
        if not end:
            number += 1
            yield [malformed(f"line {number}", TOO_LONG)]
            continue
        spans = _spans_of_lines(buffer, start, end)
        try:
            elements = decoder.decode_spans(buffer, spans)
        except REFUSALS:  # there may be blank lines, too
            yield _read_line_by_line(buffer, spans, number, decoder, column, keep_fields)
        else:
            records = records_from_json(elements, "line", number + 1, column)
            yield _with_lines(records, buffer, spans) if keep_fields else records
        number += len(spans)


def _read_line_by_line(
    buffer: bytearray,
    spans: list[tuple[int, int]],
    number: int,
    decoder: RecordDecoder,
    column: str | None,
    keep_fields: bool,
) -> Iterator[Record]:
    """Yield the records of lines that come after the first `number`."""
    for place, (start, end) in enumerate(spans, start=number + 1):
        line = bytes(buffer[start:end])
        if not line or line.isspace():
            continue
        try:
            record = record_from_json(decoder.decode(line), f"line {place}", column)
        except REFUSALS as error:
            yield malformed(f"line {place}", _problem(error))
            continue
        if keep_fields:
            record.fields = msgspec.Raw(line.strip())
        yield record


def _with_lines(
    records: Iterable[Record], buffer: bytearray, spans: list[tuple[int, int]]
) -> Iterator[Record]:
    """Yield the records, each with its whole line."""
    for record, (start, end) in zip(records, spans, strict=True):
        record.fields = msgspec.Raw(bytes(buffer[start:end]).strip())
        yield record


def _spans_of_lines(buffer: bytearray, start: int, end: int) -> list[tuple[int, int]]:
    """Return where each line begins and ends, without its line feed; the last of a file may have none."""
    spans = []
    while start < end:
        line_end = buffer.find(b"\n", start, end)
        line_end = line_end if line_end >= 0 else end
        spans.append((start, line_end))
        start = line_end + 1
    return spans


def _problem(error: Exception) -> str:
    """Return what to say of a line of JSON that cannot be read."""
    if isinstance(error, UnicodeDecodeError):
        return f"expected UTF-8 text, found {error.reason} at byte {error.start + 1}"
    if isinstance(error, RecursionError):
        return "the JSON value is nested too deeply"
    return str(error) if isinstance(error, RefusedBytesError) else f"not one JSON object or string: {error}"
