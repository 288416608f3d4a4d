"""Predictions for many files in many processes: the rows of one process, each once; what is done stays."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.data_loader import read_records
from data.file_parts import FilePart, share_of, split_files
from tests.fake_classifier import PROGRAM

ROOT = Path(__file__).parent.parent
SMALL_PARTS = "import data.file_parts; data.file_parts.PART_BYTES = 4000\n"

# ------------------------------------------------------------------ parts of a file

LINES = {
    "text": [b"a.example.com", b"", b"  b.example.com", b"PK\x03\x04.example", b"\xff bad", b"BZhost.example"]
    * 7,
    "jsonl": [
        b'{"domain": "a.example"}',
        b"{broken",
        b'"b.example"',
        b'{"domain": "x", "b": "' + b"y" * 90 + b'"}',
    ],
}


def fields_of(records):
    return [(record.domain, record.error, record.malformed) for record in records]


@pytest.mark.parametrize("format", LINES)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [b"", b"\n", b"\n\n\n"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_the_parts_hold_every_line_once_wherever_the_cuts_are(tmp_path, format, ending, last, start):
    path = tmp_path / f"names.{format}"
    path.write_bytes(start + ending.join(LINES[format]) + last)
    whole = fields_of(read_records(path, format=format))
    for part_bytes in range(1, path.stat().st_size + 2, 3):
        parts = split_files([path], format, part_bytes)
        found = [
            row for part in parts for row in fields_of(read_records(path, format=part.format, span=part.span))
        ]
        assert found == whole, part_bytes
        assert sum(part.num_bytes for part in parts) == path.stat().st_size


def test_a_line_is_counted_from_where_its_part_begins_and_says_so(tmp_path):
    path = tmp_path / "names.jsonl"
    path.write_bytes(b'"a.example"\n{broken\n' * 2)
    parts = split_files([path], "jsonl", 20)
    places = [
        record.position for part in parts for record in read_records(path, format="jsonl", span=part.span)
    ]
    assert places == ["line 1", "line 2", "line 3", "line 1 after byte 32"]


def test_a_part_reads_its_own_bytes_only(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(b"name.example\n" * 100_000)
    part = split_files([path], "auto", 130_000)[3]
    read = []
    assert (
        sum(1 for _ in read_records(path, format=part.format, span=part.span, progress=read.append)) == 10_001
    )
    assert sum(read) == part.num_bytes


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"domain,x\na.example,1\n" * 9),
        ("a.json", b'["a.example",\n"b.example"\n]'),
        ("a.txt.gz", gzip.compress(os.urandom(99).hex().encode())),
    ],
)
def test_what_cannot_be_cut_is_one_part(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    (part,) = split_files([tmp_path / name], "auto", 10)
    assert (part.span, part.num_bytes) == (None, len(content))


def test_a_line_longer_than_a_part_stays_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a.example\n" + b"x" * 5000 + b"\nb.example\n")
    assert [part.num_bytes for part in split_files([path], "text", 100)] == [5011, 10]


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_each_part_is_one_processes_and_the_loads_are_even(size):
    parts = [FilePart(Path("x"), "text", None, n) for n in (5, 100, 30, 30, 30, 10, 7, 90, 1)]
    shares = [share_of(parts, rank, size) for rank in range(size)]
    assert sorted(number for share in shares for number in share) == list(range(9))
    loads = [sum(parts[number].num_bytes for number in share) for share in shares]
    assert max(loads) <= max(303 / size + 15, 100)


# ------------------------------------------------------------------ whole jobs


@pytest.fixture
def folder(tmp_path):
    """Return a folder with names in files of several kinds; logs/b.txt is of several parts."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.jsonl.gz").write_bytes(
        gzip.compress("".join(f'{{"domain": "a{n}.example.com"}}\n' for n in range(700)).encode())
    )
    (logs / "b.txt").write_text(
        "".join(f"b{n}.example.com\n" if n % 50 else "10.0.0.1\n" for n in range(900))
    )
    (logs / "c.csv").write_text("host,n\n" + "".join(f"c{n}.example.com,{n}\n" for n in range(300)))
    (tmp_path / "model.pt").touch()
    return tmp_path


def start(folder, *arguments, rank=None, size=2, delay_s=0.0):
    """Start predict.py with a fake classifier, alone or as one of several processes."""
    environment = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")}
    if rank is not None:
        environment |= {"RANK": str(rank), "WORLD_SIZE": str(size)}
    return subprocess.Popen(
        [sys.executable, "-c", SMALL_PARTS + PROGRAM, str(delay_s), *arguments,
         "--checkpoint", "model.pt", "--device", "cpu"],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def finish(*processes):
    """Wait for processes to end well; return what they wrote to stderr."""
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes), errors
    return "".join(errors)


MANY = ("--input", "logs/*", "--output", "results/")


def rows_of(folder):
    """Return the rows of all parts, one after the other, as `cat results/part-*.jsonl` does."""
    return "".join(path.read_text() for path in sorted(folder.glob("results/part-*.jsonl")))


def rows_of_single_runs(folder):
    """Return the rows of predict.py for each file, one after the other."""
    rows = []
    for path in sorted(folder.glob("logs/*")):
        finish(start(folder, "--input", str(path), "--output", "single.jsonl"))
        rows.append((folder / "single.jsonl").read_text())
    return "".join(rows)


def test_two_processes_answer_what_one_does(folder):
    errors = finish(*(start(folder, *MANY, rank=rank) for rank in (0, 1)))
    assert rows_of(folder) == rows_of_single_runs(folder)
    manifest = json.loads((folder / "results" / "manifest.json").read_text())
    assert (manifest["complete"], manifest["rows"], manifest["without_answer"]) == (True, 1900, 18)
    parts = [(part["source"], part["rows"]) for part in manifest["parts"]]
    assert [source for source, _ in parts].count("logs/b.txt") > 2
    assert sum(rows for source, rows in parts if source == "logs/c.csv") == 300
    assert "process 0: " in errors
    assert "process 1: " in errors


def test_what_is_done_is_skipped_and_what_is_missing_is_not(folder):
    finish(start(folder, *MANY))
    rows, results = rows_of(folder), folder / "results"
    before = {path: path.stat().st_mtime_ns for path in results.glob("part-*")}
    assert "0 of them done" not in finish(start(folder, *MANY))
    assert {path: path.stat().st_mtime_ns for path in results.glob("part-*")} == before
    (results / "part-00001.jsonl").unlink()
    (results / "part-00002.done.json").unlink()
    errors = finish(*(start(folder, *MANY, rank=rank, size=3) for rank in range(3)))
    assert errors.count(" rows, ") == 2, "two parts, in another number of processes"
    assert rows_of(folder) == rows
    assert (results / "manifest.json").exists()


def test_a_killed_job_goes_on_and_ends_with_the_same_rows(folder):
    process = start(folder, *MANY, delay_s=0.3)
    deadline = time.monotonic() + 60
    while not [*folder.glob("results/part-00000.jsonl.partial.state")]:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "results" / "manifest.json").exists()
    finish(start(folder, *MANY))
    assert rows_of(folder) == rows_of_single_runs(folder)
    assert not [*folder.glob("results/*.partial*")]


@pytest.mark.parametrize("change", ["input", "setting"])
def test_another_job_does_not_mix_with_what_is_done(folder, change):
    finish(start(folder, *MANY))
    if change == "input":
        (folder / "logs" / "c.csv").write_text("host,n\nother.example.com,1\n")
    process = start(folder, *MANY, *(["--threshold", "0.5"] if change == "setting" else []))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "is of another job (other input, model or settings)" in errors


@pytest.mark.parametrize(
    ("arguments", "rank", "code", "message"),
    [
        (["--input", "logs/*", "--output", "x.jsonl"], 0, 2, "several processes need an --output folder"),
        (["--output", "results/"], None, 2, "an --output folder goes with --input of files"),
        ([*MANY, "--line-buffered"], None, 2, "--line-buffered and --explain-html do not go"),
        ([*MANY, "--format", "table"], None, 2, "takes no --format table"),
        (["--input", "none/*", "--output", "results/"], None, 1, "none/*: matches no file"),
        (["--input", "logs", "--output", "results/"], None, 1, "logs: is a folder: name its files"),
    ],
)
def test_what_does_not_fit_together_is_one_line(folder, arguments, rank, code, message):
    process = start(folder, *arguments, rank=rank)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert message in errors
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_torchrun_divides_the_files(folder, tiny_checkpoint):
    arguments = ["--checkpoint", str(tiny_checkpoint), "--device", "cpu"]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    for launch, output in ((launcher, "results/"), ([], "alone/")):
        done = subprocess.run(
            [
                sys.executable,
                *launch,
                str(ROOT / "predict.py"),
                "--input",
                "logs/*",
                "--output",
                output,
                *arguments,
            ],
            cwd=folder,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stderr
    both = [sorted((folder / name).glob("part-*.jsonl")) for name in ("results", "alone")]
    assert len(both[0]) == len(both[1]) == 3
    for ours, theirs in zip(*both, strict=True):
        assert ours.read_text() == theirs.read_text()
