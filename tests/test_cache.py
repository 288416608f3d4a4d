"""The cache gives back what the file gave, and never what is stale, damaged or half written."""

import json
import os
import threading
from dataclasses import replace

import numpy as np
import pytest

from data import cache
from data.data_loader import SourceFile
from data.file_gathering import gather_files
from data.file_names import gather_file
from tests.zenodo_records import write_records
from utils.errors import UserError


@pytest.fixture
def source(tmp_path):
    """A file of 300 schema-faithful records, a few of them dirty."""
    path = tmp_path / "phishing.json"
    write_records(path, count=300, dirt=0.1)
    return SourceFile(path, "phishing", "auto")


def gather(source, folder):
    """Read one file through the cache in `folder`."""
    return gather_files([source], cache_dir=folder, show_progress=False)[0]


def assert_same(one, other):
    """Compare all that a file yields."""
    assert list(one.names) == list(other.names)
    for name in ("hashes", "groups", "days", "sources", "families"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert (one.words, one.num_records, one.drops) == (other.words, other.num_records, other.drops)


def forbid_reading(monkeypatch):
    """Make reading a data file an error."""

    def fail(*_arguments, **_options):
        raise AssertionError("the data file was read again")

    monkeypatch.setattr("data.file_names.read_records", fail)


def test_the_second_time_comes_from_the_cache_and_is_the_same(source, tmp_path, monkeypatch):
    first = gather(source, tmp_path / "cache")
    assert first.drops
    forbid_reading(monkeypatch)
    second = gather(source, tmp_path / "cache")
    assert_same(first, second)
    assert isinstance(second.hashes, np.memmap)


def test_a_changed_file_is_read_again(source, tmp_path):
    before = gather(source, tmp_path / "cache")
    write_records(source.path, count=200, seed=5)
    after = gather(source, tmp_path / "cache")
    assert after.num_records == 200 != before.num_records


def test_a_file_with_another_time_is_read_again(source, tmp_path):
    key = cache.cache_key(source)
    os.utime(source.path, ns=(1, 1))
    assert cache.cache_key(source) != key


def test_the_settings_that_matter_are_in_the_key(source):
    others = [replace(source, format="json"), replace(source, all_keys=False)]
    assert len({cache.cache_key(each) for each in (source, *others)}) == 3


def test_a_new_version_of_the_rules_is_another_entry(source, monkeypatch):
    key = cache.cache_key(source)
    monkeypatch.setattr(cache, "CACHE_VERSION", cache.CACHE_VERSION + 1)
    assert cache.cache_key(source) != key


def test_another_version_of_unicode_is_another_entry(source, monkeypatch):
    key = cache.cache_key(source)
    monkeypatch.setattr("unicodedata.unidata_version", "99.0.0")
    assert cache.cache_key(source) != key


def test_an_unwritable_cache_is_told_before_anything_is_read(source, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    forbid_reading(monkeypatch)
    with pytest.raises(UserError, match=r"the cache cannot be written .* set data\.cache_dir to null"):
        gather(source, tmp_path / "cache")


def test_a_cache_that_has_everything_need_not_be_writable(source, tmp_path, monkeypatch):
    def refuse(*_arguments, **_options):
        raise OSError(30, "Read-only file system")

    first = gather(source, tmp_path / "cache")
    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    assert_same(gather(source, tmp_path / "cache"), first)
    os.utime(source.path, ns=(1, 1))
    with pytest.raises(UserError, match="Read-only file system"):
        gather(source, tmp_path / "cache")


def damage_a_bit(entry):
    """Flip one bit in the middle of the names."""
    path = entry / "blob.npy"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut_short(entry):
    """Leave half of an array."""
    path = entry / "hashes.npy"
    path.write_bytes(path.read_bytes()[:-100])


def swap_numbers(entry):
    """Change a count in the description."""
    path = entry / "meta.json"
    meta = json.loads(path.read_text())
    meta["facts"]["num_records"] += 1
    path.write_text(json.dumps(meta))


DAMAGES = {
    "a flipped bit": damage_a_bit,
    "an array cut short": cut_short,
    "a missing array": lambda entry: (entry / "days.npy").unlink(),
    "no description": lambda entry: (entry / "meta.json").unlink(),
    "half a description": lambda entry: (entry / "meta.json").write_text('{"checksums": {'),
    "a changed description": swap_numbers,
    "an empty folder": lambda entry: [path.unlink() for path in entry.iterdir()],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_noticed_and_made_again(damage, source, tmp_path, caplog):
    folder = tmp_path / "cache"
    good = gather(source, folder)
    entry = folder / cache.cache_key(source)
    DAMAGES[damage](entry)
    assert_same(gather(source, folder), good)
    assert "damaged cache entry" in caplog.text
    assert cache.load(folder, entry.name) is not None


def test_a_writer_that_dies_leaves_no_entry(source, tmp_path, monkeypatch):
    def die(*_arguments, **_options):
        raise KeyboardInterrupt

    names = gather_file(source.path)
    monkeypatch.setattr("data.cache._checksum", die)
    with pytest.raises(KeyboardInterrupt):
        cache.store(tmp_path / "cache", "key", names)
    assert cache.load(tmp_path / "cache", "key") is None
    assert not list((tmp_path / "cache").iterdir())


def test_two_runs_at_once_do_no_harm(source, tmp_path):
    names = gather_file(source.path)
    folder = tmp_path / "cache"
    threads = [threading.Thread(target=cache.store, args=(folder, "key", names)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in folder.iterdir()] == ["key"]
    assert_same(cache.load(folder, "key"), names)
