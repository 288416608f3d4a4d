"""The bytes behind the records: gzip, pipes that wait, progress."""

import gzip
import io
import os
from pathlib import Path

import pytest
import zstandard

from data.data_loader import Record, read_records
from tests.zenodo_records import write_records
from utils.errors import DataError


def domains(records: list[Record]) -> list[object]:
    return [record.domain for record in records]


class TestCompression:
    CONTENT = b'[{"domain_name":"a.example"},\n{"domain_name":"b.example"}]'

    @pytest.mark.parametrize("name", ["x.json.gz", "x.json"])
    def test_gzip_is_told_by_its_content(self, name, read):
        assert domains(read(gzip.compress(self.CONTENT), name)) == ["a.example", "b.example"]
        assert domains(read(self.CONTENT, name)) == ["a.example", "b.example"]

    def test_members_may_follow_each_other_and_padding_may_end_them(self, read):
        parts = [self.CONTENT[:20], self.CONTENT[20:], b"", b"\n"]
        members = b"".join(map(gzip.compress, parts))
        assert domains(read(members)) == ["a.example", "b.example"]
        assert domains(read(members + bytes(1000))) == ["a.example", "b.example"]

    @pytest.mark.parametrize("name", ["x.json.zst", "x.json"])
    def test_zstandard_is_told_by_its_content(self, name, read):
        compress = zstandard.ZstdCompressor().compress
        assert domains(read(compress(self.CONTENT), name)) == ["a.example", "b.example"]
        frames = b"".join(map(compress, [self.CONTENT[:20], b"", self.CONTENT[20:]]))
        assert domains(read(frames, name)) == ["a.example", "b.example"]

    def test_damaged_zstandard_is_an_error_after_the_good_records(self, tmp_path):
        path = tmp_path / "x.jsonl.zst"
        content = b"".join(b'"name-%d.example"\n' % number for number in range(50_000))
        compressed = zstandard.ZstdCompressor(write_checksum=True).compress(content)
        for damaged, message in [
            (compressed[:-1], "ends early"),
            (compressed[: len(compressed) // 2], "ends early"),
            (compressed[:-4] + bytes(4), "damaged"),
            (compressed + b"garbage", "damaged"),
        ]:
            path.write_bytes(damaged)
            records = []
            with pytest.raises(DataError, match=f"the zstandard data (is )?{message}"):
                records.extend(read_records(path))
            assert len(records) > 1_000
            assert all(record.domain for record in records[:-1])

    @pytest.mark.parametrize("compress", [gzip.compress, zstandard.ZstdCompressor().compress])
    def test_much_content_in_few_bytes(self, compress, tmp_path):
        path = tmp_path / "x.jsonl.gz"
        path.write_bytes(compress(b'"a.example"\n' * 200_000))
        assert sum(record.domain == "a.example" for record in read_records(path)) == 200_000

    @pytest.mark.parametrize("layout", ["mongoexport", "pretty", "jsonl"])
    def test_damage_is_an_error_after_the_good_records(self, layout, tmp_path):
        path = tmp_path / "x.json.gz"
        write_records(path, count=60, layout=layout)
        compressed = gzip.compress(path.read_bytes())
        found = 0
        for damaged, message in [
            (compressed[:-9], "ends early"),
            (compressed[: len(compressed) // 2], "ends early"),
            (compressed[:-8] + bytes(8), "damaged"),
            (compressed + b"garbage", "damaged"),
        ]:
            path.write_bytes(damaged)
            records = []
            with pytest.raises(DataError, match=message):
                records.extend(read_records(path))
            found += len(records)
            assert all(record.domain for record in records)
        assert found > 60


class TestPipes:
    def test_standard_input(self, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a.example\nb.example")))
        assert domains(list(read_records(Path("-")))) == ["a.example", "b.example"]

    def test_errors_call_it_stdin_and_it_stays_open(self, monkeypatch):
        stdin = io.TextIOWrapper(io.BytesIO(b'["a",'))
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(DataError, match="<stdin>, record 2: the file ends inside"):
            list(read_records(Path("-")))
        assert not stdin.closed

    @pytest.mark.parametrize(
        ("format", "opening", "rows"),
        [
            ("auto", b"", [b"a.example\n", b"b.example\n"]),
            ("auto", b"", [b"a\n", b"b\n"]),
            ("text", b"", [b"a.example\n", b"b.example\n"]),
            ("auto", b"", [b'{"domain":"a.example"}\n', b'{"domain":"b.example"}\n']),
            ("csv", b"id,domain\n", [b"1,a.example\n", b"2,b.example\n"]),
            ("json", b"[", [b'"a.example",\n', b'"b.example",\n']),
        ],
    )
    @pytest.mark.parametrize("compress", [False, True])
    def test_a_row_is_there_as_soon_as_its_line_is(self, format, opening, rows, compress, monkeypatch):
        """The writer keeps the pipe open, so a reader that wanted more would wait for ever."""
        reading, writing = os.pipe()
        flush = _gzip_flusher() if compress else lambda data: data
        with open(reading, "rb") as end:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(end))
            records = read_records(Path("-"), format=format)
            os.write(writing, flush(opening + rows[0]))
            assert next(records).domain.startswith("a")
            os.write(writing, flush(rows[1]))
            assert next(records).domain.startswith("b")
            os.close(writing)

    def test_bytes_may_come_one_by_one(self, tmp_path, monkeypatch):
        path = tmp_path / "x.json"
        write_records(path, count=3, layout="pretty")
        content = gzip.compress(path.read_bytes())

        class Trickle(io.RawIOBase):
            """A pipe whose writer is slow."""

            def __init__(self):
                self.left = list(content)

            def readable(self):
                return True

            def readinto(self, buffer):
                buffer[: len(self.left[:1])] = bytes(self.left[:1])
                return 1 if self.left and self.left.pop(0) >= 0 else 0

        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Trickle())))
        assert list(read_records(Path("-"))) == list(read_records(path))


def _gzip_flusher():
    """Return a function that compresses so that what it has been given can be read already."""
    import zlib

    compressor = zlib.compressobj(wbits=31)
    return lambda data: compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


class TestProgress:
    @pytest.mark.parametrize("name", ["x.json", "x.json.gz", "x.jsonl"])
    def test_it_adds_up_to_the_size_of_the_file(self, name, tmp_path):
        path = tmp_path / name
        write_records(path, size_bytes=1_500_000, layout="jsonl" if name == "x.jsonl" else "mongoexport")
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(path.read_bytes(), 1))
        steps = []
        list(read_records(path, progress=steps.append))
        assert sum(steps) == path.stat().st_size
        assert len(steps) > 1
        assert max(steps) < 1_100_000
