"""Many files: the same result from any number of processes, the same first error, and progress."""

import logging

import pytest

from data import file_gathering
from data.data_loader import SourceFile
from data.file_gathering import gather_file, gather_files
from tests.test_cache import assert_same
from tests.zenodo_records import write_records
from utils.errors import DataError


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """Four files of different layouts and sizes, which processes of their own are worth."""
    monkeypatch.setattr(file_gathering, "BYTES_WORTH_A_PROCESS", 0)
    files = []
    for number, (layout, label) in enumerate(
        [("mongoexport", "benign"), ("pretty", "phishing"), ("jsonl", "malware"), ("single_line", "benign")]
    ):
        path = tmp_path / f"{number}.json"
        write_records(path, count=60 + 40 * number, layout=layout, seed=number, label=label, dirt=0.1)
        files.append(SourceFile(path, label, "auto"))
    return files


@pytest.mark.slow
def test_the_number_of_processes_does_not_matter(sources, tmp_path):
    alone = gather_files(sources, workers=1, show_progress=False)
    together = gather_files(sources, workers=3, show_progress=False)
    cached = gather_files(sources, workers=3, cache_dir=tmp_path / "cache", show_progress=False)
    for one, other, third in zip(alone, together, cached, strict=True):
        assert_same(one, other)
        assert_same(one, third)


@pytest.mark.slow
def test_the_first_broken_file_is_the_error_from_any_number_of_processes(sources):
    for file in (sources[1], sources[3]):
        content = file.path.read_bytes()
        file.path.write_bytes(content[: len(content) // 2])
    messages = []
    for workers in (1, 3):
        with pytest.raises(DataError) as caught:
            gather_files(sources, workers=workers, show_progress=False)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert str(sources[1].path) in messages[0]


def test_a_malformed_line_stops_with_file_and_line(tmp_path):
    path = tmp_path / "names.jsonl"
    path.write_text('{"domain_name": "a.example.com"}\n{"domain_name": \n')
    with pytest.raises(DataError, match=r"names\.jsonl, line 2"):
        gather_file(path)


def test_limit_reads_no_further(tmp_path):
    path = tmp_path / "names.jsonl"
    path.write_text('{"domain_name": "a.example.com"}\n' * 10 + "broken\n")
    assert gather_file(path, limit=10).num_records == 10


def test_every_record_is_a_name_or_a_counted_drop(tmp_path):
    path = tmp_path / "names.json"
    write_records(path, count=500, dirt=0.3)
    names = gather_file(path)
    assert names.num_records == 500 == len(names.names) + sum(names.drops.values())
    assert names.drops["ip_address"]


def test_progress_tells_bytes_and_records(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("".join(f"name{n}.example.com\n" for n in range(10_000)))
    reports = []
    gather_file(path, progress=lambda consumed, records: reports.append((consumed, records)))
    assert [records for _, records in reports] == [2048, 4096, 6144, 8192]
    assert 0 < reports[-1][0] <= path.stat().st_size


def test_bars_are_drawn_when_asked_for(tmp_path, capsys):
    path = tmp_path / "names.txt"
    path.write_text("".join(f"name{n}.example.com\n" for n in range(5_000)))
    files = [SourceFile(path, "benign", "auto")]
    gather_files(files, show_progress=False)
    assert capsys.readouterr().err == ""
    gather_files(files, show_progress=True)
    assert "names.txt" in capsys.readouterr().err


def test_an_unwritable_cache_is_one_clear_error(tmp_path, caplog):
    path = tmp_path / "names.txt"
    path.write_text("a.example.com\n")
    (tmp_path / "cache").write_text("a file where the folder should be")
    caplog.set_level(logging.WARNING)
    with pytest.raises(Exception, match=r"the cache cannot be written .* set data\.cache_dir to null"):
        gather_files([SourceFile(path, "benign", "auto")], cache_dir=tmp_path / "cache")
