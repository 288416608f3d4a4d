"""A key stands once in its object, an integer has 64 bits: in every layout, whichever reader gets it."""

import random

import pytest

import predict
from data import fast_json
from data.data_loader import read_records
from data.fast_json import FastParser
from data.json_checks import RefusedBytesError
from data.record import WantedFields
from data.record_decoder import RecordDecoder
from tests.fuzzing import CHECKPOINT
from tests.test_reader_equivalence import Pairs, outcome, strictly_valid
from utils.errors import EXIT_DONE, EXIT_FAILED, DataError

GOOD = '{"domain_name":"a.example"}'
# Between the elements of an array, and what the reader of whole records is asked for besides.
LAYOUTS = [(",\n", False), (", ", False), (",\n", True), (", ", True)]

REPEATS = {
    "domain_name": '{"domain_name":"b.example","x":1,"domain_name":"c.example"}',
    "domain": '{"domain":"b.example","domain":"b.example"}',
    "source": '{"domain_name":"b.example","source":null,"source":"s"}',
    "malware": '{"malware":"m","domain_name":"b.example","malware":{"x":[]}}',
    "malware_type": '{"domain_name":"b.example","malware_type":1,"malware_type":2}',
    "sourced_on": '{"domain_name":"b.example","sourced_on":"2024-02-29","sourced_on":"2024-02-29"}',
    "sourced_on ": '{"domain_name":"b.example","sourced_on":null,"sourced_on":{"$date":"2024-02-29"}}',
    "sourced_on  ": '{"domain_name":"b.example","sourced_on":{},"sourced_on":{"$date":"2024-02-29"}}',
    "sourced_on   ": '{"domain_name":"b.example","sourced_on":{"$date":{"$numberLong":"1"}},"sourced_on":[]}',
    "$date": '{"domain_name":"b.example","sourced_on":{"$date":"2024-02-29T00:00:00Z","$date":"x"}}',
    "$numberLong": '{"domain_name":"b.example","sourced_on":{"$date":{"$numberLong":"1","$numberLong":"2"}}}',
}
OTHER_REPEATS = {  # of keys that nobody reads
    "x": '{"domain_name":"b.example","x":1,"x":{"y":1}}',
    "y": '{"domain_name":"b.example","x":[{"y":1,"z":2},{"y":1,"y":1}]}',
    "x ": '{"domain_name":"b.example","sourced_on":{"x":1,"$date":"2024-02-29T00:00:00Z","x":2}}',
    "domain_name": '{"domain_name":"b.example","x":{"domain_name":"c","domain_name":"d"}}',
    "$date": '{"domain_name":"b.example","source":{"$date":1,"$date":2}}',
    "$numberLong": '{"domain_name":"b.example","sourced_on":{"$date":[{"$numberLong":1,"$numberLong":2}]}}',
    "a b": '{"domain_name":"b.example","x":{"a b":"a b","ab":1,"a b":2.50}}',
    "": '{"domain_name":"b.example","x":{"":1,"y":"\\":1","":1}}',
}
NO_REPEATS = [
    '{"domain_name":"b.example","domain":"c.example","malware":1,"malware_type":2}',
    '{"domain_name":"b.example","Source":1,"source":2,"source ":3}',
    '{"domain_name":"b.example","x":"\\"domain_name\\":1,\\"domain_name\\":2"}',
    '{"domain_name":"b.example","x":{"a b":1,"ab":2,"a  b":3,"A b":4}}',
    '{"domain_name":"b.example","x":[{"y":1},{"y":1},{"x":{"y":1},"y":{"x":1,"y":2}}]}',
]


@pytest.fixture(params=[True, False], ids=["all keys", "read keys"])
def all_keys(request):
    """Tell whether no key may stand twice, or only none that is read."""
    return request.param


@pytest.fixture
def read(tmp_path, all_keys):
    def write_and_read(content: str, name="x.json", **options):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        records, error = outcome(read_records(path, all_keys=all_keys, **options))
        return records, error and error.removeprefix(str(path))

    return write_and_read


def refused_by_all(read, element: str, message: str, column: str | None = None, good: str = GOOD) -> bool:
    """Tell whether every reader refuses an element at its place, with what comes before it; else none may."""
    found = set()
    for separator, keep in LAYOUTS:
        content = "[" + separator.join([good] * 3 + [element, good]) + "]"
        records, error = read(content, format="json", keep_fields=keep, column=column)
        found.add(error is not None)
        assert len(records) == (3 if error else 5)
        assert error is None or error == f", record 4: {message}"
    for keep in (False, True):
        records, error = read(
            "\n".join([good] * 3 + [element, good]), "x.jsonl", keep_fields=keep, column=column
        )
        assert error is None
        assert [record.position for record in records] == [f"line {number}" for number in range(1, 6)]
        found.add(records[3].malformed)
        assert not records[3].malformed or records[3].error == message
        assert [record.malformed for record in records[:3] + records[4:]] == [False] * 4
    assert len(found) == 1, "the readers differ"
    return found.pop()


class TestRepeatedKeys:
    @pytest.mark.parametrize("key", REPEATS)
    def test_a_key_that_is_read_stands_once(self, key, read):
        message = f"expected each key once in its object, found {key.strip()!r} twice"
        assert refused_by_all(read, REPEATS[key], message)

    @pytest.mark.parametrize("key", REPEATS)
    def test_however_it_is_spelled(self, key, read):
        spelled = f'"{key.strip()}"'
        escaped = f'"\\u{ord(spelled[1]):04x}{spelled[2:]}'
        message = f"expected each key once in its object, found {key.strip()!r} twice"
        assert refused_by_all(read, REPEATS[key].replace(spelled, escaped, 1), message)

    @pytest.mark.parametrize("element", NO_REPEATS)
    def test_other_keys_are_not_taken_for_it(self, element, read):
        assert not refused_by_all(read, element, "")

    @pytest.mark.parametrize("key", OTHER_REPEATS)
    @pytest.mark.parametrize("spelling", ["compact", "spaced", "escaped"])
    def test_other_keys_stand_once_unless_nobody_minds(self, key, spelling, read, all_keys):
        element, key = OTHER_REPEATS[key], key.strip()
        if spelling == "spaced":
            element = element.replace('":', '" : ').replace(',"', ' , "')
        elif spelling == "escaped":
            before, after = element.rsplit(f'"{key}":', 1)
            spelled = "".join(rf"\u{ord(letter):04x}" for letter in key)
            element = f'{before}"{spelled}":{after}'
        message = f"expected each key once in its object, found {key!r} twice"
        assert refused_by_all(read, element, message) == all_keys

    @pytest.mark.parametrize("element", [*OTHER_REPEATS.values(), *NO_REPEATS])
    def test_long_values_are_looked_at_piece_by_piece(self, element, read, monkeypatch):
        """With the same outcome, whatever is long."""
        whole = read("\n".join([GOOD, element, GOOD]), "x.jsonl")
        monkeypatch.setattr("data.json_keys.BUILT_BYTES", 2)
        assert read("\n".join([GOOD, element, GOOD]), "x.jsonl") == whole

    @pytest.mark.parametrize(
        ("column", "element", "repeated"),  # what stands twice: (among the keys that are read, among all)
        [
            ("n", '{"n":"b.example","n":"c.example"}', "n"),
            ("n", '{"n":"b.example","domain_name":1,"domain_name":2}', (None, "domain_name")),
            ("a.b", '{"a":{"b":"b.example","b":"c.example"}}', "b"),
            ("a.b", '{"a":{"b":"b.example","c":1,"c":2}}', (None, "c")),
            ("a.b", '{"a":null,"a":{"b":"b.example"}}', "a"),
            ("a.b", '{"a":{},"a":{"b":"b.example"}}', "a"),
            ("a.b", '{"a":{"b":"b.example"},"a":5}', "a"),
            ("a.b", '{"a.b":"b.example","a.b":"c.example"}', "a.b"),
            ("a.b", '{"a.b":"b.example","a":{"b":1,"b":2}}', (None, "b")),
            ("a.b.c", '{"a":{"b":{"c":"b.example"},"b":{"c":"c.example"}}}', "b"),
            ("a.0.c", '{"a":[{"c":"b.example","c":"c.example"}]}', "c"),
            ("a.0.c", '{"a":[{"c":"b.example"},{"c":1,"c":2}]}', (None, "c")),
            ("a.0.c", '{"a":{"0":{"c":"b.example"},"1":0,"1":1}}', (None, "1")),
            ("source.n", '{"source":{"n":"b.example","n":"c.example"}}', "n"),
            ("sourced_on.n", '{"sourced_on":{"n":"b.example"},"sourced_on":{"n":"b.example"}}', "sourced_on"),
        ],
    )
    def test_keys_that_were_asked_for(self, column, element, repeated, read, all_keys):
        repeated, other = repeated if isinstance(repeated, tuple) else (repeated, repeated)
        repeated = other if all_keys else repeated
        message = f"expected each key once in its object, found {repeated!r} twice"
        good = element if repeated is None else '{"x":1}'
        assert refused_by_all(read, element, message, column, good) == (repeated is not None)

    def test_one_among_many_blocks(self, read):
        """Where one record lacks a key, it does not hide that another has it twice."""
        lines = [f'{{"domain_name":"{i}.example","source":"s","x":"{i:900}"}}' for i in range(3000)]
        lines[2000] = '{"domain_name":"b.example"}'
        lines[2001] = '{"domain_name":"b.example","source":"s","source":"s"}'
        records, error = read("[" + ",\n".join(lines) + "]")
        assert len(records) == 2001
        assert error.startswith(", record 2002: expected each key")


class TestIntegers:
    @pytest.mark.parametrize(
        "number", ["18446744073709551616", "-9223372036854775809", "9" * 21, "-" + "1" * 30, "8" * 5000]
    )
    @pytest.mark.parametrize(
        "element",
        [
            '{"domain_name":"b.example","x":%s}',
            '{"x":{"y":[0, %s ]},"domain_name":"b"}',
            "[%s]",
            '{"source":%s}',
        ],
    )
    def test_beyond_64_bits_is_refused_wherever_it_stands(self, number, element, read):
        shown = number if len(number) <= 24 else f"{number[:24]}…"
        message = f"expected integers of at most 64 bits, found {shown}"
        assert refused_by_all(read, element % number, message)

    @pytest.mark.parametrize(
        "value",
        [
            "18446744073709551615",
            "-9223372036854775808",
            "9223372036854775808",
            "18446744073709551616.0",
            "1.18446744073709551616",
            "18446744073709551616e1",
            "1e-18446744073709551616",
            "1e400",
            '"18446744073709551616"',
            '"a 18446744073709551616, b"',
            '"\\" 18446744073709551616 \\\\"',
            '{"18446744073709551616":1," 18446744073709551616 ":2}',
            '"%s"' % ("7" * 4000),
        ],
    )
    def test_what_is_no_integer_or_short_enough_is_fine(self, value, read):
        assert not refused_by_all(read, f'{{"x":[{value},1],"domain_name":"b.example"}}', "")

    @pytest.mark.skipif(fast_json.simdjson is None, reason="no wheel for this Python")
    @pytest.mark.parametrize("seed", range(10))
    def test_agrees_with_a_parser(self, seed):
        """Anywhere in a buffer, between bytes that do not belong to it; the fast way alone."""
        rng = random.Random(seed)
        parser, verdicts = FastParser(WantedFields(None)), set()
        for _ in range(300):
            tokens = [odd_token(rng) for _ in range(rng.randrange(1, 6))]
            content = ("[" + rng.choice([",", ", ", ",\n"]).join(tokens) + "]").encode()
            before = rng.choice([b"", b"1", b"12", b"123", b'"', b"7" * 20])
            after = rng.choice([b"", b"1", b"1" * 30, b"]", b"\xff"])
            view = memoryview(bytearray(before + content + after))[len(before) : len(before) + len(content)]
            try:
                parser.elements(view)
                is_good = True
            except RefusedBytesError:
                is_good = False
            expected = strictly_valid(content) is not None
            assert is_good == expected or (expected and b"e" in content), content  # 1e400 has to be judged
            verdicts.add(is_good)
        assert verdicts == {True, False}

    def test_long_digits_in_strings_take_no_long_time(self):
        """However many there are and however long the line is."""
        decoder = RecordDecoder(None, all_keys=False)
        assert type(decoder.decode(b'["' + b" 18446744073709551616," * 40_000 + b'"]')) is list
        assert decoder.decode(b'"' + b"1" * 5_000_000 + b'"') == "1" * 5_000_000


def odd_token(rng):
    """Return a JSON value about a long integer, or another."""
    limits = [2**64, 2**64 - 1, 2**63, -(2**63), -(2**63) - 1, 10**18, 10**20]
    number = rng.choice([*limits, rng.randrange(10**30)])
    numbers = [f"{number}", f"{number}.5", f"{number}e5", f"1e{abs(number)}", f"1.{abs(number)}", "[0]"]
    strings = [
        f'"{number}"',
        f'" {number} \\" {number},\\\\"',
        '"\\\\\\""',
        '"é"',
        f'{{"k":{number % 10**17}}}',
    ]
    return rng.choice(numbers + strings)


@pytest.mark.parametrize("seed", range(8))
def test_the_decoder_agrees_with_a_parser_on_repeated_keys(seed, all_keys):
    rng = random.Random(seed)
    decoder, verdicts = RecordDecoder(None, all_keys), set()
    for _ in range(300):
        element = odd_object(rng, depth=2).encode()
        try:
            decoder.decode(element)
            is_good = True
        except RefusedBytesError:
            is_good = False
        assert is_good == (strictly_valid(b"[" + element + b"]", all_keys) is not None), element
        verdicts.add(is_good)
    assert verdicts == {True, False}


def odd_object(rng, depth):
    keys = ["domain_name", "source", "sourced_on", "\\u0073ource", "x", "malware"]
    keys = keys if depth == 2 else ["$date", "$numberLong", "x"]
    values = ["1", "null", '"a"', "[]", "{}", "[{}]"] + ([""] * 6 if depth >= 0 else [])
    pairs = [
        f'"{rng.choice(keys)}":{rng.choice(values) or odd_object(rng, depth - 1)}'
        for _ in range(rng.randrange(4))
    ]
    return "{" + ",".join(pairs) + "}"


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (
            REPEATS["domain_name"],
            "expected each key once in its object, found 'domain_name' twice",
        ),
        (OTHER_REPEATS["x"], "expected each key once in its object, found 'x' twice"),
        ('{"x":18446744073709551616}', "expected integers of at most 64 bits, found 18446744073709551616"),
    ],
)
@pytest.mark.parametrize("separator", [",\n", ", "])
def test_predict_ends_with_one_line_and_no_finished_file(element, message, separator, tmp_path, capsys):
    source, output = tmp_path / "x.json", tmp_path / "out.jsonl"
    arguments = [
        "--checkpoint",
        str(CHECKPOINT),
        "--device",
        "cpu",
        "--input",
        str(source),
        "--output",
        str(output),
    ]
    source.write_text("[" + separator.join([GOOD, GOOD, element]) + "]", encoding="utf-8")
    assert predict.main(arguments) == EXIT_FAILED
    assert not output.exists()
    (line,) = [line for line in capsys.readouterr().err.splitlines() if message in line]
    assert f"{source}, record 3: {message}" in line
    source.write_text("\n".join([GOOD, element, GOOD]), encoding="utf-8")
    assert predict.main([*arguments, "--input-format", "jsonl"]) == EXIT_DONE
    rows = output.read_text(encoding="utf-8").splitlines()
    assert ["malformed" in row for row in rows] == [False, True, False]
    lax = predict.main([*arguments, "--input-format", "jsonl", "--no-check-all-keys"])
    assert lax == EXIT_DONE
    passes = element == OTHER_REPEATS["x"]
    assert ("malformed" in output.read_text(encoding="utf-8")) == (not passes)


def test_the_judge_knows_an_object_from_an_array():
    assert strictly_valid(b'[{"x":1,"x":2}]', all_keys=False) == [Pairs([("x", 1), ("x", 2)])]
    assert strictly_valid(b'[{"y":[{"x":1,"x":2}]}]') is None


@pytest.mark.parametrize("name", ["array.json", "lines.jsonl"])
def test_a_number_without_an_end_before_a_fault_of_syntax_is_refused_too(tmp_path, name):
    # Two kinds of fault in one value: the first, of a type, must not hide the second from the error's kind.
    record = b'{"domain_name": "a.com", "sourced_on": {"$date": 1e999"2024-02-29T00:00:00Z"}}'
    path = tmp_path / name
    path.write_bytes(b"[" + record + b",\n" + record + b"]\n" if name == "array.json" else record + b"\n")
    if name == "array.json":
        with pytest.raises(DataError, match="record 1"):
            list(read_records(path))
    else:
        assert [record.malformed for record in read_records(path)] == [True]
