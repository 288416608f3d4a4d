"""Stopping and going on: a resumed training ends with the same weights and history, bit for bit."""

import contextlib
import copy
import io
import os
import signal

import numpy as np
import pytest
import torch

from models.model_trainer import ModelTrainer, TrainingStopped
from tests.test_trainer import toy_data, toy_model
from tests.toy_domains import toy_config
from utils.errors import CheckpointError
from utils.signals import stop_on_signal

WEIGHTS = np.array([0.5, 1.0, 2.0])
EVERY_STEP = 1e-12  # minutes between checkpoints
# 96 names, 6 steps an epoch; the metric's best epoch is the second, so that the best weights count
CONFIG = toy_config(epochs=3, checkpoint_minutes=EVERY_STEP, early_stopping_metric="val_auc")


class Peak:
    """A metric that is best in the second epoch; it counts from the epoch that the training is in."""

    def __init__(self, trainer_of):
        self.trainer_of = trainer_of

    def __call__(self, labels, logits):
        return {"auc": [0.5, 0.9, 0.7][self.trainer_of().epoch]}


def make_trainer(seed, on_checkpoint=None, config=CONFIG):
    trainer = ModelTrainer(toy_model(seed), config, on_checkpoint=on_checkpoint)
    trainer.metrics = Peak(lambda: trainer)
    return trainer


def through_a_file(state):
    """Return a state as it comes back from a file, read without trust."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)


@pytest.fixture(scope="module")
def uninterrupted():
    """Return the history and the weights of a training, and its state after every step and epoch."""
    states = []
    trainer = make_trainer(0, lambda state: states.append(through_a_file(state)))
    history = trainer.train(*toy_data(96, 30), class_weights=WEIGHTS)
    return history, trainer.model.state_dict(), states


def assert_resumes_exactly(state, uninterrupted):
    history, weights, _ = uninterrupted
    trainer = make_trainer(7)  # other weights and another random state, which the state replaces
    trainer.load_state_dict(copy.deepcopy(state))  # the optimiser goes on in the very tensors
    assert trainer.train(*toy_data(96, 30), class_weights=WEIGHTS) == history
    for name, weight in trainer.model.state_dict().items():
        assert torch.equal(weight, weights[name]), name


def test_there_is_a_state_after_every_step_and_every_epoch(uninterrupted):
    places = [(state["epoch"], state["step"]) for state in uninterrupted[2]]
    expected = [(epoch, step) for epoch in range(3) for step in range(1, 7)]
    for epoch in (1, 2, 3):
        expected.insert(7 * epoch - 1, (epoch, 0))
    assert places == expected


@pytest.mark.parametrize("number", range(21))
def test_going_on_from_any_step_is_exact(uninterrupted, number):
    assert_resumes_exactly(uninterrupted[2][number], uninterrupted)


def test_the_second_epochs_weights_were_restored(uninterrupted):
    """Else the tests above would not show that the best weights survive a stop."""
    history, weights, states = uninterrupted
    assert history["val_auc"] == [0.5, 0.9, 0.7]
    assert torch.equal(weights["classifier.weight"], states[-1]["best"]["state"]["classifier.weight"])
    assert not torch.equal(weights["classifier.weight"], states[-1]["model"]["classifier.weight"])


def test_a_training_that_was_stopped_early_stays_stopped(uninterrupted):
    config = toy_config(epochs=50, early_stopping_metric="val_auc", early_stopping_patience=1)
    states = []
    trainer = make_trainer(0, lambda state: states.append(through_a_file(state)), config)
    history = trainer.train(*toy_data(96, 30))
    assert len(history["loss"]) == 3
    again = make_trainer(7, config=config)
    again.load_state_dict(states[-1])
    assert again.train(*toy_data(96, 30)) == history


# ------------------------------------------------------------------ states that are none


def spoil(state, path, **value):
    """Return a copy of a state with the place `path` removed, or changed to `value`."""
    place = state = copy.deepcopy(state)
    for key in path[:-1]:
        place = place[key]
    if value:
        place[path[-1]] = value["value"]
    else:
        del place[path[-1]]
    return state


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("model",), 3),
        (("model", "classifier.bias"), torch.zeros(9)),
        (("optimizer",), {}),
        (("optimizer", "param_groups"), []),
        (("optimizer", "state", 0, "exp_avg"), torch.zeros(2)),
        (("optimizer", "state", 0, "exp_avg"), "text"),
        (("best",), None),
        (("best", "state"), {}),
        (("best", "state", "classifier.bias"), torch.zeros(9)),
        (("history",), [1]),
        (("epoch",), "3"),
        (("step",), -1),
        (("sums",), {"count": 1}),
        (("random", "cpu"), torch.zeros(3)),
        (("random",), "text"),
    ],
    ids=str,
)
def test_a_state_that_is_none_is_refused(uninterrupted, path, value):
    for state in (spoil(uninterrupted[2][8], path, value=value), spoil(uninterrupted[2][8], path)):
        with pytest.raises(CheckpointError, match="its state of a training does not fit this model"):
            make_trainer(7).load_state_dict(state)


def test_the_optimisers_settings_are_the_configurations(uninterrupted):
    state = copy.deepcopy(uninterrupted[2][8])
    for group in state["optimizer"]["param_groups"]:
        group["betas"], group["weight_decay"] = ("much", None), 1e9
    assert_resumes_exactly(state, uninterrupted)


# ------------------------------------------------------------------ stopping


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (None, 130)])
def test_a_stop_in_mid_epoch_saves_and_raises(uninterrupted, number, exit_code):
    states = []
    trainer = make_trainer(0, lambda state: states.append(through_a_file(state)))
    trainer.settings = toy_config(epochs=3, early_stopping_metric="val_auc").training  # no timed checkpoints

    def ask(*_):
        if (trainer.epoch, trainer.step) == (1, 3):
            trainer.stop_requested, trainer.stop_signal = True, number

    trainer.optimizer.register_step_post_hook(ask)
    with pytest.raises(TrainingStopped, match="stopped in epoch 2 after step 4") as caught:
        trainer.train(*toy_data(96, 30), class_weights=WEIGHTS)
    assert caught.value.exit_code == exit_code
    assert [(state["epoch"], state["step"]) for state in states] == [(1, 0), (1, 4)]
    assert_resumes_exactly(states[-1], uninterrupted)


def test_a_stop_during_validation_saves_the_finished_epoch(uninterrupted):
    states = []
    trainer = make_trainer(0, lambda state: states.append(through_a_file(state)))
    trainer.settings = toy_config(epochs=3, early_stopping_metric="val_auc").training
    trainer.on_epoch_end = lambda result: setattr(trainer, "stop_requested", result.epoch == 2)
    with pytest.raises(TrainingStopped, match="stopped after epoch 2"):
        trainer.train(*toy_data(96, 30), class_weights=WEIGHTS)
    assert [(state["epoch"], state["step"]) for state in states] == [(1, 0), (2, 0)]
    assert_resumes_exactly(states[-1], uninterrupted)


class Job:
    stop_requested = False
    stop_signal = None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_does_what_it_always_did(number):
    hits = []
    before = signal.signal(number, lambda *_: hits.append(number))
    try:
        job = Job()
        with stop_on_signal(job):
            os.kill(os.getpid(), number)
            assert (job.stop_requested, job.stop_signal) == (True, number)
            assert hits == []
            os.kill(os.getpid(), number)
            assert hits == [number]
        os.kill(os.getpid(), number)
        assert hits == [number] * 2
    finally:
        signal.signal(number, before)


def test_handlers_are_restored_when_no_signal_came():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with contextlib.suppress(ValueError), stop_on_signal(Job()):
        assert signal.getsignal(signal.SIGINT) != before[0]
        raise ValueError
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
