"""Scripts limit how long PyTorch's threads wait awake before they load it, unless the user has said it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from utils.waiting_threads import wait_briefly

PROJECT = Path(__file__).parent.parent
SETTINGS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize(
    ("set_by_user", "expected"),
    [
        ({}, ("1000", None)),
        ({"GOMP_SPINCOUNT": "7"}, ("7", None)),
        ({"OMP_WAIT_POLICY": "active"}, (None, "active")),
    ],
)
def test_the_users_word_counts(set_by_user, expected, monkeypatch):
    monkeypatch.setattr(os, "environ", dict(set_by_user))
    wait_briefly()
    assert tuple(map(os.environ.get, SETTINGS)) == expected


@pytest.mark.parametrize("script", ["train.py", "predict.py", "evaluate.py"])
def test_it_is_said_before_pytorch_is_loaded(script, tmp_path):
    """PyTorch reads it while it is loaded, and never again."""
    program = f"""
import os, runpy, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print(os.environ.get("GOMP_SPINCOUNT"))
            os._exit(0)
sys.meta_path.insert(0, Watch())
sys.argv = [{script!r}, *{[word.format(tmp_path) for word in ARGUMENTS[script]]}]
runpy.run_path({script!r}, run_name="__main__")
"""
    environment = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PROJECT,
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1000\n", done.stderr


CHECKPOINT = "models/pretrained/default.pt"
ARGUMENTS = {
    "train.py": ["--config", "config_test.yaml", "--set", "output.directory={}"],
    "predict.py": ["--checkpoint", CHECKPOINT, "--input", "data/sample/unlabelled.json"],
    "evaluate.py": [
        "--checkpoint",
        CHECKPOINT,
        "--output",
        "{}",
        "--data",
        "benign=data/sample/unlabelled.json",
    ],
}
