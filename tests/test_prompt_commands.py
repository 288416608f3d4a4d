"""The prompt's commands: what each does, and the one line that a mistake gets."""

import pytest

from tests.prompt_fakes import PLAIN, FakeSession, Output
from utils.errors import DataError
from utils.prompt_commands import COMMANDS, SHOWN_ROWS, run_command
from utils.terminal_style import Style


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
    shown = [line.split() for line in lines[lines.index("  the 10 highest scores of 25 names:") + 1 :]]
    assert [row[3] for row in shown] == [f"n{24 - i}.com" for i in range(SHOWN_ROWS)]
    assert shown[0] == ["0.2400", "allow", "phishing", "n24.com"]


def test_a_short_file_is_shown_whole_and_not_as_its_highest_scores():
    fake = FakeSession()
    fake.names_in_file = 2
    shown = command(":file f", fake)
    assert "3 rows, 1 without an answer" in shown
    assert "highest" not in shown
    assert [line.split()[-1] for line in shown.splitlines()[-2:]] == ["n1.com", "n0.com"]


def test_help_fits_80_columns_and_its_descriptions_stand_below_each_other():
    lines = command(":help").splitlines()
    assert max(map(len, lines)) <= 80
    listed = [line for line in lines if line.startswith("  :")]
    assert len(listed) == len(COMMANDS)
    columns = {line.index(does) for line, (_, does) in zip(listed, COMMANDS.values(), strict=True)}
    assert len(columns) == 1


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
