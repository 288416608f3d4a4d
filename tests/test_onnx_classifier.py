"""ONNX Runtime in PyTorch's place: the same answers, without loading PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models.classifier import DomainClassifier
from tests.toy_domains import MAX_LENGTH, toy_domains
from utils.errors import CheckpointError, ConfigError

pytest.importorskip("onnxruntime", reason="needs: pip install -r requirements-onnx.txt")
from models.onnx_classifier import OnnxClassifier  # it imports ONNX Runtime only when it is used

ROOT = Path(__file__).parent.parent
NAMES = [*toy_domains(150, seed=9)[0], "a.b", "a-very-long-subdomain." * 8 + "example.com"]
ROWS = [*NAMES, "no-dot", "EXAMPLE.com.", "hxxps[:]//login-amber[.]example[.]top/x", "bücher.example"]
# A module of None cannot be imported.
PROGRAM = """
import sys
for package in sys.argv[1].split(","):
    sys.modules[package] = None
import predict
sys.exit(predict.main(sys.argv[2:]))
"""


@pytest.fixture
def pair(onnx_file, rich_checkpoint):
    """Return the classifier of each runtime."""
    return OnnxClassifier.load(onnx_file, "cpu"), DomainClassifier.load(rich_checkpoint)


def predict(*arguments, without="nothing", stdin=b"", folder=None):
    """Run predict.py where the packages `without` are not installed."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, without, *map(str, arguments)],
        cwd=folder,
        input=stdin,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "", "PYTHONUTF8": "1"},
        capture_output=True,
        timeout=120,
    )


# ------------------------------------------------------------------ the same answers


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_the_probabilities_are_those_of_pytorch(onnx_file, rich_checkpoint, batch_size):
    answers = OnnxClassifier.load(onnx_file, "cpu", batch_size).classify(NAMES)
    assert answers.dtype == np.float32
    assert answers == pytest.approx(DomainClassifier.load(rich_checkpoint).classify(NAMES), abs=1e-6)


def test_a_prior_the_attention_and_no_names_at_all(pair):
    found, wanted = pair
    for name in ("a.b", "login-amber.example.top", NAMES[-1]):
        assert found.attention(name) == pytest.approx(wanted.attention(name), abs=1e-6)
    for classifier in pair:
        classifier.assume_prior({"benign": 0.98, "phishing": 0.015, "malware": 0.005})
    assert found.classify(NAMES) == pytest.approx(wanted.classify(NAMES), abs=1e-6)
    assert found.classify([]).shape == (0, 3)
    assert found.signature.signature_dict() == wanted.signature.signature_dict()
    assert found.signature.max_length == MAX_LENGTH


def test_predict_writes_the_same_without_pytorch(onnx_file, rich_checkpoint, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(ROWS) + "\n", encoding="utf-8")
    options = [
        "--input",
        "names.txt",
        "--format",
        "jsonl",
        "--prior",
        "benign=0.9,phishing=0.05,malware=0.05",
    ]
    done = {
        path.suffix: predict("--checkpoint", path, *options, without=without, folder=tmp_path)
        for path, without in ((onnx_file, "torch"), (rich_checkpoint, "onnxruntime"))
    }
    rows = {}
    for suffix, process in done.items():
        assert process.returncode == 0, process.stderr.decode()
        rows[suffix] = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(rows[".onnx"]) == len(ROWS)
    assert {row["decision"] for row in rows[".onnx"]} >= {"allow", "review", "block", None}
    for found, wanted in zip(rows[".onnx"], rows[".pt"], strict=True):
        assert found.keys() == wanted.keys()
        for key, value in wanted.items():
            assert found[key] == (pytest.approx(value, abs=1e-4) if key in NUMBERS else value), key


NUMBERS = ("probability", "probabilities", "score")


def test_the_threads_are_as_many_as_omp_num_threads_says(onnx_file, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    options = OnnxClassifier.load(onnx_file, "cpu")._session.get_session_options()
    assert options.intra_op_num_threads == 3


# ------------------------------------------------------------------ what is missing


def test_a_missing_onnx_runtime_is_one_line_with_the_command(onnx_file):
    done = predict("--checkpoint", onnx_file, without="onnxruntime,torch", stdin=b"example.com\n")
    assert done.returncode == 2
    assert done.stdout == b""
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("predict.py: ")
    assert "pip install -r requirements-onnx.txt" in line


def test_a_checkpoint_where_pytorch_is_missing_is_one_line(rich_checkpoint):
    done = predict("--checkpoint", rich_checkpoint, without="torch", stdin=b"example.com\n")
    assert done.returncode == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.endswith("without it, take an .onnx file that export.py made")


def test_auto_takes_the_processor_where_there_is_no_gpu(onnx_file, monkeypatch):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert OnnxClassifier.load(onnx_file).device == "cpu"


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_cuda_that_is_not_there_is_refused(onnx_file, monkeypatch, device):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(
        ConfigError, match=f"--device {device}: this ONNX Runtime .* has no CUDAExecutionProvider"
    ):
        OnnxClassifier.load(onnx_file, device)


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_cuda_that_does_not_start_is_no_silent_processor(onnx_file, monkeypatch):
    """ONNX Runtime itself goes on with the CPU."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("here it starts")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(CheckpointError, match="CUDAExecutionProvider could not be started"):
        OnnxClassifier.load(onnx_file, "cuda")


@pytest.mark.parametrize("device", ["mps", "cuda:x", "gpu", ""])
def test_other_devices_are_refused(onnx_file, device):
    with pytest.raises(ConfigError, match="must be auto, cpu, cuda or cuda:N"):
        OnnxClassifier.load(onnx_file, device)
