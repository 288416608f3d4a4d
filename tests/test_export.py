"""Exports answer like the original, or are refused."""

import numpy as np
import pytest
import torch

import export
from data.feature_engineering import NUM_CODES
from models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from models.classifier import DomainClassifier
from models.cnn_lstm_model import CNN_LSTM_Model
from tests.toy_domains import CLASSES, toy_config, toy_domains
from utils.config import as_config
from utils.errors import EXIT_FAILED


@pytest.fixture
def checkpoint_file(tmp_path):
    """A checkpoint with n-gram tables, which are most of its size."""
    config = as_config(toy_config().to_dict() | {"model": {"ngram_sizes": [2, 3], "ngram_buckets": 65536}})
    torch.manual_seed(0)
    model = CNN_LSTM_Model(NUM_CODES, len(CLASSES), config)
    path = tmp_path / "best.pt"
    save_checkpoint(
        path,
        Checkpoint(
            model_state_dict=model.state_dict(),
            config=config,
            history={},
            classes=CLASSES,
            benign_class="benign",
        ),
    )
    return path


def test_compact_is_smaller_and_answers_alike(checkpoint_file, tmp_path, capsys):
    output = tmp_path / "small.pt"
    arguments = ["--checkpoint", str(checkpoint_file), "--format", "compact", "--output", str(output)]
    assert export.main(arguments) == 0
    assert "no probability moved by more than" in capsys.readouterr().out
    assert output.stat().st_size < 0.8 * checkpoint_file.stat().st_size
    names, _ = toy_domains(50)
    before, after = (DomainClassifier.load(path).classify(names) for path in (checkpoint_file, output))
    assert np.abs(before - after).max() <= export.COMPACT_TOLERANCE
    assert load_checkpoint(output).config.data.root == "data/lists", "no path of the machine that trained"


def test_an_export_that_answers_otherwise_is_refused(checkpoint_file, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "COMPACT_TOLERANCE", 0.0)
    output = tmp_path / "small.pt"
    arguments = ["--checkpoint", str(checkpoint_file), "--format", "compact", "--output", str(output)]
    assert export.main(arguments) == EXIT_FAILED
    assert "not written: a probability would move by" in capsys.readouterr().err
    assert not output.exists()
