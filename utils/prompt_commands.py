"""What the prompt does besides answering names: lines that start with a colon."""

import argparse
import difflib
import heapq
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from utils.argument_types import share
from utils.errors import UserError
from utils.prediction import Prediction
from utils.prediction_summary import PredictionSummary
from utils.prompt_rendering import render
from utils.terminal_style import Style
from utils.terminal_text import printable

SHOWN_ROWS = 10  # of a file, those with the highest scores
COMMANDS = {  # what follows them, and what they do
    ":explain": ("[on|off|NAME]", "say why, from now on or not; or for NAME only"),
    ":threshold": ("[SCORE|default]", "block from this score; alone: show what holds"),
    ":max-fpr": ("[RATE|default]", "block at this rate of false positives: 0.01, …"),
    ":file": ("PATH", "answer a file: a summary, the highest scores"),
    ":help": ("", "this"),
    ":quit": ("", "leave; so do Ctrl-D and Ctrl-C"),
}
HELP = """\
Anything that does not start with a colon is names: domain names, URLs, defanged
ones, several to a line.
{commands}
A command may be shortened: :q. A line that is only quit, exit or help needs no
colon. In an answer, + marks the parts that raise the score and - those that
lower it; attention is where the network looked, which is not why. Facts about a
name moved no score."""


class Session(Protocol):
    """What the prompt talks to."""

    explain: bool

    def names_in(self, line: str) -> list[str]:
        """Return what stands on a line, each as it was typed."""

    def answer(self, text: str) -> Prediction:
        """Answer one name as somebody typed it."""

    def rule(self) -> str:
        """Return how scores become decisions, in words."""

    def set_rule(self, max_fpr: float | None = None, threshold: float | None = None) -> None:
        """Decide otherwise from now on; UserError where the model has no such threshold."""

    def answer_file(self, path: Path) -> Iterator[list[Prediction]]:
        """Answer a file in batches, without reasons; UserError where it cannot be read."""


def run_command(line: str, session: Session, style: Style) -> str | None:
    """Run a line that starts with a colon, and return what to show; None to leave."""
    word, _, rest = line.partition(" ")
    rest = rest.strip()
    command = _find(word)
    match command:
        case ":quit":
            return None
        case ":help":
            usages = {f"{name} {rest}": does for name, (rest, does) in COMMANDS.items()}
            width = max(map(len, usages))
            return HELP.format(commands="\n".join(f"  {u:<{width}}  {does}" for u, does in usages.items()))
        case ":explain":
            return _explain(rest, session, style)
        case ":threshold" | ":max-fpr":
            return _set_rule(command, rest, session)
        case ":file":
            return _answer_file(rest, session)
    nearest = difflib.get_close_matches(word.lower(), COMMANDS, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]}? " if nearest else ""
    return f"  no such command: {printable(word)}; {hint}:help lists them"


def _find(word: str) -> str | None:
    """Return the command that a word is, or the only one that it begins."""
    begun = [name for name in COMMANDS if name.startswith(word.lower())]
    return begun[0] if len(begun) == 1 else None


def _explain(rest: str, session: Session, style: Style) -> str:
    if rest.lower() in ("on", "off"):
        session.explain = rest.lower() == "on"
    elif rest:
        before, session.explain = session.explain, True
        try:
            return "\n".join(render(session.answer(text), style) for text in session.names_in(rest))
        finally:
            session.explain = before
    return f"  explanations are {'on' if session.explain else 'off'}"


def _set_rule(command: str, rest: str, session: Session) -> str:
    if rest:
        try:
            value = None if rest.lower() == "default" else share(rest)
            session.set_rule(**{command[1:].replace("-", "_"): value})
        except (argparse.ArgumentTypeError, UserError) as error:
            message = printable(str(error)).removeprefix(f"-{command.replace(':', '-')} ")
            return f"  {command} {message}"
    return f"  {session.rule()}"


def _answer_file(rest: str, session: Session) -> str:
    if not rest:
        return "  :file needs the path of a file"
    summary, highest, started = PredictionSummary(), [], time.monotonic()
    note = []
    try:
        for batch in session.answer_file(Path(rest).expanduser()):
            summary = summary.with_rows(batch)
            highest = heapq.nlargest(SHOWN_ROWS, [*highest, *batch], key=_rank)
    except UserError as error:
        if not summary.rows:
            return f"  no answer: {printable(str(error))}"
        note = [f"  stopped: {printable(str(error))}"]
    except KeyboardInterrupt:
        note = ["  interrupted"]
    lines = [f"  {line}" for line in summary.lines(time.monotonic() - started, summary.rows)]
    named = [p for p in highest if p.error is None]
    if named:
        names = summary.rows - summary.reasons.total()
        lines.append(f"  the {len(named)} highest scores of {names:,} names:" if names > len(named) else "")
        width = max(len(p.label) for p in named)
        for p in named:
            lines.append(f"    {p.score:.4f}  {p.decision or '-':<6}  {p.label:<{width}}  {p.normalized}")
    return "\n".join(line for line in [*lines, *note] if line)


def _rank(prediction: Prediction) -> float:
    return -1.0 if prediction.score is None else prediction.score
