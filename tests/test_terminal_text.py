"""What comes from files, command lines and configurations steers no terminal; a pipe gets the exact text."""

import csv
import io
import json
import os
import pty
import subprocess
import sys
import termios
import threading
import tty
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from data.progress_bars import ProgressBars
from tests.prompt_fakes import ESCAPE, prediction
from utils.explanation_html import ExplanationPage
from utils.prediction import Prediction, refused
from utils.prediction_formats import OUTPUT_FORMATS
from utils.prediction_writer import PredictionWriter, make_encoder
from utils.prompt_rendering import render
from utils.terminal_style import Style
from utils.terminal_text import printable, printable_json, printable_line, write_result

PROJECT = Path(__file__).parent.parent
# Each steers a terminal, or deceives who reads: colour, title, C1, backspace, carriage return, another order.
HOSTILE = "\x1b[31m \x1b]0;t\x07 \x9b2J \x90 \x7f \x08 \r \x00 \u202e \u2066 \u200b \U000e0041 \u2028 \xad"
CLASSES = ("benign", "bad")
ROWS = [
    Prediction(
        f"{HOSTILE}.com",
        "a.com",
        "bad",
        0.75,
        {"benign": 0.25, "bad": 0.75},
        "block",
        0.8,
        0.5,
        HOSTILE,
        None,
    ),
    refused(f"{HOSTILE}\nb.com", f"bad_syntax: {HOSTILE}"),
    refused("\ud800", "half of a character"),
]


def reader_of(master, shown):
    def read():
        with io.FileIO(master, closefd=False) as file:
            try:
                while part := file.read(65_536):
                    shown.append(part)
            except OSError:  # the other side is closed
                pass

    thread = threading.Thread(target=read)
    thread.start()
    return thread


@contextmanager
def terminal():
    """Give the slave's descriptor of a terminal that changes no byte, and a list of what it was given."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    termios.tcsetwinsize(slave, (24, 200))
    shown = []
    thread = reader_of(master, shown)
    try:
        yield slave, shown
    finally:
        os.close(slave)
        thread.join(30)
        os.close(master)


def on_terminal(*arguments, folder=PROJECT, **environment):
    """Run a script with all its streams on a terminal; return exit code and what was shown."""
    with terminal() as (slave, shown):
        process = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"PYTHONPATH": str(PROJECT), "TERM": "xterm", "PYTHONUTF8": "1"} | environment,
            timeout=120,
        )
    return process.returncode, b"".join(shown).decode("utf-8", "strict")


def is_harmless(text):
    return all(c.isprintable() or c == "\n" for c in text.replace("\r\n", "\n"))


# ------------------------------------------------------------------ the rule


def test_printable_text_is_left_alone_and_the_rest_is_escaped():
    assert printable("a ü\nдомен 域名 → 1 %") == "a ü\nдомен 域名 → 1 %"
    assert printable("\x1b[31m\x9b\u202e\udc9b") == "\\x1b[31m\\x9b\\u202e\\udc9b"
    assert printable_line("a\nb\r") == "a\\nb\\r"
    assert is_harmless(printable(HOSTILE))


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_json_keeps_its_values(encoding):
    values = [HOSTILE, "ÀÛ", "\U0001f600", "plain"]
    text = printable_json("\n".join(json.dumps(v, ensure_ascii=False) for v in values), encoding)
    assert [json.loads(line) for line in text.split("\n")] == values
    assert is_harmless(text)
    text.encode(encoding)
    assert ("😀" in text) is (encoding == "utf-8")


# ------------------------------------------------------------------ predictions


def written(format, monkeypatch, encoding="utf-8", path=None):
    """Return the bytes of ROWS on a terminal: stdout, or the terminal's file."""
    with terminal() as (slave, shown):
        with open(os.dup(slave), "w", encoding=encoding) as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            output = None if path is None else Path(os.ttyname(slave))
            encoder = make_encoder(format, CLASSES, keep_fields=False, output=output)
            with PredictionWriter(output, encoder) as writer:
                writer.write(ROWS[:2])
                writer.write(ROWS[2:] if format in ("csv", "table") else [])
        monkeypatch.undo()
    return b"".join(shown).decode(encoding)


@pytest.mark.parametrize("path", [None, "its file"])
@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_predictions_on_a_terminal_steer_nothing(format, path, monkeypatch):
    text = written(format, monkeypatch, path=path)
    assert "a.com" in text
    assert "\\x1b[31m" in text or "\\u001b[31m" in text
    assert is_harmless(ESCAPE.sub("", text) if format == "table" and path is None else text)


def test_no_row_of_a_table_on_a_terminal_can_bring_its_own_colours(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert is_harmless(written("table", monkeypatch))


@pytest.mark.parametrize("format", OUTPUT_FORMATS)
def test_a_terminal_of_another_encoding_is_not_steered_by_bytes_of_utf_8(format, monkeypatch):
    """The second byte of "Û" in UTF-8 is 9B, which in a Latin-1 terminal begins a sequence."""
    monkeypatch.setitem(globals(), "ROWS", [refused("Û → \x1b", "bad"), refused("À", "bad"), ROWS[2]])
    text = written(format, monkeypatch, "latin-1")
    assert "Û" in text
    assert "\\u2192" in text
    assert is_harmless(text)


def test_rows_on_a_terminal_are_rows_of_the_format(monkeypatch):
    lines = [json.loads(line) for line in written("jsonl", monkeypatch).splitlines()]
    assert [line["domain"] for line in lines] == [row.domain for row in ROWS[:2]]
    assert [row["domain"] for row in json.loads(written("json", monkeypatch))] == [r.domain for r in ROWS[:2]]
    cells = list(csv.reader(io.StringIO(written("csv", monkeypatch), newline="")))
    assert [row[0] for row in cells[1:]] == [printable_line(row.domain) for row in ROWS]


def test_a_page_of_hostile_names_can_be_looked_at_in_a_terminal_too(tmp_path):
    page = ExplanationPage(tmp_path / "page.html", [])
    page.add([refused(HOSTILE, HOSTILE), prediction(decided_by=HOSTILE, reasons=[HOSTILE])])
    page.write(HOSTILE)
    assert is_harmless((tmp_path / "page.html").read_text(encoding="utf-8"))


def test_the_prompt_shows_no_hostile_text(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    style = Style(io.StringIO())
    for answer in (refused(HOSTILE, f"bad_syntax: {HOSTILE}\n"), prediction(decided_by=f"{HOSTILE}:3")):
        shown = render(answer, style)
        assert "\\x1b[31m" in shown
        assert is_harmless(shown)


def test_a_file_gets_the_exact_text(tmp_path):
    path = tmp_path / "out.csv"
    with PredictionWriter(path, make_encoder("csv", CLASSES, keep_fields=False, output=path)) as writer:
        writer.write(ROWS[:2])
    content = path.read_bytes().decode()
    assert [row[0] for row in csv.reader(io.StringIO(content, newline=""))][1:] == [
        r.domain for r in ROWS[:2]
    ]


# ------------------------------------------------------------------ messages, results, progress

# `on_terminal` gives its own arguments, so hostile text comes by Python.
SPEAKING = f"""
import logging, sys, warnings
from pathlib import Path
from utils.errors import DataError, run_script
from utils.terminal_text import write_result
hostile = {HOSTILE!r}
def action():
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("x").info("log %s", hostile)
    warnings.warn(f"warning {{hostile}}")
    print(f"message {{hostile}}", file=sys.stderr)
    write_result(f"result {{hostile}}")
    sys.stdout.flush()
    if sys.argv[1] == "bug":
        raise ValueError(hostile)
    raise DataError(Path(hostile), "is empty", hostile)
sys.exit(run_script("x.py", action))
"""


@pytest.mark.parametrize("kind", ["error", "bug"])
def test_whatever_a_script_says_steers_nothing(kind):
    code, text = on_terminal("-c", SPEAKING, kind)
    assert code == 1
    assert is_harmless(text), text
    for word in ("log ", "warning ", "message ", "result "):
        assert f"{word}\\x1b[31m" in text
    assert ("Traceback" in text) is (kind == "bug")
    assert ("x.py: \\x1b[31m" in text) is (kind == "error")


@pytest.mark.parametrize("script", ["train.py", "predict.py", "evaluate.py", "export.py"])
def test_a_wrong_command_line_steers_nothing(script):
    for arguments in ([f"--{HOSTILE}".replace("\x00", "")], ["--output"], ["--help"]):
        _, text = on_terminal(script, *arguments)
        assert "usage:" in text
        assert is_harmless(text), text


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--config", "HOSTILE.yaml"],
        ["train.py", "--config", "config.yaml"],
        ["train.py", "--config", str(PROJECT / "config_test.yaml"), "--set", "HOSTILE=1"],
        ["train.py", "--config", str(PROJECT / "config_test.yaml"), "--set", "data.split=HOSTILE"],
        ["train.py", "--resume", "HOSTILE"],
        ["predict.py", "--input", "HOSTILE"],
        ["predict.py", "--input", "names.txt", "--output", "HOSTILE"],
        ["predict.py", "--input", "names.txt", "--format", "HOSTILE"],
        ["evaluate.py", "--checkpoint", "x", "--output", "y", "--data", "HOSTILE"],
        ["export.py", "--checkpoint", "x", "--format", "onnx", "--output", "HOSTILE"],
    ],
    ids=lambda arguments: "-".join(Path(a).name for a in arguments if a != "HOSTILE"),
)
def test_names_of_files_and_values_of_settings_steer_nothing(arguments, tmp_path):
    hostile = HOSTILE.replace("\x00", "")
    (tmp_path / "names.txt").write_text("a.com\n")
    values = {"data": {hostile: 1, "split": hostile, "classes": [hostile]}, hostile: hostile}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    script, *rest = [argument.replace("HOSTILE", hostile) for argument in arguments]
    code, text = on_terminal(str(PROJECT / script), *rest, folder=tmp_path)
    assert code in (1, 2)
    assert "\\x1b" in text
    assert is_harmless(text), text


def test_a_result_in_a_pipe_is_exact(tmp_path):
    """A path with bytes that are no text, too."""
    program = "import sys; from utils.terminal_text import write_result as w; w(sys.argv[1]); w('next')"
    name = b"\x1b[31m\xff"
    done = subprocess.run([sys.executable, "-c", program, name], cwd=PROJECT, capture_output=True)
    assert (done.stdout, done.stderr) == (name + b"\nnext\n", b"")


def test_a_result_on_a_terminal_of_another_encoding(monkeypatch):
    with terminal() as (slave, shown):
        with open(os.dup(slave), "w", encoding="ascii") as stdout:
            monkeypatch.setattr(sys, "stdout", stdout)
            write_result("läufe\x1b")
        monkeypatch.undo()
    assert b"".join(shown) == b"l\\xe4ufe\\x1b\n"


def test_a_progress_bar_of_a_hostile_file_steers_nothing_but_itself(monkeypatch):
    with terminal() as (slave, shown):
        with open(os.dup(slave), "w", encoding="utf-8") as stderr:
            monkeypatch.setattr(sys, "stderr", stderr)
            with ProgressBars([f"{HOSTILE}\n.json"], [100], None) as bars:
                bars.reporter(0)(100, 7)
        monkeypatch.undo()
    text = b"".join(shown).decode()
    assert "records/s" in text
    assert "\\x1b[31m" in text
    assert "\n" not in text.replace("\x1b[A", "")
    assert is_harmless(text.replace("\r", "").replace("\x1b[A", ""))


SHOWING_BARS = """
import sys
from utils.errors import run_script
from data.progress_bars import ProgressBars
from models.training_bar import names_bar
def action():
    with ProgressBars(["a.json"], [10], None) as bars:
        bars.reporter(0)(10, 3)
    with names_bar("epoch", 10, None) as bar:
        bar.update(10)
    return 0
sys.exit(run_script("x.py", action))
"""


def test_progress_bars_are_drawn_on_a_terminal_that_is_guarded():
    code, text = on_terminal("-c", SHOWING_BARS)
    assert code == 0
    assert "records/s" in text
    assert "\repoch:" in text
    assert "\\r" not in text


@pytest.mark.slow
def test_a_prediction_on_a_terminal(tiny_checkpoint, tmp_path):
    """With a file's name, an allow list's name and names in it that are hostile."""
    hostile = HOSTILE.replace("\x00", "")
    (tmp_path / f"{hostile}.json").write_text(json.dumps([f"{HOSTILE}.com", "a.com", {"x": 1}]))
    (tmp_path / f"{hostile}.txt").write_text("a.com\n")
    arguments = ["--input", f"{hostile}.json", "--allow-list", f"{hostile}.txt", "--device", "cpu"]
    code, text = on_terminal(
        str(PROJECT / "predict.py"),
        *arguments,
        *("--checkpoint", str(tiny_checkpoint), "--format", "csv"),
        folder=tmp_path,
    )
    assert code == 0
    assert "a.com,a.com" in text
    assert "3 rows, 2 without an answer" in text
    assert is_harmless(text), text
