"""Reading files: formats and how they are told apart, columns, compression, pipes, sources."""

import json
import logging

import ijson
import pytest

from data import json_reader
from data.byte_source import ByteSource
from data.data_loader import Record
from data.file_format import detect_format
from utils.errors import DataError

BOM = b"\xef\xbb\xbf"


def domains(records: list[Record]) -> list[object]:
    return [record.domain for record in records]


class TestJson:
    def test_the_wanted_fields_and_the_position(self, read):
        record = {
            "_id": {"$oid": "64f0c0ffee0000000000abcd"},
            "domain_name": "login.a.example",
            "source": "phishtank",
            "sourced_on": {"$date": "2024-02-29T23:59:59.5Z"},
            "malware": "paperworm",
        }
        assert read(json.dumps([record, {"domain_name": "b.example"}]).encode()) == [
            Record("login.a.example", "phishtank", 19_782, "paperworm", "record 1"),
            Record("b.example", None, None, None, "record 2"),
        ]

    def test_names_and_records_may_be_mixed(self, read):
        assert domains(read(b'["a.example", {"domain_name": "b.example"}, {"domain": "c.example"}]')) == [
            "a.example",
            "b.example",
            "c.example",
        ]

    def test_what_is_no_name_is_counted_with_its_reason(self, read):
        records = read(
            b'[{"url":"x"},\n{"domain_name":null},\n{"domain":null},\n{"domain":{}},\n{"domain_name":[1]},\nnull,'
            b'\n[],\n{"domain_name":5}]'
        )
        assert domains(records) == [None] * 7 + [5]
        assert [record.error for record in records] == [
            "the record has no 'domain_name' or 'domain'",
            "'domain_name' is null",
            "'domain' is null",
            "'domain' holds an object, expected text",
            "'domain_name' holds an array, expected text",
            "expected an object or a name, found null",
            "expected an object or a name, found an array",
            None,
        ]
        assert not any(record.malformed for record in records)

    @pytest.mark.parametrize("content", [b'[{"host":"a.example","domain_name":"b.example"},\n"c.example"]'])
    @pytest.mark.parametrize("layout", ["line", "other"])
    def test_the_key_of_the_name_can_be_chosen(self, content, layout, read):
        content = content if layout == "line" else content.replace(b"\n", b" ")
        assert domains(read(content, column="host")) == ["a.example", "c.example"]
        assert domains(read(content, column="no such")) == [None, "c.example"]

    def test_a_key_that_tells_of_the_source_holds_no_names(self, read):
        with pytest.raises(DataError, match="'source' tells where a name comes from"):
            read(b'["a.example"]', column="source")

    @pytest.mark.parametrize("indent", [None, 1])
    def test_one_object_alone_is_one_record(self, indent, read):
        content = json.dumps({"domain_name": "a.example", "dns": {"A": []}}, indent=indent).encode()
        assert domains(read(content)) == ["a.example"]
        assert domains(read(content, format="json")) == ["a.example"]

    def test_values_of_the_wrong_type_are_left_out(self, read):
        records = read(b'[{"domain_name":"a","source":1,"sourced_on":[],"malware":{}},\n{"domain_name":"b"}]')
        assert records[0] == Record("a", None, None, None, "record 1")

    def test_the_slow_backend_is_told_of_once(self, read, monkeypatch, caplog):
        monkeypatch.setattr(ijson, "backend_name", "python")
        json_reader._warn_of_slow_backend.cache_clear()
        with caplog.at_level(logging.WARNING):
            read(b'["a"]')
            read(b'["a"]')
        assert [record.message for record in caplog.records] == [
            "ijson has no C extension here and reads JSON in pure Python, about 18 times slower: "
            "reinstall ijson from a wheel with the yajl2_c backend"
        ]


class TestJsonLines:
    def test_a_line_that_cannot_be_read_is_answered_and_skipped(self, read):
        lines = [
            b'{"domain_name":"a.example"}',
            b'{"domain_name":',
            b"",
            b'"b.example"',
            b'"\xff"',
            b"{} {}",
            b'"c"',
        ]
        records = read(b"\r\n".join(lines), "names.jsonl")
        assert domains(records) == ["a.example", None, "b.example", None, None, "c"]
        assert [record.position for record in records] == [f"line {n}" for n in (1, 2, 4, 5, 6, 7)]
        assert [record.malformed for record in records] == [False, True, False, True, True, False]
        assert records[1].error.startswith("not one JSON object or string")
        assert records[3].error.startswith("expected UTF-8")

    @pytest.mark.parametrize(
        "skipped",
        [b'"\xff"', b"NaN", b"01", b'"\x01"', b'"\\ud800"', b"[1,]", b"[" * 100_000 + b"]" * 100_000],
    )
    def test_a_field_that_nobody_wants_must_be_valid_too(self, skipped, read):
        records = read(b'{"domain_name":"a","x":' + skipped + b'}\n{"domain_name":"b"}\n', "names.jsonl")
        assert [record.malformed for record in records] == [True, False]


class TestText:
    def test_names_one_a_line(self, read):
        records = read(b"a.example\r\n\r\n  b.example \n\nc\xc3\xa9.example", "names.txt")
        assert domains(records) == ["a.example", "b.example", "cé.example"]
        assert [record.position for record in records] == ["line 1", "line 3", "line 5"]

    def test_a_line_that_is_no_utf8_is_answered_and_skipped(self, read):
        records = read(b"a.example\nb\xe9.example\nc.example\n", "names.txt")
        assert domains(records) == ["a.example", None, "c.example"]
        assert records[1].malformed
        assert records[1].error == "expected UTF-8 text, found the byte 0xe9"


class TestCsv:
    @pytest.mark.parametrize(
        "content",
        [
            b"domain,label\na.example,1\nb.example,2\n",
            b"label;domain\r\n1;a.example\r\n\r\n2;b.example\r\n",
            b"label\tDOMAIN\n1\ta.example\n2\tb.example",
            b"label|domain\n1|a.example\n2|b.example",
            b'"label","domain"\n"say ""x"", y","a.example"\n"two\nlines","b.example"\n',
            BOM + b" domain , label\na.example ,1\n,\n b.example,2\n",
            b"domain\na.example\nb.example\n",
        ],
    )
    def test_dialects(self, content, read):
        assert domains(read(content, "names.csv")) == ["a.example", "b.example"]

    def test_a_tsv_has_tabs_whatever_else_the_header_holds(self, read):
        assert domains(read(b"domain\ta,b,c\na.example\tx\n", "names.tsv")) == ["a.example"]

    def test_the_line_is_the_position_and_the_other_columns_are_kept(self, read):
        content = b'note,source,name,sourced_on,malware\n"x\ny",s,a.example,2024-02-29,m\n,,b.example,,\n'
        assert read(content, "names.csv") == [
            Record("a.example", "s", 19_782, "m", "line 3"),
            Record("b.example", None, None, None, "line 4"),
        ]

    def test_a_short_row_is_counted(self, read):
        short, whole = read(b"id,domain\n1\n2,b.example\n", "names.csv")
        assert (short.domain, short.malformed) == (None, False)
        assert short.error == "the row ends before the column 'domain': 1 of 2 cells"
        assert whole.domain == "b.example"

    @pytest.mark.parametrize("column", ["Sender Host", "sender host", "sender_host"])
    def test_the_column_can_be_chosen_in_any_case(self, column, read):
        content = b"domain,Sender Host\na.example,b.example\n"
        assert domains(read(content, "names.csv", column=column)) == ["b.example"]

    def test_of_two_headers_that_differ_in_case_the_exact_one_is_meant(self, read):
        content = b"Host,host\na.example,b.example\n"
        assert domains(read(content, "names.csv", column="host")) == ["b.example"]
        with pytest.raises(DataError, match="expected one column 'HOST'"):
            read(content, "names.csv", column="HOST")

    @pytest.mark.parametrize("heading", ["hostname", "fqdn", "Domain Name", "URL"])
    def test_a_usual_heading_needs_no_column(self, heading, read):
        assert domains(read(f"id;{heading}\n1;a.example\n".encode(), "names.txt.csv")) == ["a.example"]

    @pytest.mark.parametrize(
        ("content", "column", "message"),
        [
            (
                b"1,a.example\n",
                None,
                "line 1: expected a header line with exactly one .*columns '1', 'a.example'",
            ),
            (b"domain,url\na,b\n", None, "exactly one .* columns 'domain', 'url'; predict.py takes --column"),
            (b"domain,url\na,b\n", "host", "expected a column 'host', found the columns 'domain', 'url'"),
            (b"domain,domain\na,b\n", "domain", "expected one column 'domain'"),
            (b'domain,x\n"a"b,1\n', None, "line 2: not valid CSV"),
            (b'domain,x\na,1\n"b,2\nc,3\n', None, "line [45]: not valid CSV"),
            (b"domain,x\na,1\n\xff,2\n", None, "line 3: expected UTF-8 text, found the byte 0xff"),
            (b"domain,x\n", None, "holds no record"),
        ],
    )
    def test_what_cannot_be_read(self, content, column, message, read):
        with pytest.raises(DataError, match=message):
            read(content, "names.csv", column=column)


class TestFormat:
    @pytest.mark.parametrize(
        ("name", "content", "format"),
        [
            ("x.json", b'[{"domain_name":"a"}]', "json"),
            ("x.json", b'\n\n [\n "a"]', "json"),
            ("x.json.gz", b"[]", "json"),
            ("x.json", b"[1, 2]", "json"),
            ("x.json", b'{"domain_name":"a"}\n{"domain_name":"b"}\n', "jsonl"),
            ("x.json", b'{\n"domain_name":"a"}\n', "json"),
            ("x.json", b'"a"\n"b"\n', "jsonl"),
            ("x.jsonl", b"{broken\n", "json"),
            ("x.jsonl", b"broken}\n", "jsonl"),
            ("x.txt", b"a.example\n", "text"),
            ("x.txt", b'[{"domain_name":"a"}]', "json"),
            ("x.txt", b"domain,label\n", "text"),
            ("x.csv", b"[a],b\n", "csv"),
            ("x.tsv.gz", b"a\tb\n", "csv"),
            ("x", b"a.example\nb.example\n", "text"),
            ("x", b"[::1]\n", "text"),
            ("x", b"domain,label\n", "csv"),
            ("x", b"first,second\n", "text"),
            ("x.domains", b'"a.example"\n', "jsonl"),
            ("x", BOM + b'["a"]', "json"),
            ("x", b"", "text"),
        ],
    )
    def test_it_is_told_from_the_name_and_the_first_line(self, name, content, format, tmp_path):
        path = tmp_path / name
        path.write_bytes(content)
        with ByteSource(path) as source:
            assert detect_format(source) == format

    def test_a_json_file_that_is_something_else(self, read):
        with pytest.raises(DataError, match=r"x\.json, line 1: expected a JSON array .* found 'a\.example'"):
            read(b"a.example\n", "x.json")

    def test_the_format_asked_for_decides(self, read):
        assert domains(read(b'["a"]\n', "x.json", format="text")) == ['["a"]']
        with pytest.raises(DataError, match="unknown format 'yaml', expected one of auto, json"):
            read(b"a\n", format="yaml")
