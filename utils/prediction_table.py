"""Predictions as a table for people: aligned, coloured on a terminal, safe to look at.

Rows come as they are answered, so the widths are fixed: names stand last, where their length matters to none.
"""

from collections.abc import Mapping, Sequence
from typing import TextIO

from utils.decision import ALLOW, BLOCK, REVIEW
from utils.prediction import Prediction
from utils.terminal_style import Style
from utils.terminal_text import printable_line

_COLOURS = {ALLOW: "32", REVIEW: "33", BLOCK: "1;31"}
_NO_DECISION = "-"


class Table:
    """A header, and a line a row: decision, score, class, its probability, name, and what else is to say.

    Parameters
    ----------
    classes
        Class names.
    output
        Where the table is shown, which tells colours and encoding; None for a file: UTF-8 without colours.
    """

    is_stateless = True
    between = b""

    def __init__(self, classes: Sequence[str], output: TextIO | None) -> None:
        self._style = None if output is None else Style(output)
        self._label_width = max(map(len, [*classes, "class"]))

    def start(self) -> bytes:
        return self._bytes([self._line("", "decision", "score", "class", "prob.", "name")])

    def rows(self, predictions: Sequence[Prediction]) -> bytes:
        return self._bytes([self._row(prediction) for prediction in predictions])

    def end(self) -> bytes:
        return b""

    def state(self) -> dict:
        return {}

    def go_on(self, state: Mapping) -> None:
        pass

    def _row(self, p: Prediction) -> str:
        if p.error is not None:
            given = "" if p.domain is None else printable_line(str(p.domain))
            return self._line("", "error", "", "", "", f"{given}  ({printable_line(p.error)})".lstrip())
        name = (
            p.normalized if p.domain == p.normalized else f"{p.normalized}  ({printable_line(str(p.domain))})"
        )
        if p.decided_by not in (None, "model"):
            name += f"  [{printable_line(p.decided_by)}]"
        score, probability = f"{p.score:.4f}", f"{p.probability:.1%}"
        decision = p.decision or _NO_DECISION
        line = self._line(_COLOURS.get(decision, ""), decision, score, p.label, probability, name)
        return "\n".join([line, *(self._line("", "", "", "", "", f"- {text}") for text in p.reasons or ())])

    def _line(self, colour: str, decision: str, score: str, label: str, probability: str, name: str) -> str:
        cell = f"{decision:<8}"
        if colour and self._style is not None:
            cell = self._style.paint(cell, colour)
        return f"{cell}  {score:>6}  {label:<{self._label_width}}  {probability:>6}  {name}"

    def _bytes(self, lines: list[str]) -> bytes:
        text = "".join(f"{line}\n" for line in lines)
        if self._style is None:
            return text.encode("utf-8", "backslashreplace")
        return text.encode(self._style.encoding, "backslashreplace")
