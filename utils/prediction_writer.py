"""Predictions to a file or to stdout: JSON array, JSON Lines or CSV, one row an input row.

A file appears under its name when it is complete. When a job ends early, the rows so far stay in a file
with ".partial" added to the name, and the caller says so.
"""

import csv
import errno
import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from utils.errors import ConfigError, UserError

OUTPUT_FORMATS = {".json": "JSON array", ".jsonl": "JSON Lines", ".csv": "CSV"}
# A spreadsheet takes a cell that starts with one of these for a formula (OWASP, "CSV injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def output_format(path: Path | None) -> str:
    """Return which of `OUTPUT_FORMATS` a file name asks for; stdout gets JSON Lines.

    Raises
    ------
    ConfigError
        None of them.
    """
    suffix = ".jsonl" if path is None else path.suffix.lower()
    if suffix not in OUTPUT_FORMATS:
        raise ConfigError(f"--output {path}: the name must end in {', '.join(OUTPUT_FORMATS)}")
    return suffix


class Prediction(msgspec.Struct):
    """One row of the output; the fields after `normalized` are null where `error` is not."""

    domain: object  # as given
    normalized: str | None
    label: str | None
    probability: float | None  # of that label
    probabilities: dict[str, float] | None
    error: str | None


class _Encoder(Protocol):
    def start(self) -> bytes: ...
    def rows(self, predictions: Iterable[Prediction]) -> bytes: ...
    def end(self) -> bytes: ...


class _JsonLines:
    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_lines

    def start(self) -> bytes:
        return b""

    def rows(self, predictions: Iterable[Prediction]) -> bytes:
        return self._encode(predictions)

    def end(self) -> bytes:
        return b""


class _JsonArray:
    """The array, one row on each line."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode
        self._separator = b"\n"

    def start(self) -> bytes:
        return b"["

    def rows(self, predictions: Iterable[Prediction]) -> bytes:
        lines = [self._encode(prediction) for prediction in predictions]
        if not lines:
            return b""
        text = self._separator + b",\n".join(lines)
        self._separator = b",\n"
        return text

    def end(self) -> bytes:
        return b"\n]\n"


class _Csv:
    """RFC 4180 with a header; no cell can be taken for a formula."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._classes = classes

    def start(self) -> bytes:
        header = ["domain", "normalized", "label", "probability"]
        return self._text([[*header, *(f"p_{name}" for name in self._classes), "error"]])

    def rows(self, predictions: Iterable[Prediction]) -> bytes:
        return self._text(
            [
                p.domain,
                p.normalized,
                p.label,
                p.probability,
                *((p.probabilities or {}).get(name) for name in self._classes),
                p.error,
            ]
            for p in predictions
        )

    def end(self) -> bytes:
        return b""

    @staticmethod
    def _text(rows: Iterable[Sequence[object]]) -> bytes:
        buffer = io.StringIO(newline="")
        csv.writer(buffer).writerows(map(_plain_cell, row) for row in rows)
        return buffer.getvalue().encode("utf-8")


def _plain_cell(value: object) -> object:
    """Put an apostrophe before what a spreadsheet would compute."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


class PredictionWriter:
    """Writes predictions; use as a context manager.

    Parameters
    ----------
    path
        The file, whose suffix chooses the format, or None for JSON Lines on stdout.
    classes
        Class names, the columns of a CSV file.

    Raises
    ------
    ConfigError
        The suffix is none of `OUTPUT_FORMATS`.
    UserError
        The file cannot be written: no such folder, read-only, disk full.
    """

    def __init__(self, path: Path | None, classes: Sequence[str]) -> None:
        suffix = output_format(path)
        self.path = path
        self.partial = None if path is None else path.with_name(f"{path.name}.partial")
        self._encoder: _Encoder = {".json": _JsonArray, ".jsonl": _JsonLines}.get(
            suffix, lambda: _Csv(classes)
        )()
        self._file: BinaryIO | None = None

    def __enter__(self) -> "PredictionWriter":
        if self.path is not None and self.path.is_dir():
            raise UserError(f"{self.path}: cannot be written: {os.strerror(errno.EISDIR)}")
        try:
            self._file = sys.stdout.buffer if self.partial is None else self.partial.open("wb")
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._write(self._encoder.start())
        return self

    def write(self, predictions: Iterable[Prediction]) -> None:
        """Add rows, and hand them to the operating system."""
        self._write(self._encoder.rows(predictions))

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if self.partial is None:
            self._write(self._encoder.end())
            return
        try:
            with self._file:
                self._write(self._encoder.end())
                os.fsync(self._file.fileno())
            if kind is None:
                os.replace(self.partial, self.path)
        except OSError as failure:  # closing flushes once more: on a full disk it fails like the write before
            raise UserError(f"{self.path}: cannot be written: {failure.strerror}") from None

    def _write(self, data: bytes) -> None:
        try:
            self._file.write(data)
            self._file.flush()
        except BrokenPipeError:
            raise  # whoever read our output has had enough: the script ends quietly
        except OSError as error:
            where = "stdout" if self.path is None else self.partial
            raise UserError(f"{where}: cannot be written: {error.strerror}") from None
