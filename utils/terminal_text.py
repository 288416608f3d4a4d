"""What text may do to a terminal: nothing but be read. Names, files and checkpoints come from hostile hands.

The rule is `str.isprintable`: control characters (C0, DEL, C1), what reorders a line (U+202E), what nobody
sees, and halves of characters are written as escapes. Who writes text for people keeps it here:

- stderr: `guard_stderr` puts a stream in its place that escapes whatever comes, be it a message of ours, of
  argparse, of logging, a warning or a traceback. What draws there asks for `drawing_stream` and escapes the
  text in its drawings itself.
- stdout: `write_result`, the encoders of `utils.prediction_formats`, `utils.terminal_style`. A file or a pipe
  gets the exact text, a terminal the printable one.
"""

import os
import stat
import sys
from pathlib import Path
from typing import TextIO


def printable(text: str) -> str:
    """Write control characters as escapes, line feeds aside: a file's name must not steer a terminal."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode("ascii") for c in text
    )


def printable_line(text: str) -> str:
    """Write control characters as escapes, line feeds too: a text must not look like two."""
    return printable(text).replace("\n", "\\n")


def one_line(text: str) -> str:
    """Put a message, parts of which come from a hostile file, into one printable line of 300 characters."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else "?" for c in line)[:300]


def printable_json(text: str, encoding: str) -> str:
    r"""Write what a terminal of this encoding must not or cannot get as \u escapes: the values stay the same.

    Parameters
    ----------
    text
        JSON values, parted by line feeds.
    """
    characters = set(text) - {"\n"}
    escapes = {ord(c): _json_escape(c) for c in characters if not (c.isprintable() and _fits(c, encoding))}
    return text.translate(escapes) if escapes else text


def is_terminal(path: Path | None) -> bool:
    """Tell whether what is written to `path`, None for stdout, appears on a terminal: /dev/tty, say."""
    if path is None:
        return sys.stdout.isatty()
    try:
        if not stat.S_ISCHR(path.stat().st_mode):
            return False
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    except OSError:
        return False
    try:
        return os.isatty(descriptor)
    finally:
        os.close(descriptor)


def write_result(text: str) -> None:
    """Write a line to stdout: printable on a terminal, elsewhere as it is, a path in its very bytes."""
    if sys.stdout.isatty():
        shown = printable(text).encode(sys.stdout.encoding, "backslashreplace")
        sys.stdout.write(shown.decode(sys.stdout.encoding) + "\n")
        return
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # a file's name that is no text in this locale
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(text) + os.linesep.encode())
        sys.stdout.buffer.flush()
    else:
        sys.stdout.write(f"{text}\n")


def guard_stderr() -> None:
    """Let nothing unprintable through stderr from now on."""
    if sys.stderr is sys.__stderr__ and not isinstance(sys.stderr, _PrintableStream):
        sys.stderr = _PrintableStream(sys.stderr)


def drawing_stream() -> TextIO:
    """Return stderr for what moves its cursor, a progress bar: the text in it must be printable already."""
    return sys.stderr.stream if isinstance(sys.stderr, _PrintableStream) else sys.stderr


class _PrintableStream:
    """A text stream that escapes; it is no terminal to those who ask, and so gets no colours or drawings."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)

    def isatty(self) -> bool:
        return False

    def write(self, text: str) -> int:
        self.stream.write(printable(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)


def _fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _json_escape(character: str) -> str:
    """Return a character as JSON writes it in ASCII: two escapes beyond U+FFFF."""
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
