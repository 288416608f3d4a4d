"""Parts of a file, read apart from each other: together exactly what the whole file gives, or refused."""

import os
import random
import signal
from dataclasses import replace

import pytest

from data import file_gathering, file_parts, parallel_gathering
from data.data_loader import SourceFile
from data.file_gathering import gather_files
from data.file_names import gather_file
from data.file_parts import split_file
from data.labelled_domains import join_parts
from tests.test_cache import assert_same
from tests.zenodo_records import LAYOUTS, encode_record, write_records, zenodo_records
from utils.errors import DataError, UserError
from utils.worker_processes import can_fork


def gather_parts(path, part_bytes, format="auto"):
    """Return what the parts of a file give together; None where one of them is refused."""
    parts = split_file(path, format, part_bytes, arrays=True)
    assert sum(part.num_bytes for part in parts) == path.stat().st_size
    try:
        return join_parts([gather_file(path, part.format, span=part.span) for part in parts])
    except DataError:
        return None


def outcome(path):
    try:
        return gather_file(path)
    except DataError:
        return None


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_parts_of_any_size_give_what_the_file_gives(tmp_path, layout, ending):
    path = tmp_path / "records.json"
    write_records(path, count=12, layout=layout, dirt=0.5)
    path.write_bytes(path.read_bytes().replace(b"\n", ending.encode()))
    whole, size = gather_file(path), path.stat().st_size
    for part_bytes in [1, 100, *range(3000, size, 7919), size - 1, size]:
        found = gather_parts(path, part_bytes)
        assert found is not None
        assert_same(found, whole)
    is_cut = len(split_file(path, "auto", 20_000, arrays=True)) > 1
    assert is_cut == (layout in ("mongoexport", "jsonl"))


@pytest.mark.parametrize("opening", ["[", "[\n", " \n [ ", "\ufeff["])
@pytest.mark.parametrize("closing", ["]", "\n]", "]\n", "\n]\n\n", " \r\n ]"])
def test_an_array_may_open_and_close_in_any_way(tmp_path, opening, closing):
    path = tmp_path / "records.json"
    records = [f'{{"domain_name": "n{n}.example.com", "source": "s{n % 3}"}}' for n in range(9)]
    path.write_text(opening + ",\n".join(records) + closing, encoding="utf-8")
    whole = gather_file(path)
    for part_bytes in range(1, path.stat().st_size, 5):
        assert_same(gather_parts(path, part_bytes), whole)


def test_damage_at_any_place_is_never_taken_in_parts(tmp_path):
    """Parts are refused wherever the file is, and else give the same."""
    path, draw = tmp_path / "records.json", random.Random(5)
    lines = [f'{{"domain_name":"n{n}.example.com","x":[{n},{{"y":null}}]}}' for n in range(30)]
    text = ("[" + ",\n".join(lines) + "]\n").encode()
    refused = 0
    for _ in range(400):
        damaged = bytearray(text)
        place = draw.randrange(len(damaged))
        match draw.randrange(4):
            case 0:
                damaged[place] = draw.choice(b'"{}[],:\n\x00\xff1')
            case 1:
                del damaged[place : place + draw.choice((1, 5, 300))]
            case 2:
                damaged[place:place] = draw.choice((b"]\n", b",\n", b"\n", b'"', b"[", b"{}", b"]\n[", b"1"))
            case 3:
                del damaged[place:]
        path.write_bytes(damaged)
        whole, found = outcome(path), gather_parts(path, draw.choice((50, 200, 700)))
        if whole is None:
            refused += 1
            assert found is None
        elif found is not None:
            assert_same(found, whole)
    assert 200 < refused < 370


def test_a_record_of_several_lines_among_others_is_refused_in_parts_at_most(tmp_path):
    path = tmp_path / "records.json"
    plain = '{"domain_name": "a.example.com"}'
    path.write_text("[" + ",\n".join([plain, '{"domain_name":\n"b.example.com",\n"x": 1}', plain]) + "]")
    found = [gather_parts(path, part_bytes) for part_bytes in range(1, path.stat().st_size)]
    assert any(names is None for names in found)
    for names in found:
        if names is not None:
            assert_same(names, gather_file(path))


@pytest.mark.parametrize("format", ["auto", "json"])
def test_lines_without_the_opening_of_an_array_are_no_array(tmp_path, format):
    path = tmp_path / "records.json"
    path.write_text(",\n".join(f'{{"domain_name": "n{n}.example.com"}}' for n in range(40)) + "]\n")
    assert outcome(path) is None
    assert gather_parts(path, 300, format) is None


def test_an_array_is_divided_however_its_lines_end(tmp_path):
    """The line ends of a large file are known, although what is looked at first ends within a line."""
    path = tmp_path / "records.json"
    record = '{{"domain_name": "n{}.example.com", "x": "{}"}}'
    lines = [record.format(n, "y" * 3000) for n in range(300)]
    for ending in (b"\n", b"\r\n"):
        path.write_bytes(b"[" + (b"," + ending).join(line.encode() for line in lines) + b"]" + ending)
        assert len(split_file(path, "auto", 400_000, arrays=True)) == 3
        found = gather_parts(path, 400_000)
        assert found is not None
        assert_same(found, gather_file(path))


# ------------------------------------------------------------------ through processes


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(file_gathering, "BYTES_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(file_parts, "PART_BYTES", 100_000)


@pytest.mark.slow
def test_processes_share_a_file_and_the_cache_gets_it(small_parts, tmp_path, monkeypatch):
    files = []
    for layout, label in [("mongoexport", "benign"), ("jsonl", "phishing"), ("pretty", "malware")]:
        path = tmp_path / f"{layout}.json"
        write_records(path, count=80, layout=layout, label=label, dirt=0.2)
        files.append(SourceFile(path, label, "auto"))
    together = gather_files(files, workers=2, cache_dir=tmp_path / "cache", show_progress=True)
    alone = gather_files(files, workers=1, show_progress=False)
    monkeypatch.setattr("data.file_names.read_records", None)
    cached = gather_files(files, workers=1, cache_dir=tmp_path / "cache", show_progress=False)
    for one, other, third in zip(together, alone, cached, strict=True):
        assert_same(one, other)
        assert_same(one, third)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_parts_compare_the_keys_that_they_are_asked_to(workers, small_parts, tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl"
    padding = "x" * 1000
    lines = [f'{{"domain_name":"{n}.example.com","x":"{padding}","x":1}}\n' for n in range(400)]
    path.write_text("".join(lines))
    file = SourceFile(path, "benign", "auto")
    with pytest.raises(DataError, match=r"records\.jsonl, line 1: expected each key once .* found 'x' twice"):
        gather_files([file], workers=workers, show_progress=False)
    if workers > 1:  # the parts are enough
        monkeypatch.setattr("data.parallel_gathering.gather_and_store", None)
    file = replace(file, all_keys=False)
    (names,) = gather_files([file], workers=workers, show_progress=False)
    assert names.num_records == len(names.names) == 400


@pytest.mark.slow
def test_an_error_in_a_part_is_told_with_its_place_in_the_file(small_parts, tmp_path):
    broken, good = tmp_path / "broken.json", tmp_path / "good.json"
    for path in (broken, good):
        write_records(path, count=80)
    lines = broken.read_bytes().split(b"\n")
    lines[60] = lines[60].replace(b'"domain_name"', b'"domain_name":1,"domain_name"', 1)
    broken.write_bytes(b"\n".join(lines))
    messages = []
    for workers in (1, 2):
        with pytest.raises(DataError) as caught:
            gather_files(
                [SourceFile(good, "benign", "auto"), SourceFile(broken, "benign", "auto")],
                workers=workers,
                show_progress=False,
            )
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    assert "broken.json, record 61: " in messages[0]


@pytest.mark.slow
def test_an_array_that_changes_its_layout_is_read_as_a_whole(small_parts, tmp_path):
    path = tmp_path / "mixed.json"
    records = list(zip(range(60), zenodo_records(seed=3), strict=False))
    path.write_bytes(
        b"["
        + b",\n".join(encode_record(r, "mongoexport" if n < 40 else "pretty") for n, r in records)
        + b"]\n"
    )
    (names,) = gather_files([SourceFile(path, "benign", "auto")], workers=2, show_progress=False)
    assert_same(names, gather_file(path))
    assert names.num_records == 60


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_of_blank_lines_is_refused_by_any_number_of_processes(small_parts, tmp_path, workers):
    path = tmp_path / "blank.txt"
    path.write_bytes(b"\n" * 250_000)
    with pytest.raises(DataError, match=r"blank\.txt: holds no record"):
        gather_files([SourceFile(path, "benign", "auto")], workers=workers, show_progress=False)


@pytest.mark.slow
def test_a_file_that_is_gone_after_its_parts_were_read_is_one_clear_error(small_parts, tmp_path, monkeypatch):
    path = tmp_path / "names.txt"
    path.write_bytes(b"a.example.com\n" * 20_000)

    def join_and_remove(parts):
        path.unlink()
        return join_parts(parts)

    monkeypatch.setattr(parallel_gathering, "join_parts", join_and_remove)
    with pytest.raises(DataError, match=r"names\.txt: cannot be opened"):
        gather_files([SourceFile(path, "benign", "auto")], workers=2, show_progress=False)


def _die_while_telling(shared):
    """End this process as the system would in the middle of a report."""
    for value in (shared.progress, shared.is_read_whole, shared.last_wanted):
        if hasattr(value, "get_lock"):
            value.get_lock().acquire()
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.skipif(not can_fork(), reason="replaces a function in forked processes")
def test_a_worker_that_is_killed_while_it_reports_stops_nobody(small_parts, tmp_path, monkeypatch):
    path = tmp_path / "names.txt"
    path.write_bytes(b"a.example.com\n" * 20_000)
    monkeypatch.setattr(parallel_gathering, "_initialize_worker", _die_while_telling)
    with pytest.raises(UserError, match=r"^a reading process was killed"):
        gather_files([SourceFile(path, "benign", "auto")], workers=2, show_progress=False)


@pytest.mark.slow
def test_bars_are_drawn_now_and_then_not_once_a_file(monkeypatch, tmp_path):
    """Each drawing looks at every file: once a file, that would be quadratic in their number."""
    monkeypatch.setattr(file_gathering, "BYTES_WORTH_A_PROCESS", 0)
    monkeypatch.setattr(parallel_gathering, "_SECONDS_BETWEEN_REPORTS", 60)
    updates = []
    monkeypatch.setattr(
        "data.progress_bars.ProgressBars.update", lambda self, counters: updates.append(list(counters))
    )
    files = []
    for number in range(40):
        path = tmp_path / f"{number}.txt"
        path.write_text("a.example.com\n")
        files.append(SourceFile(path, "benign", "text"))
    gather_files(files, workers=2, show_progress=False)
    assert 1 <= len(updates) <= 2
    assert updates[-1] == [14, 1] * 40
