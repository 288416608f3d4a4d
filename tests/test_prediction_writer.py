"""Predictions as JSON array, JSON Lines and CSV; a file is complete under its name or is called .partial."""

import contextlib
import csv
import io
import json
import os

import pytest

from utils.errors import ConfigError, UserError
from utils.partial_file import PartialFile
from utils.prediction import Prediction, refused
from utils.prediction_csv import Csv
from utils.prediction_formats import output_format
from utils.prediction_writer import PredictionWriter, make_encoder

CLASSES = ("benign", "bad")
PROBABILITIES = {"benign": 0.25, "bad": 0.75}
GOOD = Prediction("HTTPS://A.com/", "a.com", "bad", 0.75, PROBABILITIES, "review", 0.8, 0.9, "model", None)
ODD = [
    refused("no name", "no dot"),
    refused(None, "absent"),
    refused(17, "a number"),
    refused('quote " comma , line \n ü', "dirt"),
]
ROWS = [GOOD, *ODD]


def writer_to(path, classes=CLASSES, **options):
    encoder = make_encoder(output_format(path), classes, keep_fields=False, output=path)
    return PredictionWriter(path, encoder, **options)


def write(path, *batches):
    with writer_to(path) as writer:
        for batch in batches:
            writer.write(batch)


# ------------------------------------------------------------------ formats


@pytest.mark.parametrize("batches", [[ROWS], [[row] for row in ROWS], [[], ROWS[:2], [], ROWS[2:], []]])
@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".JSON"])
def test_json_reads_back_row_by_row(tmp_path, suffix, batches):
    path = tmp_path / f"out{suffix}"
    write(path, *batches)
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if suffix.lower() == ".json" else [json.loads(line) for line in text.splitlines()]
    assert rows[0] == {
        "domain": "HTTPS://A.com/",
        "normalized": "a.com",
        "label": "bad",
        "probability": 0.75,
        "probabilities": {"benign": 0.25, "bad": 0.75},
        "decision": "review",
        "score": 0.8,
        "threshold": 0.9,
        "decided_by": "model",
        "error": None,
    }
    assert [row["domain"] for row in rows] == [row.domain for row in ROWS]
    assert [row["error"] for row in rows] == [row.error for row in ROWS]
    assert all(row["label"] is None for row in rows[1:])
    assert text.endswith("\n")


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_no_control_character_is_in_the_file(tmp_path, suffix):
    name = "".join(map(chr, range(0xA1))) + "ü\u07ff\u2028"
    path = tmp_path / f"out{suffix}"
    write(path, [refused(name, f"bad_syntax: {name}")])
    text = path.read_text(encoding="utf-8")
    assert text.replace("\n", "").replace("\xa0", "").replace("\u2028", "").isprintable()
    assert json.loads(text.strip("[\n]"))["domain"] == name


def test_an_array_has_one_row_on_each_line(tmp_path):
    write(tmp_path / "out.json", ROWS[:2], ROWS[2:])
    lines = (tmp_path / "out.json").read_text(encoding="utf-8").splitlines()
    assert [lines[0], lines[-1]] == ["[", "]"]
    assert len(lines) == len(ROWS) + 2


@pytest.mark.parametrize(("suffix", "expected"), [(".json", []), (".jsonl", None)])
def test_no_rows_are_an_empty_file_of_the_format(tmp_path, suffix, expected):
    path = tmp_path / f"out{suffix}"
    write(path, [])
    text = path.read_text()
    assert (json.loads(text) if text else None) == expected


@pytest.mark.parametrize("batches", [[ROWS], [[row] for row in ROWS]])
def test_csv_reads_back_row_by_row(tmp_path, batches):
    write(tmp_path / "out.csv", *batches)
    content = (tmp_path / "out.csv").read_bytes().decode()
    rows = list(csv.reader(io.StringIO(content, newline="")))
    header = "domain,normalized,label,probability,p_benign,p_bad,decision,score,threshold,decided_by,error"
    assert ",".join(rows[0]) == header
    assert ",".join(rows[1]) == "HTTPS://A.com/,a.com,bad,0.75,0.25,0.75,review,0.8,0.9,model,"
    assert [row[0] for row in rows[2:]] == ["no name", "", "17", 'quote " comma , line \n ü']
    assert all(row[1:10] == [""] * 9 for row in rows[2:])
    assert content.count("\r\n") == len(ROWS) + 1


def test_the_header_of_csv_comes_with_the_first_row_or_at_the_end():
    encoder = Csv(CLASSES)
    assert encoder.start() + encoder.rows([]) == b""
    assert encoder.rows([GOOD]).startswith(b"domain,normalized,")
    assert encoder.rows([GOOD]).startswith(b"HTTPS://A.com/,")
    assert encoder.end() == b""
    assert Csv(CLASSES).end().startswith(b"domain,normalized,"), "a result without rows has its header"


@pytest.mark.parametrize("rows", [[], [GOOD]])
@pytest.mark.parametrize("keep_fields", [False, True])
def test_a_csv_file_that_is_gone_on_with_has_one_header(keep_fields, rows):
    begun, goes_on = Csv(CLASSES, keep_fields), Csv(CLASSES, keep_fields)
    content = begun.start() + begun.rows(rows)
    goes_on.go_on(json.loads(json.dumps(begun.state())))
    content += goes_on.rows([GOOD]) + goes_on.end()
    assert content.count(b"normalized") == 1
    assert content.startswith(b"domain,normalized,")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_of_a_csv_file_can_be_taken_for_a_formula(tmp_path, start):
    text = f"{start}cmd|' /C calc'!A0"
    rows = [
        Prediction(text, text, text, 0.5, {text: 0.5}, "allow", 0.5, 0.5, text, None),
        refused(text, text),
    ]
    with writer_to(tmp_path / "out.csv", (text,)) as writer:
        writer.write(rows)
    content = (tmp_path / "out.csv").read_bytes().decode()
    for cells in csv.reader(io.StringIO(content, newline="")):
        assert not [cell for cell in cells if cell.startswith(start)]
    assert content.count(f"'{start}cmd") == 6


def test_plain_rows_are_made_as_any_row_is():
    """The quick way and csv.writer give the same bytes, row by row and in a batch of both kinds."""
    names = [
        "a.com",
        "A.com:8/x?y=1&z=%20",
        "a,b.com",
        'a"b',
        "a\\b",
        "a[0]",
        "ä.de",
        " a",
        "",
        "null",
        "7",
        "x\ny",
    ]
    chances = {"benign": 1e-06, "bad": 0.999999}
    rows = [
        Prediction(name, "a.com", "bad", 0.999999, chances, decision, 1e-05, threshold, decider, None)
        for name in names
        for decision, threshold, decider in [
            ("block", 1.0, "model"),
            (None, None, None),
            ("allow", 0.5, "l.txt:1"),
        ]
    ]
    rows += [Prediction("a.com", "_a.com", "bad", 0.5, chances, "allow", 0.5, 0.5, "model", None), *ODD]
    encoder = Csv(CLASSES)
    encoder.rows(rows[:1])  # with the header
    one_by_one = b"".join(encoder._any_rows(rows))
    assert encoder.rows(rows) == one_by_one == b"".join(encoder.rows([row]) for row in rows)
    assert sum(encoder._are_plain(rows)) == 2 * 4, "the quick way was taken, for each name without a quirk"
    assert [row[0] for row in csv.reader(io.StringIO(one_by_one.decode(), newline=""))][:36:3] == names


def test_a_number_is_no_formula(tmp_path):
    write(tmp_path / "out.csv", [refused(-5, "x")])
    assert "\r\n-5," in (tmp_path / "out.csv").read_bytes().decode()


# ------------------------------------------------------------------ complete or .partial


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_the_file_appears_when_it_is_complete(tmp_path, suffix):
    path = tmp_path / f"out{suffix}"
    path.write_text("older")
    with writer_to(path) as writer:
        writer.write([GOOD])
        assert path.read_text() == "older"
        assert b"a.com" in (tmp_path / f"out{suffix}.partial").read_bytes(), "rows are handed on at once"
    assert "a.com" in path.read_text()
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_keeps_the_rows_so_far_and_the_older_file(tmp_path, error):
    path = tmp_path / "out.json"
    path.write_text("older")
    with contextlib.suppress(error), writer_to(path) as writer:
        writer.write([GOOD, ODD[0]])
        raise error
    assert path.read_text() == "older"
    assert len(json.loads((tmp_path / "out.json.partial").read_text())) == 2, "it is even whole JSON"


def test_a_signal_right_after_the_rows_are_written_loses_none(tmp_path, monkeypatch):
    path = tmp_path / "out.jsonl"
    write_to_file = PartialFile.write

    def interrupted(self, data, notes=None):
        write_to_file(self, data, notes)
        if b"a.com" in data:
            raise KeyboardInterrupt

    monkeypatch.setattr(PartialFile, "write", interrupted)
    writer = writer_to(path, job={"input": "x"})
    with contextlib.suppress(KeyboardInterrupt), writer:
        writer.write([GOOD, ODD[0]])
    assert writer.kept_rows == 2
    monkeypatch.undo()
    with writer_to(path, job={"input": "x"}, resume=True) as writer:
        assert writer.resumed_rows == 2
        writer.write(ODD[1:])
    assert [json.loads(line)["domain"] for line in path.read_text().splitlines()] == [r.domain for r in ROWS]


def test_stdout_gets_json_lines(capfdbinary):
    write(None, [GOOD], [ODD[0]])
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["domain"] for line in lines] == ["HTTPS://A.com/", "no name"]


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize("name", ["out.txt", "out", "out.json.gz", ".json", "out.jsonl.bak"])
def test_a_name_that_no_format_has_is_refused_before_anything_is_written(tmp_path, name):
    for refuse in (output_format, lambda path: writer_to(path)):
        with pytest.raises(ConfigError, match=r"the name must end in \.json, \.jsonl, \.csv"):
            refuse(tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"absent/out\.csv: cannot be written: No such file or directory$"):
        write(tmp_path / "absent" / "out.csv", [GOOD])


def test_a_folder_of_that_name_is_told_before_the_work(tmp_path):
    (tmp_path / "out.json").mkdir()
    with pytest.raises(UserError, match=r"out\.json: cannot be written: Is a directory$"):
        writer_to(tmp_path / "out.json", CLASSES).__enter__()
    assert os.listdir(tmp_path) == ["out.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line(tmp_path):
    (tmp_path / "out.jsonl.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"out\.jsonl: cannot be written: No space left on device$"):
        write(tmp_path / "out.jsonl", [GOOD])
    assert not (tmp_path / "out.jsonl").exists()
