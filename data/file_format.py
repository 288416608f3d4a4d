"""The formats of data files, and how a file's format is found out."""

import csv
import re
from pathlib import Path

import msgspec

from data.byte_source import ByteSource
from data.record import NAME_KEYS
from data.rejection import quote
from utils.errors import DataError

# Headers under which a CSV file may hold its names, when no column is asked for.
NAME_COLUMNS = (*NAME_KEYS, "name", "host", "hostname", "fqdn", "query", "url")

# Headers of a column that may say what class a row has. Training gives a file one class and reads none.
CLASS_COLUMNS = ("label", "labels", "class", "category", "target", "malicious", "is_malicious")

_SHOWN_COLUMNS = 20  # of those that are there, in an error
_SUFFIXES = {"jsonl": "jsonl", "ndjson": "jsonl", "txt": "text", "list": "text"}
_ARRAY_START = re.compile(rb"\s*\[\s*(?:[{\"\]]|$)")
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"')
_NUMBER = re.compile(r"[1-9][0-9]{0,5}").fullmatch
_ZEEK_STARTS = (b"#separator ", b"#fields\t")


def detect_format(source: ByteSource) -> str:
    """Return the format of a file from its first line and the suffix of its name, ".gz" and ".zst" aside.

    0. A line that begins with "#separator" or "#fields" is "zeek".
    1. ".csv" and ".tsv" are believed: "csv".
    2. An array that begins with an object, a string or its end is "json" whatever the suffix, and so is any
       array in a ".json" file.
    3. An object is "jsonl" where the first line holds all of it, else "json" (one record over several lines).
    4. ".jsonl", ".ndjson", ".txt" and ".list" are believed.
    5. A first line with a delimiter and the name of a usual name column is "csv".
    6. All else is "text", one name a line; but in a ".json" file it is an error.

    Raises
    ------
    DataError
        A ".json" file begins with neither an array nor an object nor a string; or the file is binary.
    """
    head = source.head
    suffix = suffix_of(source)
    if head.lstrip().startswith(_ZEEK_STARTS):
        return "zeek"
    if suffix in ("csv", "tsv"):
        return "csv"
    line = head.strip().partition(b"\n")[0].strip()
    if _ARRAY_START.match(head) or (suffix == "json" and line.startswith(b"[")):
        return "json"
    if line.startswith(b"{"):
        return "jsonl" if line.endswith(b"}") else "json"
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if line.startswith(b'"') and _is_json_text(line):
        return "jsonl"
    if suffix == "json" and line:
        found = line[:20].decode(errors="replace")
        raise source.error(f"expected a JSON array or one JSON object a line, found {found!r}", "line 1")
    return "csv" if _has_name_column(line.decode(errors="replace")) else "text"


def suffix_of(source: ByteSource) -> str:
    """Return what a file's name ends in, in lower case, without the dot and without ".gz" or ".zst"."""
    return source.name.lower().removesuffix(".gz").removesuffix(".zst").rpartition(".")[2]


def delimiter_of(header: str, suffix: str = "") -> str:
    """Return the delimiter of a CSV file: a tab in a ".tsv", else the one most frequent in the header line.

    What stands in quotes does not count; where there is none, it is a comma.
    """
    bare = _QUOTED.sub("", header)
    return "\t" if suffix == "tsv" else max(_DELIMITERS, key=bare.count)


def column_number(column: str | None) -> int | None:
    """Return the number of a column, from 1, where `column` is one; else None."""
    return int(column) if column is not None and _NUMBER(column) else None


def name_column(
    header: list[str],
    column: str | None,
    source_name: str,
    *,
    usual: tuple[str, ...] = NAME_COLUMNS,
    position: str = "line 1",
) -> int:
    """Return the index of the column with the names.

    Parameters
    ----------
    header
        The cells of the first line. "Domain Name" is domain_name, too.
    column
        The column asked for: its heading or, where none is so called, its number from 1; None for the one of
        `usual` that is there.
    source_name, position
        What to call the file in the error, and the header's place.

    Raises
    ------
    DataError
        The column is not there or there twice, or none or several of `usual` are.
    """
    found = [index for index, cell in enumerate(header) if cell == column]
    if not found:
        wanted = usual if column is None else (_heading(column),)
        found = [index for index, cell in enumerate(header) if _heading(cell) in wanted]
    number = column_number(column)
    if not found and number is not None and number <= len(header):
        found = [number - 1]
    if len(found) == 1:
        return found[0]
    columns = ", ".join(map(quote, header[:_SHOWN_COLUMNS]))
    if len(header) > _SHOWN_COLUMNS:
        columns += f" and {len(header) - _SHOWN_COLUMNS:,} more"
    if column is not None:
        problem = f"expected {'one' if found else 'a'} column {column!r}, found the columns {columns}"
    else:
        problem = (
            f"expected a header line with exactly one of the columns {', '.join(usual)}, found the columns "
            f"{columns}; predict.py takes --column NAME, or a number where there is no header"
        )
    raise DataError(source_name, problem, position)


def class_column(path: Path, format: str) -> str | None:
    """Return the heading of a CSV file's column that seems to hold classes; None where there is none.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    with ByteSource(path) as source:
        if (detect_format(source) if format == "auto" else format) != "csv":
            return None
        line = source.head.strip().partition(b"\n")[0].decode(errors="replace")
        header = next(csv.reader([line], delimiter=delimiter_of(line, suffix_of(source))), [])
    return next((cell.strip() for cell in header if _heading(cell) in CLASS_COLUMNS), None)


def is_name_heading(cell: str) -> bool:
    """Tell whether a cell is what a column of names is usually called, and so no name itself."""
    return _heading(cell) in NAME_COLUMNS


def _heading(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_")


def _has_name_column(line: str) -> bool:
    cells = [cell.strip().strip('"') for cell in line.split(delimiter_of(line))]
    return len(cells) > 1 and any(map(is_name_heading, cells))


def _is_json_text(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
