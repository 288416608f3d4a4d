"""Predictions to bytes: JSON array, JSON Lines and CSV. For people: `utils.prediction_table`."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from utils.errors import ConfigError
from utils.prediction import Prediction

OUTPUT_FORMATS = {"json": "a JSON array", "jsonl": "JSON Lines", "csv": "CSV", "table": "a table for people"}
_FORMAT_OF_SUFFIX = {".json": "json", ".jsonl": "jsonl", ".csv": "csv"}
# A spreadsheet takes a cell that starts with one of these for a formula (OWASP, "CSV injection").
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def output_format(path: Path | None, format: str | None = None, *, is_terminal: bool = False) -> str:
    """Return which of `OUTPUT_FORMATS` to write.

    Parameters
    ----------
    path
        The output file, whose suffix decides where `format` is None; None for stdout: a table on a terminal,
        else JSON Lines.
    format
        What the user asked for.
    is_terminal
        Whether stdout is a terminal.

    Raises
    ------
    ConfigError
        The suffix tells no format, or another one than was asked for.
    """
    if path is None:
        return format or ("table" if is_terminal else "jsonl")
    told = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if format is None and told is None:
        known = ", ".join(_FORMAT_OF_SUFFIX)
        raise ConfigError(
            f"--output {path}: the name must end in {known}, or --format must say what to write"
        )
    if format is not None and told not in (None, format):
        raise ConfigError(
            f"--output {path} and --format {format} differ: --format is the output's format, "
            "--input-format the input's"
        )
    return format or told


def _printable(data: bytes) -> bytes:
    """Escape the control characters that JSON lets pass: U+009B, for one, steers a terminal as ESC [ does."""
    if b"\x7f" not in data and b"\xc2" not in data:
        return data
    return _CONTROLS.sub(lambda match: b"\\u00%02x" % match[0][-1], data)


class Encoder(Protocol):
    """What turns predictions into the bytes of one output."""

    def start(self) -> bytes:
        """Return what comes before the rows."""

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        """Return some rows."""

    def end(self) -> bytes:
        """Return what comes after the rows."""

    def state(self) -> dict:
        """Return what an encoder must know to go on after these rows, as JSON can hold it."""

    def go_on(self, state: Mapping) -> None:
        """Go on where the encoder stopped that returned `state`."""


class JsonLines:
    """One object a line."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_lines

    def start(self) -> bytes:
        return b""

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        return _printable(self._encode(predictions))

    def end(self) -> bytes:
        return b""

    def state(self) -> dict:
        return {}

    def go_on(self, state: Mapping) -> None:
        pass


class JsonArray:
    """One array, one row on each line."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_lines
        self._separator = b"\n"

    def start(self) -> bytes:
        return b"["

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        if not predictions:
            return b""
        # No value holds a raw line feed (JSON escapes it), so each one is the end of a row.
        text = self._separator + _printable(self._encode(predictions))[:-1].replace(b"\n", b",\n")
        self._separator = b",\n"
        return text

    def end(self) -> bytes:
        return b"\n]\n"

    def state(self) -> dict:
        return {"separator": self._separator.decode()}

    def go_on(self, state: Mapping) -> None:
        self._separator = state["separator"].encode()


class Csv:
    """RFC 4180 with a header; no cell can be taken for a formula.

    Kept fields get a column each, `fields.NAME`, where the first row has them as a mapping: rows of CSV files
    all have the same. Records of JSON stand as JSON text in one column `fields`.

    Parameters
    ----------
    classes
        Class names: a column each.
    keep_fields
        Whether the predictions hold the fields of their records.
    explain
        Whether they hold reasons: one column, in which "; " parts them.
    """

    def __init__(self, classes: Sequence[str], keep_fields: bool = False, explain: bool = False) -> None:
        self._classes = classes
        self._labels = {name: _plain_cell(name) for name in classes}
        self._explain = explain
        self._keep = keep_fields
        self._columns: list[str] | None = None  # of the kept fields; None before the first row

    def start(self) -> bytes:
        return b"" if self._keep else self._header()

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        if not predictions:
            return b""
        header = b""
        if self._keep and self._columns is None:
            fields = predictions[0].fields
            self._columns = list(fields) if isinstance(fields, dict) else []
            header = self._header()
        rows = [self._refused(p) if p.error is not None else self._answered(p) for p in predictions]
        if self._explain:
            rows = [
                (*row, _plain_cell("; ".join(p.reasons or ())))
                for row, p in zip(rows, predictions, strict=True)
            ]
        if self._keep:
            rows = [(*row, *self._kept_cells(p)) for row, p in zip(rows, predictions, strict=True)]
        return header + self._text(rows)

    def end(self) -> bytes:
        # A job without a row has not written its header.
        return self._header() if self._keep and self._columns is None else b""

    def state(self) -> dict:
        return {"columns": self._columns}

    def go_on(self, state: Mapping) -> None:
        self._columns = state["columns"]

    def _answered(self, p: Prediction) -> tuple:
        given, name, decider = p.domain, p.normalized, p.decided_by
        # Nearly every name begins with a letter or a digit, and then a test of one character is enough.
        return (
            given if type(given) is str and given[:1].isalnum() else _plain_cell(given),
            name if name[0].isalnum() else _plain_cell(name),
            self._labels[p.label],
            p.probability,
            *p.probabilities.values(),
            p.decision,
            p.score,
            p.threshold,
            decider if decider == "model" else _plain_cell(decider),
            None,
        )

    def _refused(self, p: Prediction) -> tuple:
        return (_plain_cell(p.domain), *[None] * (7 + len(self._classes)), _plain_cell(p.error))

    def _header(self) -> bytes:
        classes = [f"p_{name}" for name in self._classes]
        ours = ["domain", "normalized", "label", "probability", *classes]
        ours += ["decision", "score", "threshold", "decided_by", "error"]
        if self._explain:
            ours.append("reasons")
        if self._keep:
            ours += [f"fields.{name}" for name in self._columns or ()] or ["fields"]
        return self._text([map(_plain_cell, ours)])

    def _kept_cells(self, prediction: Prediction) -> list[object]:
        fields = prediction.fields
        if not self._columns:
            return [_as_text(fields)]
        if not isinstance(fields, dict):
            return [None] * len(self._columns)
        return [_plain_cell(fields.get(name)) for name in self._columns]

    @staticmethod
    def _text(rows: object) -> bytes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer).writerows(rows)
        # A lone surrogate, which JSON can smuggle into a text, has no bytes in UTF-8.
        return buffer.getvalue().encode("utf-8", "backslashreplace")


def _plain_cell(value: object) -> object:
    """Put an apostrophe before what a spreadsheet would compute."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def _as_text(fields: object) -> str | None:
    """Return kept fields as JSON text."""
    return None if fields is msgspec.UNSET or fields is None else msgspec.json.encode(fields).decode()
