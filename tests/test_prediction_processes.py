"""predict.py with several processes: the same bytes as with one, whatever is written and however it ends."""

import json
import os
import signal

import pytest

from tests.fake_classifier import BATCH
from tests.test_prediction_run import run, start, wait_for_rows
from utils.worker_processes import can_fork

pytestmark = pytest.mark.skipif(not can_fork(), reason="no copies of a process here")
ROWS = 3_300  # more than six batches


@pytest.fixture(scope="module")
def records():
    """Records of JSON one a line: names, no names, a broken line."""
    rows = []
    for n in range(ROWS):
        name = f"name-{n}.example.com" if n % 7 else [f"10.0.{n % 250}.1", None, 5, "x\x7fé.de"][n % 4]
        rows.append(json.dumps({"domain_name": name, "id": 10**15 + n, "deep": {"list": [n, None]}}))
    rows[1234] = '{"domain_name": "broken'
    return "\n".join(rows) + "\n"


@pytest.fixture
def folder(tmp_path, records):
    (tmp_path / "in.jsonl").write_text(records, encoding="utf-8")
    (tmp_path / "in.csv").write_text(
        "host,client\n" + "".join(f"name-{n}.example.com,client {n}\n" for n in range(ROWS))
    )
    return tmp_path


def use_processes(monkeypatch, count):
    monkeypatch.setenv("TEST_PROCESSES", str(count))


@pytest.mark.parametrize(
    ("source", "ending", "options"),
    [
        ("in.jsonl", "jsonl", ["--keep-fields"]),
        ("in.jsonl", "json", []),
        ("in.jsonl", "csv", ["--keep-fields"]),
        ("in.csv", "csv", ["--keep-fields"]),
    ],
)
def test_several_processes_write_the_same_bytes_as_one(folder, monkeypatch, source, ending, options):
    said = []
    for count in (1, 3):
        use_processes(monkeypatch, count)
        code, _, errors = run(folder, "--input", source, *options, "--output", f"{count}.{ending}")
        assert code == 0, errors
        said.append(errors[: errors.index("rows/s")].rpartition("\n")[0])
    assert (folder / f"1.{ending}").read_bytes() == (folder / f"3.{ending}").read_bytes()
    assert said[0] == said[1]
    assert f"{ROWS:,} rows" in said[0]


def test_lists_and_a_table_on_stdout_are_the_same(folder, monkeypatch):
    (folder / "block.txt").write_text("*.example.com\n")
    arguments = ("--input", "in.jsonl", "--block-list", "block.txt", "--format", "table")
    alone = run(folder, *arguments)[1]
    use_processes(monkeypatch, 2)
    assert run(folder, *arguments)[1] == alone
    assert alone.count(b"\n") > ROWS


def test_the_work_is_done_side_by_side(folder, monkeypatch):
    """Batches that take 1 s each: seven of them take three turns in three processes."""
    use_processes(monkeypatch, 3)
    (folder / "names.txt").write_text("".join(f"n{n}.example.org\n" for n in range(7 * BATCH)))
    _, _, errors = run(folder, "--input", "names.txt", "--output", "out.jsonl", delay_s=1.0)
    elapsed_s = float(errors.rpartition("rows/s, ")[2].split()[0])
    assert 3 <= elapsed_s < 5.5, "three at once, twice, then one"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_an_interrupted_job_goes_on_to_the_same_bytes(folder, monkeypatch, number, code):
    assert run(folder, "--input", "in.jsonl", "--output", "whole.json")[0] == 0
    use_processes(monkeypatch, 2)
    job = ("--input", "in.jsonl", "--output", "out.json")
    process = start(folder, *job, delay_s=1.0)
    wait_for_rows(process, folder / "out.json.partial.state")
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in errors
    code, _, errors = run(folder, *job, "--resume")
    assert code == 0, errors
    assert (folder / "out.json").read_bytes() == (folder / "whole.json").read_bytes()


def test_ctrl_c_reaches_all_processes_and_only_one_speaks(folder, monkeypatch):
    use_processes(monkeypatch, 2)
    process = start(
        folder, "--input", "in.jsonl", "--output", "out.json", delay_s=1.0, start_new_session=True
    )
    wait_for_rows(process, folder / "out.json.partial.state")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.count(b"rows are in out.json.partial") == 1
    assert b"Traceback" not in errors


def test_damage_after_good_rows_keeps_them(folder, monkeypatch, records):
    use_processes(monkeypatch, 2)
    text = "[" + ",".join(line for line in records.splitlines() if "broken" not in line) + ', {"domain_name'
    (folder / "cut.json").write_text(text, encoding="utf-8")
    code, _, errors = run(folder, "--input", "cut.json", "--output", "out.jsonl")
    assert code == 1
    assert f"the first {ROWS - 1:,} rows are in out.jsonl.partial" in errors
