"""Predictions with reasons, end to end: JSON Lines, CSV, a table, and the HTML page."""

import csv
import io
import json
import re
from html.parser import HTMLParser

import pytest

import predict
from data.name_facts import name_facts
from models.classifier import DomainClassifier
from models.explanation import Span, explain
from models.reasons import add_reasons
from utils.errors import ConfigError, UserError
from utils.explanation_html import MAX_ROWS, ExplanationPage
from utils.prediction import Prediction, PredictionExplanation, refused

NAMES = ["login-amber-12.verify.top", "gооgle.com", "tenant.pages.dev", "no-dot", "login-amber-12.verify.top"]


@pytest.fixture
def run(tiny_checkpoint, tmp_path, capsysbinary):
    """Return what predict.py writes to stdout and stderr for the names above."""

    def call(*arguments):
        (tmp_path / "names.json").write_text(json.dumps(NAMES), encoding="utf-8")
        options = ["--input", str(tmp_path / "names.json"), "--checkpoint", str(tiny_checkpoint)]
        code = predict.main([*options, "--device", "cpu", *arguments])
        out, err = capsysbinary.readouterr()
        assert code == 0, err
        return out.decode("utf-8"), err.decode("utf-8")

    return call


# ------------------------------------------------------------------ predict.py


def test_json_lines_hold_spans_attention_facts_and_sentences(run, tiny_checkpoint):
    rows = [json.loads(line) for line in run("--explain", "--format", "jsonl")[0].splitlines()]
    classifier = DomainClassifier.load(tiny_checkpoint)
    for row in rows:
        if row["error"] is not None:
            assert "reasons" not in row
            assert "explanation" not in row
            continue
        (expected,) = explain(classifier, [row["normalized"]])
        spans = row["explanation"]["spans"]
        assert [(s["start"], s["end"], s["text"]) for s in spans] == [
            (s.start, s.end, s.text) for s in expected.spans
        ]
        assert {"start", "end", "text", "weight", "score_without"} == set(spans[0]) if spans else True
        assert row["score"] == pytest.approx(expected.score, abs=1e-5)
        attention = row["explanation"]["attention"]
        assert len(attention) == len(row["normalized"])
        assert sum(attention) == pytest.approx(1, abs=0.01)
        assert set(name_facts(row["normalized"]).sentences()) <= set(row["reasons"])
    assert rows[1]["explanation"]["facts"]["imitates"] == "google.com"
    assert rows[2]["explanation"]["facts"]["platform"]["kind"] == "hosting_platform"
    assert rows[0]["reasons"] == rows[4]["reasons"], "a name that comes twice is explained once, for both"


def test_without_explain_no_row_has_reasons(run):
    for line in run("--format", "jsonl")[0].splitlines():
        assert not {"reasons", "explanation"} & set(json.loads(line))


def test_csv_has_one_column_of_reasons(run):
    rows = list(csv.DictReader(io.StringIO(run("--explain", "--format", "csv")[0])))
    assert "looks like google.com: 'gооgle' reads as 'google'; mixes Cyrillic" in rows[1]["reasons"]
    assert rows[3]["reasons"] == ""
    assert "reasons" not in run("--format", "csv")[0]


def test_a_table_has_the_reasons_below_each_name(run):
    lines = run("--explain", "--format", "table")[0].splitlines()
    place = next(i for i, line in enumerate(lines) if line.endswith("tenant.pages.dev"))
    below = [line.strip() for line in lines[place + 1 :]]
    assert "- on the hosting platform pages.dev" in below


def test_reasons_leave_every_other_field_as_it_is(run):
    plain = [json.loads(line) for line in run("--format", "jsonl")[0].splitlines()]
    explained = [json.loads(line) for line in run("--explain", "--format", "jsonl")[0].splitlines()]
    assert plain == [{k: row[k] for k in row if k not in ("reasons", "explanation")} for row in explained]


def test_the_page_is_written_beside_the_output(run, tmp_path):
    page = tmp_path / "page.html"
    out, err = run("--explain-html", str(page), "--format", "jsonl")
    assert "reasons" in json.loads(out.splitlines()[0]), "--explain-html implies --explain"
    assert "page.html: 5 rows explained" in err
    assert "on the hosting platform pages.dev" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("target", ["names.json", "absent/page.html", "."])
def test_a_page_that_cannot_be_is_told_before_the_model_is_loaded(tmp_path, capsys, target):
    (tmp_path / "names.json").write_text('["a.com"]', encoding="utf-8")
    options = ["--input", str(tmp_path / "names.json"), "--checkpoint", "absent.pt"]
    code = predict.main([*options, "--explain-html", str(tmp_path / target)])
    assert code in (1, 2)
    assert str(tmp_path) in capsys.readouterr().err
    assert (tmp_path / "names.json").read_text(encoding="utf-8") == '["a.com"]'


def test_a_page_does_not_go_with_resume(tmp_path, capsys):
    (tmp_path / "names.json").write_text('["a.com"]', encoding="utf-8")
    options = ["--input", str(tmp_path / "names.json"), "--output", str(tmp_path / "out.csv"), "--resume"]
    assert predict.main([*options, "--explain-html", str(tmp_path / "page.html")]) == 2
    assert "does not go with --resume" in capsys.readouterr().err


def test_reasons_of_nothing_but_errors(tiny_checkpoint):
    rows = [refused("x", "single_label: no dot")]
    add_reasons(DomainClassifier.load(tiny_checkpoint), rows)
    assert rows == [refused("x", "single_label: no dot")]


# ------------------------------------------------------------------ the page


class Page(HTMLParser):
    """Collects tags with attributes, and the text; fails on a tag that is closed wrongly."""

    VOID = ("meta",)

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._open = [], "", []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data


def answer(name="evil.com", spans=(), reasons=("a reason",), domain=None):
    explanation = PredictionExplanation(list(spans), [], None)
    return Prediction(
        domain or name, name, "phishing", 0.9, {}, "block", 0.95, 0.9, "model", None,
        reasons=list(reasons), explanation=explanation,
    )  # fmt: skip


def written(tmp_path, rows, rule="block from 0.9"):
    page = ExplanationPage(tmp_path / "page.html", [])
    page.add(rows)
    message = page.write(rule)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    return Page(text), text, message


def test_spans_are_marked_with_direction_and_strength(tmp_path):
    spans = [Span(0, 2, "ev", 5.0, 0.1), Span(5, 8, "com", -0.3, 0.97)]
    page, text, message = written(tmp_path, [answer(spans=spans)])
    marks = [attributes for tag, attributes in page.tags if tag == "mark" and "title" in attributes]
    assert [mark["class"] for mark in marks] == ["m m4", "b b1"]
    assert marks[0]["title"] == "towards malicious: without it the score is 0.1000"
    assert re.search(r">ev</mark>il\.<mark [^>]*>com</mark></code>", text)
    assert message == f"{tmp_path / 'page.html'}: 1 row explained"


def test_hostile_texts_are_text(tmp_path):
    bad = "<script>alert('x')</script>\"&\ud800"
    rows = [answer(reasons=[bad[:-1]]), refused(bad, f"bad_syntax: {bad}"), refused({"a": 1}, "x: y")]
    page, text, _ = written(tmp_path, rows, rule="<b>rule</b>")
    assert not {"script", "b", "img", "a", "link", "iframe"} & {tag for tag, _ in page.tags}
    assert "<script>alert('x')</script>" in page.text
    assert "\\ud800" in page.text
    assert "default-src 'none'" in text


def test_the_page_loads_nothing(tmp_path):
    _, text, _ = written(tmp_path, [answer()])
    assert not re.search(r"https?:|url\(|@import|src=|href=", text)
    assert "prefers-color-scheme: dark" in text


def test_beyond_the_limit_rows_are_counted_only(tmp_path):
    page, _, message = written(tmp_path, [answer() for _ in range(MAX_ROWS + 5)])
    assert sum(tag == "tr" for tag, _ in page.tags) == MAX_ROWS + 1
    assert f"The first {MAX_ROWS:,} of them are shown" in page.text
    assert message.endswith(f"{MAX_ROWS:,} rows explained, the first {MAX_ROWS:,} of {MAX_ROWS + 5:,}")


def test_a_page_replaces_neither_input_nor_output(tmp_path):
    with pytest.raises(ConfigError, match="is the input or the output"):
        ExplanationPage(tmp_path / "a.json", [None, tmp_path / "a.json"])
    with pytest.raises(UserError, match="no such folder"):
        ExplanationPage(tmp_path / "absent" / "page.html", [])
