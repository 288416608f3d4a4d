"""Many files: the same result from any number of processes, the same first error, and progress."""

import gzip
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from data import file_gathering
from data.data_loader import SourceFile, read_records
from data.domain_name import normalize_domain
from data.file_gathering import gather_files
from data.file_names import BATCHES_A_REPORT, RECORDS_AT_ONCE, gather_file
from data.labelled_domains import NO_WORD, UNKNOWN_DAY
from data.progress_bars import NOT_BEGUN, ProgressBars
from tests.test_cache import assert_same
from tests.zenodo_records import write_records
from utils.errors import DataError, UserError
from utils.worker_processes import can_fork

PROJECT = Path(__file__).parent.parent


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


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_breaks_at_once_does_not_hide_one_before_it_that_breaks_late(
    workers, tmp_path, monkeypatch
):
    monkeypatch.setattr(file_gathering, "BYTES_WORTH_A_PROCESS", 0)
    late, soon = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    late.write_text('{"domain_name": "a.example.com"}\n' * 60_000 + "broken\n")
    soon.write_text("broken\n")
    files = [SourceFile(path, "benign", "jsonl") for path in (late, soon)]
    with pytest.raises(DataError, match=r"a\.jsonl, line 60001"):
        gather_files(files, workers=workers, show_progress=False)


class Feeder(threading.Thread):
    """Writes names into a new named pipe for as long as somebody reads it."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        os.mkfifo(pipe)
        self.pipe = pipe
        self.being_read = threading.Event()
        self.start()

    def run(self):
        with self.pipe.open("wb", buffering=0) as file:  # waits for the reader
            self.being_read.set()
            with suppress(BrokenPipeError):
                while True:
                    file.write(b"a.example.com\n" * 100)

    def assert_reading_ends(self):
        self.join(timeout=30)
        assert not self.is_alive(), "somebody still reads"


@pytest.mark.slow
def test_files_after_a_broken_one_are_not_read_to_their_end(tmp_path, monkeypatch):
    monkeypatch.setattr(file_gathering, "BYTES_WORTH_A_PROCESS", 0)
    broken = tmp_path / "broken.jsonl"
    broken.write_text("broken\n")
    feeder = Feeder(tmp_path / "endless.txt")
    files = [SourceFile(broken, "benign", "jsonl"), SourceFile(feeder.pipe, "benign", "text")]
    with pytest.raises(DataError, match=r"broken\.jsonl, line 1"):
        gather_files(files, workers=2, show_progress=False)
    if feeder.being_read.is_set():  # or the worker had not even opened it
        feeder.assert_reading_ends()


@pytest.mark.slow
def test_a_killed_worker_is_one_clear_error(sources, tmp_path):
    feeder = Feeder(tmp_path / "endless.txt")

    def kill_a_worker():
        feeder.being_read.wait(60)
        multiprocessing.active_children()[0].kill()

    threading.Thread(target=kill_a_worker, daemon=True).start()
    files = [SourceFile(feeder.pipe, "benign", "text"), *sources]
    with pytest.raises(UserError, match=r"^a reading process was killed .* set data\.workers: 1$"):
        gather_files(files, workers=2, show_progress=False)
    feeder.assert_reading_ends()


ENDLESS_READING = """
import sys
from pathlib import Path
from data import file_gathering
from data.data_loader import SourceFile
file_gathering.BYTES_WORTH_A_PROCESS = 0
files = [SourceFile(Path(name), "benign", "text") for name in sys.argv[1:]]
file_gathering.gather_files(files, workers=2, show_progress=False)
"""


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_parent(signal_number, tmp_path):
    feeders = [Feeder(tmp_path / name) for name in ("one.txt", "two.txt")]
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS_READING, *(str(feeder.pipe) for feeder in feeders)],
        env={"PYTHONPATH": str(PROJECT), "PATH": "", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
        stderr=subprocess.DEVNULL,  # multiprocessing's own remarks on what the parent left behind
    )
    try:
        for feeder in feeders:
            assert feeder.being_read.wait(60)
        process.send_signal(signal_number)
        assert process.wait(30) == -signal_number
        for feeder in feeders:
            feeder.assert_reading_ends()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


INTERRUPTED_FORK = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started from
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
from data import file_gathering
from data.data_loader import SourceFile
file_gathering.BYTES_WORTH_A_PROCESS = 0
files = [SourceFile(file_gathering.Path(path), "benign", "text") for path in sys.argv[1:]]
file_gathering.gather_files(files, workers=2, show_progress=False)
print("read to its end")
"""


@pytest.mark.skipif(not can_fork(), reason="no copies of a process here")
def test_a_ctrl_c_while_the_workers_start_is_not_lost(tmp_path):
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path in paths:
        path.write_text("name.example.com\n")
    process = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_FORK, *paths],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.stdout == ""
    assert process.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_a_missing_file_is_told_before_anything_is_read(tmp_path):
    broken = tmp_path / "broken.jsonl"
    broken.write_text("broken\n")
    files = [SourceFile(path, "benign", "jsonl") for path in (broken, tmp_path / "gone.jsonl")]
    for cache_dir in (None, tmp_path / "cache"):
        with pytest.raises(DataError, match=r"gone\.jsonl: cannot be read: No such file"):
            gather_files(files, cache_dir=cache_dir, show_progress=False)


def test_a_malformed_line_stops_with_file_and_line(tmp_path):
    path = tmp_path / "names.jsonl"
    path.write_text('{"domain_name": "a.example.com"}\n{"domain_name": \n')
    with pytest.raises(DataError, match=r"names\.jsonl, line 2"):
        gather_file(path)


@pytest.mark.parametrize("before", [0, 1, RECORDS_AT_ONCE - 1, RECORDS_AT_ONCE])
@pytest.mark.parametrize("after", [0, 1, 5000])
def test_a_malformed_line_is_told_before_the_damage_behind_it(before, after, tmp_path):
    """The archive ends early, in the same batch of records or a later one."""
    path = tmp_path / "names.jsonl.gz"
    good = '{"domain_name": "a.example.com"}\n'
    path.write_bytes(gzip.compress((good * before + "broken\n" + good * after).encode())[:-8])
    with pytest.raises(DataError, match=rf"names\.jsonl\.gz, line {before + 1}: not one JSON object"):
        gather_file(path)
    path.write_bytes(gzip.compress((good * (before + after + 1)).encode())[:-8])
    with pytest.raises(DataError, match="the gzip data ends early"):
        gather_file(path)


@pytest.mark.parametrize("layout", ["mongoexport", "jsonl", "pretty"])
def test_the_size_of_a_batch_changes_nothing(layout, tmp_path, monkeypatch):
    path = tmp_path / "names.json"
    write_records(path, count=300, layout=layout, dirt=0.3)
    expected = one_after_the_other(path)
    for size in (1, 2, 7, 256, 1000):
        monkeypatch.setattr("data.file_names.RECORDS_AT_ONCE", size)
        names = gather_file(path)
        found = list(names.names), names.days.tolist(), names.sources.tolist(), names.families.tolist()
        assert (*found, names.words, list(names.drops.items())) == expected


def one_after_the_other(path):
    """Return what a file yields by the plain rules, slowly."""
    names, days, sources, families, drops = [], [], [], [], {}
    words = [NO_WORD]
    for record in read_records(path):
        name = None if record.error else normalize_domain(record.domain)
        if not isinstance(name, str):
            reason = "missing_name" if name is None else name.reason
            drops[reason] = drops.get(reason, 0) + 1
            continue
        names.append(name)
        days.append(UNKNOWN_DAY if record.sourced_on is None else record.sourced_on)
        for word, places in ((record.source, sources), (record.family, families)):
            if word is not None and word not in words:
                words.append(word)
            places.append(0 if word is None else words.index(word))
    return names, days, sources, families, words, list(drops.items())


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


def test_progress_tells_bytes_and_records_from_the_start_to_the_end(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("".join(f"name{n}.example.com\n" for n in range(10_000)))
    reports = []
    gather_file(path, progress=lambda consumed, records: reports.append((consumed, records)))
    assert [records for _, records in reports] == [0, 2048, 4096, 6144, 8192, 10_000]
    assert reports[0][0] == 0
    assert reports[-1][0] == path.stat().st_size


def test_the_clock_of_a_bar_starts_when_its_file_does(monkeypatch, capsys):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    monkeypatch.setattr("tqdm.std.time", lambda: now)
    with ProgressBars(["first", "second"], [1000, 1000], show=True) as bars:
        bars.update([0, 0, 0, NOT_BEGUN])
        now += 100
        bars.update([1000, 500, 0, 0])
        now += 10
        bars.update([1000, 500, 500, 200])
    drawn = capsys.readouterr().err
    first = [line for line in drawn.split("\r") if "first" in line and "1.00k/1.00k" in line]
    second = [line for line in drawn.split("\r") if "second" in line and "500/1.00k" in line]
    assert "01:40<00:00" in first[-1]
    assert "5 records/s" in first[-1], "the last report is drawn, and the speed of a file that is done stays"
    assert "00:10<00:10" in second[-1]
    assert "20 records/s" in second[-1]


def test_bars_are_drawn_when_asked_for(tmp_path, capsys):
    path = tmp_path / "names.txt"
    path.write_text("".join(f"name{n}.example.com\n" for n in range(5_000)))
    files = [SourceFile(path, "benign", "auto")]
    gather_files(files, show_progress=False)
    assert capsys.readouterr().err == ""
    gather_files(files, show_progress=True)
    assert "names.txt" in capsys.readouterr().err


def test_progress_is_told_at_the_start_now_and_then_and_at_the_end(tmp_path):
    path, told = tmp_path / "names.txt", []
    period = RECORDS_AT_ONCE * BATCHES_A_REPORT
    path.write_text("a.example.com\n" * (2 * period + 5))
    gather_file(path, progress=lambda consumed, records: told.append(records))
    assert told == [0, period, 2 * period, 2 * period + 5]
