"""Files that are broken, or made to break a reader: an error that names the place, in little memory."""

import gc
import gzip
import io
import tracemalloc
from pathlib import Path

import pytest

import data.byte_source
import data.json_checks
from data.data_loader import Record, read_records
from tests.zenodo_records import write_records
from utils.errors import DataError

MIB = 2**20


@pytest.fixture
def read(tmp_path):
    """Write bytes to a file; return its records before the error, and the message after the file's name."""

    def write_and_read(content: bytes, **options) -> tuple[list[Record], str | None]:
        path = tmp_path / "x"
        path.write_bytes(content)
        records: list[Record] = []
        message = None
        try:
            records.extend(read_records(path, **options))
        except DataError as error:
            message = str(error)
        assert message is None or (message.startswith(str(path)) and message.isprintable())
        return records, message and message.removeprefix(str(path))

    return write_and_read


@pytest.fixture
def small_limit(monkeypatch):
    """Let a record have no more than 1 MiB."""
    monkeypatch.setattr(data.byte_source, "MAX_RECORD_BYTES", MIB)
    monkeypatch.setattr(data.json_checks, "MAX_RECORD_BYTES", MIB)


class TestNoData:
    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DataError, match="none: cannot be opened: No such file"):
            next(read_records(tmp_path / "none"))

    def test_a_folder(self, tmp_path):
        with pytest.raises(DataError, match="cannot be opened: Is a directory"):
            next(read_records(tmp_path))

    def test_a_file_that_may_not_be_read(self, tmp_path, monkeypatch):
        """Not by its mode: the superuser may read everything."""

        def refuse(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
        with pytest.raises(DataError, match="x: cannot be opened: Permission denied"):
            next(read_records(tmp_path / "x"))

    def test_a_read_error_comes_after_the_good_records(self, monkeypatch):
        class Failing(io.BytesIO):
            """A disk that fails after the first block."""

            def readinto1(self, buffer):
                size = super().readinto1(buffer)
                if not size:
                    raise OSError(5, "Input/output error")
                return size

        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Failing(b"a.example\nb.example\nc.exam")))
        records = read_records(Path("-"))
        assert [next(records).domain, next(records).domain] == ["a.example", "b.example"]
        with pytest.raises(DataError, match="<stdin>: cannot be read: Input/output error"):
            next(records)

    @pytest.mark.parametrize("format", ["auto", "json", "jsonl", "text", "csv"])
    @pytest.mark.parametrize(
        ("content", "message"),
        [(b"", "is empty"), (b"\xef\xbb\xbf", "is empty"), (b" \r\n\n\t", "holds no record")],
    )
    def test_nothing_in_the_file(self, format, content, message, read):
        assert read(content, format=format) == ([], f": {message}")
        assert read(gzip.compress(content), format=format) == ([], f": {message}")

    @pytest.mark.parametrize("content", [b"[]", b"[ \n ]\n", b"\n[\n]"])
    def test_an_empty_array(self, content, read):
        assert read(content) == ([], ": holds no record")

    @pytest.mark.parametrize(
        ("content", "found"),
        [
            (b"PK\x03\x04rest", "a zip archive"),
            (b"BZh91AY", "bzip2 data"),
            (b"\xfd7zXZ\x00rest", "xz data"),
            ("a.example\n".encode("utf-16"), "UTF-16 text"),
        ],
    )
    def test_what_is_neither_text_nor_compressed_as_expected(self, content, found, read):
        assert read(content) == (
            [],
            f": expected UTF-8 text, plain or compressed by gzip or zstandard, found {found}",
        )

    def test_binary_data(self, read):
        assert read(bytes(range(256)) * 40) == ([], ": expected text, found binary data")


class TestArrays:
    """Each content once with its records on lines of their own, once on one line."""

    @pytest.mark.parametrize("separator", [b"\n", b" "])
    @pytest.mark.parametrize(
        ("content", "count", "message"),
        [
            (b'["a",\n"b"', 2, "the file ends inside the JSON: it is truncated"),
            (b'["a",\n"b",\n', 2, "the file ends inside the JSON: it is truncated"),
            (b'["a",\n"b",\n{"x":"', 2, "the file ends inside the JSON: it is truncated"),
            (b'["a",\n"b",\n]', 2, "not valid JSON (parse error: unallowed token"),
            (b'["a"\n"b"]', 1, "not valid JSON (parse error: after array element"),
            (b'["a",\n"b"]\n["c"]', 2, "not valid JSON (parse error: trailing garbage"),
            (b'["a",\n"b"]\n,', 2, "not valid JSON (parse error: trailing garbage"),
            (b'["a",\n"b"]\n"unclosed', 2, "not valid JSON (parse error: trailing garbage"),
            (b'["a",\n"b"]\ntru', 2, "not valid JSON (parse error: trailing garbage"),
            (b'["a",\n"b"]\n1', 2, "not valid JSON (parse error: trailing garbage"),
            (b'["a",\n{"x":NaN},\n"b"]', 1, "not valid JSON (lexical error: invalid char"),
            (b'["a",\n{"x":01},\n"b"]', 1, "not valid JSON (parse error"),
            (b'["a",\n{"x":"\xff"},\n"b"]', 1, "invalid UTF-8 (invalid start byte)"),
            (b'["a",\n{"x":"\xed\xa0\x80"},\n"b"]', 1, "invalid UTF-8 (invalid continuation byte)"),
            (b'["a",\n{"x":"\\ud800"},\n"b"]', 1, "half of a surrogate pair, \\ud800"),
            (b'["a",\n{"x":"\x01"},\n"b"]', 1, "not valid JSON (lexical error: invalid character inside"),
            (b'["a",\n\x0c{"x":1},\n"b"]', 1, "invalid character 0x0c"),
            (b'["a",\n' + b"[" * 100_000 + b"]" * 100_000 + b"]", 1, "nested more than 10000 levels deep"),
            (b'["a",\n{"x":' + b'{"k":' * 100_000, 1, "nested more than 10000 levels deep"),
        ],
    )
    def test_the_error_comes_after_the_good_records_and_says_where(
        self, content, count, message, separator, read
    ):
        records, error = read(content.replace(b"\n", separator), format="json")
        assert [record.domain for record in records] == ["a", "b"][:count]
        assert error.startswith(f", record {count + 1}: {message}")

    @pytest.mark.parametrize("separator", [b",\n", b","])
    def test_integers_of_any_length_are_refused_and_fractions_are_not(self, separator, read):
        """ijson's C extension crashes on more than 4,300 digits."""
        for digits in (20, 400, 4300, 4301, 200_000):
            for number, is_good in ((b"0." + b"7" * digits, True), (b"7" * digits, False)):
                records, error = read(
                    b'["a"%b{"x":[-%b],"domain_name":"b"}%b"c"]' % (separator, number, separator)
                )
                assert [record.domain for record in records] == (["a", "b", "c"] if is_good else ["a"])
                assert (error is None) == is_good
                assert is_good or error.startswith(
                    ", record 2: expected integers of at most 64 bits, found -777777"
                )

    def test_an_object_that_is_no_record(self, read):
        message = (
            ": expected a JSON array of records, found one object, and the record has no 'domain_name' or "
        )
        message += "'domain'"
        assert read(b'{\n"results": []}') == ([], message)

    @pytest.mark.parametrize("content", [b'"a"', b"5", b"null"])
    def test_a_value_that_is_no_array(self, content, read):
        message = ": expected a JSON array of records, found a single value"
        assert read(content, format="json") == ([], message)


class TestLimits:
    @pytest.mark.parametrize("kind", ["string", "white space", "elements", "fields", "date"])
    @pytest.mark.parametrize("separator", [b"\n", b" "])
    def test_a_record_without_end(self, kind, separator, read, small_limit):
        endless = {
            "string": b'{"x":"' + b"a" * (5 * MIB),
            "white space": b" " * (5 * MIB),
            "elements": b"[" + b"[]," * (2 * MIB),
            "fields": b"{" + b"".join(b'"%d":1,' % n for n in range(MIB)),
            "date": b'{"sourced_on":{' + b"".join(b'"%d":1,' % n for n in range(MIB)),
        }[kind]
        records, error = read(b'["a",' + separator + endless)
        assert [record.domain for record in records] == ["a"]
        assert error == ", record 2: the record is longer than 1 MiB"

    def test_many_records_are_no_long_record(self, tmp_path, small_limit):
        path = tmp_path / "x.json"
        for layout in ("mongoexport", "single_line"):
            count = write_records(path, size_bytes=3 * MIB, layout=layout)
            assert sum(1 for _ in read_records(path)) == count

    @pytest.mark.parametrize("format", ["jsonl", "text"])
    def test_a_line_without_end_is_answered_and_skipped(self, format, read, small_limit):
        for size in (MIB - 1, MIB, 3 * MIB):
            records, error = read(b'"a"\n"' + b"a" * size + b'"\n"b"\n', format=format)
            assert error is None
            assert [record.position for record in records] == ["line 1", "line 2", "line 3"]
            assert [record.malformed for record in records] == [False, True, False]
        assert records[1].error.startswith("the line is longer than")

    def test_a_row_without_end(self, read, small_limit):
        records, error = read(b'domain\na\n"' + b"a" * (3 * MIB) + b"\nb\n", format="csv")
        assert [record.domain for record in records] == ["a"]
        assert error.startswith(", line 3: the line is longer than")

    @pytest.mark.parametrize("layout", ["mongoexport", "single_line", "jsonl"])
    def test_memory_is_flat(self, layout, tmp_path):
        path = tmp_path / "x.json"
        # Of an array on one line, 16 MiB are tried as records before ijson takes over.
        limit = (34 if layout == "single_line" else 8) * MIB
        count = write_records(path, size_bytes=30 * MIB, layout=layout)
        gc.collect()
        tracemalloc.start()
        try:
            assert sum(1 for _ in read_records(path)) == count
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < limit

    def test_memory_is_flat_where_content_is_endless(self, tmp_path, small_limit):
        path = tmp_path / "x.gz"
        path.write_bytes(gzip.compress(b'["a",\n{"x":"' + b"\\\\" * (50 * MIB), 1))
        tracemalloc.start()
        try:
            with pytest.raises(DataError, match="record 2: the record is longer than 1 MiB"):
                sum(1 for _ in read_records(path))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 6 * MIB
