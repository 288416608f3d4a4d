"""Predictions to a file or to stdout, one row an input row, and the count of what was answered.

A file appears under its name when it is complete; see `utils.partial_file` for what is there before.
"""

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from utils.errors import UserError
from utils.partial_file import PartialFile
from utils.prediction import Prediction
from utils.prediction_csv import Csv
from utils.prediction_formats import Encoder, JsonArray, JsonLines
from utils.prediction_summary import PredictionSummary
from utils.prediction_table import Table
from utils.terminal_text import is_terminal


def make_encoder(
    format: str, classes: Sequence[str], *, keep_fields: bool, explain: bool = False, output: Path | None
) -> Encoder:
    """Return the encoder of one of `OUTPUT_FORMATS` for a file, None for stdout.

    A terminal gets printable text only, anything else the exact one; only a table on stdout may have colours.
    """
    terminal = sys.stdout.encoding if is_terminal(output) else None
    match format:
        case "json":
            return JsonArray(terminal)
        case "jsonl":
            return JsonLines(terminal)
        case "csv":
            return Csv(classes, keep_fields, explain, terminal)
        case "table":
            return Table(classes, sys.stdout if output is None else None)
    raise ValueError(f"no encoder for the format {format!r}")


class EncodedRows(NamedTuple):
    """Some rows of output: their bytes, and what they come to."""

    data: bytes
    summary: PredictionSummary


class PredictionWriter:
    """Writes predictions; use as a context manager.

    Parameters
    ----------
    path
        The file, or None for stdout.
    encoder
        What makes bytes of the rows.
    job
        What decides the content, for a file that can be resumed; else None.
    resume
        Whether to go on with what an interrupted job of the same kind left.

    Attributes
    ----------
    summary
        What was answered so far, earlier jobs included.
    resumed_rows
        How many rows an earlier job has written: those are not to be written again.
    partial
        The file's name meanwhile; None where what is written is there at once.

    Raises
    ------
    UserError
        The file cannot be written: no such folder, read-only, disk full, written by another job, or, to
        resume, begun by another kind of job.
    """

    def __init__(
        self,
        path: Path | None,
        encoder: Encoder,
        job: Mapping[str, object] | None = None,
        resume: bool = False,
    ) -> None:
        self.path = path
        self.summary = PredictionSummary()
        self.resumed_rows = 0
        self._encoder = encoder
        self._resume = resume
        # A device or a named pipe takes what it is given, under its own name.
        self._direct = path is None or (
            path.exists() and not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
        )
        self._output = None if self._direct else PartialFile(path, job)
        self._stream = None

    @property
    def is_stateless(self) -> bool:
        """Tell whether another process may encode rows before any has been written here."""
        return self._encoder.is_stateless

    @property
    def partial(self) -> Path | None:
        return None if self._output is None else self._output.partial

    @property
    def kept_rows(self) -> int:
        """Return how many rows are whole in the file, also after a signal in the middle of `write`."""
        notes = self._output.notes if self._output is not None else {}
        return PredictionSummary.from_dict(notes["summary"]).rows if notes else self.summary.rows

    def __enter__(self) -> "PredictionWriter":
        if self._direct:
            self._open_stream()
            notes = None
        else:
            notes = self._output.open(resume=self._resume)
        if notes is None:
            self._write(self._encoder.start(), self._notes(self.summary))
        else:
            self.summary = PredictionSummary.from_dict(notes["summary"])
            self._encoder.go_on(notes["encoder"])
            self.resumed_rows = self.summary.rows
        return self

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Add rows, and hand them to the operating system."""
        self.write_encoded(self.encode(predictions))

    def encode(self, predictions: Sequence[Prediction]) -> EncodedRows:
        """Return what `write_encoded` takes; another process may do it: see `is_stateless`."""
        return EncodedRows(self._encoder.rows(predictions), PredictionSummary.of(predictions))

    def write_encoded(self, rows: EncodedRows) -> None:
        """Add rows, and hand them to the operating system."""
        summary = self.summary.plus(rows.summary)
        between = self._encoder.between if self.summary.rows and rows.data else b""
        self._write(between + rows.data, self._notes(summary))
        self.summary = summary

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if self._output is None:
            if kind is None or not issubclass(kind, UserError | BrokenPipeError):
                self._write(self._encoder.end(), None)
            if self._stream is not None and self.path is not None:
                self._stream.close()
        elif kind is None:
            self._output.complete(self._encoder.end())
        else:
            self._output.abandon(self._encoder.end(), keep=self.kept_rows > 0)

    def _notes(self, summary: PredictionSummary) -> dict[str, object]:
        return {"summary": summary.to_dict(), "encoder": self._encoder.state()}

    def _open_stream(self) -> None:
        try:
            self._stream = sys.stdout.buffer if self.path is None else self.path.open("wb", buffering=0)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None

    def _write(self, data: bytes, notes: Mapping[str, object] | None) -> None:
        if self._output is not None:
            self._output.write(data, notes)
            return
        try:
            self._stream.write(data)
            self._stream.flush()
        except BrokenPipeError:
            raise  # whoever read our output has had enough: the script ends quietly
        except OSError as error:
            where = "stdout" if self.path is None else self.path
            raise UserError(
                f"{where}: cannot be written: {error.strerror or os.strerror(error.errno)}"
            ) from None
