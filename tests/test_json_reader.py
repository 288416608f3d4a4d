"""Which reader gets what of an array: long lines, damaged ones, other layouts; and in how much memory."""

import tracemalloc
from itertools import islice

import pytest

from data import json_blocks, json_reader
from data.byte_source import MAX_HEAD_BYTES, MAX_RECORD_BYTES, ByteSource
from data.data_loader import read_records
from tests.test_reader_equivalence import by_ijson_alone, outcome

MIB = 2**20


@pytest.fixture
def slow_records(monkeypatch):
    """Return a list that grows by what ijson reads: the number of records that came before."""
    starts = []

    def read_and_note(source, start, number, *others, **options):
        starts.append(number)
        return original(source, start, number, *others, **options)

    original = json_reader._read_any_layout
    monkeypatch.setattr(json_reader, "_read_any_layout", read_and_note)
    return starts


def record(name, padding=0):
    return b'{"domain_name":"%b","x":"%b"}' % (name, b"x" * padding)


@pytest.mark.parametrize(
    "size", [300_000, MAX_HEAD_BYTES + 1, MAX_RECORD_BYTES - len(record(b"b.example") + b",\n")]
)
def test_one_long_record_does_not_send_the_rest_to_the_slow_reader(size, tmp_path, slow_records):
    path = tmp_path / "records.json"
    lines = [record(b"a.example"), record(b"b.example", size), *[record(b"c.example")] * 50]
    path.write_bytes(b"[" + b",\n".join(lines) + b"]\n")
    found = outcome(read_records(path, format="json"))
    assert found[1] is None
    assert len(found[0]) == 52
    assert slow_records == [51], "only the last element, as always"
    assert outcome(by_ijson_alone(path)) == found


@pytest.mark.parametrize("size", [600_000, 3 * MIB, MAX_RECORD_BYTES - len(record(b"a.example") + b",\n")])
def test_a_long_first_record_is_no_other_layout(size, tmp_path, slow_records):
    path = tmp_path / "records.json"
    path.write_bytes(b"[" + b",\n".join([record(b"a.example", size), *[record(b"b.example")] * 9]) + b"]\n")
    assert sum(1 for _ in read_records(path)) == 10
    assert slow_records == [9]


@pytest.mark.parametrize("before", [0, 3])
def test_a_record_beyond_the_limit_is_refused_wherever_it_stands(before, tmp_path, slow_records):
    path = tmp_path / "records.json"
    long_record = record(b"b.example", MAX_RECORD_BYTES + MIB)
    path.write_bytes(b"[" + b",\n".join([record(b"a.example")] * before + [long_record, b"1"]) + b"]\n")
    records, error = outcome(read_records(path))
    assert len(records) == before
    assert error.endswith(f"record {before + 1}: the record is longer than 16 MiB")
    assert slow_records == [before]


@pytest.mark.parametrize("first_lines", [0, 3])
def test_all_the_rest_on_one_line_is_no_long_record(first_lines, tmp_path, monkeypatch):
    """What the fast reader tried is given on in blocks: each of its records has the whole limit."""
    monkeypatch.setattr("data.byte_source.MAX_RECORD_BYTES", MIB)
    monkeypatch.setattr("data.json_checks.MAX_RECORD_BYTES", MIB)
    path = tmp_path / "records.json"
    lines = [record(b"a.example"), b",\n"] * first_lines
    path.write_bytes(b"[" + b"".join(lines) + b",".join([record(b"b.example", 5000)] * 700) + b"]")
    assert sum(1 for _ in read_records(path)) == first_lines + 700


@pytest.mark.slow
def test_a_long_line_of_many_records_is_read_in_little_memory(tmp_path):
    """16 MiB are tried once; ijson, which makes objects of all tokens it is given, gets small blocks."""
    path = tmp_path / "records.json"
    line = b",".join([record(b"b.example")] * 1000)
    path.write_bytes(b"[" + record(b"a.example") + b",\n" + b",".join([line] * 650) + b"]")
    assert path.stat().st_size > MAX_RECORD_BYTES + MIB
    tracemalloc.start()
    try:
        records = read_records(path)
        assert sum(1 for _ in islice(records, 100_000)) == 100_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAX_RECORD_BYTES


@pytest.mark.parametrize(("start", "end", "between"), [(b"[", b"]", b",\n"), (b"", b"\n", b"\n")])
def test_whoever_stops_within_a_block_closes_the_file(start, end, between, tmp_path, monkeypatch):
    closed = []
    leave = ByteSource.__exit__

    def leave_and_note(source, *error):
        leave(source, *error)
        closed.append(source._file.closed)

    monkeypatch.setattr(ByteSource, "__exit__", leave_and_note)
    path = tmp_path / "records.json"
    path.write_bytes(start + between.join([record(b"a.example")] * 9) + end)
    records = read_records(path)
    assert [item.position.split()[1] for item in islice(records, 3)] == ["1", "2", "3"]
    assert closed == []
    records.close()
    assert closed == [True]


DAMAGES = {
    "syntax": (b'"x":"', b'"x":'),
    "invalid UTF-8": (b"\xc3\xa9", b"\xc3"),
    "overlong": (b"\xc3\xa9", b"\xc0\xaf"),
    "surrogate": (b"\xc3\xa9", b"\xed\xa0\x80"),
    "brace": (b"}", b""),
    "line feed in a string": (b"\xc3\xa9", b"\n"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("block", [700, 5000, 2**20])
def test_what_is_wrong_within_a_block_is_found_at_its_record(
    damage, block, tmp_path, monkeypatch, slow_records
):
    monkeypatch.setattr(json_blocks, "BLOCK_BYTES", block)
    path = tmp_path / "records.json"
    lines = [b'{"x":"%b\xc3\xa9 y","domain_name":"%d.example"}' % (b"x" * (40 * i), i) for i in range(60)]
    path.write_bytes(b"[" + b",\n".join(lines) + b"]\n")
    whole, error = outcome(read_records(path))
    assert (len(whole), error, slow_records) == (60, None, [59])
    for number in (0, 1, 29, 57, 58):
        slow_records.clear()
        changed = lines.copy()
        changed[number] = changed[number].replace(*DAMAGES[damage])
        path.write_bytes(b"[" + b",\n".join(changed) + b"]\n")
        records, error = outcome(read_records(path))
        assert records == whole[:number]
        assert f"record {number + 1}: " in error
        assert slow_records == [number], "all before it with the fast reader"
        assert outcome(by_ijson_alone(path)) == (records, error)


def test_other_layouts_within_a_block_are_read_at_once(tmp_path, slow_records):
    path = tmp_path / "records.json"
    one = record(b"a.example")
    path.write_bytes(
        b"[\n\n" + one + b",\n" + one + b" , " + one + b" ,\n\n" + b'{"x":1,\n"domain":"b"}' + b",\n1]"
    )
    assert [item.domain for item in read_records(path)] == ["a.example"] * 3 + ["b", 1]
    assert slow_records == [4]
