"""Blocks of lines: where they are cut, how large they grow, and what the fast parser lets through."""

import random

import pytest
from msgspec import UNSET

from data import byte_source, fast_json, json_blocks
from data.byte_source import ByteSource
from data.data_loader import read_records
from data.fast_json import FastParser
from data.json_checks import RefusedBytesError
from data.record import WantedFields
from tests.test_reader_equivalence import by_ijson_alone, outcome, strictly_valid

ROW_BYTES = 64  # that simdjson looks at together

# Arrays and what is none, whose commas at the ends of lines stand in odd places.
ODD_CUTS = [
    b"[,\n1]", b"[1,\n,\n2]", b"[\n,\n", b"[1,\n", b"[1,\n]", b"[1,\n\n]", b"[1,\n2", b"[1,\n2]]",
    b"[1,\n2],", b"[[1,\n2],\n3]", b"[[1,\n2,\n3],\n[4],\n5]", b"[[1],\n[2,\n[3,\n4]]]", b"[[1,\n2,\n3",
    b"[[1,\n2],[3,\n4]]", b"[1],\n[2]", b"[1]\n,[2],\n[3]", b"[[1]],\n[2],\n", b"[1],[2,\n3],\n4]",
    b"[1],\n2]", b"[[1],\n2],\n3]", b'["a,\nb",\n1]', b'["a",\n"b,\n', b'["a\\",\n"b"]', b'["a\\\\",\n"b"]',
    b'["a],\n[",\n1]', b'[{"x":1,\n"domain":"b"},\n3]',
    b'[{"x":{"y":1},\n"domain":"b"},\n{"domain":"c"},\n4]', b'[{"x":[1,\n2]},\n3]', b'[{"domain":"a"}},\n3]',
    b'[{"domain":"a"}],\n3]', b'[{"domain":"a"},{"domain":"b"},\n3,4,\n5]', b'[{"domain":"a"}{},\n3]',
    b"[1 ,\n 2 ,\n 3 ]", b"[1,\r\n2,\n3,\r\n4]", b"[1,\n2,\r\n3,\n4]", b"[1,\r\n2,\r\r\n3]", b"[1,\r",
    b"[1\n,2,\n3\n,4,\n5]",
]  # fmt: skip


@pytest.mark.parametrize("block", [1, 2, 3, 5, 8, 1000])
@pytest.mark.parametrize("content", ODD_CUTS)
@pytest.mark.parametrize("all_keys", [True, False])
def test_a_comma_at_the_end_of_a_line_is_no_promise(content, block, all_keys, tmp_path, monkeypatch):
    monkeypatch.setattr(json_blocks, "BLOCK_BYTES", block)
    path = tmp_path / "records.json"
    path.write_bytes(content)
    found = outcome(read_records(path, format="json", all_keys=all_keys))
    assert found == outcome(by_ijson_alone(path))
    assert (found[1] is None) == (strictly_valid(content) is not None)


@pytest.mark.parametrize("depth", [980, 990, 1000, 1200])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("all_keys", [True, False])
def test_what_is_too_deep_for_the_fast_reader_is_not_for_the_other(depth, closed, all_keys, tmp_path):
    """A block's elements are one level deeper than a line's."""
    path = tmp_path / "records.json"
    deep = b"[" * depth + b"]" * (depth if closed else depth - 1)
    path.write_bytes(b"[1,\n" + deep + b",\n" + deep + b",\n2]")
    found = outcome(read_records(path, all_keys=all_keys))
    assert found == outcome(by_ijson_alone(path))
    assert len(found[0]) == (4 if closed else 1)
    assert (found[1] is None) == closed


def test_the_buffer_is_small_again_after_a_long_record(tmp_path, monkeypatch):
    monkeypatch.setattr(json_blocks, "BLOCK_BYTES", 1000)
    sizes = []
    read_from = json_blocks._Block.read_from

    def note_size(block, source):
        found = read_from(block, source)
        sizes.append(len(block._buffer))
        return found

    monkeypatch.setattr(json_blocks._Block, "read_from", note_size)
    path = tmp_path / "records.json"
    lines = [*[b'"a.example"'] * 150, b'"' + b"b" * 100_000 + b'"', *[b'"c.example"'] * 150]
    path.write_bytes(b"[" + b",\n".join(lines) + b"]\n")
    assert sum(1 for _ in read_records(path)) == 301
    assert max(sizes) > 100_000
    assert sizes[0] == sizes[-1] == 1001


@pytest.mark.parametrize("seed", range(12))
def test_blocks_of_lines_are_the_lines(seed, tmp_path, monkeypatch):
    """Whatever is read at once, and however many blocks a line covers, or more than a line may have."""
    rng = random.Random(seed)
    monkeypatch.setattr(byte_source, "BLOCK_BYTES", rng.choice((1, 3, 16)))
    monkeypatch.setattr(byte_source, "MAX_RECORD_BYTES", 64)
    path = tmp_path / "x"
    for _ in range(40):
        sizes = [
            rng.choice((0, 1, 2, 15, 16, 17, 62, 63, 64, 65, 130, 300)) for _ in range(rng.randrange(1, 12))
        ]
        content = b"\n".join(bytes(rng.choices(b"abc", k=size)) for size in sizes) + rng.choice((b"", b"\n"))
        path.write_bytes(content)
        with ByteSource(path) as source:
            expected = list(source.lines())
        found = []
        with ByteSource(path) as source:
            for buffer, start, end in source.line_blocks():
                block = bytes(buffer[start:end]).removesuffix(b"\n")
                found += block.split(b"\n") if end else [None]
        assert found == expected


CHARACTERS = "a", "\x7f", "\x80", "é", "\u07ff", "\u0800", "東", "\ud7ff", "\uffff", "🔎", "\U0010ffff"
INTRUDERS = b"", b"\x80", b"\xc3", b"a", b"\xff", b"\xed\xa0\x80", b"\xc0\xaf"


@pytest.mark.skipif(fast_json.simdjson is None, reason="no wheel for this Python")
@pytest.mark.parametrize("seed", range(40))
def test_utf8_is_checked_in_what_nobody_reads(seed):
    """Texts around a multiple of 64 bytes, dense and sparse, whole and damaged, between stale bytes."""
    rng = random.Random(seed)
    parser, verdicts = FastParser(WantedFields(None)), set()
    for _ in range(25):
        text = odd_text(rng, rows=rng.choice((0, 1, 2, 5)))
        array = b'[{"x":"' + text + b'"},\n{"domain":"a"}]'
        stale = rng.choice((b"", b"\x80", b"\xe6\x9d", b"a"))
        view = memoryview(bytearray(stale + array + stale))[len(stale) : len(stale) + len(array)]
        try:
            found = [element.domain for element in parser.elements(view)] == [UNSET, "a"]
        except RefusedBytesError:
            found = False
        expected = is_utf8(text)
        assert found == expected
        verdicts.add(expected)
    assert verdicts == {True, False}


def odd_text(rng, rows):
    """Return UTF-8, often with a character across the end of a row, and often damaged there or elsewhere."""
    share = rng.choice((0.002, 0.5))
    text = b"".join(
        rng.choice(CHARACTERS).encode() if rng.random() < share else b"a" * rng.choice((1, 90))
        for _ in range(rng.choice((1, 30)) * (rows + 1))
    )
    text = text.ljust(rows * ROW_BYTES + rng.randrange(4), b"a")
    edge = rng.randrange(1, rows + 2) * ROW_BYTES - rng.randrange(5)
    text = text[:edge] + rng.choice(CHARACTERS).encode() + text[edge:]
    if rng.random() < 0.6:
        place = rng.choice((edge, rng.randrange(len(text)))) + rng.randrange(2)
        text = text[:place] + rng.choice(INTRUDERS) + text[place + 1 :]
    return text


def is_utf8(text):
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_lines_are_counted_on_from_block_to_block_where_some_are_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(byte_source, "BLOCK_BYTES", 16)
    lines = [b'"a.example"', b"{broken", b"", b'{"domain": "b.example"}', b'{"domain": 1', b"{}"] * 20
    path = tmp_path / "names.jsonl"
    path.write_bytes(b"\n".join(lines))
    positions = [record.position for record in read_records(path, format="jsonl")]
    assert positions == [f"line {number}" for number, line in enumerate(lines, start=1) if line]
