"""Where a name can stand: numbered columns, Zeek logs, nested keys; and what is kept beside it."""

import json

import msgspec
import pytest

from data.data_loader import read_records
from utils.errors import DataError

ZEEK = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"
    "#fields\tts\tquery\trcode\n#types\ttime\tstring\tcount\n"
    "1.5\ta.example\t0\n1.6\t-\t3\n1.7\t(empty)\t3\n1.8\tb\\xc3\\xbccher.example\t0\n1.9\n#close\t2026\n"
    "#fields\tquery\tts\nb.example\t2.0\n"
)


def domains(records):
    return [record.domain for record in records]


def fields_of(record):
    """Return kept fields as Python values."""
    if isinstance(record.fields, msgspec.Raw):
        return json.loads(bytes(record.fields))
    return record.fields


class TestNumberedColumns:
    LOG = (
        b"Nov 24 10:00:01 dnsmasq[12]: query[A] a.example from 192.0.2.1\n\n"
        b"Nov  4 10:00:02 dnsmasq[12]: reply b.example is 192.0.2.7\nstarted\n\xff\n"
    )

    def test_white_space_of_any_width_parts_columns(self, read):
        records = read(self.LOG, "dns.log", column="6")
        assert domains(records) == ["a.example", "b.example", None, None]
        assert records[2].error == "expected a name in column 6, found 1 of 6 columns"
        assert [record.malformed for record in records] == [False, False, False, True]
        assert [record.position for record in records] == ["line 1", "line 3", "line 4", "line 5"]

    def test_a_tab_in_a_line_is_what_parts_its_columns(self, read):
        assert domains(read(b"1 x\ta.example\n2\t\tb.example\n", column="2")) == ["a.example", ""]

    def test_csv_without_a_header(self, read):
        content = b'1,a.example\n2,"b.example"\n3\n'
        records = read(content, "names.csv", column="2")
        assert domains(records) == ["a.example", "b.example", None]
        assert records[2].error == "the row ends before the column '2': 1 of 2 cells"
        assert domains(read(content, "names.log", format="csv", column="2"))[:2] == ["a.example", "b.example"]

    @pytest.mark.parametrize("heading", ["host", "Host", "FQDN", "Domain Name", "url"])
    def test_a_first_line_with_a_usual_heading_there_is_a_header(self, heading, read):
        content = f"time,query,{heading}\n1,query,a.example\n".encode()
        (record,) = read(content, "names.csv", column="3", keep_fields=True)
        assert record.domain == "a.example"
        assert record.fields == {"time": "1", "query": "query", heading: "a.example"}

    def test_a_usual_heading_in_another_column_makes_no_header(self, read):
        assert domains(read(b"1,query,a.example\n", "names.csv", column="3")) == ["a.example"]

    def test_a_number_beyond_the_first_line_is_an_error_and_not_one_a_row(self, read):
        with pytest.raises(DataError, match="line 2: expected a column '3', found the columns '1'"):
            read(b"\n1,a.example\n2,b.example\n", "names.csv", column="3", strict=False)

    def test_a_header_that_is_a_number_is_a_header(self, read):
        assert domains(read(b"1,2\nx,a.example\n", "names.csv", column="2")) == ["a.example"]

    @pytest.mark.parametrize("strict", [True, False])
    @pytest.mark.parametrize(
        ("first", "is_row"),
        [
            ("indicator", False),
            ("Malicious domain (defanged)", False),
            ("query", False),
            ("first.example.com", True),
            ("hxxp://First[.]example[.]com/x", True),
        ],
    )
    def test_a_csv_file_of_one_column_needs_no_usual_heading(self, first, is_row, strict, read):
        records = read(f"{first}\na.example\n\n".encode(), "feed.csv", strict=strict, keep_fields=True)
        assert domains(records) == [first] * is_row + ["a.example"]
        assert fields_of(records[-1]) == {"1" if is_row else first: "a.example"}

    @pytest.mark.parametrize("first", ["indicator", "first.example"])
    def test_a_row_of_more_cells_than_the_only_column_is_no_row(self, first, read):
        content = f"{first}\n0,a.example,made up\nb.example,\n".encode()
        *_, bad, good = read(content, "feed.csv", strict=False)
        assert bad.malformed
        assert bad.error == "expected one cell, as in the first row, found 3"
        assert good.domain == "b.example"
        with pytest.raises(DataError, match="line 2: expected one cell, as in the first row, found 3"):
            read(content, "feed.csv", strict=True)

    @pytest.mark.parametrize("first", ["192.0.2.1", "someone@example.com", "# a feed", "[", '"{"'])
    def test_a_lone_first_cell_that_may_be_neither_name_nor_heading_is_refused(self, first, read):
        with pytest.raises(DataError, match="line 1: expected a header line with exactly one of"):
            read(f"{first}\na.example\n".encode(), "feed.csv")

    def test_two_columns_without_a_usual_heading_are_refused(self, read):
        with pytest.raises(DataError, match="found the columns 'indicator', 'type'"):
            read(b"indicator,type\na.example,1\n", "feed.csv")

    @pytest.mark.parametrize("column", ["host", "0", "-1", "1.5"])
    def test_columns_of_text_have_numbers(self, column, read):
        with pytest.raises(DataError, match=r"columns have numbers.* `tail -n \+1 -f`"):
            read(b"a.example\n", column=column)


class TestZeek:
    def test_a_log_is_told_by_its_first_line(self, read):
        records = read(ZEEK.encode(), "dns.csv")
        assert domains(records) == ["a.example", None, None, "bücher.example", None, "b.example"]
        assert [record.error for record in records if record.error] == [
            "the field 'query' is not set",
            "the field 'query' is not set",
            "the row ends before the column 'query': 1 of 3 cells",
        ]
        assert [record.position for record in records][:2] == ["line 8", "line 9"]

    def test_another_field_and_another_separator(self, read):
        log = b"#separator \\x7c\n#fields|uid|sni\nC1|a.example\n"
        assert domains(read(log, column="sni")) == ["a.example"]
        with pytest.raises(
            DataError, match="line 2: expected a column 'host', found the columns 'uid', 'sni'"
        ):
            read(log, column="host")

    def test_a_field_by_number_or_in_another_case(self, read):
        assert domains(read(ZEEK.encode()[: ZEEK.index("#close")], column="1"))[:2] == ["1.5", "1.6"]
        assert domains(read(ZEEK.encode(), column="Query"))[0] == "a.example"

    def test_a_row_before_the_fields(self, read):
        with pytest.raises(DataError, match=r"line 2: expected a line that begins with #fields .*grep -v"):
            read(b"#separator \\x09\n1.5\ta.example\n", format="zeek")


class TestNestedKeys:
    EVENTS = (
        {"event_type": "dns", "dns": {"rrname": "a.example", "id": 1}},
        {"event_type": "flow", "dns": None},
        {"event_type": "flow"},
        {"dns": {"rrname": {"x": 1}}},
        {"dns.rrname": "b.example", "dns": {"rrname": "c.example"}},
        "d.example",
    )

    @pytest.mark.parametrize("layout", ["lines", "one a line", "pretty", "one line"])
    def test_a_path_leads_into_objects_in_every_layout(self, layout, read):
        lines = [json.dumps(event) for event in self.EVENTS]
        content = {
            "lines": "\n".join(lines),
            "one a line": "[" + ",\n".join(lines) + "]\n",
            "pretty": json.dumps(self.EVENTS, indent=2),
            "one line": json.dumps(self.EVENTS),
        }[layout]
        records = read(content.encode(), "eve.json", column="dns.rrname")
        assert domains(records) == ["a.example", None, None, None, "b.example", "d.example"]
        assert [record.error for record in records[1:4]] == [
            "the record has no 'dns.rrname'",
            "the record has no 'dns.rrname'",
            "'dns.rrname' holds an object, expected text",
        ]

    @pytest.mark.parametrize("all_keys", [True, False])
    def test_a_number_is_a_place_in_an_array(self, all_keys, read):
        values = (
            '[{"name":"a.example"}]',
            "[]",
            '[null,{"name":"b.example"}]',
            '{"0":{"name":"c.example"}}',
        )
        content = "\n".join(f'{{"dns":{{"queries":{value}}}}}' for value in values).encode()
        for column, expected in (
            ("dns.queries.0.name", ["a.example", None, None, "c.example"]),
            ("dns.queries.1.name", [None, None, "b.example", None]),
            ("dns.queries.x.name", [None] * 4),
        ):
            assert domains(read(content, column=column, all_keys=all_keys)) == expected

    def test_the_way_may_begin_where_the_source_stands(self, read):
        content = b'{"source":{"domain":"a.example"},"malware":"m"}\n'
        (record,) = read(content, column="source.domain")
        assert (record.domain, record.source, record.family) == ("a.example", None, "m")


class TestKeptFields:
    def test_a_csv_row(self, read):
        content = b"id,host,note\n1,a.example\n2,b.example,x,y\n"
        short, long = read(content, "names.csv", keep_fields=True)
        assert short.fields == {"id": "1", "host": "a.example", "note": ""}
        assert long.fields == {"id": "2", "host": "b.example", "note": "x", "4": "y"}

    @pytest.mark.parametrize("layout", ["lines", "one a line", "pretty", "one line"])
    def test_json_records_as_they_were(self, layout, read):
        values = [
            '{"domain":"a.example","n":[1.50,18446744073709551615,-0.0,1e-7],"x":{"y":null,"z":"ü\\n"}}',
            '"b.example"',
        ]
        events = [json.loads(value) for value in values]
        content = {
            "lines": "\n".join(values),
            "one a line": "[" + ",\n".join(values) + "]",
            "pretty": json.dumps(events, indent=1),
            "one line": "[" + ",".join(values) + "]",
        }[layout]
        records = read(content.encode(), "x.json", keep_fields=True)
        assert [fields_of(record) for record in records] == events

    def test_a_number_that_output_cannot_hold_is_null(self, read):
        (record,) = read(b'[{"domain":"a.example","n":1e999999999999999999999}]', keep_fields=True)
        assert fields_of(record) == {"domain": "a.example", "n": None}

    def test_a_line_of_text(self, read):
        assert read(b" 7 a.example \n", column="2", keep_fields=True)[0].fields == {"line": "7 a.example"}

    def test_nobody_asked(self, read):
        assert read(b"a.example\n")[0].fields is msgspec.UNSET

    def test_damage_comes_after_the_good_records(self, read, tmp_path):
        from data.data_loader import read_records

        for content in (
            b'[{"domain":"a.example"},\n{"domain":"b.exa',
            b'[ {"domain":"a.example"}, {"domain":"b.exa',
        ):
            (tmp_path / "x.json").write_bytes(content)
            records = []
            with pytest.raises(DataError, match="record 2: the file ends inside the JSON"):
                records.extend(read_records(tmp_path / "x.json", keep_fields=True))
            assert domains(records) == ["a.example"]


class TestBadRowsOfCsv:
    CONTENT = b'domain,x\na.example,1\n\xff.example,2\nb.example,"3\nc.example,4\nd"e,5\nf.example,6\n'

    def test_training_stops(self, read):
        with pytest.raises(DataError, match="line 3: expected UTF-8 text, found the byte 0xff"):
            read(self.CONTENT, "names.csv")

    def test_prediction_goes_on_after_the_line(self, read):
        records = read(self.CONTENT, "names.csv", strict=False)
        assert domains(records) == ["a.example", None, None, "c.example", 'd"e', "f.example"]
        assert [record.position for record in records if record.malformed] == ["line 3", "line 4"]

    def test_a_header_that_cannot_be_read_is_an_error_all_the_same(self, read):
        with pytest.raises(DataError, match="line 1: expected UTF-8"):
            read(b"domain,\xff\na.example,1\n", "names.csv", strict=False)


def test_of_many_columns_the_first_are_shown_and_each_is_short(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(["x" * 900, *(f"c{n}" for n in range(3000))]) + "\n1\n")
    with pytest.raises(DataError, match=r"'x{40}…', 'c0', .*, 'c18' and 2,981 more") as caught:
        list(read_records(path))
    assert len(str(caught.value)) < 700
