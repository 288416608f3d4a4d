"""Which of torchrun's processes this is, what a group exchanges, and whose run a restart goes on with."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import torch

from models.distributed import agree_on_prefix, joined
from tests.toy_domains import toy_config
from utils.errors import ConfigError, UserError
from utils.processes import Launch, OneProcess, launched
from utils.run_folder import RunFolder, run_of_job

NOW = datetime(2026, 3, 1, 10, 0, 0)
VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "GROUP_RANK", "TORCHELASTIC_RESTART_COUNT")


@pytest.fixture
def environment(monkeypatch):
    """Set torchrun's variables, and no others of them."""

    def set_variables(**variables):
        for name in (*VARIABLES, "TORCHELASTIC_RUN_ID"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_variables


@pytest.mark.parametrize(("place", "shuts_down"), [({}, True), ({"RANK": "1", "WORLD_SIZE": "2"}, False)])
def test_a_process_among_others_does_not_wait_for_python_to_shut_down(place, shuts_down):
    program = (
        "import atexit; from utils.processes import leave\n"
        "atexit.register(print, 'shuts down'); print('result', flush=True); leave(3)"
    )
    alone = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[1],
        env=alone | place,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert done.stdout.split("\n") == ["result", *["shuts down"] * shuts_down, ""]


def test_the_place_is_what_torchrun_says(environment):
    environment()
    assert launched() is None
    values = dict(zip(VARIABLES, ("3", "4", "1", "2", "5"), strict=True))
    environment(**values, TORCHELASTIC_RUN_ID="night")
    assert launched() == Launch(rank=3, size=4, local_rank=1, machine=2, restarts=5, job="night", has_id=True)


def test_without_an_id_the_job_is_known_by_its_parent(environment, monkeypatch):
    environment(RANK="0", WORLD_SIZE="1", TORCHELASTIC_RUN_ID="none")
    monkeypatch.setattr("os.getppid", lambda: 4711)
    launch = launched()
    assert (launch.job, launch.has_id) == (f"{socket.gethostname()}-4711", False)


@pytest.mark.parametrize(
    ("rank", "size", "expected"),
    [
        ("2", "2", "the environment says process 2 of 2"),
        ("x", "2", "variable RANK must be a whole number. Got 'x'"),
        ("-1", "2", "variable RANK must be a whole number. Got '-1'"),
        ("0", "", "variable WORLD_SIZE must be a whole number. Got ''"),
    ],
)
def test_variables_that_make_no_sense_are_one_line(environment, rank, size, expected):
    environment(RANK=rank, WORLD_SIZE=size)
    with pytest.raises(ConfigError, match=expected):
        launched()


# ------------------------------------------------------------------ a group


@pytest.fixture
def group(monkeypatch):
    """Return a real process group, of one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 1, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    return lambda: joined(Launch(rank=0, size=1), "cpu")


def test_a_group_of_one_answers_as_one_process_does(group):
    questions = [
        lambda p: p.is_first,
        lambda p: p.agree(3),
        lambda p: p.lowest(2**62),
        lambda p: p.total([0.1, 2.0**40 + 1]),
        lambda p: p.collect({"a": [1]}),
        lambda p: p.from_first("x"),
        lambda p: p.on_first(lambda: 7),
        lambda p: p.machine_by_machine(lambda: 8),
    ]
    with group() as processes:
        answers = [ask(processes) for ask in questions]
    assert answers == [ask(OneProcess()) for ask in questions]


def test_without_waiting_the_answer_is_that_of_the_call_before(group):
    with group() as processes:
        assert [processes.agree(wish, wait=False) for wish in (1, 0, 5)] == [0, 1, 0]
        assert processes.agree(2) == 5, "what is still under way is not lost"
        assert processes.agree(0) == 0


def test_the_first_to_fail_tells_the_user_and_a_second_is_silent(group):
    with pytest.raises(UserError, match="mine"), group() as processes:
        raise UserError("mine")
    with pytest.raises(SystemExit) as silent:
        processes.fail(ConfigError("another's"))
    assert silent.value.code == ConfigError.exit_code
    broken = RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    with pytest.raises(SystemExit) as silent:
        processes.fail(broken)
    assert silent.value.code == UserError.exit_code, "that of the first"
    with pytest.raises(ZeroDivisionError):  # a bug keeps its traceback
        processes.fail(ZeroDivisionError())
    torch.distributed.destroy_process_group()


def test_a_lost_process_is_one_line(group):
    with pytest.raises(UserError, match="another process of this training was killed"), group():
        raise RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    torch.distributed.destroy_process_group()


def test_whoever_waits_ends_when_another_fails(group):
    with group() as processes:
        processes.claim_failure(2)
        with pytest.raises(SystemExit) as silent:
            processes._wait_for("what never comes")
    assert silent.value.code == 2


@pytest.mark.parametrize("late", [0, 1, 2])
def test_every_start_has_a_prefix_that_all_agree_on_and_no_start_had_before(monkeypatch, late):
    monkeypatch.setattr("models.distributed.POLL_S", 0.01)
    store, seen = torch.distributed.HashStore(), set()

    def join(rank):
        time.sleep(0.1 * (rank == late))
        return agree_on_prefix(store, rank, 3)

    for _ in range(3):  # the store keeps what was asked and answered before
        with ThreadPoolExecutor(3) as pool:
            prefixes = set(pool.map(join, range(3)))
        assert len(prefixes) == 1
        assert not prefixes & seen
        seen |= prefixes


def test_processes_that_do_not_appear_are_one_line(monkeypatch):
    monkeypatch.setattr("models.distributed.TIMEOUT", timedelta(seconds=0.2))
    with pytest.raises(UserError, match="1 of 2 processes did not appear within"):
        agree_on_prefix(torch.distributed.HashStore(), 0, 2)


# ------------------------------------------------------------------ whose run

RESTARTED = Launch(rank=0, size=2, restarts=1, job="host-7")


def begin(folder, job, config, *, files=("last.pt",)):
    run = RunFolder.create(folder, "domains", NOW)
    run.write_config(config)
    run.write_json("manifest.json", {"job": job})
    for name in files:
        (run.path / name).write_text("{}")
    return run.path


def test_a_restart_goes_on_with_the_run_of_its_own_job(tmp_path):
    config = toy_config()
    begin(tmp_path, "host-7", config)
    mine = begin(tmp_path, "host-7", config)
    begin(tmp_path, "host-8", config)
    begin(tmp_path, None, config)
    assert run_of_job(tmp_path, RESTARTED, config).path == mine, "the newest"
    assert run_of_job(tmp_path, Launch(rank=0, size=2, job="host-7"), config) is None, "no restart"
    named = Launch(rank=0, size=2, job="host-8", has_id=True)
    assert run_of_job(tmp_path, named, config) is not None, "an id holds without a restart, too"


@pytest.mark.parametrize("files", [(), ("last.pt", "report.json")])
def test_a_run_that_has_nothing_to_go_on_with_or_has_finished_is_not_taken(tmp_path, files):
    begin(tmp_path, "host-7", toy_config(), files=files)
    assert run_of_job(tmp_path, RESTARTED, toy_config()) is None


def test_another_configuration_is_another_run(tmp_path):
    begin(tmp_path, "host-7", toy_config())
    assert run_of_job(tmp_path, RESTARTED, toy_config(epochs=9)) is None
    assert run_of_job(tmp_path / "absent", RESTARTED, toy_config()) is None
