"""A batch divided among threads: the same gradients, the same training each time, and it can be resumed."""

import copy

import numpy as np
import pytest
import torch

from models import training_step
from models.model_trainer import ModelTrainer
from models.training_data import TrainingData
from models.training_state import EpochSums, seed_of
from models.training_step import TrainingStep, with_own_gradients
from tests.test_trainer import FixedLogits, toy_data, toy_model
from tests.toy_domains import toy_config
from utils.processes import OneProcess

CPU = torch.device("cpu")
WEIGHTS = np.array([0.5, 1.0, 2.0], dtype=np.float32)
EVERY_STEP = 1e-12  # minutes between checkpoints


@pytest.fixture
def threads(monkeypatch):
    """Return a function that sets how many threads PyTorch has; four names are worth one."""
    before = torch.get_num_threads()
    monkeypatch.setattr(training_step, "NAMES_WORTH_A_THREAD", 4)
    yield torch.set_num_threads
    torch.set_num_threads(before)


def train(**settings):
    """Return the trainer, with its training done, and what it handed out after each step."""
    states = []
    config = toy_config(**{"epochs": 2, "checkpoint_minutes": EVERY_STEP} | settings)
    trainer = ModelTrainer(toy_model(), config, on_checkpoint=lambda s: states.append(copy.deepcopy(s)))
    torch.seed()  # what came before must not matter
    trainer.train(*toy_data(90, 30), WEIGHTS)
    return trainer, states


def assert_same(trainer, expected):
    assert trainer.history == expected.history
    weights = expected.model.state_dict()
    assert all(torch.equal(weight, weights[name]) for name, weight in trainer.model.state_dict().items())


def one_step(rows):
    """Return what a step on so many names computes: gradients, and the sums of the epoch.

    The embedding learns nothing.
    """
    model = toy_model()
    model.embedding.requires_grad_(False)
    step = TrainingStep(model, toy_config(gradient_clip=None).training, CPU, OneProcess())
    data = TrainingData(*toy_data(90, 0)[:2], WEIGHTS, CPU)
    batch = next(b for b in data.batches(rows, np.random.default_rng(0)) if len(b.rows) == rows)
    found = []
    learning = [p for p in model.parameters() if p.requires_grad]
    step.optimizer.register_step_pre_hook(lambda *_: found.extend(p.grad.clone() for p in learning))
    model.dropout.p = 0.0
    step.prepare(data)
    sums = EpochSums()
    step(data, batch, 0, 0.1, sums)
    return step, found, [float(sums.loss_sum), float(sums.weight_sum), float(sums.correct), sums.count]


@pytest.mark.parametrize("number", [2, 3, 4])
@pytest.mark.parametrize("rows", [16, 15, 2, 1])
def test_the_sum_of_the_threads_gradients_is_that_of_one(threads, number, rows):
    threads(1)
    step, expected, totals = one_step(rows)
    assert step.generators == []
    threads(number)
    step, gradients, sums = one_step(rows)
    assert len(step.generators) == number - 1
    for gradient, of_one in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, of_one, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(sums, totals, rtol=1e-5)
    assert torch.get_num_threads() == number, "the caller's own threads are as before"


def test_one_seed_gives_one_training_with_dropout_and_another_seed_another(threads):
    threads(3)
    (first, _), (second, _), (other, _) = train(seed=1), train(seed=1), train(seed=2)
    assert_same(second, first)
    assert first.history["loss"] != other.history["loss"]


def test_each_thread_hides_other_numbers(threads):
    threads(3)
    _, states = train()
    before, after = (
        [bytes(state["cpu"].numpy()) for state in (states[step]["random"], *states[step]["random_of_others"])]
        for step in (0, 1)
    )
    assert len(set(before)) == len(set(after)) == 3
    assert not any(old == new for old, new in zip(before, after, strict=True)), "each of them draws"


@pytest.mark.parametrize("step", [0, 4, 5, 6, 9])
def test_a_training_goes_on_from_any_step_bit_for_bit(threads, step, caplog):
    threads(3)
    expected, states = train()
    trainer = ModelTrainer(toy_model(7), toy_config(epochs=2))  # other weights and random states
    trainer.load_state_dict(states[step])
    trainer.train(*toy_data(90, 30), WEIGHTS)
    assert_same(trainer, expected)
    assert caplog.text == ""


def test_a_state_of_more_or_fewer_threads_is_taken_with_a_word(threads, caplog):
    threads(2)
    _, states = train()
    for number in (1, 3):
        threads(number)
        trainer = ModelTrainer(toy_model(7), toy_config(epochs=2))
        caplog.clear()
        trainer.load_state_dict(states[3])
        assert f"ran on 2 processes or threads so far, now on {number}" in caplog.text
        draws = [torch.rand(4), *(torch.rand(4, generator=g) for g in trainer.train_step.generators)]
        assert len({tuple(draw.tolist()) for draw in draws}) == number
        if number == 3:
            fresh = torch.Generator().manual_seed(seed_of(toy_config().training.seed, 2))
            assert torch.equal(draws[2], torch.rand(4, generator=fresh)), "that of its number"
        history = trainer.train(*toy_data(90, 30), WEIGHTS)
        assert len(history["loss"]) == 2


def test_only_what_can_draw_by_itself_and_is_large_enough_is_divided(threads):
    threads(3)
    settings = toy_config().training
    assert TrainingStep(FixedLogits([0.2, 0.3, 0.5]), settings, CPU, OneProcess()).generators == []
    compiled = toy_config(compile=True).training
    assert TrainingStep(toy_model(), compiled, CPU, OneProcess()).generators == []
    small = toy_config(batch_size=7).training
    assert TrainingStep(toy_model(), small, CPU, OneProcess()).generators == []
    assert len(TrainingStep(toy_model(), settings, CPU, OneProcess()).generators) == 2


def test_an_error_in_a_thread_ends_the_training(threads):
    threads(2)
    trainer = ModelTrainer(toy_model(), toy_config())
    codes, labels, *validation = toy_data()
    codes[5] = 200  # no such code
    with pytest.raises(IndexError):
        trainer.train(codes, labels, *validation)


def test_a_copy_has_the_same_memory_and_other_gradients():
    model = toy_model()
    twin = with_own_gradients(model)
    with torch.no_grad():
        model.embedding.weight[5] = 3.0
        model.evidence.bias[1] = 4.0
    assert torch.equal(twin.embedding.weight, model.embedding.weight)
    assert twin.evidence.table.data_ptr() == model.evidence.table.data_ptr()
    assert twin.evidence.bias[1] == 4.0
    twin(torch.full((2, 5), 5)).sum().backward()
    assert twin.embedding.weight.grad is not None
    assert model.embedding.weight.grad is None
