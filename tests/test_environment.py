"""Surroundings that are not as usual: full disk, read-only folder, no home, odd locale, odd clock, line ends.

Beside them: closed streams in tests/test_errors.py, no terminal in tests/test_trainer.py, folders of the
same second in tests/test_run_folder.py, two writers of one cache in tests/test_cache.py, output that is a
folder in tests/test_prediction_writer.py.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import train
from models.checkpoint import load_checkpoint, save_checkpoint
from models.model_trainer import ModelTrainer
from models.onnx_file import read_onnx_file
from tests.test_trainer import toy_data, toy_model
from tests.toy_domains import toy_config
from utils.config import load_config
from utils.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, CheckpointError, ConfigError, UserError
from utils.run_folder import interrupted_run, make_folder

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "sample"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux's own means")


@contextmanager
def largest_file(size):
    """Let files grow to so many bytes only, as on a disk that fills up; Python ignores the signal of it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_training(tmp_path, monkeypatch):
    """Return the arguments of a training that takes a second, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for label in ("benign", "phishing", "malware"):
        records = json.loads((SAMPLE / f"{label}.json").read_text(encoding="utf-8"))[:300]
        lines = "\r\n".join(record["domain_name"] for record in records)  # Windows line ends
        (tmp_path / f"{label}.txt").write_bytes(lines.encode())
    text = (ROOT / "config_test.yaml").read_text(encoding="utf-8")
    for label in ("benign", "phishing", "malware"):
        text = text.replace(f"{label}.json", f"{label}.txt")
    (tmp_path / "config.yaml").write_bytes(text.replace("\n", "\r\n").encode())
    settings = ["data.root=.", "training.epochs=1", "model.conv_filters=[8]", "model.lstm_units=4"]
    settings += ["output.tensorboard=false", "output.figures=false", "evaluation.baseline=false"]
    settings += ["evaluation.bootstrap_resamples=0"]
    return [
        "--config",
        "config.yaml",
        *(word for key in settings for word in ("--set", key)),
        "--device",
        "cpu",
    ]


# ------------------------------------------------------------------ line ends, folders that exist


def test_windows_line_ends_in_the_configuration_and_in_the_data_are_fine(small_training, capsys):
    assert train.main(small_training) == EXIT_DONE, capsys.readouterr().err
    assert (Path(capsys.readouterr().out.strip()) / "report.json").exists()


def test_an_output_folder_that_exists_gets_one_more_run_and_loses_nothing(small_training, capsys):
    mine = Path("runs") / "mine"
    mine.mkdir(parents=True)
    (mine / "notes.txt").write_text("keep")
    for count in (1, 2):
        assert train.main(small_training) == EXIT_DONE, capsys.readouterr().err
        assert len(list(Path("runs").glob("*-sample*/report.json"))) == count
    assert (mine / "notes.txt").read_text() == "keep"


def test_a_run_does_not_go_on_with_data_that_have_changed(small_training, capsys):
    """Its history would be of two trainings, and names of its training might be in its test."""
    assert train.main(small_training) == EXIT_DONE, capsys.readouterr().err
    run = Path(capsys.readouterr().out.strip())
    (run / "report.json").unlink()
    last = (run / "last.pt").read_bytes()
    with Path("benign.txt").open("ab") as data:
        data.write(b"\r\none-more.example\r\n")
    assert train.main(["--resume", str(run), "--device", "cpu"]) == EXIT_USAGE
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.endswith("cannot go on: the data files have changed since the run started")
    assert (run / "last.pt").read_bytes() == last
    assert not (run / "report.json").exists()


# ------------------------------------------------------------------ disks


@on_linux
@pytest.mark.parametrize("size", [0, 1_000, 20_000])
def test_a_disk_that_fills_up_keeps_the_last_checkpoint(tiny_checkpoint, tmp_path, size):
    path = tmp_path / "last.pt"
    path.write_bytes(tiny_checkpoint.read_bytes())
    checkpoint = load_checkpoint(path)
    with largest_file(size), pytest.raises(CheckpointError, match=r"last\.pt: cannot be written: "):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == tiny_checkpoint.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


FILLING = """
import json, sys, train
from tests.test_environment import largest_file
for size in json.loads(sys.argv[1]):
    with largest_file(size):
        print(train.main(sys.argv[2:]), file=sys.stderr)
"""


@on_linux
@pytest.mark.slow
def test_a_training_on_a_disk_that_fills_up_ends_in_one_line(small_training):
    """The limit hits the configuration, the manifest, the checkpoint, or the report."""
    sizes = [0, 1_000, 3_000, 10_000, 20_000, 40_000]
    done = subprocess.run(  # through a pipe, which has no limit
        [sys.executable, "-c", FILLING, json.dumps(sizes), *small_training],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("train.py: ")]
    assert done.stderr.splitlines().count(str(EXIT_FAILED)) == len(lines) == len(sizes), done.stderr
    assert all(": cannot be written: " in line for line in lines), lines
    assert "Traceback" not in done.stderr
    for checkpoint in Path("runs").glob("*/*.pt"):
        load_checkpoint(checkpoint)
    assert not list(Path("runs").rglob("*.tmp"))


@on_linux
def test_a_read_only_folder_is_one_line(tmp_path, tiny_checkpoint):
    """In a process that may not overrule permissions, as root otherwise may."""
    folder = tmp_path / "locked"
    folder.mkdir()
    names = tmp_path / "names.txt"
    names.write_text("example.com\n")
    folder.chmod(0o555)

    def give_up_the_right_to_overrule():
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE

    arguments = ["--input", str(names), "--checkpoint", str(tiny_checkpoint), "--output", "out.jsonl"]
    config = ["--config", str(ROOT / "config_test.yaml"), "--set", f"data.root={SAMPLE}"]
    program = f"import sys, predict, train; print(predict.main({arguments!r}), train.main({config!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=give_up_the_right_to_overrule,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{EXIT_FAILED} {EXIT_FAILED}\n", done.stderr
    assert "predict.py: out.jsonl: cannot be written: Permission denied\n" in done.stderr
    assert "train.py: runs: cannot make this folder: Permission denied\n" in done.stderr


# ------------------------------------------------------------------ locale and home


@pytest.fixture
def bare():
    """Return an environment without home folder, language and terminal."""
    kept = {key: os.environ[key] for key in ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH") if key in os.environ}
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    return kept | locale | {"OMP_NUM_THREADS": "1", "HOME": "/nonexistent"}


@pytest.mark.slow
def test_no_home_and_a_locale_without_utf_8_change_no_answer(small_training, bare, tmp_path):
    for index, setting in enumerate(small_training):
        if setting in ("output.figures=false", "output.tensorboard=false"):
            small_training[index] = setting.replace("false", "true")
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *small_training], env=bare, cwd=tmp_path, capture_output=True
    )
    assert done.returncode == EXIT_DONE, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    names = "bücher.de\ngithub.com\n\x9bname.com\n"
    done = subprocess.run(
        [sys.executable, str(ROOT / "predict.py")],
        env=bare,
        cwd=tmp_path,
        input=names.encode(),
        capture_output=True,
    )
    assert done.returncode == EXIT_DONE, done.stderr.decode()
    rows = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    assert [row["domain"] for row in rows] == names.splitlines()
    assert [row["normalized"] for row in rows] == ["xn--bcher-kva.de", "github.com", None]


def test_a_folder_name_that_the_locale_cannot_write_is_a_problem_of_the_configuration(tmp_path, monkeypatch):
    config = tmp_path / "config.yaml"
    text = (
        (ROOT / "config_test.yaml").read_text(encoding="utf-8").replace("directory: runs", "directory: läufe")
    )
    config.write_text(text, encoding="utf-8")
    assert load_config(config).output.directory == "läufe"
    monkeypatch.setattr(os, "fsencode", lambda name: name.encode("ascii"))
    with pytest.raises(ConfigError, match=r"output\.directory: .*'läufe'") as caught:
        load_config(config)
    assert caught.value.exit_code == EXIT_USAGE


# ------------------------------------------------------------------ clocks


def test_a_clock_that_jumps_changes_nothing_in_a_training(monkeypatch):
    """Backwards by a year at every look; the times between checkpoints are the monotonic clock's."""
    data = toy_data(96, 30)
    config = toy_config(epochs=2, checkpoint_minutes=1e-12)
    weights = []
    for jumps in (False, True):
        saved = []
        if jumps:
            now = iter(range(10**9, -(10**12), -31_536_000))
            monkeypatch.setattr("time.time", lambda: float(next(now)))  # noqa: B023
        trainer = ModelTrainer(toy_model(0), config, on_checkpoint=lambda s: saved.append(s["step"]))  # noqa: B023
        trainer.train(*data)
        assert len(saved) == 2 * 6 + 2
        weights.append(trainer.model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_two_runs_of_one_moment_are_told_apart_and_each_can_be_named(tmp_path):
    """`auto` takes the one that was saved last, whatever the folders are called."""
    for name, time in (("2030-01-01_00-00-00-a", 1_000), ("2020-01-01_00-00-00-b", 2_000)):
        make_folder(tmp_path / name)
        (tmp_path / name / "last.pt").write_bytes(b"")
        os.utime(tmp_path / name / "last.pt", (time, time))
    assert interrupted_run(tmp_path).path.name == "2020-01-01_00-00-00-b"
    make_folder(tmp_path / "2020-01-01_00-00-00-b" / "report.json")
    assert interrupted_run(tmp_path).path.name == "2030-01-01_00-00-00-a"
    with pytest.raises(UserError, match="no interrupted run"):
        interrupted_run(tmp_path / "2020-01-01_00-00-00-b")


# ------------------------------------------------------------------ files without an end


@on_linux
@pytest.mark.parametrize("name", ["model.pt", "model.onnx"])
def test_a_model_that_is_no_regular_file_is_refused_unread(tmp_path, name):
    """/dev/zero has no end, and a pipe may never begin."""
    path = tmp_path / name
    load = read_onnx_file if name.endswith("onnx") else load_checkpoint
    path.symlink_to("/dev/zero")
    with pytest.raises(CheckpointError, match=f"{name}: no regular file$"):
        load(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match=f"{name}: no regular file$"):
        load(path)


@on_linux
def test_a_configuration_without_end_is_refused():
    with pytest.raises(ConfigError, match=r"^/dev/zero: is larger than 1,000,000 bytes"):
        load_config(Path("/dev/zero"))
