"""Files of rows with named columns: CSV and its kin, and Zeek's logs.

Half a table is not trained on, so a row that cannot be read is an error; prediction goes on after it.
"""

import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from data.byte_source import ByteSource
from data.decoded_lines import decoded_lines
from data.domain_name import normalize_domain
from data.file_format import column_number, delimiter_of, is_name_heading, name_column, suffix_of
from data.record import DETAIL_KEYS, Record, day_of, malformed

# Which fields of Zeek's logs hold names: dns.log, http.log, ssl.log (docs.zeek.org, "Zeek Log Formats").
ZEEK_NAME_FIELDS = ("query", "host", "server_name")

_NO_FIELDS = (
    "expected a line that begins with #fields before the first row: take a part of a log with all of its # "
    "lines, or with none (grep -v '^#')"
)
_ESCAPED = re.compile(r"\\x([0-9a-fA-F]{2})")


def read_csv(
    source: ByteSource, column: str | None, keep_fields: bool = False, strict: bool = True
) -> Iterator[Record]:
    """Yield a record for each row below the header; blank rows are skipped.

    Parameters
    ----------
    source
        The file. Quoting is that of RFC 4180; for the delimiter see `delimiter_of`.
    column
        The header of the column with the names; None for the usual one, or for the only one, whose first cell
        is a row where it is a domain name; a row with more cells cannot be read then. A number that is no
        header counts columns from 1, and then the first line is a row like the others unless it holds a usual
        header there.
    keep_fields
        Whether records keep their row.
    strict
        Whether a row that cannot be read is an error; else it is a malformed record.

    Raises
    ------
    DataError
        The header lacks the column or cannot be read; a row cannot be read.
    """
    first = source.head.strip().partition(b"\n")[0].decode(errors="replace")
    table: _Table | None = None
    for position, row in _csv_rows(source, delimiter_of(first, suffix_of(source))):
        if isinstance(row, _BadRow):
            if strict or table is None:
                raise source.error(row.problem, position)
            yield malformed(row.first, row.problem)
            continue
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if table is None:
            table, is_header = _first_table(cells, column, keep_fields, source, position)
            if is_header:
                continue
        if table.is_alone and any(cells[1:]):
            problem = f"expected one cell, as in the first row, found {len(cells)}"
            if strict:
                raise source.error(problem, position)
            yield malformed(position, problem)
            continue
        yield table.record(cells, position)


def read_zeek(source: ByteSource, column: str | None, keep_fields: bool = False) -> Iterator[Record]:
    r"""Yield a record for each row of a log in Zeek's own format (TSV; its JSON logs are JSON Lines).

    The `#fields` line names the columns; there may be several, as in logs that were put together. Values
    that are unset are no names; `\x` escapes are undone in the name.

    Parameters
    ----------
    column
        The field with the names, or its number from 1; None for the one of `ZEEK_NAME_FIELDS` that is there.

    Raises
    ------
    DataError
        A row comes before any `#fields` line, or there is no such field.
    """
    separator, unset, empty = "\t", "-", "(empty)"
    table: _Table | None = None
    for position, line, problem in decoded_lines(source):
        if problem is not None:
            yield malformed(position, problem)
        elif line.startswith("#separator "):
            separator = _unescape(line.partition(" ")[2].strip())
        elif line.startswith("#"):
            key, *values = line.rstrip("\r").split(separator)
            if key == "#fields":
                index = name_column(values, column, source.name, usual=ZEEK_NAME_FIELDS, position=position)
                table = _Table(values, index, keep_fields)
            elif key == "#unset_field":
                unset = "".join(values)
            elif key == "#empty_field":
                empty = "".join(values)
        elif line.strip():
            if table is None:
                raise source.error(_NO_FIELDS, position)
            cells = line.rstrip("\r").split(separator)
            name = cells[table.index] if table.index < len(cells) else ""
            if name in (unset, empty):
                yield table.without_name(
                    cells, position, f"the field {table.header[table.index]!r} is not set"
                )
                continue
            if "\\x" in name:
                cells[table.index] = _unescape(name)
            yield table.record(cells, position)


class _Table:
    """The columns of a file, and how a row becomes a record.

    `is_alone`: whether the names' column was taken because there is no other.
    """

    def __init__(self, header: list[str], index: int, keep_fields: bool, is_alone: bool = False) -> None:
        self.header = header
        self.index = index
        self.is_alone = is_alone
        self._keep = keep_fields
        # Nearly all files have none of these: then a row costs no look-up.
        self._details = [(key, header.index(key)) for key in DETAIL_KEYS if key in header]

    def record(self, cells: Sequence[str], position: str) -> Record:
        """Return the record of a row."""
        if len(cells) <= self.index:
            have = f"{len(cells)} of {max(len(self.header), self.index + 1)} cells"
            column = self.header[self.index] if self.index < len(self.header) else str(self.index + 1)
            return self.without_name(cells, position, f"the row ends before the column {column!r}: {have}")
        source = day = family = None
        if self._details:
            details = {key: cells[place] for key, place in self._details if place < len(cells)}
            source = details.get("source") or None
            day = day_of(details.get("sourced_on"))
            family = details.get("malware") or details.get("malware_type") or None
        name = cells[self.index]
        return Record(name, source, day, family, position, None, False, self._fields(cells))

    def without_name(self, cells: Sequence[str], position: str, error: str) -> Record:
        """Return the record of a row that has no name."""
        return Record(None, None, None, None, position, error, False, self._fields(cells))

    def _fields(self, cells: Sequence[str]) -> object:
        """Return the row with every column of the header, and cells beyond it under their number."""
        if not self._keep:
            return msgspec.UNSET
        missing = len(self.header) - len(cells)
        fields = dict(zip(self.header, [*cells, *[""] * missing], strict=False))
        fields.update((str(place), cells[place - 1]) for place in range(len(self.header) + 1, len(cells) + 1))
        return fields


def _first_table(
    cells: list[str], column: str | None, keep_fields: bool, source: ByteSource, position: str
) -> tuple[_Table, bool]:
    """Return the columns that the first row of a CSV file tells, and whether it is a header."""
    by_number = [str(n) for n in range(1, len(cells) + 1)]
    if column is None and len(cells) == 1 and not is_name_heading(cells[0]):
        name = normalize_domain(cells[0])
        if isinstance(name, str):
            return _Table(by_number, 0, keep_fields, is_alone=True), False
        # An address is a row of another kind of list; a mark is a comment, or JSON.
        if cells[0][0].isalpha() and name.reason not in ("ip_address", "email_address"):
            return _Table(cells, 0, keep_fields, is_alone=True), True
    index = name_column(cells, column, source.name, position=position)
    if column in cells or column_number(column) is None or is_name_heading(cells[index]):
        return _Table(cells, index, keep_fields), True
    return _Table(by_number, index, keep_fields), False


class _Lines:
    """The lines of a CSV file for `csv.reader`, which takes as many as a row needs."""

    def __init__(self, source: ByteSource) -> None:
        self._lines = decoded_lines(source)
        self._given_back: deque[tuple[str, str | None, str | None]] = deque()
        self.taken: list[tuple[str, str | None, str | None]] = []

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._given_back.popleft() if self._given_back else next(self._lines)
        self.taken.append(line)
        if line[1] is None:
            raise _BadLineError
        # The line feed stays: a quoted cell may hold one.
        return line[1] + "\n"

    def give_back(self) -> None:
        """Take back the lines of this row but its first."""
        self._given_back.extendleft(reversed(self.taken[1:]))


class _BadLineError(Exception):
    """A line that is no text; never leaves this module."""


class _BadRow(NamedTuple):
    """The place of a bad row's first line, and what is wrong."""

    first: str
    problem: str


def _csv_rows(source: ByteSource, delimiter: str) -> Iterator[tuple[str, list[str] | _BadRow]]:
    """Yield the position of each row's last line, and its cells or what is wrong.

    A quote that is never closed would take all that follows into one cell: after a bad row of several lines
    reading goes on with the second of them.
    """
    lines = _Lines(source)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.taken.clear()
        try:
            row = next(rows)
        except StopIteration:
            return
        except (csv.Error, _BadLineError) as error:
            last, _, problem = lines.taken[-1]
            bad = _BadRow(lines.taken[0][0], problem or f"not valid CSV ({error})")
            lines.give_back()
            rows = csv.reader(lines, delimiter=delimiter, strict=True)
            yield last, bad
        else:
            yield lines.taken[-1][0], row


def _unescape(text: str) -> str:
    r"""Return `text` with every run of `\xNN` as the UTF-8 text that the bytes are."""
    raw = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    try:
        return raw.encode("latin-1").decode("utf-8")
    except (UnicodeEncodeError, UnicodeDecodeError):
        return raw
