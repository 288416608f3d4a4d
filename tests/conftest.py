"""What several test files share: one thread, a tiny trained checkpoint, configurations written as text."""

import os

# Before NumPy or torch is loaded: the models here are so small that a second thread only costs time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """Return the path of a checkpoint whose model has learned the classes of `tests.toy_domains`."""
    import torch

    from data.feature_engineering import NUM_CODES, encode_domains
    from models.checkpoint import Checkpoint, save_checkpoint
    from models.cnn_lstm_model import CNN_LSTM_Model
    from models.model_trainer import ModelTrainer
    from tests.toy_domains import CLASSES, MAX_LENGTH, toy_config, toy_domains

    config = toy_config(epochs=6)
    names, labels = toy_domains(480)
    codes = encode_domains(names, MAX_LENGTH)
    torch.manual_seed(0)
    model = CNN_LSTM_Model(NUM_CODES, len(CLASSES), config)
    trainer = ModelTrainer(model, config, show_progress=False)
    history = trainer.train(codes[:360], labels[:360], codes[360:], labels[360:])
    path = tmp_path_factory.mktemp("checkpoint") / "best.pt"
    save_checkpoint(
        path,
        Checkpoint(
            model_state_dict=model.state_dict(),
            config=config,
            history=history,
            classes=CLASSES,
            benign_class="benign",
            temperature=1.25,
            thresholds={"0.01": 0.9, "0.001": 0.9, "0.0001": None},
            prior=dict.fromkeys(CLASSES, 1 / 3),
            metadata={"seed": 0},
            max_length=MAX_LENGTH,
        ),
    )
    return path


@pytest.fixture(scope="session")
def rich_checkpoint(tmp_path_factory):
    """Return the path of a checkpoint whose untrained model has every part that a network can have."""
    from models.checkpoint import save_checkpoint
    from tests.toy_domains import rich_checkpoint

    path = tmp_path_factory.mktemp("rich") / "best.pt"
    save_checkpoint(path, rich_checkpoint())
    return path


@pytest.fixture(scope="session")
def onnx_file(rich_checkpoint):
    """Return the path of that model's .onnx file, as export.py writes it."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="needs: pip install -r requirements-onnx.txt")
    import export

    path = rich_checkpoint.with_name("model.onnx")
    export.export_model(rich_checkpoint, path, "onnx")
    return path


@pytest.fixture
def good_content(tiny_checkpoint):
    """Return what a good checkpoint holds, to be spoiled."""
    import torch

    return torch.load(tiny_checkpoint, weights_only=True)


@pytest.fixture
def refusal(tmp_path):
    """Return the message with which a checkpoint of these bytes, or of this content, is refused."""
    import torch

    from models.checkpoint import load_checkpoint
    from utils.errors import EXIT_FAILED, CheckpointError

    def refuse(given):
        path = tmp_path / "spoiled.pt"
        if isinstance(given, bytes):
            path.write_bytes(given)
        else:
            torch.save(given, path)
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint(path)
        text = str(caught.value)
        assert caught.value.exit_code == EXIT_FAILED
        assert text.startswith(f"{path}: ")
        assert text.isprintable(), "one line, and no escape sequences of the file's"
        assert len(text) < 600
        return text.removeprefix(f"{path}: ")

    return refuse


@pytest.fixture
def load_config_text(tmp_path):
    """Write a text to a file and load it: `load_config_text(text, *overrides)`."""

    from utils.config import load_config

    def write_and_load(text, *overrides):
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, overrides)

    return write_and_load


@pytest.fixture
def config_problems(load_config_text):
    """Return the lines of the error message that a text and overrides lead to, one a problem."""

    from utils.errors import EXIT_USAGE, ConfigError

    def lines(text, *overrides):
        with pytest.raises(ConfigError) as caught:
            load_config_text(text, *overrides)
        assert caught.value.exit_code == EXIT_USAGE
        first, *rest = str(caught.value).split("\n  - ")
        assert "config.yaml: " in first
        assert first.endswith(f"{len(rest)} problem(s) in the configuration:")
        return rest

    return lines


@pytest.fixture
def read(tmp_path):
    """Write bytes to a file and return its records."""
    from data.data_loader import read_records

    def write_and_read(content: bytes, name: str = "names", **options):
        path = tmp_path / name
        path.write_bytes(content)
        return list(read_records(path, **options))

    return write_and_read
