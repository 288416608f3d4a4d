"""One process at a time: locks that end with their process, and two trainings that want one run folder."""

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

import train
from benchmarks.kill_training import SETTINGS, KilledTraining
from utils import file_lock
from utils.errors import UserError
from utils.run_folder import LOCK, RunFolder

PROJECT = Path(__file__).parent.parent
HOLDING = """
import sys, time
from pathlib import Path
from utils.file_lock import held
with held(Path(sys.argv[1]), str):
    print("held", flush=True)
    time.sleep(60)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fcntl")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "job.lock"


@pytest.fixture
def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, path], cwd=PROJECT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def refusal(holder):
    return f"taken by {holder}"


def test_what_another_process_holds_is_refused_and_named(path, holder):
    with (
        pytest.raises(UserError, match=rf"^taken by process {holder.pid} on \S+$"),
        file_lock.held(path, refusal),
    ):
        pass
    assert holder.poll() is None
    assert path.exists(), "it stays with its holder"


def test_what_a_killed_process_left_is_taken_over(path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait(30)
    assert path.exists()
    with file_lock.held(path, refusal) as is_locked:
        assert is_locked
        assert path.read_text().startswith(f"process {os.getpid()} on ")
    assert not path.exists()


def test_a_lock_is_free_after_an_error(path):
    with pytest.raises(KeyboardInterrupt), file_lock.held(path, refusal):
        raise KeyboardInterrupt
    with (
        file_lock.held(path, refusal),
        pytest.raises(UserError, match="taken by process"),
        file_lock.held(path, refusal),
    ):
        pass
    assert not path.exists()


def test_a_lock_whose_file_was_removed_meanwhile_is_taken_anew(path, monkeypatch):
    """The holder ends between our opening of the file and our locking it."""
    lock = file_lock.lock

    def lock_after_the_holder_has_ended(descriptor):
        monkeypatch.setattr(file_lock, "lock", lock)
        path.unlink()
        return lock(descriptor)

    monkeypatch.setattr(file_lock, "lock", lock_after_the_holder_has_ended)
    with file_lock.held(path, refusal):
        assert path.exists()
        with pytest.raises(UserError), file_lock.held(path, refusal):
            pass


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, None])
def test_where_there_are_no_locks_it_is_said_and_goes_on(tmp_path, monkeypatch, caplog, number):
    if number is None:
        monkeypatch.setattr(file_lock, "fcntl", None)
    else:

        def refuse(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(file_lock.fcntl, "flock", refuse)
    folder = RunFolder.create(tmp_path, "x", datetime(2026, 3, 1))
    with ExitStack() as locks:
        train.hold(folder, locks)
        assert "no file locks here" in caplog.text
    assert list(folder.path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"absent/job\.lock: cannot be written: No such file or directory$"):
        file_lock.held(tmp_path / "absent" / "job.lock", refusal).__enter__()


@pytest.mark.slow
def test_a_second_training_of_one_run_is_refused_and_a_killed_one_can_be_gone_on_with(tmp_path):
    """While the first one runs, by `--resume RUN` and `--resume auto`; after SIGKILL its lock is nobody's."""
    settings = SETTINGS | {"training.epochs": 200, "data.max_per_class": 300}
    training = KilledTraining(tmp_path / "run", settings)
    process = training.start()
    try:
        while process.poll() is None and training.run_folder is None:
            time.sleep(0.05)
        run = training.run_folder
        (run / ".half.tmp").write_text("what the first training is writing")
        for name in ("auto", str(run)):
            second = subprocess.run(
                [sys.executable, str(PROJECT / "train.py"), "--resume", name],
                cwd=tmp_path / "run",
                capture_output=True,
                text=True,
            )
            (line,) = second.stderr.splitlines()
            assert second.returncode == 1
            assert f"another training is writing this run (process {process.pid} on " in line
            assert line.endswith("wait until it ends, or stop it, and then --resume again")
            assert second.stdout == ""
        assert (run / ".half.tmp").exists(), "the second one has touched nothing"
        assert process.poll() is None, "the first one goes on"
    finally:
        process.kill()
        process.wait()
    assert (run / LOCK).exists()
    saved = (run / "last.pt").stat().st_mtime_ns
    again = training.start()
    while again.poll() is None and (run / "last.pt").stat().st_mtime_ns == saved:
        time.sleep(0.05)
    assert not (run / ".half.tmp").exists()
    assert again.poll() is None, (tmp_path / "run" / "stderr.txt").read_text()
    again.send_signal(signal.SIGTERM)
    assert again.wait(120) == 128 + signal.SIGTERM
    assert not (run / LOCK).exists()
