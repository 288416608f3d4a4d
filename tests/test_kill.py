"""SIGKILL in a real training: what was saved loads, and the resumed run ends as an undisturbed one.

benchmarks/kill_training.py does the same with a hundred kills; docs/RELIABILITY.md has its figures.
"""

import random
import signal
import sys
import time

import pytest
import torch

from benchmarks.kill_training import SETTINGS, KilledTraining, differences, disturbed_training
from models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from utils import files

SMALL = SETTINGS | {"training.epochs": 25, "training.averaged_epochs": 5, "data.max_per_class": 600}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")


@pytest.mark.slow
def test_a_killed_training_ends_as_an_undisturbed_one(tmp_path):
    calm = KilledTraining(tmp_path / "calm", SMALL)
    calm.finish()
    folder, hits = disturbed_training(tmp_path / "killed", SMALL, 3, 5.0, random.Random(1))
    assert hits, "it was killed at least once"
    state = load_checkpoint(folder / "last.pt").trainer_state
    assert len(state["random_of_others"]) == 1, "it ran on two threads"
    assert differences(calm.run_folder, folder) == []


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_harms_nothing(tmp_path):
    training = KilledTraining(tmp_path / "run", SMALL | {"training.epochs": 500})
    process = training.start()
    while process.poll() is None and training.place() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    # One of both where the second came after the first had done its work: the run is saved either way.
    assert process.wait(60) in (-signal.SIGTERM, 128 + signal.SIGTERM)
    training.place()  # raises where the checkpoint does not load


def test_the_differences_are_found(tiny_checkpoint, tmp_path):
    """Were `differences` always empty, the first test would show nothing."""
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        checkpoint = load_checkpoint(tiny_checkpoint)
        save_checkpoint(folder / "last.pt", checkpoint)
        if name == "two":
            weight = checkpoint.model_state_dict["classifier.bias"]
            weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
            (folder / ".best.pt.x.tmp").write_bytes(b"")
        save_checkpoint(folder / "best.pt", checkpoint)
        (folder / "history.json").write_text("{}")
        (folder / "report.json").write_text('{"parts": 1}')
        (folder / "metrics.jsonl").write_text("".join(f'{{"epoch": {n}}}\n' for n in range(1, 7)))
    assert differences(tmp_path / "one", tmp_path / "one") == []
    found = differences(tmp_path / "one", tmp_path / "two")
    assert found == ["best.pt: the weight classifier.bias", "left behind: .best.pt.x.tmp"]


# ------------------------------------------------------------------ until the new file is whole


@pytest.mark.parametrize("step", ["mkstemp", "save", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_checkpoint_stays_when_the_next_one_fails_at_any_step(
    tiny_checkpoint, tmp_path, monkeypatch, step, error
):
    path = tmp_path / "last.pt"
    path.write_bytes(tiny_checkpoint.read_bytes())
    owner, name = {
        "mkstemp": (files.tempfile, "mkstemp"),
        "save": (torch, "save"),
        "fsync": (files.os, "fsync"),
        "replace": (files.os, "replace"),
    }[step]
    saved: Checkpoint = load_checkpoint(path)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(owner, name, fail)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else files.UserError
    with pytest.raises(expected):
        save_checkpoint(path, saved)
    assert path.read_bytes() == tiny_checkpoint.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]
