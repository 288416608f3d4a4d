"""What the parser of the fast reader keeps, and for how long."""

import pytest

from data import fast_json
from data.fast_json import FastParser
from data.json_checks import RefusedBytesError
from data.record import WantedFields

pytestmark = pytest.mark.skipif(fast_json.simdjson is None, reason="no wheel for this Python")


@pytest.fixture
def parser():
    return FastParser(WantedFields(None))


@pytest.mark.parametrize(
    "bad", [b'[{"domain":1,"domain":2}]', b"[1", b"[\xff]", b'[{"source":{"$date":1e999}}]']
)
def test_it_goes_on_while_an_error_is_handled(bad, parser):
    """What the error's traceback holds is still in use."""
    with pytest.raises(RefusedBytesError) as caught:
        parser.elements(memoryview(bad))
    assert parser.value(b'{"domain":"a.example"}').domain == "a.example"
    assert caught.tb is not None


@pytest.mark.parametrize("value", [b'"a.example"', b'{"domain":"a.example"}', b"[]", b"1"])
def test_a_byte_order_mark_belongs_to_a_file_and_to_no_value(value, parser):
    with pytest.raises(RefusedBytesError):
        parser.value(b"\xef\xbb\xbf" + value)


def test_no_room_is_kept_for_a_long_value(parser, monkeypatch):
    monkeypatch.setattr(fast_json, "_LONG_BYTES", 20)
    monkeypatch.setattr(parser, "_parser", None)  # the one that is kept
    long = b'{"domain":"a-long.example"}'
    assert parser.value(long).domain == "a-long.example"
    assert parser.elements(memoryview(b"[" + long + b"]"))[0].domain == "a-long.example"
    with pytest.raises(AttributeError):
        parser.value(b'{"domain":"a"}')


def test_few_kinds_of_objects_are_remembered_and_none_that_is_large(parser):
    for number in range(3000):
        assert parser.value(b'{"domain":"a.example","%d":1}' % number).domain == "a.example"
    assert 100 < len(parser._fields_of) <= 256
    parser._fields_of.clear()
    kept = parser._keys
    for large in (b'"%s":1' % (b"x" * 5000), b",".join([b'"":1'] * 100)):
        assert parser.value(b'{"domain":"a.example",%s}' % large).domain == "a.example"
    assert not parser._fields_of
    assert len(parser._keys) <= len(kept)


@pytest.mark.parametrize("value", [b"[1", b"x", b'{"domain":1e999}', b"[18446744073709551616]"])
def test_a_value_that_is_refused_costs_no_new_parser(value, parser):
    kept = parser._parser
    with pytest.raises(RefusedBytesError):
        parser.value(value)
    assert parser._parser is kept


def test_a_key_with_nul_is_not_for_it():
    """It would look for what stands before."""
    assert fast_json.fast_parser(WantedFields("a")) is not None
    assert fast_json.fast_parser(WantedFields("a\0b")) is None
    assert fast_json.fast_parser(WantedFields("x.a\0b")) is None


@pytest.mark.parametrize("all_keys", [True, False])
@pytest.mark.parametrize(
    ("column", "row"),
    [
        ("a\0b", b'{"a\\u0000b":"b.example","a":"a.example"}'),
        ("x.a\0b", b'{"x":{"a\\u0000b":"b.example","a":"a.example"}}'),
    ],
)
def test_a_column_with_nul_is_itself(column, row, all_keys, read):
    (record,) = read(row + b"\n", format="jsonl", column=column, all_keys=all_keys)
    assert record.domain == "b.example"
