"""What a training leaves behind while it runs: log lines, metrics.jsonl and TensorBoard."""

import json
import logging

import pytest

from models.model_trainer import EpochResult
from models.training_log import TrainingLog
from utils.errors import UserError

VALUES = {"loss": 0.5, "accuracy": 0.8, "val_loss": 0.625, "val_accuracy": 0.75, "learning_rate": 0.001}


def result(epoch, improved=True, averaged=False, **more):
    return EpochResult(epoch, VALUES | more, improved, averaged, elapsed_s=2.0, names_per_s=1234.5678)


@pytest.mark.parametrize("torn", ["", '{"epoch": 2, "lo', '{"epoch": 4}\n{"epo', "\0\0\0\n", "[1]\n"])
def test_metrics_have_one_line_an_epoch_and_those_of_an_earlier_part_stay(tmp_path, torn):
    path = tmp_path / "metrics.jsonl"
    for epochs, before in (((1, 2, 3), None), ((3,), 2)):  # killed before the third was saved, and resumed
        with TrainingLog(path, None, 5, before) as log:
            for epoch in epochs:
                log.epoch_ended(result(epoch, val_auc=0.9))
        if before is None:
            path.write_text(path.read_text() + torn)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[0] == {"epoch": 1, **VALUES, "val_auc": 0.9, "elapsed_s": 2.0, "names_per_s": 1234.6}


def test_a_resumed_run_without_metrics_has_those_from_there_on(tmp_path):
    with TrainingLog(tmp_path / "m.jsonl", None, 5, 2) as log:
        log.epoch_ended(result(3))
    assert json.loads((tmp_path / "m.jsonl").read_text())["epoch"] == 3


def test_metrics_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "m.jsonl").mkdir()
    with (
        TrainingLog(tmp_path / "m.jsonl", None, 5) as log,
        pytest.raises(UserError, match=r"m\.jsonl: cannot be"),
    ):
        log.epoch_ended(result(1))


def test_the_log_line_says_that_weights_are_averaged(tmp_path, caplog):
    with caplog.at_level(logging.INFO), TrainingLog(tmp_path / "m.jsonl", None, 5) as log:
        for epoch in (3, 4):
            log.epoch_ended(result(epoch, averaged=epoch == 4))
    assert [" · averaged weights · loss" in line for line in caplog.messages[-2:]] == [False, True]


@pytest.mark.parametrize("improved", [True, False])
def test_the_log_line_names_epoch_and_metrics(tmp_path, caplog, improved):
    with caplog.at_level(logging.INFO), TrainingLog(tmp_path / "m.jsonl", None, 5) as log:
        log.epoch_ended(result(3, improved, val_auc=0.9375))
    line = caplog.messages[-1]
    for part in (
        "epoch 3/5",
        "loss 0.5000",
        "val_loss 0.6250",
        "val_accuracy 0.7500",
        "auc 0.9375",
        "1235 names/s",
    ):
        assert part in line
    assert ("best so far" in line) is improved


def test_without_tensorboard_nothing_is_written(tmp_path):
    with TrainingLog(tmp_path / "m.jsonl", None, 5) as log:
        log.add_text("config", "a: 1")
        log.add_figures({})
        log.epoch_ended(result(1))
    assert [path.name for path in tmp_path.iterdir()] == ["m.jsonl"]


@pytest.mark.slow
def test_tensorboard_gets_training_and_validation_side_by_side(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TrainingLog(tmp_path / "m.jsonl", tmp_path / "tensorboard", 5) as log:
        log.add_text("config", "a: 1")
        log.epoch_ended(result(1))
        log.epoch_ended(result(2, val_auc=0.9))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss/train", "loss/validation", "accuracy/train", "auc/validation"} <= set(
        events.Tags()["scalars"]
    )
    losses = events.Scalars("loss/validation")
    assert [(event.step, event.value) for event in losses] == [(1, 0.625), (2, 0.625)]
    assert events.Tags()["tensors"] == ["config/text_summary"]


@pytest.mark.slow
def test_tensorboard_shows_an_epoch_that_came_again_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for epochs, before in (((1, 2, 3), None), ((3, 4), 2)):
        with TrainingLog(tmp_path / "m.jsonl", tmp_path / "tensorboard", 5, before) as log:
            for epoch in epochs:
                log.epoch_ended(result(epoch))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/train")] == [1, 2, 3, 4]
