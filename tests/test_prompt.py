"""The interactive prompt: how an answer looks on each kind of output, and a real session on a terminal."""

import contextlib
import fcntl
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

from data.domain_name import normalize_domain
from utils.prompt import BAR_WIDTH, Answer, Style, render, run_prompt

PROJECT = Path(__file__).parent.parent
PROBABILITIES = {"benign": 0.1, "phishing": 0.875, "malware": 0.025}
ATTENTION = np.array([0.0, 0.1, 0.2, 0.4, 0.3])
ANSWER = Answer("ab.io", "phishing", PROBABILITIES, ATTENTION, None)
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


class Output(io.StringIO):
    """A text stream with an encoding, on a terminal or not, that refuses what it cannot encode."""

    def __init__(self, encoding="utf-8", is_terminal=True):
        super().__init__()
        self._encoding, self._is_terminal = encoding, is_terminal

    @property
    def encoding(self):
        return self._encoding

    def isatty(self):
        return self._is_terminal

    def write(self, text):
        text.encode(self._encoding)
        return super().write(text)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


# ------------------------------------------------------------------ one answer


def test_an_answer_without_colours():
    lines = render(ANSWER, Style(Output(is_terminal=False))).splitlines()
    assert lines[0] == "  ab.io  is  phishing  (87.5%)"
    assert lines[1] == "    benign     ███░░░░░░░░░░░░░░░░░░░░░░░░░░░   10.0%"
    assert lines[2] == "    phishing   ██████████████████████████░░░░   87.5%"
    assert lines[3] == "    malware    █░░░░░░░░░░░░░░░░░░░░░░░░░░░░░    2.5%"
    assert lines[4] == "    attention  ab.io"
    assert lines[5] == "               ▁▃▅█▆", "each height stands below its character"


def test_colours_change_the_look_and_nothing_else():
    painted, plain = (render(ANSWER, Style(Output(is_terminal=t))) for t in (True, False))
    assert "\x1b[1;31mphishing\x1b[0m" in painted
    assert "\x1b[" not in plain
    assert ESCAPE.sub("", painted) == plain
    assert painted.count("\x1b[0m") == len(ESCAPE.findall(painted)) / 2, "each colour ends"


@pytest.mark.parametrize(
    ("variable", "value", "colours"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False), ("TERM", "xterm", True)],
)
def test_colours_follow_the_environment(monkeypatch, variable, value, colours):
    """https://no-color.org: NO_COLOR counts when it is not empty."""
    monkeypatch.setenv(variable, value)
    assert Style(Output()).colours is colours
    assert ("\x1b[" in render(ANSWER, Style(Output()))) is colours


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-2", "cp1252"])
def test_an_output_without_unicode_gets_ascii(encoding):
    text = render(ANSWER, Style(Output(encoding)))
    assert text.isascii()
    assert "#" * 26 + "." * 4 in text


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8"])
def test_every_spelling_of_utf_8_is_unicode(encoding):
    assert Style(Output(encoding)).unicode


def test_bars_and_heights_keep_their_width():
    for encoding in ("utf-8", "ascii"):
        style = Style(Output(encoding))
        assert {len(style.bar(p)) for p in (0, 0.001, 0.5, 0.999, 1)} == {BAR_WIDTH}
        assert len(style.heights(np.zeros(7))) == 7
        assert ESCAPE.sub("", style.heat("name.io", np.zeros(7))) == "name.io"


def test_a_text_that_is_no_name_is_answered_with_the_reason():
    answer = Answer(None, None, None, None, "it has no dot")
    assert render(answer, Style(Output(is_terminal=False))) == "  no answer: it has no dot"


# ------------------------------------------------------------------ a session


def session(monkeypatch, lines, output):
    """Run the prompt on these lines and then the end of the input; return what it printed."""
    given = iter(lines)
    asked = []

    def fake_input(prompt):
        line = next(given, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    def answer(text):
        asked.append(text)
        name = normalize_domain(text)
        if isinstance(name, str):
            return Answer(name, "benign", {"benign": 1.0}, np.full(len(name), 1 / len(name)), None)
        return Answer(None, None, None, None, name.message)

    monkeypatch.setattr("builtins.input", fake_input)
    run_prompt(answer, output)
    return output.getvalue(), asked


def test_every_word_of_a_line_is_answered(monkeypatch):
    text, asked = session(monkeypatch, ["a.com  b.com", "", "   ", "c.com"], Output(is_terminal=False))
    assert asked == ["a.com", "b.com", "c.com"]
    assert text.count("  is  benign") == 3


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_text_that_the_terminal_cannot_show_does_not_end_the_prompt(monkeypatch, encoding):
    long = "ф" * 50  # the message quotes it, and cuts it with an ellipsis
    text, _ = session(monkeypatch, ["рф", long, f"{long}!.com", "bücher.de"], Output(encoding))
    assert text.count("no answer") == 3
    assert "\\u0444" in text
    assert "xn--bcher-kva.de" in text


def test_bytes_that_are_no_text_do_not_end_the_prompt(monkeypatch):
    broken = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    text, asked = session(monkeypatch, [broken, "a.com"], Output(is_terminal=False))
    assert "no answer: " in text
    assert asked == ["a.com"]


def test_escape_sequences_of_the_input_do_not_reach_the_terminal(monkeypatch):
    text, _ = session(monkeypatch, ["\x1b[31mred.com", "\x1b]0;title\x07.com", "a\x9bb.com"], Output())
    assert "\x1b[31mred" not in text
    assert "\x1b]" not in text
    assert "\x9b" not in text


# ------------------------------------------------------------------ on a real terminal


def sit_at_terminal():
    """Make stdin the terminal of this new process, in which Ctrl-C works.

    A shell without job control starts what it puts into the background with SIGINT ignored, and so would
    the process under test be.
    """
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """`predict.py` on a pseudo-terminal."""

    def __init__(self, *arguments, **environment):
        master, slave = pty.openpty()
        self.master = master
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "predict.py", *arguments],
            cwd=PROJECT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=sit_at_terminal,
            env=os.environ | {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8:strict"} | environment,
        )
        os.close(slave)

    def read_until(self, text, seconds=60):
        """Read until `text` was shown, and return what was shown since the last call."""
        fresh, deadline = "", time.monotonic() + seconds
        while text not in fresh:
            ready, _, _ = select.select([self.master], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{text!r} was not shown within {seconds} s, but: {self.shown + fresh!r}"
            try:
                fresh += os.read(self.master, 65_536).decode("utf-8", "replace")
            except OSError:  # the other side is closed
                break
        self.shown += fresh
        assert text in fresh, f"ended without {text!r}: {self.shown!r}"
        return fresh

    def type(self, data):
        os.write(self.master, data)

    def interrupt(self, expected):
        """Press Ctrl-C, and again when nothing happens: Python's readline may miss one between two reads."""
        for _ in range(9):
            self.type(b"\x03")
            with contextlib.suppress(AssertionError):
                return self.read_until(expected, seconds=3)
        raise AssertionError(f"{expected!r} was never shown, but: {self.shown!r}")

    def end(self):
        code = self.process.wait(timeout=30)
        os.close(self.master)
        return code


@pytest.mark.slow
def test_a_session_that_ends_with_ctrl_d(tiny_checkpoint):
    terminal = Terminal("--checkpoint", str(tiny_checkpoint), "--device", "cpu")
    assert "Leave with Ctrl-D" in terminal.read_until("domain> ")
    terminal.type(b"HXXPS://Login-Amber-12[.]verify[.]top/x amberbasin7.com\n")
    shown = ESCAPE.sub("", terminal.read_until("domain> "))
    assert re.search(r"login-amber-12\.verify\.top  is  phishing  \(\d", shown)
    assert re.search(r"amberbasin7\.com  is  benign  \(\d", shown)
    assert "█" in shown
    assert "\x1b[1;31mphishing\x1b[0m" in terminal.shown
    terminal.type(b"no-dot\n")
    assert "no answer" in terminal.read_until("domain> ")
    terminal.type(b"\xff\xfe\n")
    assert "no answer" in terminal.read_until("domain> "), "bytes that are no text"
    terminal.type(b"\x04")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.shown


@pytest.mark.slow
def test_a_session_that_ends_with_ctrl_c(tiny_checkpoint):
    terminal = Terminal("--checkpoint", str(tiny_checkpoint), "--device", "cpu", NO_COLOR="1")
    terminal.read_until("domain> ")
    terminal.type(b"amberbasin7.com\n")
    shown = terminal.read_until("domain> ")
    assert "is  benign" in shown
    assert not ESCAPE.search(shown)
    terminal.type(b"half a na")
    terminal.read_until("half a na")
    terminal.interrupt("predict.py: interrupted")
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
