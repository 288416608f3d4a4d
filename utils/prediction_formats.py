"""Which format is written, and the two of JSON; see also `utils.prediction_csv`, `utils.prediction_table`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from utils.errors import ConfigError
from utils.prediction import Prediction
from utils.terminal_text import printable_json

OUTPUT_FORMATS = {"json": "a JSON array", "jsonl": "JSON Lines", "csv": "CSV", "table": "a table for people"}
_FORMAT_OF_SUFFIX = {".json": "json", ".jsonl": "jsonl", ".csv": "csv"}
_CONTROLS = re.compile(rb"\x7f|\xc2[\x80-\x9f]")


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
            f"--output {path}: the name must end in {known}, or --format must say what to write; "
            "a folder's ends in /"
        )
    if format is not None and told not in (None, format):
        raise ConfigError(
            f"--output {path} and --format {format} differ: --format is the output's format, "
            "--input-format the input's"
        )
    return format or told


def _safe(data: bytes, terminal: str | None) -> bytes:
    """Escape the control characters that JSON lets pass: U+009B, for one, steers a terminal as ESC [ does.

    On a terminal of the encoding `terminal` also what is not printable or not in the encoding.
    """
    if terminal is not None:
        return printable_json(data.decode(), terminal).encode(terminal)
    if b"\x7f" not in data and b"\xc2" not in data:
        return data
    return _CONTROLS.sub(lambda match: b"\\u00%02x" % match[0][-1], data)


class Encoder(Protocol):
    """What turns predictions into the bytes of one output.

    Attributes
    ----------
    is_stateless
        Whether rows look the same whatever rows came before.
    between
        What stands between rows of one call and rows of the next.
    """

    is_stateless: bool
    between: bytes

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
    """One object a line.

    Parameters
    ----------
    terminal
        The encoding of the terminal that shows the rows; None for anything else.
    """

    is_stateless = True
    between = b""

    def __init__(self, terminal: str | None = None) -> None:
        self._encode = msgspec.json.Encoder().encode_lines
        self._terminal = terminal

    def start(self) -> bytes:
        return b""

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        return _safe(self._encode(predictions), self._terminal)

    def end(self) -> bytes:
        return b""

    def state(self) -> dict:
        return {}

    def go_on(self, state: Mapping) -> None:
        pass


class JsonArray(JsonLines):
    """One array, one row on each line; see `JsonLines`."""

    between = b","

    def start(self) -> bytes:
        return b"["

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        # No value holds a raw line feed (JSON escapes it), so each one is the end of a row.
        lines = super().rows(predictions)
        return b"\n" + lines[:-1].replace(b"\n", b",\n") if lines else b""

    def end(self) -> bytes:
        return b"\n]\n"
