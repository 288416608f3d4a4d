"""Forked copies: results in order, errors where they belong, no copy and no lock left behind."""

import fcntl
import os
import signal
import subprocess
import sys
import time

import pytest

from utils.errors import UserError
from utils.worker_processes import can_fork, map_in_processes

pytestmark = pytest.mark.skipif(not can_fork(), reason="no copies of a process here")


def nothing():
    """Prepare nothing."""


def all_children():
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return set(file.read().split())


@pytest.fixture
def children():
    """Return a function that tells the running copies of this process; other tests may have left helpers."""
    before = all_children()
    return lambda: all_children() - before


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("tasks", [0, 1, 2, 3, 10])
def test_every_task_gives_one_result_in_order(count, tasks, children):
    def work(task):
        time.sleep(0.02 * (task % 3 == 0))  # the first of each three is the last to be done
        return task, os.getpid()

    results = list(map_in_processes(work, iter(range(tasks)), count, nothing))
    assert [task for task, _ in results] == list(range(tasks))
    processes = {process for _, process in results}
    assert len(processes) == min(count, tasks)
    assert os.getpid() not in processes
    assert not children()


def test_copies_work_side_by_side():
    # Two that wait for each other end only if both run at once.
    (to_first, from_second), (to_second, from_first) = os.pipe(), os.pipe()
    ends = {0: (to_first, from_first), 1: (to_second, from_second)}
    names = {task: [f"/proc/{os.getpid()}/fd/{end}" for end in pair] for task, pair in ends.items()}

    def work(task):
        reader, writer = names[task]
        with open(writer, "wb") as file:
            file.write(b"x")
        with open(reader, "rb", buffering=0) as file:
            return file.read(1)

    assert list(map_in_processes(work, range(2), 2, nothing)) == [b"x", b"x"]
    for end in (to_first, from_second, to_second, from_first):
        os.close(end)


def test_large_tasks_and_results_do_not_block_each_other():
    tasks = [bytes([n]) * 3_000_000 for n in range(7)]
    assert list(map_in_processes(lambda task: task * 2, tasks, 2, nothing)) == [task * 2 for task in tasks]


def test_prepare_runs_in_each_copy_and_not_here():
    seen = []
    results = map_in_processes(lambda _: list(seen), range(4), 2, lambda: seen.append(os.getpid()))
    assert {tuple(result) for result in results} != {()}
    assert not seen


def test_an_error_comes_in_its_place_and_is_raised_here(children):
    def work(task):
        if task == 3:
            raise UserError(f"cannot do {task}")
        return task

    done = []
    with pytest.raises(UserError, match=r"^cannot do 3$") as caught:
        done.extend(map_in_processes(work, range(10), 2, nothing))
    assert done == [0, 1, 2]
    assert any(entry.name == "work" for entry in caught.traceback), "the traceback shows where"
    assert not children()


def test_an_error_of_the_tasks_comes_after_the_results_before_it():
    def tasks():
        yield from range(5)
        raise ValueError("broken")

    done = []
    with pytest.raises(ValueError, match="broken"):
        done.extend(map_in_processes(lambda task: task, tasks(), 2, nothing))
    assert done == list(range(5))


def test_a_copy_that_is_killed_is_an_error(children):
    def work(task):
        if task == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return task

    with pytest.raises(UserError, match="was ended; is there too little memory"):
        list(map_in_processes(work, range(5), 2, nothing))
    assert not children()


def test_closing_early_ends_the_copies(children):
    results = map_in_processes(lambda task: task, range(100), 2, nothing)
    assert next(results) == 0
    assert len(children()) == 2
    results.close()
    assert not children()


KILLED = """
import fcntl, os, sys, time
from utils.worker_processes import map_in_processes
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
results = map_in_processes(lambda task: (time.sleep(0.1 * task), os.getpid())[1], range(100), 2, lambda: None)
print(next(results), next(results), flush=True)
time.sleep(60)
"""


def test_no_copy_and_no_lock_outlives_a_killed_process(tmp_path):
    path = tmp_path / "lock"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, stderr=subprocess.PIPE
    )
    copies = process.stdout.readline().split()
    assert len(copies) == 2
    process.kill()
    process.wait()
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where a copy still holds it
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{copy}") for copy in copies):
        assert time.monotonic() < deadline, "copies are still there"
        time.sleep(0.05)
    assert process.stderr.read() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_fork_is_not_lost(number):
    """Python ignores what is raised in the handlers around a fork, and `logging` has some."""
    program = f"""
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests were started from
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), {int(number)}))
from utils.signals import termination_interrupts
from utils.worker_processes import map_in_processes
with termination_interrupts():
    print(list(map_in_processes(abs, range(9), 2, lambda: None)))
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert process.returncode != 0
    assert "Exception ignored" not in process.stderr
    assert process.stdout == ""
    assert process.stderr.splitlines()[-1] in ("KeyboardInterrupt", "utils.signals.Terminated")
