"""From records to predictions: one a record, in order, whatever is in them; never an exception."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data.data_loader import FORMATS, read_records
from data.record import Record
from models.answering import Answerer
from tests.fake_classifier import CLASSES, THRESHOLDS, FakeClassifier
from utils.decision import choose_rule
from utils.errors import DataError
from utils.prediction import probability_maker
from utils.prediction_formats import OUTPUT_FORMATS
from utils.prediction_writer import make_encoder

RULE = choose_rule(THRESHOLDS)
NAMES = st.sampled_from(
    ["example.com", "EXAMPLE.com.", "hxxps://a[.]example.org/x", "bücher.de", "192.0.2.1", ""]
)
VALUES = NAMES | st.text() | st.integers() | st.floats() | st.booleans() | st.none()
a_little = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def answer(*domains):
    return Answerer(FakeClassifier(), RULE).answer([Record(d, None, None, None, "") for d in domains])


def test_one_answer_for_each_record_and_one_look_at_each_name():
    answerer = Answerer(FakeClassifier(), RULE)
    domains = ["b.com", "no-dot", "a.com", "A.com.", "b.com"]
    records = [Record(d, None, None, None, "") for d in domains]
    records.insert(1, Record(None, None, None, None, "line 2", "broken", True))
    records.insert(2, Record(None, None, None, None, "line 3", "nothing there"))
    found = answerer.answer(records)
    assert [p.domain for p in found] == ["b.com", None, None, "no-dot", "a.com", "A.com.", "b.com"]
    assert [p.normalized for p in found] == ["b.com", None, None, None, "a.com", "a.com", "b.com"]
    assert [p.reason for p in found] == [None, "malformed", "missing_name", "single_label", None, None, None]
    assert found[1].error == "malformed: line 2: broken"
    assert answerer.classifier.asked == [2], "two names, though four rows hold them"
    assert found[0].score == found[6].score
    assert found[0].score == answerer.answer_text("b.com").score


def test_an_answer_holds_together():
    for p in answer(*[f"name{number}.com" for number in range(200)]):
        assert list(p.probabilities) == list(CLASSES)
        assert sum(p.probabilities.values()) == pytest.approx(1, abs=3e-6)
        assert p.probability == p.probabilities[p.label] == max(p.probabilities.values())
        assert p.score == pytest.approx(1 - p.probabilities["benign"], abs=2e-6)
        assert (p.threshold, p.decided_by) == (0.98, "model")
        assert p.decision == ("block" if p.score >= 0.98 else "review" if p.score >= 0.9 else "allow")


def test_nothing_asked_nothing_answered():
    assert Answerer(FakeClassifier(), RULE).answer([]) == []


@pytest.mark.parametrize("classes", [("a", "b"), ("keys", "items"), ('quote"d', "back\\slash"), ("", "ü x")])
def test_probabilities_are_a_mapping_whatever_classes_are_called(classes):
    import msgspec

    row = probability_maker(classes)(0.25, 0.75)
    assert dict(row) == dict(zip(classes, (0.25, 0.75), strict=True))
    assert json.loads(msgspec.json.encode(row)) == dict(row)
    assert [*row.values()] == [0.25, 0.75]


@a_little
@given(st.lists(VALUES, max_size=20), st.sampled_from(sorted(OUTPUT_FORMATS)))
def test_any_values_give_one_row_each_in_every_format(values, format):
    found = answer(*values)
    assert len(found) == len(values)
    for p, value in zip(found, values, strict=True):
        assert p.domain is value
        assert (p.error is None) == (p.normalized is not None) == (p.decision is not None)
    encoder = make_encoder(format, CLASSES, keep_fields=False, explain=False, output=Path("out"))
    written = (encoder.start() + encoder.rows(found) + encoder.end()).decode()
    if format == "json":
        assert len(json.loads(written)) == len(values)
    elif format == "jsonl":
        assert [json.loads(line)["error"] for line in written.splitlines()] == [p.error for p in found]
    elif format == "csv":
        assert len(list(csv.reader(io.StringIO(written, newline="")))) == len(values) + 1
    else:
        assert written.count("\n") == len(values) + 1
        assert all(c.isprintable() or c == "\n" for c in written)


def answered_file(path, **options):
    """Return the rows of output for a file, and the number of its records; None where it is refused."""
    records = []
    with_error = False
    try:
        records.extend(read_records(path, strict=False, **options))
    except DataError:
        with_error = True
    encoder = make_encoder(
        "jsonl", CLASSES, keep_fields=options.get("keep_fields"), explain=False, output=Path("out")
    )
    rows = encoder.rows(Answerer(FakeClassifier(), RULE).answer(records)).splitlines()
    assert len(rows) == len(records)
    return [json.loads(row) for row in rows], with_error


@a_little
@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), min_size=1, max_size=12))
def test_any_bytes_as_lines_of_text_give_one_row_each(tmp_path, lines):
    path = tmp_path / "names.txt"
    lines = [b"example.com", *lines]
    path.write_bytes(b"\n".join(lines))
    rows, with_error = answered_file(path, format="text")
    assert not with_error or b"\x00" in lines[0]
    # White space alone is no row; what is no UTF-8 is one.
    assert len(rows) == sum(bool(line.decode(errors="replace").strip()) for line in lines)


@a_little
@given(
    st.binary(max_size=300),
    st.sampled_from(FORMATS),
    st.booleans(),
    st.sampled_from([None, "2", "a.b", "domain"]),
)
def test_any_bytes_as_any_format_are_answered_or_refused_in_one_line(tmp_path, data, format, keep, column):
    path = tmp_path / "input"
    path.write_bytes(data)
    answered_file(path, format=format, keep_fields=keep, column=column)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(
    "text", ['[{"domain":NUMBER}]', '[{"domain":NUMBER},\n"a.com"\n]', '{"domain":NUMBER}\n']
)
@pytest.mark.parametrize("number", ["1e400", "-1e400", "9" * 400 + ".5", str(2**64 - 1), "1e-400", "0.1"])
def test_a_number_is_no_name_whatever_its_size(tmp_path, number, text, keep):
    path = tmp_path / "in.json"
    path.write_text(text.replace("NUMBER", number))
    rows, with_error = answered_file(path, keep_fields=keep)
    assert not with_error
    assert rows[0]["error"] is not None
    assert len(rows) == 1 + text.count("a.com")


JSON = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@a_little
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["domain", "domain_name", "source", "x"]), JSON) | JSON, min_size=1
    ),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_any_json_gives_one_row_for_each_element(tmp_path, elements, keep, indent):
    path = tmp_path / "in.json"
    text = json.dumps(elements, indent=indent).replace("Infinity", "1e400").replace("NaN", "null")
    path.write_text(text)
    rows, with_error = answered_file(path, keep_fields=keep)
    if not with_error:  # a lone surrogate or so is refused, with the place
        assert len(rows) == len(elements)
