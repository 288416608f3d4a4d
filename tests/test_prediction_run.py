"""predict.py from input to output as a process, with a classifier that costs nothing in the model's place.

Ends of every kind (a closed pipe, a full disk, SIGINT, SIGTERM, SIGKILL), and that a job goes on from there
to the same bytes.
"""

import contextlib
import csv
import fcntl
import gzip
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import zstandard

from tests.fake_classifier import BATCH, PROGRAM

ROOT = Path(__file__).parent.parent
ROWS = 2_200  # more than four batches


def command(*arguments, delay_s=0.0):
    return [sys.executable, "-c", PROGRAM, str(delay_s), *map(str, arguments)]


def start(folder, *arguments, delay_s=0.0, **streams):
    """Start predict.py in `folder`, with an invented file as its checkpoint."""
    (folder / "model.pt").touch()
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
    return subprocess.Popen(
        command(*arguments, "--checkpoint", "model.pt", delay_s=delay_s),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **streams,
    )


def run(folder, *arguments, input=None, **options):
    """Run predict.py to its end; return its exit code, stdout and stderr."""
    process = start(folder, *arguments, stdin=subprocess.PIPE, **options)
    out, errors = process.communicate(input or b"", timeout=120)
    assert b"Traceback" not in errors, errors.decode()
    return process.returncode, out, errors.decode()


@pytest.fixture(scope="module")
def names():
    """Names one a line, every hundredth line no name."""
    return "".join(
        f"name-{n}.example.com\n" if n % 100 else f"10.0.{n % 250}.1\n" for n in range(ROWS)
    ).encode()


@pytest.fixture
def folder(tmp_path, names):
    (tmp_path / "names.txt").write_bytes(names)
    return tmp_path


def rows_of(path):
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return json.loads(text)
    if path.suffix == ".csv":
        return list(csv.DictReader(text.splitlines()))
    return [json.loads(line) for line in text.splitlines()]


def test_many_rows_with_garbage_are_all_answered_and_counted(tmp_path):
    count = 100_000
    with (tmp_path / "names.txt").open("wb") as file:
        for n in range(count):
            file.write(b"\xff\xfe garbage\n" if n % 100 == 7 else f"n{n}.example.org\n".encode())
    code, _, errors = run(tmp_path, "--input", "names.txt", "--output", "out.jsonl")
    assert code == 0
    answered = rows_of(tmp_path / "out.jsonl")
    assert len(answered) == count
    assert [row["error"] is not None for row in answered] == [n % 100 == 7 for n in range(count)]
    assert all(row["normalized"] == f"n{n}.example.org" for n, row in enumerate(answered) if not row["error"])
    assert "100,000 rows, 1,000 without an answer (malformed 1,000)" in errors
    for field in ("label", "decision"):
        for value in {row[field] for row in answered} - {None}:
            assert f"{value} {sum(row[field] == value for row in answered):,}" in errors
    assert "rows/s" in errors


@pytest.mark.parametrize("ending", ["jsonl", "csv", "json"])
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_an_interrupted_job_goes_on_to_the_same_bytes(folder, names, ending, number, code):
    source, out = "names.txt", f"out.{ending}"
    if ending == "csv":  # compressed input must not matter
        source = "names.txt.gz"
        (folder / source).write_bytes(gzip.compress(names, 1))
    assert run(folder, "--input", source, "--output", f"whole.{ending}")[0] == 0
    process = start(folder, "--input", source, "--output", out, delay_s=0.3)
    wait_for_rows(process, folder / f"{out}.partial.state")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert not (folder / out).exists()
    if number != signal.SIGKILL:
        assert f"rows are in {out}.partial; --resume goes on with them" in errors.decode()
        assert len(rows_of_partial(folder / f"{out}.partial", ending)) % BATCH == 0
    with (folder / f"{out}.partial").open("ab") as file:
        file.write(b'{"domain":"torn ro')  # as a power cut may leave it
    code, _, errors = run(folder, "--input", source, "--output", out, "--resume")
    assert code == 0, errors
    rows_before = int(re.search(r"goes on after ([\d,]+) rows", errors)[1].replace(",", ""))
    assert rows_before in range(BATCH, ROWS, BATCH)
    assert f"{ROWS:,} rows, 22 without an answer (ip_address 22)" in errors
    assert (folder / out).read_bytes() == (folder / f"whole.{ending}").read_bytes()
    assert sorted(path.name for path in folder.glob("out.*")) == [out]


def wait_for_rows(process, state):
    """Wait until a job has noted that it has written some rows."""
    while not state.exists() or not json.loads(state.read_text())["notes"]["summary"]["rows"]:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def rows_of_partial(path, ending):
    copy = path.with_name(f"copy.{ending}")
    copy.write_bytes(path.read_bytes())
    return rows_of(copy)


def test_resuming_what_never_began_is_beginning(folder):
    code, _, errors = run(folder, "--input", "names.txt", "--output", "out.jsonl", "--resume")
    assert code == 0
    assert "nothing to go on with: begins at the first row" in errors
    assert len(rows_of(folder / "out.jsonl")) == ROWS


@pytest.fixture
def stopped(folder):
    """A folder in which a job was killed after its first batch."""
    process = start(
        folder, "--input", "names.txt", "--output", "out.jsonl", "--threshold", "0.5", delay_s=0.3
    )
    wait_for_rows(process, folder / "out.jsonl.partial.state")
    process.kill()
    process.communicate()
    return folder


def test_a_job_does_not_go_on_when_something_else_decides_the_output(stopped, names):
    def resume(*arguments):
        code, _, errors = run(
            stopped,
            "--input",
            "names.txt",
            "--output",
            "out.jsonl",
            "--resume",
            "--threshold",
            "0.5",
            *arguments,
        )
        return code, errors.splitlines()[-1]

    before = (stopped / "out.jsonl.partial").read_bytes()
    (stopped / "list.txt").write_text("example.com\n")
    assert resume("--column", "1") == (1, refusal("settings"))
    assert resume("--threshold", "0.6") == (1, refusal("decisions"))
    assert resume("--block-list", "list.txt") == (1, refusal("lists"))
    (stopped / "model.pt").write_bytes(b"another")
    assert resume() == (1, refusal("checkpoint"))
    (stopped / "model.pt").write_bytes(b"")
    (stopped / "names.txt").write_bytes(names.replace(b"name-7.", b"nome-7."))
    assert resume() == (1, refusal("input"))
    assert (stopped / "out.jsonl.partial").read_bytes() == before, "and nothing is lost"
    (stopped / "out.jsonl.partial.state").write_text("{")
    assert resume()[1].endswith("out.jsonl.partial.state: damaged; begin again without --resume")


def refusal(what):
    return (
        f"predict.py: out.jsonl.partial: cannot go on, since it was begun with other {what}; "
        "begin again without --resume"
    )


def test_two_jobs_do_not_write_one_file(folder):
    with (folder / "out.jsonl.partial").open("wb") as file:
        file.write(b"the other job's rows")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        code, _, errors = run(folder, "--input", "names.txt", "--output", "out.jsonl")
    assert code == 1
    assert errors.splitlines()[-1] == (
        "predict.py: out.jsonl.partial: another job is writing this file; choose another --output"
    )
    assert (folder / "out.jsonl.partial").read_bytes() == b"the other job's rows"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--resume"], "--resume needs an --output"),
        (["--resume", "--output", "o.csv", "--line-buffered"], "no --line-buffered"),
        (["--output", "names.jsonl"], "--output names.jsonl is the input"),
        (
            ["--output", "o.json", "--format", "csv"],
            "--format is the output's format, --input-format the input's",
        ),
        (["--output", "o.txt"], "the name must end in .json, .jsonl, .csv"),
        (["--format", "text"], "is the output's format; the input's is --input-format text"),
        (["--format", "xml"], "must be one of json, jsonl, csv, table"),
        (["--max-fpr", "0.01", "--threshold", "0.5"], "not allowed with argument"),
        (["--max-fpr", "1 %"], "must be a number from 0 to 1"),
        (["--keep-fields", "--format", "table"], "a table has no room"),
        (["a.com", "b.com"], "arguments: a.com b.com; names come by --input FILE or a pipe: echo a.com | "),
        (["--colour", "a.com"], "unrecognized arguments: --colour a.com\n"),
    ],
)
def test_a_wrong_command_line_is_told_at_once(tmp_path, arguments, said):
    (tmp_path / "names.jsonl").write_text('"a.com"\n')
    code, out, errors = run(tmp_path, "--input", "names.jsonl", *arguments)
    assert (code, out) == (2, b"")
    assert said in errors


# ------------------------------------------------------------------ pipes


def test_head_may_close_the_pipe(folder):
    process = start(folder, "--input", "names.txt")
    assert process.stdout.readline().startswith(b'{"domain":')
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert b"Traceback" not in errors
    assert b"Broken pipe" not in errors


@pytest.mark.parametrize("flags", [[], ["--line-buffered"], ["--line-buffered", "--format", "csv"]])
def test_a_slow_line_is_answered_as_it_comes(tmp_path, flags):
    process = start(tmp_path, "--input", "-", *flags, stdin=subprocess.PIPE)
    for name in (b"first.com", b"second.com", b"third.com"):
        process.stdin.write(name + b"\n")
        process.stdin.flush()
        line = process.stdout.readline()  # would wait for ever
        assert name in line or name in process.stdout.readline(), "the header of CSV may come first"
    out, errors = process.communicate(timeout=60)
    assert out == b""
    assert b"3 rows, 0 without an answer" in errors


def test_a_pipe_of_many_lines_gives_every_row(folder, names):
    code, out, _ = run(folder, "--line-buffered", input=names)
    assert code == 0
    assert [json.loads(line)["domain"] for line in out.splitlines()] == names.decode().split()


@pytest.mark.parametrize(
    ("content", "arguments"),
    [
        (b"", []),
        (b"", ["--input", "-", "--column", "host"]),
        (b"", ["--input-format", "json", "--input", "/dev/stdin"]),
        (b"\n\n", []),
        (b"time,host\n", []),
        (b"[]\n", []),
        (b"#separator \\x09\n#fields\tts\tquery\n", []),
    ],
)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], b""),
        (["--format", "json"], b"[\n]\n"),
        (["--format", "csv", "--keep-fields"], b"domain,normalized,"),
    ],
)
def test_a_pipe_without_a_row_is_no_failure(tmp_path, content, arguments, options, expected):
    code, out, errors = run(tmp_path, *arguments, *options, input=content)
    assert code == 0, errors
    assert out.startswith(expected)
    assert out.count(b"\n") == expected.count(b"\n") + (b"," in expected)
    assert errors.splitlines()[-1] == "predict.py: 0 rows: the input held none"
    assert "rows/s" not in errors


def test_an_empty_file_is_a_failure(tmp_path):
    (tmp_path / "names.txt").touch()
    code, _, errors = run(tmp_path, "--input", "names.txt")
    assert (code, errors.splitlines()[-1]) == (1, "predict.py: names.txt: is empty")


def test_one_row_is_one_row(tmp_path):
    assert "predict.py: 1 row, 0 without an answer" in run(tmp_path, input=b"a.com\n")[2].splitlines()


def test_a_log_whose_rows_are_no_names_gets_a_hint_at_its_columns(tmp_path):
    line = b"1700000000.123 42 192.0.2.7 TCP_MISS/200 512 GET shop.example.com/\n"
    hint = "no row is a domain name; --column says which column or key of a row holds it"
    assert hint in run(tmp_path, input=line * 3)[2]
    assert hint not in run(tmp_path, input=line * 3 + b"example.com\n")[2]


def test_rows_in_another_encoding_get_no_hint_at_their_columns(tmp_path):
    (tmp_path / "names.csv").write_bytes("user;domain\nM\u00fcller;example.com\n".encode("cp1252"))
    code, out, errors = run(tmp_path, "--input", "names.csv")
    assert code == 0
    assert b"expected UTF-8 text, found the byte 0xfc" in out
    assert "1 row, 1 without an answer (malformed 1)" in errors
    assert "--column" not in errors, "no column could be read"


def test_a_row_that_holds_no_text_is_answered_with_its_line(tmp_path):
    _, out, _ = run(tmp_path, input=b'\n{"domain":"a.com"}\n\n{broken\n{"domain":null}\n{"x":1}\n')
    errors = [json.loads(line)["error"] for line in out.splitlines()]
    assert errors[0] is None
    assert errors[1].startswith("malformed: line 4: not one JSON object")
    assert errors[2:] == [
        "missing_name: line 5: 'domain' is null",
        "missing_name: line 6: the record has no 'domain_name' or 'domain'",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_pipe_that_waits_can_be_interrupted(tmp_path, number):
    process = start(tmp_path, stdin=subprocess.PIPE)
    process.stdin.write(b"a.com\n")
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert errors.decode().splitlines()[-1] in ("predict.py: interrupted", "predict.py: terminated")


# ------------------------------------------------------------------ places that take nothing


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("format", ["jsonl", "json", "csv", "table"])
def test_a_full_disk_is_one_line(folder, format):
    with open("/dev/full", "wb") as full:
        process = start(folder, "--input", "names.txt", "--format", format, stdout=full)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (
        errors.decode().splitlines()[-1] == "predict.py: stdout: cannot be written: No space left on device"
    )


def test_a_disk_that_fills_up_keeps_whole_rows(folder):
    """A limit of the file size stands in for the disk: writing fails in the middle of a row."""
    import resource

    run(folder, "--input", "names.txt", "--output", "whole.json")
    limit = (folder / "whole.json").stat().st_size * 3 // 5
    (folder / "model.pt").touch()
    process = subprocess.run(
        command("--input", "names.txt", "--output", "out.json", "--checkpoint", "model.pt"),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        preexec_fn=lambda: (
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        ),
        timeout=120,
    )
    errors = process.stderr.decode()
    assert process.returncode == 1
    assert errors.splitlines()[-1] == "predict.py: out.json: cannot be written: File too large"
    assert "the first 1,000 rows are in out.json.partial; --resume goes on with them" in errors
    assert len(rows_of_partial(folder / "out.json.partial", "json")) == 2 * BATCH
    assert run(folder, "--input", "names.txt", "--output", "out.json", "--resume")[0] == 0
    assert (folder / "out.json").read_bytes() == (folder / "whole.json").read_bytes()


def test_a_folder_that_takes_no_file_is_one_line(folder):
    code, _, errors = run(folder, "--input", "names.txt", "--output", "absent/out.json")
    assert code == 1
    assert (
        errors.splitlines()[-1] == "predict.py: absent/out.json: cannot be written: No such file or directory"
    )


# ------------------------------------------------------------------ input and output


def test_every_kind_of_input_gives_the_same_answers(tmp_path):
    inputs = {
        "names.txt": ("a.com\nb.com\n", []),
        "proxy.csv": ("time,host\n1,a.com\n2,b.com\n", []),
        "proxy.tsv": ("1\ta.com\n2\tb.com\n", ["--column", "2"]),
        "dnsmasq.log": ("query[A] a.com from 10.0.0.1\nquery[A]  b.com from 10.0.0.1\n", ["--column", "2"]),
        "eve.json": ('{"dns":{"rrname":"a.com"}}\n{"dns":{"rrname":"b.com"}}\n', ["--column", "dns.rrname"]),
        "dns.log": ("#separator \\x09\n#fields\tts\tquery\n1\ta.com\n2\tb.com\n", []),
        "array.json": ('[{"domain_name":"a.com"}, {"domain_name":"b.com"}]', []),
    }
    answers = set()
    for name, (text, arguments) in inputs.items():
        compress = {"names.txt": gzip.compress, "eve.json": zstandard.ZstdCompressor().compress}.get(
            name, bytes
        )
        (tmp_path / name).write_bytes(compress(text.encode()))
        code, out, errors = run(tmp_path, "--input", name, *arguments)
        assert code == 0, errors
        answers.add(out)
    assert len(answers) == 1
    assert [json.loads(line)["normalized"] for line in answers.pop().splitlines()] == ["a.com", "b.com"]


def test_kept_fields_stand_beside_the_answers(tmp_path):
    (tmp_path / "in.csv").write_text("client,host,=x\n10.0.0.1,a.com,=1+1\n10.0.0.2\n")
    run(tmp_path, "--input", "in.csv", "--keep-fields", "--output", "out.csv")
    rows = rows_of(tmp_path / "out.csv")
    assert [row["fields.client"] for row in rows] == ["10.0.0.1", "10.0.0.2"]
    assert [row["fields.=x"] for row in rows] == ["'=1+1", ""]
    record = '{"domain_name": "a.com", "dns": {"ttl": 1.50}, "id": 12345678901234567890}'
    (tmp_path / "in.json").write_text(f"[{record},\n{record}]")
    for name in ("out.json", "out.jsonl"):
        run(tmp_path, "--input", "in.json", "--keep-fields", "--output", name)
        assert [row["fields"] for row in rows_of(tmp_path / name)] == [json.loads(record)] * 2
        assert (tmp_path / name).read_text().count("12345678901234567890}") == 2


def test_a_table_goes_to_a_terminal_and_has_colours_only_there(tmp_path):
    import pty

    (tmp_path / "names.txt").write_text("a.com\nb\x1b[31m.com\nÄ.de\n")
    shown = {}
    for variable in ("TERM", "NO_COLOR"):
        master, slave = pty.openpty()
        process = subprocess.Popen(
            command("--input", "names.txt", "--checkpoint", "names.txt", "--threshold", "0"),
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", variable: "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        text = b""
        with contextlib.suppress(OSError):  # Linux ends a terminal with an error
            while part := os.read(master, 65_536):
                text += part
        os.close(master)
        assert process.wait(timeout=60) == 0
        shown[variable] = text.decode()
    assert "\x1b[1;31mblock   \x1b[0m" in shown["TERM"]
    assert "\x1b" not in shown["NO_COLOR"]
    assert "\x1b[31m.com" not in shown["TERM"]
    assert "xn--4ca.de" in shown["TERM"]
    assert "\r0%" not in shown["TERM"], "no progress bar among the rows"
    code, out, _ = run(tmp_path, "--input", "names.txt", "--format", "table")
    assert code == 0
    assert b"\x1b" not in out
    assert out.splitlines()[0].split() == [b"decision", b"score", b"class", b"prob.", b"name"]
    assert len(out.splitlines()) == 4
