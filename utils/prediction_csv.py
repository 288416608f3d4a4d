"""Predictions as CSV: RFC 4180 with a header, and no cell that a spreadsheet would compute.

Nearly every row is plain: nothing in it needs quotes, an apostrophe or an escape. Such rows are made by
msgspec, in a quarter of the time.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace

import msgspec

from utils.prediction import Prediction
from utils.terminal_text import printable_line

# A spreadsheet takes a cell that starts with one of these for a formula (OWASP, "CSV injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
# A text that is the same in CSV as in JSON, quotes aside.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 .:;/?!&=%#@+*~|_-]*")
_COLUMNS_BEFORE_CLASSES = ("domain", "normalized", "label", "probability")
_COLUMNS_BEHIND_CLASSES = ("decision", "score", "threshold", "decided_by", "error")


class Csv:
    """RFC 4180 with a header; no cell can be taken for a formula.

    Kept fields get a column each, `fields.NAME`, where the first row has them as a mapping: rows of CSV files
    all have the same. Records of JSON stand as JSON text in one column `fields`. Numbers look as in JSON.

    Parameters
    ----------
    classes
        Class names: a column each.
    keep_fields
        Whether the predictions hold the fields of their records.
    explain
        Whether they hold reasons: one column, in which "; " parts them.
    terminal
        The encoding of the terminal that shows the rows, each on a line of its own; None for anything else.
    """

    is_stateless = False  # the first row tells the columns
    between = b""

    def __init__(
        self,
        classes: Sequence[str],
        keep_fields: bool = False,
        explain: bool = False,
        terminal: str | None = None,
    ) -> None:
        self._classes = classes
        self._explain = explain
        self._keep = keep_fields
        self._terminal = terminal
        self._plain_labels = {name for name in classes if _PLAIN.fullmatch(name)}
        self._columns: list[str] | None = None  # of the kept fields; None before the first row
        self._has_header = False

    def start(self) -> bytes:
        return b""  # a header alone would look like the answer to an input without rows

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        if not predictions:
            return b""
        header = b""
        if not self._has_header:
            fields = predictions[0].fields
            self._columns = list(fields) if self._keep and isinstance(fields, dict) else []
            header = self._header()
        if self._keep or self._explain or self._terminal is not None:
            return header + b"".join(self._any_rows(predictions))
        are_plain = self._are_plain(predictions)
        if all(are_plain):
            return header + _plain_rows(predictions)
        plain = _plain_rows([p for p, is_plain in zip(predictions, are_plain, strict=True) if is_plain])
        others = self._any_rows(
            [p for p, is_plain in zip(predictions, are_plain, strict=True) if not is_plain]
        )
        lines = {True: iter(plain.splitlines(keepends=True)), False: iter(others)}
        return header + b"".join([next(lines[is_plain]) for is_plain in are_plain])

    def end(self) -> bytes:
        return b"" if self._has_header else self._header()

    def state(self) -> dict:
        return {"columns": self._columns, "has_header": self._has_header}

    def go_on(self, state: Mapping) -> None:
        self._columns = state["columns"]
        # Where an earlier version began, only a job that keeps fields waited for a row with its header.
        self._has_header = state.get("has_header", not self._keep or self._columns is not None)

    def _are_plain(self, predictions: Sequence[Prediction]) -> list[bool]:
        is_plain, labels = _PLAIN.fullmatch, self._plain_labels
        return [
            p.error is None
            and type(p.domain) is str
            and is_plain(p.domain) is not None
            and (p.normalized == p.domain or is_plain(p.normalized) is not None)
            and p.label in labels
            and (p.decided_by == "model" or p.decided_by is None)
            for p in predictions
        ]

    def _any_rows(self, predictions: Sequence[Prediction]) -> list[bytes]:
        """Return rows of any content."""
        return self._written(map(self._cells, predictions))

    def _cells(self, p: Prediction) -> list[object]:
        shares = [None] * len(self._classes) if p.probabilities is None else p.probabilities.values()
        cells = [p.domain, p.normalized, p.label, _number(p.probability), *map(_number, shares)]
        cells += [p.decision, _number(p.score), _number(p.threshold), p.decided_by, p.error]
        if self._explain:
            cells.append("; ".join(p.reasons or ()))
        if not self._keep:
            return cells
        if not self._columns:
            return [*cells, _json_text(p.fields)]
        fields = p.fields if isinstance(p.fields, dict) else {}
        return [*cells, *map(fields.get, self._columns)]

    def _header(self) -> bytes:
        self._has_header = True
        names = [*_COLUMNS_BEFORE_CLASSES, *(f"p_{name}" for name in self._classes), *_COLUMNS_BEHIND_CLASSES]
        if self._explain:
            names.append("reasons")
        if self._keep:
            names += [f"fields.{name}" for name in self._columns or ()] or ["fields"]
        return b"".join(self._written([names]))

    def _written(self, rows: Iterable[Iterable[object]]) -> list[bytes]:
        """Return rows of cells as lines; no text can be taken for a formula, and none steers a terminal."""
        lines: list[str] = []
        csv.writer(SimpleNamespace(write=lines.append)).writerows(map(self._safe, rows))
        # A lone surrogate, which JSON can smuggle into a text, has no bytes in UTF-8.
        return [line.encode(self._terminal or "utf-8", "backslashreplace") for line in lines]

    def _safe(self, cells: Iterable[object]) -> list[object]:
        cells = [f"'{c}" if isinstance(c, str) and c.startswith(_FORMULA_STARTS) else c for c in cells]
        if self._terminal is None:
            return cells
        return [printable_line(c) if isinstance(c, str) else c for c in cells]


def _plain_rows(predictions: Sequence[Prediction]) -> bytes:
    """Return rows in which every text is plain: JSON arrays without their brackets and quotes."""
    rows = [
        (
            p.domain,
            p.normalized,
            p.label,
            p.probability,
            *p.probabilities.values(),
            p.decision or "",
            p.score,
            "" if p.threshold is None else p.threshold,
            p.decided_by or "",
            "",
        )
        for p in predictions
    ]
    return msgspec.json.Encoder().encode_lines(rows).translate(None, b'"[]').replace(b"\n", b"\r\n")


def _number(number: float | None) -> str | None:
    """Return a number as JSON writes it: a row looks the same in whichever way it is made."""
    return None if number is None else msgspec.json.encode(number).decode()


def _json_text(fields: object) -> str | None:
    """Return kept fields as JSON text."""
    return None if fields is msgspec.UNSET or fields is None else msgspec.json.encode(fields).decode()
