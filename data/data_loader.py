"""Files to records: one stream for every format, in flat memory."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from data.byte_range import ByteRange
from data.byte_source import STDIN, ByteSource
from data.fast_json import warn_where_it_is_missing
from data.file_format import column_number, detect_format
from data.json_reader import read_array_part, read_json
from data.record import DETAIL_KEYS, Record, is_path
from data.sources import SourceFile, resolve_sources
from data.table_reader import read_csv, read_zeek
from data.text_reader import read_columns, read_json_lines, read_text
from data.whole_json_reader import read_whole_json
from utils.config import FORMATS

__all__ = ["FORMATS", "Record", "SourceFile", "read_records", "resolve_sources"]


def read_records(
    path: Path,
    *,
    format: str = "auto",
    column: str | None = None,
    keep_fields: bool = False,
    strict: bool = True,
    look_at_json: Callable[[bytes], object] | None = None,
    progress: Callable[[int], object] | None = None,
    span: tuple[int, int] | None = None,
    all_keys: bool = True,
) -> Iterator[Record]:
    """Yield the records of one file in their order.

    Memory stays flat: one record and a few blocks are held. From a pipe, a line is yielded as soon as it is
    complete.

    Parameters
    ----------
    path
        The file, plain or compressed by gzip or zstandard (told by its content); "-" for standard input.
    format
        One of `FORMATS`. "json": one array of records or names in any layout, or a single record; "jsonl":
        a record or name a line; "text": a name a line, or a column of each line; "csv": with a header line,
        also ".tsv"; "zeek": Zeek's own log format; "auto": see `detect_format`.
    column
        What holds the name. A JSON key, by default `domain_name` or `domain`, or the way to one
        ("dns.rrname"); a column of CSV, by default the one of
        `data.file_format.NAME_COLUMNS` that is there; a field of a Zeek log, by default query, host or
        server_name. A number counts columns from 1 in text lines, Zeek logs, and CSV without a header.
    keep_fields
        Whether each record keeps its whole row in `fields`.
    strict
        Whether a CSV row that cannot be read is an error, and so is a stream (standard input, a named pipe)
        without a record; else the row is `malformed` like a line of text, and the stream yields nothing.
    look_at_json
        Called with the start of a file of JSON, before the first record.
    progress
        Called with the number of bytes newly read from the (compressed) file, once a block.
    span
        Read only the lines between two places, from `data.file_parts.split_file`; `format` is its, too. Lines
        and records are counted from the first place on, and `position` says so. Not with `keep_fields` or a
        path as `column` where the format is "json".
    all_keys
        Whether no key of a JSON object may stand twice, or only none that is read, which takes less time.

    Yields
    ------
    Record
        A row without a name has `error` set. A line of JSON Lines or text that cannot be read is `malformed`,
        and reading goes on after it.

    Raises
    ------
    DataError
        While iterating, after the records before: the file cannot be opened or read, is damaged, truncated or
        binary, is not of the format, lacks the column, has a record of an array beyond 16 MiB, or holds no
        record at all.
    """
    path = Path(path)
    with ByteSource(path, progress) if span is None else ByteRange(path, *span, progress) as source:
        if format not in FORMATS:
            raise source.error(f"unknown format {format!r}, expected one of {', '.join(FORMATS)}")
        may_be_empty = span is not None or not (strict or _is_regular_file(path))
        if may_be_empty and span is None and not source.head:
            return
        chosen = detect_format(source) if format == "auto" else format
        if chosen in ("json", "jsonl"):
            if column in DETAIL_KEYS:
                raise source.error(
                    f"the key {column!r} tells where a name comes from, it cannot hold the name"
                )
            if look_at_json is not None:
                look_at_json(source.head)
            if not all_keys:
                warn_where_it_is_missing()
        if span is not None and chosen == "json":
            records = chain.from_iterable(read_array_part(source, column, all_keys))
        else:
            records = _reader(source, chosen, column, keep_fields, strict, all_keys)
        if span is not None and span[0]:
            records = _placed_after(span[0], records)
        first = next(records, None)
        if first is None:
            if may_be_empty:
                return
            raise source.error("holds no record" if source.head else "is empty")
        yield first
        yield from records


def _is_regular_file(path: Path) -> bool:
    return path != STDIN and path.is_file()


def _placed_after(start: int, records: Iterator[Record]) -> Iterator[Record]:
    """Say of rows without a name what their line is counted from."""
    for record in records:
        if record.error is not None:
            record.position += f" after byte {start}"
        yield record


def _reader(
    source: ByteSource, format: str, column: str | None, keep_fields: bool, strict: bool, all_keys: bool
) -> Iterator[Record]:
    match format:
        case "json" if keep_fields or is_path(column):
            return read_whole_json(source, column, keep_fields, all_keys)
        case "json":
            return chain.from_iterable(read_json(source, column, all_keys))
        case "jsonl":
            return chain.from_iterable(read_json_lines(source, column, keep_fields, all_keys))
        case "csv":
            return read_csv(source, column, keep_fields, strict)
        case "zeek":
            return read_zeek(source, column, keep_fields)
        case "text" if (number := column_number(column)) is not None:
            return read_columns(source, number, keep_fields)
        case "text" if column is not None:
            raise source.error(
                f"has lines of text without a header, so that columns have numbers: 1, 2, … Got --column "
                f"{column} (of a log, `tail -f` leaves the header out, and `tail -n +1 -f` does not)"
            )
        case "text":
            return read_text(source, keep_fields)
    raise ValueError(f"no reader for the format {format!r}")
