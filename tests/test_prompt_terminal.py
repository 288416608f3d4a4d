"""The prompt on a pseudo-terminal, as a user sits at it."""

import contextlib
import fcntl
import json
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

import pytest

from tests.prompt_fakes import ESCAPE

PROJECT = Path(__file__).parent.parent


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

    def ask(self, line, *, plain=False):
        """Type a line and return what is shown until the next prompt, without colours where `plain`."""
        self.type(line.encode() + b"\n")
        shown = self.read_until("domain> ")
        return ESCAPE.sub("", shown) if plain else shown

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
def test_a_session_with_names_commands_and_a_file(tiny_checkpoint, tmp_path):
    (tmp_path / "names.json").write_text(json.dumps(["amberbasin7.com", "no-dot", "x9k2q7.biz"]))
    terminal = Terminal("--checkpoint", str(tiny_checkpoint), "--device", "cpu")
    assert ":help lists the commands" in terminal.read_until("domain> ")
    shown = terminal.ask("HXXPS://Login-Amber-12[.]verify[.]top/x amberbasin7.com", plain=True)
    assert re.search(r"login-amber-12\.verify\.top  is  phishing  \(\d", shown)
    assert re.search(r"amberbasin7\.com  is  benign  \(\d", shown)
    assert "█" in shown
    assert shown.count("    attention  ") == 2, "explanations are on"
    assert re.search(r"    - '\S+' (raises|lowers) the score from [\d.]+ to [\d.]+", shown)
    assert "\x1b[1;31mphishing\x1b[0m" in terminal.shown

    assert "explanations are off" in terminal.ask(":explain off")
    assert "attention" not in terminal.ask("amberbasin7.com")
    assert "reads as 'google'" in terminal.ask(":explain gооgle.com tenant.pages.dev")
    assert "on the hosting platform pages.dev" in terminal.shown
    assert "did you mean :threshold?" in terminal.ask(":treshold 0.5")
    assert "block from score 0.001" in terminal.ask(":threshold 0.001")
    assert "blocked from 0.0010" in terminal.ask("login-amber-12.verify.top")
    assert "has no threshold for this rate" in terminal.ask(":max-fpr 0.3")
    assert "block from score 0.9000 " in terminal.ask(":max-fpr 0.01")
    shown = terminal.ask(f":file {tmp_path / 'names.json'}")
    assert "3 rows, 1 without an answer (single_label 1)" in shown
    assert re.search(r"0\.\d{4}  \w+ +malware  x9k2q7\.biz", shown)

    assert "no answer" in terminal.ask("no-dot")
    terminal.type(b"\xff\xfe\n")
    assert "no answer" in terminal.read_until("domain> "), "bytes that are no text"
    terminal.type(b"\x1b[A\x1b[A\n")
    assert "no-dot" in terminal.read_until("domain> "), "the cursor key recalls an earlier line"
    terminal.type(b":quit\n")
    assert terminal.end() == 0
    assert "Traceback" not in terminal.shown


@pytest.mark.slow
def test_a_session_that_ends_with_ctrl_c(tiny_checkpoint, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    terminal = Terminal("--checkpoint", str(tiny_checkpoint), "--device", "cpu", NO_COLOR="1", HOME=str(home))
    terminal.read_until("domain> ")
    shown = terminal.ask("amberbasin7.com")
    assert "is  benign" in shown
    assert not ESCAPE.search(shown)
    terminal.type(b"half a na")
    terminal.read_until("half a na")
    terminal.interrupt("predict.py: interrupted")
    assert terminal.end() == 130
    assert "Traceback" not in terminal.shown
    assert list(home.iterdir()) == [], "no file keeps what was asked"


@pytest.mark.slow
def test_a_dumb_terminal_without_a_home_that_ends_with_ctrl_d(tiny_checkpoint):
    terminal = Terminal(
        "--checkpoint", str(tiny_checkpoint), "--device", "cpu", TERM="dumb", HOME="/nonexistent"
    )
    terminal.read_until("domain> ")
    shown = terminal.ask("login-amber-12.verify.top")
    answer = shown[shown.index("  login-amber-12.verify.top") :]
    assert not ESCAPE.search(answer)
    assert answer.isascii(), "no bars, no heights"
    terminal.type(b"\x04")
    assert terminal.end() == 0
