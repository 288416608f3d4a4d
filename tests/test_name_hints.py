"""Which keys of JSON may hold names: found in keys and in keys of keys, in bounded time, safe to show."""

import json
import time

import pytest

from data.data_loader import read_records
from data.name_hints import hint_at_keys
from tests.test_prediction_run import run

ZEEK = {"ts": 1.5, "uid": "C1a", "id.orig_h": "192.0.2.1", "proto": "udp", "query": "shop.example.com"}
EVE = {
    "timestamp": "2024-01-01T00:00:00.000000+0000",
    "event_type": "dns",
    "src_ip": "192.0.2.1",
    "dns": {"rrname": "shop.example.com", "rcode": "NOERROR", "answers": [{"rdata": "a.example.net"}]},
}


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records).encode()


@pytest.mark.parametrize(
    ("head", "column", "expected"),
    [
        (lines(ZEEK), None, "perhaps 'query'"),
        (lines(EVE), None, "perhaps 'dns.rrname' or 'dns.answers.0.rdata'"),
        (json.dumps([EVE], indent=1).encode(), None, "perhaps 'dns.rrname' or 'dns.answers.0.rdata'"),
        (lines({"event_type": "stats", "uptime": 1}, ZEEK), None, "perhaps 'query'"),
        (
            lines({"referrer": "http://a.example.com/", "host": "b.example.org"}),
            None,
            "perhaps 'host' or 'referrer'",
        ),
        (
            lines({"tls": {"sni": "a.example.com"}, "dns": {"rrname": "b.example.com"}}),
            "rrname",
            "perhaps 'dns.rrname' or 'tls.sni'",
        ),
        (lines(ZEEK), "query", "the first record has 'ts', 'uid', 'id.orig_h', 'proto', 'query'"),
        (lines({"source": "example.com", "a": 1}), None, "the first record has 'source', 'a'"),
        (lines({"a.b": {"c": "example.com"}}), None, "the first record has 'a.b'"),
        (b'["example.com"]', None, None),
        (b'[{"q": "example.com"', None, None),
        (b"{}", None, None),
        (b"\xff", None, None),
    ],
)
def test_keys_that_hold_names_are_found(head, column, expected):
    assert hint_at_keys(head, column) == expected


def test_a_way_that_is_named_is_one_that_is_read(tmp_path):
    (tmp_path / "eve.json").write_bytes(lines(EVE))
    for way in hint_at_keys(lines(EVE), None).removeprefix("perhaps ").split(" or "):
        (record,) = read_records(tmp_path / "eve.json", column=way.strip("'"))
        assert record.domain in ("shop.example.com", "a.example.net")


@pytest.mark.parametrize(
    "head",
    [
        b'{"a":' * 60_000,
        b"[" * 300_000,
        b"{" + b",".join(b'"k%d": "x y"' % n for n in range(15_000)) + b"}",
        b'{"n":' + b"1" * 200_000 + b"}",
        lines({"\x1b[31m" * 1000: 1, "\u202e": 2}),
    ],
    ids=["deep", "arrays", "many keys", "digits", "controls"],
)
def test_a_hint_is_short_printable_and_quick_whatever_the_file_holds(head):
    started = time.process_time()
    hint = hint_at_keys(head, None) or ""
    assert time.process_time() - started < 2
    assert len(hint) < 1_000
    assert hint.isprintable()


@pytest.mark.parametrize("is_pipe", [False, True])
def test_a_log_of_json_without_a_usual_key_is_told_which_key_may_be_meant(tmp_path, is_pipe):
    (tmp_path / "dns.log").write_bytes(lines(ZEEK, ZEEK))
    source = [] if is_pipe else ["--input", "dns.log"]
    code, _, errors = run(tmp_path, *source, input=lines(ZEEK, ZEEK))
    said = "--column says which column or key of a row holds it: perhaps 'query'"
    assert (code, said in errors) == (0, True)
    code, _, errors = run(tmp_path, *source, "--column", "query", input=lines(ZEEK, ZEEK))
    assert "2 rows, 0 without an answer" in errors
    assert "perhaps" not in errors
