"""The prompt: how an answer looks on each kind of output, its commands, and real sessions on a terminal."""

import contextlib
import fcntl
import io
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
from types import SimpleNamespace

import pytest

from data.domain_name import normalize_domain
from utils.errors import ConfigError, DataError
from utils.prediction import Prediction, PredictionExplanation, refused
from utils.prompt import run_prompt
from utils.prompt_commands import COMMANDS, SHOWN_ROWS, run_command
from utils.prompt_rendering import render
from utils.terminal_style import BAR_WIDTH, Style

PROJECT = Path(__file__).parent.parent
PROBABILITIES = {"benign": 0.1, "phishing": 0.875, "malware": 0.025}
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
BLOCKED_FROM = 0.85


def prediction(name="ab.io", label="phishing", score=0.9, **changes):
    """Return an answer with the probabilities above."""
    decision = "block" if score >= BLOCKED_FROM else "allow"
    given = {"decision": decision, "threshold": BLOCKED_FROM, "decided_by": "model"} | changes
    return Prediction(
        domain=name,
        normalized=name,
        label=label,
        probability=PROBABILITIES[label],
        probabilities=PROBABILITIES,
        score=score,
        error=None,
        **given,
    )


def explained(name="ab.io", reasons=("'ab' raises the score from 0.20 to 0.90",)):
    """Return the answer with reasons: the first two characters towards malicious, the last towards benign."""
    spans = [SimpleNamespace(start=0, end=2, weight=4.2)]
    spans.append(SimpleNamespace(start=len(name) - 1, end=len(name), weight=-0.5))
    attention = [0.0, 0.1, 0.2, 0.4, 0.3] + [0.0] * (len(name) - 5)
    return prediction(name, reasons=list(reasons), explanation=PredictionExplanation(spans, attention, None))


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


PLAIN = {"is_terminal": False}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


# ------------------------------------------------------------------ one answer


def test_an_answer_without_colours():
    assert render(explained(), Style(Output(**PLAIN))).splitlines() == [
        "  ab.io  is  phishing  (87.5%)",
        "    decision   block, score 0.9000; blocked from 0.8500",
        "    benign      10.0%  ███░░░░░░░░░░░░░░░░░░░░░░░░░░░",
        "    phishing    87.5%  ██████████████████████████░░░░",
        "    malware      2.5%  █░░░░░░░░░░░░░░░░░░░░░░░░░░░░░",
        "    parts      ab.io",
        "               ++  -",
        "    attention  ▁▃▅█▆",
        "    - 'ab' raises the score from 0.20 to 0.90",
    ]


def test_a_dumb_terminal_gets_words_and_numbers_only(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert render(explained(), Style(Output())).splitlines() == [
        "  ab.io  is  phishing  (87.5%)",
        "    decision   block, score 0.9000; blocked from 0.8500",
        "    benign      10.0%",
        "    phishing    87.5%",
        "    malware      2.5%",
        "    - 'ab' raises the score from 0.20 to 0.90",
    ]


def test_colours_change_the_look_and_nothing_else():
    painted, plain = (render(explained(), Style(Output(is_terminal=t))) for t in (True, False))
    assert "\x1b[1;31mphishing\x1b[0m" in painted
    assert "\x1b[1;97;48;5;160mab\x1b[0m" in painted, "a strong part towards malicious on bright red"
    assert "\x1b[1;97;48;5;17mo\x1b[0m" in painted, "a weak part towards benign on dark blue"
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
    assert ("\x1b[" in render(explained(), Style(Output()))) is colours


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-2", "cp1252"])
def test_an_output_without_unicode_gets_ascii(encoding):
    text = render(explained(), Style(Output(encoding)))
    assert text.isascii()
    assert "#" * 26 + "." * 4 in text


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf_8"])
def test_every_spelling_of_utf_8_is_unicode(encoding):
    assert Style(Output(encoding)).unicode


def test_bars_and_heights_keep_their_width():
    for encoding in ("utf-8", "ascii"):
        style = Style(Output(encoding))
        assert {len(style.bar(p)) for p in (0, 0.001, 0.5, 0.999, 1)} == {BAR_WIDTH}
        assert len(style.heights([0.0] * 7)) == 7
        assert style.heights([]) == ""


def test_a_long_name_is_folded_and_its_marks_stay_below_it():
    name = "x" * 90 + ".com"
    lines = render(explained(name), Style(Output(**PLAIN))).splitlines()
    assert max(map(len, lines[1:])) < 80
    parts = [i for i, line in enumerate(lines) if line.strip().startswith("parts")]
    assert "".join(lines[i].split()[1] for i in parts) == name
    assert lines[parts[0] + 1].strip() == "++"
    assert lines[parts[1] + 1].index("-") == lines[parts[1]].index(".com") + 3


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, "block, score 0.9000; blocked from 0.8500"),
        ({"threshold": None, "decision": "review"}, "review, score 0.9000; nothing is blocked"),
        ({"decided_by": "mine.txt:3", "decision": "allow"}, "allow, by mine.txt:3; score 0.9000"),
        ({"decision": None, "decided_by": None, "threshold": None}, "none: this model has no threshold"),
    ],
)
def test_the_decision_says_what_it_rests_on(changes, shown):
    assert f"    decision   {shown}" in render(prediction(**changes), Style(Output(**PLAIN)))


def test_a_text_that_is_no_name_is_answered_with_the_reason():
    answer = refused("nodot", "single_label: it has no dot")
    assert render(answer, Style(Output(**PLAIN))) == "  no answer: it has no dot"


# ------------------------------------------------------------------ commands


class FakeSession:
    """Answers every name with the probabilities above; a file has 25 rows and one error."""

    def __init__(self):
        self.explain = True
        self.asked = []
        self.rules = []
        self.stop = None

    def answer(self, text):
        self.asked.append((text, self.explain))
        name = normalize_domain(text)
        return prediction(name, "benign") if isinstance(name, str) else refused(text, str(name))

    def rule(self):
        return "the rule"

    def set_rule(self, max_fpr=None, threshold=None):
        if max_fpr == 0.5:
            raise ConfigError("--max-fpr 0.5: the checkpoint has no threshold for this rate")
        self.rules.append((max_fpr, threshold))

    def answer_file(self, path):
        if path.name == "absent":
            raise DataError(path, "no such file")
        yield [prediction(f"n{i}.com", "phishing", score=i / 100) for i in range(25)]
        yield [refused("x", "single_label: it has no dot")]
        if self.stop is not None:
            raise self.stop


def command(line, fake=None):
    return run_command(line, fake or FakeSession(), Style(Output(**PLAIN)))


def test_explanations_go_on_and_off_and_for_one_name():
    fake = FakeSession()
    assert command(":explain", fake) == "  explanations are on"
    assert command(":explain off", fake) == "  explanations are off"
    assert "a.com  is  benign" in command(":explain a.com b.com", fake)
    assert fake.asked == [("a.com", True), ("b.com", True)]
    assert command(":explain", fake) == "  explanations are off", "for these names only"
    assert command(":EXPLAIN On", fake) == "  explanations are on"


def test_a_threshold_is_set_by_score_or_by_rate():
    fake = FakeSession()
    for line in (":threshold 0.9", ":max-fpr 0.01", ":threshold default", ":threshold"):
        assert command(line, fake) == "  the rule"
    assert fake.rules == [(None, 0.9), (0.01, None), (None, None)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (":threshold high", ":threshold must be a number from 0 to 1. Got high"),
        (":threshold 1.5", ":threshold must be a number from 0 to 1. Got 1.5"),
        (":max-fpr 0.5", ":max-fpr 0.5: the checkpoint has no threshold for this rate"),
        (":exlpain", "no such command: :exlpain; did you mean :explain? :help lists them"),
        (":fiel a", "no such command: :fiel; did you mean :file? :help lists them"),
        (":zzzz", "no such command: :zzzz; :help lists them"),
        (":", "no such command: :; :help lists them"),
        (":file", ":file needs the path of a file"),
        (":file absent", "no answer: absent: no such file"),
    ],
)
def test_a_mistake_gets_one_line(line, message):
    assert command(line) == f"  {message}"


def test_escape_sequences_of_a_command_do_not_reach_the_terminal():
    assert "\x1b" not in command(":\x1b[31mred")
    assert "\x1b" not in command(":file absent\x1b[31m/absent")
    assert "\x1b" not in command(":threshold \x1b[31m")


def test_help_names_every_command_and_quit_leaves():
    shown = command(":help")
    assert all(name in shown for name in COMMANDS)
    assert command(":quit") is None
    assert command(":q") is None, "a command may be shortened"


def test_a_file_is_answered_by_a_summary_and_its_highest_scores():
    lines = command(":file ~/some names.txt").splitlines()
    assert lines[0] == "  26 rows, 1 without an answer (single_label 1)"
    assert "  decisions: allow 25" in lines
    shown = [line.split() for line in lines[lines.index("  the highest scores of 26:") + 1 :]]
    assert [row[3] for row in shown] == [f"n{24 - i}.com" for i in range(SHOWN_ROWS)]
    assert shown[0] == ["0.2400", "allow", "phishing", "n24.com"]


@pytest.mark.parametrize(
    ("stop", "note"),
    [(KeyboardInterrupt(), "interrupted"), (DataError("f", "is cut short", "line 9"), "f, line 9: is cut")],
)
def test_a_file_that_stops_early_keeps_what_was_answered(stop, note):
    fake = FakeSession()
    fake.stop = stop
    shown = command(":file f", fake)
    assert "26 rows" in shown
    assert note in shown.splitlines()[-1]


# ------------------------------------------------------------------ a session


def session(monkeypatch, lines, output):
    """Run the prompt on these lines and then the end of the input; return what it printed and was asked."""
    given = iter(lines)

    def fake_input(prompt):
        line = next(given, EOFError())
        if isinstance(line, BaseException):
            raise line
        return line

    monkeypatch.setattr("builtins.input", fake_input)
    fake = FakeSession()
    run_prompt(fake, output)
    return output.getvalue(), [text for text, _ in fake.asked]


def test_every_word_of_a_line_is_answered(monkeypatch):
    text, asked = session(monkeypatch, ["a.com  b.com", "", "   ", "c.com"], Output(**PLAIN))
    assert asked == ["a.com", "b.com", "c.com"]
    assert text.count("  is  benign") == 3


def test_a_line_that_starts_with_a_colon_is_a_command(monkeypatch):
    text, asked = session(monkeypatch, ["  :explain off", ":nonsense", "a.com", ":quit", "b.com"], Output())
    assert asked == ["a.com"], "nothing is asked after :quit"
    assert "explanations are off" in text
    assert "no such command" in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_text_that_the_terminal_cannot_show_does_not_end_the_prompt(monkeypatch, encoding):
    long = "ф" * 50  # the message quotes it, and cuts it with an ellipsis
    lines = ["рф", long, f"{long}!.com", "bücher.de", ":ф", ":file absent/ф/absent"]
    text, _ = session(monkeypatch, lines, Output(encoding))
    assert text.count("no answer") == 4
    assert "\\u0444" in text
    assert "xn--bcher-kva.de" in text


def test_bytes_that_are_no_text_do_not_end_the_prompt(monkeypatch):
    broken = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
    text, asked = session(monkeypatch, [broken, "a.com"], Output(**PLAIN))
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
    assert "block from score 0.9 " in terminal.ask(":max-fpr 0.01")
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
