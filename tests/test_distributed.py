"""Training with torchrun: two processes do what one does, survive a kill, stop together, fail in one line."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from tests.toy_domains import CLASSES, toy_config, toy_domains

ROOT = Path(__file__).parent.parent
TRAIN = str(ROOT / "train.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
TIMEOUT_S = 240
TOLERANCE = 5e-4  # AdamW makes a whole step of what rounding leaves of a gradient near zero

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """Return a configuration file for names of three classes; no dropout, which differs between processes."""
    folder = tmp_path_factory.mktemp("names")
    names, labels = toy_domains(700)
    names = [name.replace(".", "-", name.count(".") - 1) for name in names]  # each a registered domain
    for number, label in enumerate(CLASSES):
        chosen = [name for name, k in zip(names, labels, strict=True) if k == number]
        (folder / f"{label}.txt").write_text("\n".join(chosen) + "\n")
    toy = toy_config(epochs=4, class_weights={"benign": 1, "phishing": 2, "malware": 0.5}, batch_size=25)
    tree = replace(toy, model=replace(toy.model, dropout_rate=0.0)).to_dict()
    tree["data"] |= {"root": str(folder), "cache_dir": str(folder / "cache")}
    tree["evaluation"]["baseline"] = False
    tree["output"] |= {"figures": False, "tensorboard": False}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def start(folder, *arguments, processes=0, options=()):
    """Start train.py in a folder; with `processes` through torchrun."""
    launcher = [*TORCHRUN, f"--nproc-per-node={processes}", *options] if processes else [sys.executable]
    return subprocess.Popen(
        [*launcher, TRAIN, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Wait for the end and return (exit code, stderr)."""
    try:
        _, errors = process.communicate(timeout=TIMEOUT_S)
    finally:
        if process.poll() is None:
            process.terminate()  # not kill: torchrun has to end its processes
            process.wait(TIMEOUT_S)
    return process.returncode, errors


def train(folder, config, **how):
    """Train to the end and return the run's folder."""
    code, errors = finish(start(folder, "--config", config, **how))
    assert code == 0, errors
    assert "Warning" not in errors
    return (folder / "runs" / "latest").resolve()


def metrics_of(run):
    """Return one dict an epoch, without what depends on the clock."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: row[key] for key in row if key not in ("elapsed_s", "names_per_s")} for row in rows]


def predictions_of(run):
    """Return the probabilities of the test names, in their order."""
    with (run / "test_predictions.csv").open(newline="") as file:
        return [float(row[f"p_{label}"]) for row in csv.DictReader(file) for label in CLASSES]


def wait_for(condition, process):
    """Wait until the condition holds; fail when the process ends before."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def in_second_epoch(folder):
    """Tell whether the first epoch is complete and a step of the second is in last.pt."""
    metrics = [*folder.glob("runs/*/metrics.jsonl")]
    if not metrics or not metrics[0].read_text():
        return False
    last = metrics[0].with_name("last.pt")
    return last.stat().st_mtime_ns > metrics[0].stat().st_mtime_ns + 100_000_000


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    """Return the run of one process, without torchrun."""
    return train(tmp_path_factory.mktemp("alone"), config)


@pytest.fixture(scope="module")
def two(config, tmp_path_factory):
    """Return the run of two processes."""
    return train(tmp_path_factory.mktemp("two"), config, processes=2)


def assert_close(run, other):
    """Assert the same losses, metrics and predictions, but for rounding."""
    for row, expected in zip(metrics_of(run), metrics_of(other), strict=True):
        assert row == pytest.approx(expected, abs=TOLERANCE)
    assert predictions_of(run) == pytest.approx(predictions_of(other), abs=TOLERANCE)


def test_two_processes_do_what_one_does(alone, two):
    assert_close(two, alone)
    assert json.loads((two / "manifest.json").read_text())["processes"] == 2
    files = {path.name for path in alone.iterdir()}
    assert {path.name for path in two.iterdir()} == files, "one process writes, and all that one writes"
    assert len([*two.parent.glob("*-domains")]) == 1


def test_one_process_of_torchrun_does_exactly_what_one_without_does(alone, config, tmp_path):
    run = train(tmp_path, config, processes=1)
    assert metrics_of(run) == metrics_of(alone)
    assert (run / "test_predictions.csv").read_bytes() == (alone / "test_predictions.csv").read_bytes()


def test_a_killed_process_is_started_again_and_goes_on_from_the_last_checkpoint(two, config, tmp_path):
    often = "training.checkpoint_minutes=0.0001"
    process = start(tmp_path, "--config", config, "--set", often, processes=2, options=["--max-restarts=1"])
    wait_for(lambda: in_second_epoch(tmp_path), process)
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(workers) == 2
    os.kill(int(workers[1]), signal.SIGKILL)
    code, errors = finish(process)
    assert code == 0, errors
    (run,) = tmp_path.glob("runs/*-domains")
    assert f"going on with {run.relative_to(tmp_path)}" in errors
    assert errors.count("epoch 1/4 ·") == 1, "what was saved was not trained again"
    assert metrics_of(run) == metrics_of(two), "as if nothing had happened"


def test_two_processes_stop_together_and_one_goes_on(alone, config, tmp_path):
    often = "training.checkpoint_minutes=0.0001"
    process = start(tmp_path, "--config", config, "--set", often, processes=2)
    wait_for(lambda: in_second_epoch(tmp_path), process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)  # also once more, as from SLURM
    code, errors = finish(process)
    assert code != 0
    (stopped,) = re.findall(r"^train\.py: (.*)", errors, re.MULTILINE)
    assert re.match(
        r"stopped in epoch \d after step \d+; go on with: python train\.py --resume runs/", stopped
    )
    (run,) = tmp_path.glob("runs/*-domains")
    assert not (run / "best.pt").exists()
    code, errors = finish(start(tmp_path, "--resume", run))
    assert code == 0, errors
    assert "epoch 1/4 ·" not in errors
    assert_close(run, alone)


def test_an_error_of_the_first_process_ends_all_with_one_line(config, tmp_path):
    (tmp_path / "runs").write_text("a file is in the way")
    code, errors = finish(start(tmp_path, "--config", config, processes=2))
    assert code == 1
    assert re.findall(r"^train\.py: (.*)", errors, re.MULTILINE) == [
        "runs: cannot make this folder: File exists"
    ]
    assert "run_script" not in errors, "no traceback of ours"
