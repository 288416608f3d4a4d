"""The optimiser: the learning rate of each step, the limit of the gradient, and which weights decay."""

import math
from dataclasses import replace

import numpy as np
import pytest

from data.feature_engineering import encode_domains
from models.model_trainer import ModelTrainer
from models.optimization import learning_rate, make_optimizer
from tests.test_trainer import FixedLogits, P, toy_data, toy_model
from tests.toy_domains import toy_config
from utils.config import TrainingConfig


def test_the_learning_rate_of_each_step():
    settings = TrainingConfig(learning_rate=0.1, epochs=2, warmup_fraction=0.1)  # 2 of 20 steps
    rates = [learning_rate(step, 10, settings) for step in range(20)]
    assert rates[:3] == pytest.approx([0.05, 0.1, 0.1])
    assert rates[11] == pytest.approx(0.1 * (0.01 + 0.99 * 0.5))  # half of the way
    assert rates[19] == pytest.approx(0.1 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 17 / 18))))
    assert learning_rate(20, 10, settings) == pytest.approx(0.001)
    assert sorted(rates[2:], reverse=True) == rates[2:]


def test_the_constant_learning_rate_warms_up_too():
    settings = TrainingConfig(learning_rate=0.1, epochs=2, warmup_fraction=0.2, schedule="constant")
    rates = [learning_rate(step, 10, settings) for step in range(20)]
    assert rates == pytest.approx([0.025, 0.05, 0.075, 0.1] + [0.1] * 16)
    assert learning_rate(0, 10, TrainingConfig(learning_rate=0.1, warmup_fraction=0.0)) == 0.1


def test_averaged_epochs_follow_the_cosine_at_half_of_the_peak():
    settings = TrainingConfig(learning_rate=0.1, epochs=4, averaged_epochs=2, warmup_fraction=0.1)
    rates = [learning_rate(step, 10, settings) for step in range(40)]
    assert rates[:3] == pytest.approx([0.05, 0.1, 0.1])
    assert rates[:20] == [
        learning_rate(step, 10, replace(settings, epochs=2, averaged_epochs=0)) for step in range(20)
    ]
    assert rates[20:] == pytest.approx([0.05] * 20)


def test_every_step_is_done_at_its_learning_rate():
    model, seen, config = toy_model(), [], toy_config(epochs=2)
    trainer = ModelTrainer(model, config)
    trainer.optimizer.register_step_pre_hook(
        lambda optimizer, *_: seen.append({group["lr"] for group in optimizer.param_groups})
    )
    history = trainer.train(*toy_data())
    expected = [learning_rate(step, 8, config.training) for step in range(16)]  # 120 names, 16 a batch
    assert seen == [{rate} for rate in expected]
    assert history["learning_rate"] == [expected[0], expected[8]]


@pytest.mark.parametrize(("limit", "expected"), [(0.001, 0.001), (None, 10.0)])
def test_gradients_are_clipped_to_the_limit(limit, expected):
    model, norms = FixedLogits(P), []
    model.logits.register_hook(lambda gradient: 10 * gradient / gradient.norm())
    trainer = ModelTrainer(model, toy_config(gradient_clip=limit, epochs=1))
    trainer.optimizer.register_step_pre_hook(lambda *_: norms.append(float(model.logits.grad.norm())))
    codes, labels = encode_domains(["a.com"] * 3, 8), np.arange(3) % 2
    trainer.train(codes, labels, codes, labels)
    assert norms == [pytest.approx(expected, rel=1e-3)]


def test_only_weight_matrices_decay():
    model = toy_model()
    decaying, plain = make_optimizer(model, TrainingConfig(weight_decay=0.3)).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert (decaying["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    assert all("weight" in names[id(p)] and p.dim() == 2 for p in decaying["params"])
    assert {names[id(p)] for p in plain["params"]} >= {"embedding.weight", "classifier.bias"}
    assert len(decaying["params"]) + len(plain["params"]) == len(names)
