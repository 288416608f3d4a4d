"""The prompt: how an answer looks on each kind of output, and what a session does with its lines."""

from types import SimpleNamespace

import pytest

from models.prompt_session import PromptSession
from tests.prompt_fakes import ESCAPE, PLAIN, FakeSession, Output, explained, prediction
from utils.prediction import refused
from utils.prompt import WELCOME, run_prompt
from utils.prompt_rendering import render
from utils.terminal_style import BAR_WIDTH, Style


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


def test_the_session_says_what_names_stand_on_a_line(monkeypatch):
    _, asked = session(monkeypatch, ["a.com;b.com", ":explain c.com;d.com"], Output(**PLAIN))
    assert asked == ["a.com", "b.com", "c.com", "d.com"]


@pytest.mark.parametrize("line", ["exit", "QUIT", " q "])
def test_leaving_needs_no_colon(monkeypatch, line):
    text, asked = session(monkeypatch, ["a.com", line, "b.com"], Output(**PLAIN))
    assert asked == ["a.com"]
    assert "no answer" not in text


@pytest.mark.parametrize("line", ["help", "Help", "?"])
def test_help_needs_no_colon(monkeypatch, line):
    text, asked = session(monkeypatch, [line, "exit.example.com", "quit now"], Output(**PLAIN))
    assert ":max-fpr [RATE|default]" in text
    assert asked == ["exit.example.com", "quit", "now"], "a name is a name, and a line of several words names"


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("- a.com", ["a.com"]),
        ("\u2022 b[.]com  c.com", ["b[.]com", "c.com"]),
        ("3) d.com", ["d.com"]),
        ("-e.com", ["-e.com"]),
        ("360. f.com", ["360.", "f.com"]),
        ("", []),
    ],
)
def test_names_stand_on_a_line_and_on_one_of_a_pasted_list(line, names):
    session = PromptSession(SimpleNamespace(rule=None, explain=False))
    assert session.names_in(line) == names


def test_the_welcome_fits_80_columns():
    assert max(map(len, WELCOME.splitlines())) < 80


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
