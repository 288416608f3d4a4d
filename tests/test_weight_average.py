"""Averaged weights: which ones, when they count, and that training goes on from its own."""

import copy

import pytest
import torch

from models.model_trainer import ModelTrainer
from tests.test_trainer import toy_data, toy_model
from tests.test_trainer_resume import through_a_file
from tests.toy_domains import toy_config
from utils.errors import CheckpointError

# 96 names, 6 steps an epoch; averages count from the second epoch on
CONFIG = toy_config(
    epochs=3, averaged_epochs=2, checkpoint_minutes=1e-12, early_stopping_metric="val_accuracy"
)


def make_trainer(seed, on_checkpoint=None):
    trainer = ModelTrainer(toy_model(seed), CONFIG, on_checkpoint=on_checkpoint)
    trainer.metrics = lambda labels, logits: {"accuracy": trainer.epoch / 10}  # the last epoch is the best
    return trainer


@pytest.fixture(scope="module")
def training():
    """Return a trainer at its end, and its state after every step and epoch."""
    states = []
    trainer = make_trainer(0, lambda state: states.append(through_a_file(state)))
    trainer.train(*toy_data(96, 30))
    return trainer, states


def test_the_best_weights_are_the_mean_over_the_steps_of_the_last_epochs(training):
    trainer, states = training
    own = [state["model"] for state in states if state["step"] and state["epoch"] >= 1]
    assert len(own) == 12
    assert trainer.average.count == 12
    for name, weight in trainer.model.named_parameters():
        mean = torch.stack([weights[name].double() for weights in own]).mean(0)
        torch.testing.assert_close(weight.detach().double(), mean, rtol=1e-5, atol=1e-6)
        if name == "classifier.weight":
            assert not torch.allclose(weight, own[-1][name], atol=1e-4)


def test_training_goes_on_from_its_own_weights(training):
    """After the validation of an epoch the model is what the last step made of it."""
    states = training[1]
    ends = [number for number, state in enumerate(states) if state["step"] == 0]
    for number in ends:
        for name, weight in states[number]["model"].items():
            assert torch.equal(weight, states[number - 1]["model"][name])


def test_before_the_last_epochs_nothing_is_averaged(training):
    states = training[1]
    assert [state["average"]["count"] for state in states[:9]] == [0] * 7 + [1, 2]
    best = states[6]["best"]["state"]
    assert all(torch.equal(weight, states[6]["model"][name]) for name, weight in best.items())


@pytest.mark.parametrize("number", [3, 6, 7, 10, 13, 17])
def test_going_on_is_exact(training, number):
    trainer, states = training
    again = make_trainer(7)
    again.load_state_dict(copy.deepcopy(states[number]))
    assert again.train(*toy_data(96, 30)) == trainer.history
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, trainer.model.state_dict()[name]), name


def test_a_state_of_a_version_without_averages_is_taken(training):
    state = copy.deepcopy(training[1][3])
    del state["average"]
    again = make_trainer(7)
    again.load_state_dict(state)
    assert again.train(*toy_data(96, 30)) == training[0].history


@pytest.mark.parametrize(
    "average", [{"count": -1, "means": {}}, {"count": 2, "means": {}}, {"count": 2}, {}, None, {"count": "2"}]
)
def test_an_average_that_is_none_is_refused(training, average):
    with pytest.raises(CheckpointError, match="does not fit this model"):
        make_trainer(7).load_state_dict(training[1][-1] | {"average": average})
