"""How a script ends: one printable line, the exit code, and closed standard streams."""

import subprocess
import sys
from pathlib import Path

import pytest

from utils.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    ConfigError,
    DataError,
    run_script,
)

ROOT = Path(__file__).parent.parent


def test_a_user_error_is_its_message_and_its_exit_code(capsys):
    def fail():
        error = ConfigError("two\n  - lines")
        error.add_note("go on so")
        raise error

    assert run_script("x.py", fail) == EXIT_USAGE
    assert capsys.readouterr() == ("", "x.py: two\n  - lines; go on so\n")


def test_an_interrupt_is_one_line(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert run_script("x.py", interrupted) == EXIT_INTERRUPTED
    assert capsys.readouterr().err == "x.py: interrupted\n"


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\r", "\x7f", "\x9b", "\u202e", "\udc9b"])
def test_what_a_file_is_called_does_not_steer_the_terminal(capsys, character):
    def fail():
        raise DataError(Path(f"a{character}[31mb"), "is empty")

    assert run_script("x.py", fail) == EXIT_FAILED
    message = capsys.readouterr().err
    assert message.removesuffix("\n").isprintable()
    assert message.startswith("x.py: a\\")
    assert message.endswith("[31mb: is empty\n")


def test_what_the_file_system_refuses_is_one_line(capsys, tmp_path):
    assert run_script("x.py", lambda: tmp_path.write_text("a")) == EXIT_FAILED
    assert capsys.readouterr().err == f"x.py: {tmp_path}: Is a directory\n"


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run_script("x.py", lambda: 1 // 0)


# Says on each stream what a script says, and opens a file of its own.
SCRIPT = """
import sys
from utils.errors import run_script
def action():
    with open("file.txt", "w") as file:
        sys.stdin.read()
        print("message", file=sys.stderr)
        print("result")
        file.write("content")
    return 0
sys.exit(run_script("x.py", action))
"""


@pytest.mark.parametrize(
    ("closing", "code", "stdout", "stderr"),
    [
        ("<&-", EXIT_DONE, "result\n", "message\n"),
        ("2>&-", EXIT_DONE, "result\n", ""),
        (
            ">/dev/full",
            EXIT_FAILED,
            "",
            "message\nx.py: stdout: cannot be written: No space left on device\n",
        ),
        (">&-", EXIT_FAILED, "", "message\nx.py: stdout: cannot be written: it is closed\n"),
        ("<&- >&- 2>&-", EXIT_FAILED, "", ""),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and a POSIX shell")
def test_a_closed_or_full_stream_mixes_nothing_up(closing, code, stdout, stderr, tmp_path):
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closing}', sys.executable, SCRIPT],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, stdout, stderr)
    assert code or (tmp_path / "file.txt").read_text() == "content"
