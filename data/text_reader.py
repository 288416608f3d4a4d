"""Files of lines: one name a line, JSON Lines, and CSV."""

import csv
from collections.abc import Iterator

import msgspec

from data.byte_source import MAX_RECORD_BYTES, ByteSource
from data.file_format import delimiter_of, name_column, suffix_of
from data.record import Record, day_of, json_decoder, record_from_json

_TOO_LONG = f"the line is longer than {MAX_RECORD_BYTES // 2**20} MiB"


def read_text(source: ByteSource) -> Iterator[Record]:
    """Yield a record for each line that is not blank; a line that is no UTF-8 is malformed."""
    for number, line in enumerate(source.lines(), start=1):
        position = f"line {number}"
        if line is None:
            yield _malformed(position, _TOO_LONG)
            continue
        try:
            name = line.decode().strip()
        except UnicodeDecodeError as error:
            yield _malformed(position, f"expected UTF-8 text, found the byte 0x{line[error.start]:02x}")
            continue
        if name:
            yield Record(name, None, None, None, position)


def read_json_lines(source: ByteSource, column: str | None) -> Iterator[Record]:
    """Yield a record for each line that is not blank; a line that is no JSON value is malformed."""
    decode = json_decoder(column).decode
    for number, line in enumerate(source.lines(), start=1):
        position = f"line {number}"
        if line is None:
            yield _malformed(position, _TOO_LONG)
            continue
        if not line or line.isspace():
            continue
        try:
            if not line.isascii():
                line.decode()  # the decoder does not look into the strings that it skips
            element = decode(line)
        except UnicodeDecodeError as error:
            yield _malformed(position, f"expected UTF-8 text, found {error.reason} at byte {error.start + 1}")
        except msgspec.DecodeError as error:
            yield _malformed(position, f"not one JSON object or string: {error}")
        except RecursionError:
            yield _malformed(position, "the JSON value is nested too deeply")
        else:
            yield record_from_json(element, position, column)


def read_csv(source: ByteSource, column: str | None) -> Iterator[Record]:
    """Yield a record for each row below the header; blank rows are skipped.

    Parameters
    ----------
    source
        The file. Quoting is that of RFC 4180; for the delimiter see `delimiter_of`.
    column
        The header of the column with the names; None for the usual one.

    Raises
    ------
    DataError
        The header lacks the column; the text is no UTF-8; the quoting is wrong.
    """
    header_line = source.head.strip().partition(b"\n")[0].decode(errors="replace")
    delimiter = delimiter_of(header_line, suffix_of(source))
    rows = csv.reader(_text_lines(source), delimiter=delimiter, strict=True)
    header: list[str] = []
    index = 0
    try:
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if header:
                yield _record_from_row(row, header, index, f"line {rows.line_num}")
            else:
                header = [cell.strip() for cell in row]
                index = name_column(header, column, source.name)
    except csv.Error as error:
        raise source.error(f"not valid CSV ({error})", f"line {rows.line_num}") from error


def _record_from_row(row: list[str], header: list[str], index: int, position: str) -> Record:
    if len(row) <= index:
        error = f"the row ends before the column {header[index]!r}: {len(row)} of {len(header)} cells"
        return Record(None, None, None, None, position, error)
    cells = {key: cell.strip() for key, cell in zip(header, row, strict=False) if cell.strip()}
    family = cells.get("malware") or cells.get("malware_type")
    return Record(row[index].strip(), cells.get("source"), day_of(cells.get("sourced_on")), family, position)


def _text_lines(source: ByteSource) -> Iterator[str]:
    for number, line in enumerate(source.lines(), start=1):
        if line is None:
            raise source.error(_TOO_LONG, f"line {number}")
        try:
            # The line feed stays: a quoted cell may hold one.
            yield line.decode() + "\n"
        except UnicodeDecodeError as error:
            found = f"expected UTF-8 text, found the byte 0x{line[error.start]:02x}"
            raise source.error(found, f"line {number}") from error


def _malformed(position: str, error: str) -> Record:
    return Record(None, None, None, None, position, error, malformed=True)
