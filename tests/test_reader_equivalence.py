"""One content gives one outcome, however it is laid out, cut into blocks, or damaged.

Three readers look at each content: `read_records` (fast parsers first), ijson from the first byte on, and
Python's own `json` as the judge of what is valid. Records, counts and error messages must be the same, and
nothing that is invalid may be taken, no key twice (one that is read, or any), no integer beyond 64 bits.
"""

import datetime
import json
import random
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

import data.byte_source
import data.fast_json
import data.json_blocks
from data.byte_source import ByteSource
from data.data_loader import Record, read_records
from data.fast_json import warn_where_it_is_missing
from data.json_checks import MAX_DIGITS
from data.json_reader import _read_any_layout
from tests.zenodo_records import LABELS, LAYOUTS, encode_record, write_records, zenodo_records
from utils.errors import DataError

CASES = 250  # in each of the two modes
SIMDJSON = data.fast_json.simdjson
EPOCH = datetime.date(1970, 1, 1)
LONG_RUN = re.compile(f"[0-9]{{{MAX_DIGITS},}}")

# What a careless tool, a broken disk or an attacker may leave in a file.
INTRUDERS = [
    *(bytes([byte]) for byte in b'"\\,:[]{}\n\r\t\x00\x01\x0b\x0c\x7f\x80\xff 0-e.'),
    b"\xc0\xaf", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xef\xbb\xbf", b"\xc3", b"\xf0\x9f\x94\x8e",
    b"\\ud800", b"\\udc00", b"\\ud83d\\udd0e", b"\\ud83d\\ud83d", b"\\udd0e\\ud83d", b"\\\\ud800",
    b"\\q", b"\\u12",
    b"NaN", b"Infinity", b"-Infinity", b"null", b"true", b"nul", b"/* */", b"'", b"//\n",
    b"01", b"1.", b".5", b"+1", b"1e", b"-", b"1e400", b"1e-99999999999999999999", b"9" * 25, b"7" * 5000,
    b"18446744073709551615", b"18446744073709551616", b"-9223372036854775808", b"-9223372036854775809",
    b'" 18446744073709551616,"', b'"domain_name":"z.example",', b'"\\u0064omain":1,', b'"sourced_on":null,',
    b'"$date":"2024-02-29T00:00:00Z",', b'"malware":null,', b'"n":1,"n":2,',
    b",\n", b"]\n[", b"}\n{", b"},\n{", b"},\r\n{", b"},{", b'"a.example",\n', b'"x":{"$date":1},', b"[" * 50,
]  # fmt: skip


def outcome(records) -> tuple[list[Record], str | None]:
    """Return what a reader yields before it ends or fails, and the error's message."""
    found: list[Record] = []
    error = None
    try:
        found.extend(records)
    except DataError as caught:
        error = str(caught)
    for record in found:
        # The documented difference: ijson gets no more than MAX_DIGITS digits in a row, not even of a string.
        if isinstance(record.domain, str) and len(record.domain) > MAX_DIGITS:
            record.domain = LONG_RUN.sub(lambda run: run[0][:MAX_DIGITS], record.domain)
    return found, error


def by_ijson_alone(path: Path, all_keys: bool = True):
    """Read an array with the reader for all layouts from the first byte on."""
    with ByteSource(path) as source:
        yield from _read_any_layout(source, iter(()), 0, None, all_keys)


def strictly_valid(content: bytes, all_keys: bool = True) -> list | None:
    """Return the elements if `content` is a JSON array by RFC 8259 and UTF-8 that may be read, else None."""

    def refuse(constant):
        raise ValueError(constant)

    def integer(text):
        if len(text) > 20 or not -(2**63) <= int(text) < 2**64:
            raise ValueError(text)
        return int(text)

    try:
        elements = json.loads(
            content.decode("utf-8-sig"), parse_constant=refuse, parse_int=integer, object_pairs_hook=Pairs
        )
        json.dumps(elements, ensure_ascii=False).encode()  # no lone surrogates
    except ValueError:
        return None
    if not isinstance(elements, list) or isinstance(elements, Pairs):
        return None
    return None if any(map(has_a_key_twice if all_keys else reads_a_key_twice, elements)) else elements


class Pairs(list):
    """A JSON object with all its keys."""


def has_a_key_twice(value: object) -> bool:
    """Tell whether a key stands twice in an object, however deep."""
    if isinstance(value, Pairs):
        return len(dict(value)) < len(value) or any(has_a_key_twice(item) for _, item in value)
    return isinstance(value, list) and any(map(has_a_key_twice, value))


def reads_a_key_twice(record: object) -> bool:
    """Tell whether a key of an object that the program reads stands in it twice."""
    if not isinstance(record, Pairs):
        return False
    date = dict(record).get("sourced_on")
    instant = dict(date).get("$date") if isinstance(date, Pairs) else None
    read = ["domain_name", "domain", "source", "sourced_on", "malware", "malware_type"]
    return any(
        isinstance(value, Pairs) and [key for key, _ in value].count(wanted) > 1
        for value, keys in ((record, read), (date, ["$date"]), (instant, ["$numberLong"]))
        for wanted in keys
    )


def expected_record(record: dict, position: str) -> Record:
    """Return the record of a JSON object by the plain rules, slowly."""
    name = record.get("domain_name", record.get("domain"))
    error = None
    if name is None:
        error = (
            "'domain_name' is null"
            if "domain_name" in record
            else "the record has no 'domain_name' or 'domain'"
        )
    day = None
    if date := record.get("sourced_on"):
        value = date["$date"]
        if isinstance(value, dict):
            day = int(value["$numberLong"]) // 86_400_000
        else:
            day = (datetime.datetime.fromisoformat(value).date() - EPOCH).days
    return Record(
        name, record.get("source"), day, record.get("malware", record.get("malware_type")), position, error
    )


@pytest.fixture
def block_bytes(monkeypatch):
    """Set how many bytes a file gives at a time."""

    def set_all(size: int) -> None:
        monkeypatch.setattr(data.byte_source, "BLOCK_BYTES", size)
        monkeypatch.setattr(data.byte_source, "READ_BYTES", size)
        monkeypatch.setattr(data.json_blocks, "BLOCK_BYTES", size)

    return set_all


@pytest.fixture(scope="module", params=[True, False], ids=["all keys", "read keys"])
def all_keys(request) -> bool:
    """Tell whether no key may stand twice, or only none that is read."""
    return request.param


@pytest.fixture(scope="module")
def good_contents(all_keys) -> list[bytes]:
    """Return short arrays, one element a line: schema records, bare names, odd but valid records, a mix."""
    records = islice(zenodo_records(label="malware", dirt=0.5), 6)
    schema = [encode_record(record, "mongoexport") for record in records]
    names = [b'"a%d.example"' % i for i in range(40)]
    odd = [
        b'{"domain_name":"a.example","n":[18446744073709551615,-9223372036854775808,-0.0,1e400,{}]}',
        b'{"x":"\\u00e9\\ud83d\\udd0e \\\\ud800 \\"},\\n{","domain":"b.example"}',
        b'{"domain_name":null,"domain":"c.example"}',
        b'{"domain_name":17}',
        b'{"domain_name":1.5}',
        b'{"domain_name":["d.example"]}',
        b'{"domain_name":{"e":{"f":{"g":1}}}}',
        b'"f.example"',
        b"null",
        b"[1,[2]]",
        b"-7",
        b'{"domain_name":"i.example","sourced_on":{"$date":{"$numberLong":"-1"}},"source":"s"}',
        b'{"domain_name":"j.example","sourced_on":"2024-02-29","malware":"m"}',
        b'{"domain_name":"k.example","sourced_on":{"$date":"2024-02-29T23:30:00-01:00"}}',
        b'{"domain_name":"l.example","x":0.' + b"3" * 4500 + b"}",
        b'{"domain_name":"l.example","x":"' + b"3" * 4500 + b'","y":" 18446744073709551616,"}',
        b'{"domain_name":"m.example","x":"\\u0033123\\ud83d\\udd00123\\\\\\ud83d\\udd00"}',
        b"{}",
        b'{"domain_name":"\xc3\xa9\xe6\x9d\xb1\xf0\x9f\x94\x8e.example"}',
        b'{ "domain_name" : "n.example" , "x y":{"x y": [1, 2.50, "a b"]}}',
        b'{"a":{"a":{"a":1},"b":{"a":2}},"domain_name":"o.example"}',
    ]
    if not all_keys:
        odd += [
            b'{"domain_name":"g.example","x":{"y":1,"y":2},"x":3,"source":5,"malware":[],"malware_type":"x"}',
            b'{"domain_name":"h.example","sourced_on":{"x":1,"$date":{"y":2,"$numberLong":"-1","y":3},"x":4}}',
        ]
    arrays = (schema, names, odd, [*schema[:2], *names[:9], *odd])
    return [b"[" + b",\n".join(elements) + b"]\n" for elements in arrays]


class TestLayouts:
    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("label", LABELS)
    def test_every_layout_gives_the_records_that_were_written(self, layout, label, tmp_path):
        path = tmp_path / "records.json"
        write_records(path, count=120, layout=layout, label=label, dirt=0.4)
        unit = "line" if layout == "jsonl" else "record"
        written = islice(zenodo_records(label=label, dirt=0.4), 120)
        assert list(read_records(path)) == [
            expected_record(record, f"{unit} {number}") for number, record in enumerate(written, start=1)
        ]

    @pytest.mark.parametrize("block", [1, 7, 100, 4096, 131072])
    def test_the_size_of_the_blocks_does_not_matter(
        self, block, all_keys, good_contents, tmp_path, block_bytes
    ):
        path = tmp_path / "records.json"
        for content in good_contents:
            path.write_bytes(content)
            block_bytes(131072)
            expected = outcome(read_records(path, all_keys=all_keys))
            block_bytes(block)
            assert outcome(read_records(path, all_keys=all_keys)) == expected
            assert outcome(by_ijson_alone(path, all_keys)) == expected
            assert expected[1] is None
            assert len(expected[0]) == len(strictly_valid(content, all_keys))

    @pytest.mark.parametrize(
        ("opening", "separator", "closing"),
        [
            (b"[\n", b",\n", b"\n]"),
            (b"\n\n  [ ", b" ,\n\t", b"\n\n ]  \n\n"),
            (b"[", b",\r\n", b"]\r\n"),
            (b"[\r\n", b",\r\n", b"\r\n]"),
            (b"[", b"\n,", b"]"),
            (b"[", b",", b"]"),
            (b"\xef\xbb\xbf[", b",\n", b"]"),
            (b"[", b",\n\n", b"]"),
        ],
    )
    @pytest.mark.parametrize("block", [5, 300, 131072])
    def test_white_space_does_not_matter(
        self, opening, separator, closing, block, all_keys, good_contents, tmp_path, block_bytes
    ):
        path = tmp_path / "records.json"
        for content in good_contents:
            block_bytes(131072)
            path.write_bytes(content)
            expected = outcome(read_records(path, all_keys=all_keys))
            block_bytes(block)
            path.write_bytes(opening + separator.join(content.strip()[1:-1].split(b",\n")) + closing)
            assert outcome(read_records(path, all_keys=all_keys)) == expected

    def test_the_layout_may_change_in_mid_file(self, tmp_path):
        path = tmp_path / "records.json"
        records = list(islice(zenodo_records(), 40))
        layouts = ["mongoexport"] * 15 + ["pretty"] * 10 + ["mongoexport"] * 15
        encoded = map(encode_record, records, layouts)
        path.write_bytes(b"[" + b",\n".join(encoded) + b"]")
        assert [record.domain for record in read_records(path)] == [
            record["domain_name"] for record in records
        ]


class TestDamage:
    """Truncated and corrupted at seeded random places; each case has its own seed."""

    @pytest.mark.parametrize("first", range(0, CASES, 50))
    def test_both_readers_and_the_judge_agree(self, first, all_keys, good_contents, tmp_path, block_bytes):
        path = tmp_path / "records.json"
        refused = 0
        for seed in range(first, first + 50):
            rng = random.Random(seed)
            content = damaged(rng, rng.choice(good_contents))
            path.write_bytes(content)
            block_bytes(rng.choice((3, 50, 1000, 131072)))
            result = outcome(read_records(path, format="json", all_keys=all_keys))
            elements = strictly_valid(content, all_keys)
            if elements is None:
                assert result[1], f"seed {seed}: invalid JSON was taken"
                refused += 1
            elif elements:
                assert result[1] is None, f"seed {seed}: valid JSON was refused: {result[1]}"
                assert len(result[0]) == len(elements), f"seed {seed}"
            block_bytes(131072)
            if content.lstrip(b" \t\r\n").startswith(b"[") and elements != []:
                assert outcome(by_ijson_alone(path, all_keys)) == result, f"seed {seed}"
        assert refused > 10, "the damage must be damage"

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_the_good_records_come_before_the_error(self, layout, tmp_path):
        path = tmp_path / "records.json"
        write_records(path, count=12, layout=layout)
        content = path.read_bytes()
        whole = list(read_records(path))
        rng = random.Random(layout)
        for _ in range(40):
            cut = rng.randrange(1000, len(content) - 10)
            path.write_bytes(content[:cut])
            records, error = outcome(read_records(path))
            complete = [record for record in records if not record.malformed]
            assert complete == whole[: len(complete)]
            # All records whose last byte is before the cut are there.
            ends = sum(name_end < cut for name_end in record_ends(content, whole))
            assert len(complete) == ends
            if layout == "jsonl":
                assert error is None
                assert content[cut - 1 : cut + 1] in (b"}\n", b"\n{") or records[-1].malformed
            else:
                assert "truncated" in error
                assert f"record {len(complete) + 1}" in error


def damaged(rng: random.Random, content: bytes) -> bytes:
    """Return `content` with one to three random changes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        start = rng.randrange(1, len(content))
        end = min(len(content), start + rng.choice((1, 1, 2, 5, 100, 9000)))
        intruder = rng.choice(INTRUDERS)
        content = {
            "truncate": content[:start],
            "overwrite": content[:start] + intruder + content[start + len(intruder) :],
            "insert": content[:start] + intruder + content[start:],
            "insert at a token": insert_at_token(rng, content, intruder),
            "delete": content[:start] + content[end:],
            "repeat": content[:end] + content[start:],
            "append": content + intruder,
            "prepend": intruder + content,
        }[rng.choice(DAMAGES)]
        if len(content) < 2:
            return b"[x"
    return content


DAMAGES = (
    "truncate",
    "overwrite",
    "insert",
    "insert at a token",
    "insert at a token",
    "delete",
    "repeat",
    "append",
    "prepend",
)


def insert_at_token(rng: random.Random, content: bytes, intruder: bytes) -> bytes:
    """Return `content` with an intruder beside a random punctuation mark, where it may pass for a token."""
    places = [index for index, byte in enumerate(content) if byte in b'{}[],:"']
    place = rng.choice(places) + rng.choice((0, 1)) if places else 0
    return content[:place] + intruder + content[place:]


def record_ends(content: bytes, records: list[Record]) -> list[int]:
    """Return the offset of each record's last byte: the last brace before the next record, or in the file."""
    starts = [content.index(b'"_id"', start) for start in _starts(content, len(records))]
    return [content.rindex(b"}", 0, after) for after in [*starts[1:], len(content)]]


def _starts(content: bytes, count: int) -> list[int]:
    starts = [content.index(b'"_id"')]
    while len(starts) < count:
        starts.append(content.index(b'"_id"', starts[-1] + 1))
    return starts


class TestWithoutSimdjson:
    """There is no wheel of it for every Python."""

    @pytest.fixture
    def no_simdjson(self, monkeypatch):
        monkeypatch.setattr("data.fast_json.simdjson", None)
        warn_where_it_is_missing.cache_clear()
        yield
        warn_where_it_is_missing.cache_clear()

    @pytest.mark.parametrize("name", ["x.json", "x.jsonl"])
    def test_the_records_are_the_same(self, name, all_keys, good_contents, tmp_path, no_simdjson):
        path = tmp_path / name
        for seed, content in enumerate(good_contents * 10):
            for text in (content, damaged(random.Random(seed), content)):
                path.write_bytes(text if name == "x.json" else text.replace(b",\n", b"\n").strip()[1:-1])
                found = outcome(read_records(path, all_keys=all_keys))
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("data.fast_json.simdjson", SIMDJSON)
                    assert outcome(read_records(path, all_keys=all_keys)) == found

    def test_a_line_says_that_the_setting_saves_no_time(self, all_keys, tmp_path, no_simdjson, caplog):
        path = tmp_path / "x.jsonl"
        path.write_text('{"domain_name":"a.example"}\n', encoding="utf-8")
        for _ in range(2):
            assert len(list(read_records(path, all_keys=all_keys))) == 1
        lines = [record.message for record in caplog.records]
        assert len(lines) == (0 if all_keys else 1)
        assert all("pysimdjson is not installed" in line for line in lines)

    def test_it_is_not_needed(self, tmp_path):
        """Not even to load the modules; in a Python of its own, in which it is not to be found."""
        path = tmp_path / "x.json"
        path.write_text('[{"domain_name":"a.example"},\n{"domain_name":"b.example"}]', encoding="utf-8")
        program = (
            "import sys; sys.modules.update({'simdjson': None, 'csimdjson': None})\n"
            "from data.data_loader import read_records\n"
            f"print([record.domain for record in read_records({str(path)!r}, all_keys=False)])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=Path(__file__).parents[1], capture_output=True, text=True
        )
        assert done.stdout == "['a.example', 'b.example']\n", done.stderr
