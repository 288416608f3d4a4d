"""Files to records: one stream for every format, in flat memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

from data.byte_source import ByteSource
from data.file_format import detect_format
from data.json_reader import read_json
from data.record import DETAIL_KEYS, Record
from data.sources import SourceFile, resolve_sources
from data.text_reader import read_csv, read_json_lines, read_text
from utils.config import FORMATS

__all__ = ["FORMATS", "Record", "SourceFile", "read_records", "resolve_sources"]


def read_records(
    path: Path,
    *,
    format: str = "auto",
    column: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Iterator[Record]:
    """Yield the records of one file in their order.

    Memory stays flat: one record and a few blocks are held. From a pipe, a line is yielded as soon as it is
    complete.

    Parameters
    ----------
    path
        The file, plain or gzip-compressed (told by its content); "-" for standard input.
    format
        One of `FORMATS`. "json": one array of records or names in any layout, or a single record; "jsonl":
        a record or name a line; "text": a name a line; "csv": with a header line, also ".tsv"; "auto": see
        `detect_format`.
    column
        The JSON key or CSV column that holds the name. By default `domain_name` or `domain` in JSON, and in
        CSV the one column that is called domain_name, domain, name, host, query or url.
    progress
        Called with the number of bytes newly read from the (compressed) file, once a block.

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
    with ByteSource(Path(path), progress) as source:
        if format not in FORMATS:
            raise source.error(f"unknown format {format!r}, expected one of {', '.join(FORMATS)}")
        chosen = detect_format(source) if format == "auto" else format
        if chosen in ("json", "jsonl") and column in DETAIL_KEYS:
            raise source.error(f"the key {column!r} tells where a name comes from, it cannot hold the name")
        records = _reader(source, chosen, column)
        first = next(records, None)
        if first is None:
            raise source.error("holds no record" if source.head else "is empty")
        yield first
        yield from records


def _reader(source: ByteSource, format: str, column: str | None) -> Iterator[Record]:
    match format:
        case "json":
            return read_json(source, column)
        case "jsonl":
            return read_json_lines(source, column)
        case "csv":
            return read_csv(source, column)
        case "text":
            return read_text(source)
    raise ValueError(f"no reader for the format {format!r}")
