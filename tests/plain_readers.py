"""Slow readers of name files, written from the documents alone, to hold the project's readers against.

Each returns the rows of a file up to where it is damaged, and what is wrong there, None where nothing is. A
row is the name as it stands, `NO_NAME` for a record without one, or `MALFORMED` for a line that is no record.
"""

import codecs
import json
import re
from collections.abc import Iterator

from data.domain_name import Rejected, normalize_domain

NO_NAME = object()
MALFORMED = object()
_WHITE_SPACE = " \t\n\r"
_CSV_COLUMNS = {"domain_name", "domain", "name", "host", "query", "url"}


class _Object(dict):
    """A JSON object, each of whose keys stands once."""

    def __init__(self, pairs: list[tuple[str, object]]) -> None:
        super().__init__(pairs)
        if len(self) < len(pairs):
            raise ValueError("a key stands twice")


def plain_rows(data: bytes, format: str) -> tuple[list[object], str | None]:
    """Return the rows of `data`, a file of `format`, and what is wrong after them."""
    data = data.removeprefix(codecs.BOM_UTF8)
    if b"\x00" in data.lstrip().partition(b"\n")[0]:
        return [], "a zero byte in the first line: binary"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return [], "UTF-16"
    rows: list[object] = []
    try:
        for row in {"json": _json, "jsonl": _json_lines, "csv": _csv, "text": _text}[format](data):
            rows.append(row)  # keeps what comes before an error
    except ValueError as error:
        return rows, str(error)
    return rows, None if rows else "no record"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _integer(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
        raise ValueError("an integer beyond 64 bits")
    return int(text)


_decoder = json.JSONDecoder(object_pairs_hook=_Object, parse_constant=_no_constant, parse_int=_integer)


def _json(data: bytes) -> Iterator[object]:
    """One array, or one object that has a name."""
    text, problem = _decoded(data)
    place = _skip(text, 0)
    if text[place : place + 1] != "[":
        value, place = _value(text, place)
        if not isinstance(value, _Object) or _name(value) is NO_NAME:
            raise ValueError("neither an array nor a record")
        yield _name(value)
        if _skip(text, place) < len(text) or problem:
            raise ValueError(problem or "something after the record")
        return
    place = _skip(text, place + 1)
    if text[place : place + 1] != "]":
        while True:
            value, place = _value(text, place)
            yield _name(value)
            place = _skip(text, place)
            if text[place : place + 1] == "]":
                break
            if text[place : place + 1] != ",":
                raise ValueError("no comma")
            place += 1
    if _skip(text, place + 1) < len(text) or problem:
        raise ValueError(problem or "something after the array")


def _json_lines(data: bytes) -> Iterator[object]:
    for line in data.split(b"\n"):
        if not line.strip(b" \t\r\x0b\x0c"):
            continue
        try:
            text, problem = _decoded(line)
            value, place = _value(text, 0)
            yield MALFORMED if problem or _skip(text, place) < len(text) else _name(value)
        except ValueError:
            yield MALFORMED


def _text(data: bytes) -> Iterator[object]:
    for line in data.split(b"\n"):
        text, problem = _decoded(line)
        if problem:
            yield MALFORMED
        elif name := text.strip():
            yield name


def _csv(data: bytes) -> Iterator[object]:
    """After a row that cannot be read it goes on with the next line, but not before there is a header."""
    column: int | None = None
    is_alone = False
    for cells in _csv_rows(data):
        if cells is None:
            if column is None:
                raise ValueError("no header that can be read")
            yield MALFORMED
        elif not any(cell.strip() for cell in cells):
            continue
        elif column is None:
            header = [cell.strip().lower() for cell in cells]
            if len(cells) == 1 and header[0] not in _CSV_COLUMNS:
                column, is_alone = 0, True
                if _is_lone_name(cells[0].strip()):
                    yield cells[0].strip()
                continue
            found = [index for index, cell in enumerate(header) if cell in _CSV_COLUMNS]
            if len(found) != 1:
                raise ValueError("not one column of names")
            column = found[0]
        elif is_alone and any(cell.strip() for cell in cells[1:]):
            yield MALFORMED
        else:
            yield cells[column].strip() if len(cells) > column else NO_NAME


def _is_lone_name(cell: str) -> bool:
    """Tell whether the first cell of a file of one column is a row; else it is a heading."""
    name = normalize_domain(cell)
    if isinstance(name, Rejected) and (
        name.reason in ("ip_address", "email_address") or not cell[0].isalpha()
    ):
        raise ValueError("neither a heading nor a name")
    return isinstance(name, str)


def _csv_rows(data: bytes) -> Iterator[list[str] | None]:
    """Yield the cells of each row, None for one that cannot be read."""
    bare = re.sub(r'"[^"]*"', "", data.strip().partition(b"\n")[0].decode(errors="replace"))
    delimiter = max(",;\t|", key=bare.count)
    lines = data.split(b"\n")
    lines = lines if lines[-1] else lines[:-1]
    start = 0
    while start < len(lines):
        cells, start = _csv_row(lines, start, delimiter)
        yield cells


def _csv_row(lines: list[bytes], start: int, delimiter: str) -> tuple[list[str] | None, int]:
    """Return the row that begins at a line, None where it cannot be read, and the number of the next line.

    RFC 4180: a quote may begin a cell, is doubled inside, and ends at a delimiter or at the row's end.
    """
    cells, cell, quoted, ended = [], "", False, False
    for number in range(start, len(lines)):
        text, problem = _decoded(lines[number])
        if problem:
            return None, start + 1
        for place, c in enumerate(text):
            if quoted:
                if c == '"':
                    quoted, ended = False, True
                else:
                    cell += c
            elif ended and c == '"':
                cell, quoted, ended = cell + c, True, False
            elif c == delimiter:
                cells.append(cell)
                cell, ended = "", False
            elif c == "\r" and not text[place:].strip("\r"):
                break
            elif ended or c == "\r":  # after the closing quote; a carriage return in a row
                return None, start + 1
            elif c == '"' and not cell and not (place and text[place - 1] != delimiter):
                quoted = True
            else:
                cell += c
        if not quoted:
            return [*cells, cell], number + 1
        cell += "\n"
    return None, start + 1  # the quote is never closed


def _decoded(data: bytes) -> tuple[str, str | None]:
    """Return the text up to the first byte that is no UTF-8, and whether there is one."""
    try:
        return data.decode(), None
    except UnicodeDecodeError as error:
        return data[: error.start].decode(), "no UTF-8"


def _skip(text: str, place: int) -> int:
    while place < len(text) and text[place] in _WHITE_SPACE:
        place += 1
    return place


def _value(text: str, place: int) -> tuple[object, int]:
    """Return one JSON value and where it ends; half a surrogate pair in it is an error."""
    value, end = _decoder.raw_decode(text, _skip(text, place))
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("half of a surrogate pair") from None
    return value, end


def _name(value: object) -> object:
    """Return what stands in a record's name, `domain_name` first."""
    if isinstance(value, _Object):
        value = value.get("domain_name", value.get("domain"))
    return NO_NAME if value is None or isinstance(value, list | dict) else value
