"""Fingerprints: what tells data files apart without reading all of them."""

import pytest

from data.cache import cache_key
from data.fingerprint import SAMPLE_BYTES, SAMPLES, fingerprint
from data.sources import SourceFile
from utils.errors import DataError


def test_a_fingerprint_tells_files_apart(tmp_path):
    first = tmp_path / "a.jsonl"
    first.write_bytes(b"some content")
    before = fingerprint(first)
    assert before["name"] == "a.jsonl"
    assert before["bytes"] == first.stat().st_size
    assert fingerprint(first) == before
    content = first.read_bytes()
    first.write_bytes(content[:-5] + b"X" + content[-4:])
    assert fingerprint(first)["sha256_of_samples"] != before["sha256_of_samples"]


@pytest.mark.parametrize("size", [0, 1, SAMPLE_BYTES, SAMPLE_BYTES + 1, 3 * SAMPLE_BYTES])
def test_any_changed_byte_of_a_small_file_changes_the_fingerprint(tmp_path, size):
    path = tmp_path / "small"
    path.write_bytes(bytes(size))
    before = fingerprint(path)["sha256_of_samples"]
    for place in {0, size // 2, size - 1} & set(range(size)):
        content = bytearray(size)
        content[place] = 1
        path.write_bytes(content)
        assert fingerprint(path)["sha256_of_samples"] != before


def test_a_fingerprint_sees_both_ends_and_the_middle_of_a_large_file(tmp_path):
    size = SAMPLES * SAMPLE_BYTES * 3
    path = tmp_path / "large"
    path.write_bytes(bytes(size))
    before = fingerprint(path)["sha256_of_samples"]
    for place in (0, size - 1, (size - SAMPLE_BYTES) * 7 // (SAMPLES - 1)):
        with path.open("rb+") as file:
            file.seek(place)
            file.write(b"\1")
        assert fingerprint(path)["sha256_of_samples"] != before
        path.write_bytes(bytes(size))


def test_a_file_that_cannot_be_read_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match="gone: cannot be read: No such file or directory"):
        fingerprint(tmp_path / "gone")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        fingerprint(tmp_path)
    with pytest.raises(DataError, match="cannot be read: No such file or directory"):
        cache_key(SourceFile(tmp_path / "gone", "benign", "auto"))
