"""Temperature, prior and calibration figures, against known values and scikit-learn."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss

from tests.scored_names import scored_names
from utils.calibration import (
    TEMPERATURE_RANGE,
    calibration_metrics,
    expected_calibration_error,
    fit_temperature,
    reliability,
    reweight_prior,
)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 10.0])
def test_temperature_recovers_a_known_one(temperature):
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(40_000, 3))
    draws = generator.random((len(logits), 1))
    labels = (softmax(logits).cumsum(axis=1) < draws).sum(axis=1).clip(max=2)
    # Shifting every logit of a row changes no probability and so not the temperature.
    scaled = temperature * (logits + generator.normal(size=(len(logits), 1)))
    assert fit_temperature(scaled.astype(np.float32), labels) == pytest.approx(temperature, rel=0.03)


def test_temperature_has_the_lowest_log_loss_of_a_fine_grid():
    labels, probabilities = scored_names(500, 1, skill=0.8)
    logits = 3 * np.log(probabilities)
    grid = np.geomspace(*TEMPERATURE_RANGE, 4000)
    losses = [-np.log(softmax(logits / t)[np.arange(500), labels]).mean() for t in grid]
    assert fit_temperature(logits, labels) == pytest.approx(grid[np.argmin(losses)], rel=2e-3)


def test_temperature_at_its_limits():
    labels = np.array([0, 1, 2])
    assert fit_temperature(5.0 * np.eye(3), labels) is None
    assert fit_temperature(-5.0 * np.eye(3), labels) is None
    assert fit_temperature(np.full((3, 3), 7.0), labels) == 1.0
    assert fit_temperature(np.array([[1e4, -1e4, 0.0], [0, 1e4, 1]]), np.array([1, 1])) is None


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(np.zeros((0, 3)), []), (np.zeros((2, 3)), [0]), (np.zeros(3), [0, 1, 2]), ([[0, np.inf]], [0])],
)
def test_temperature_refuses_what_is_no_logit_matrix(logits, labels):
    with pytest.raises(ValueError, match="logits"):
        fit_temperature(np.asarray(logits), np.asarray(labels))


def test_prior_by_hand():
    # .5/.2 and .3/.3 and .2/.5, each times the new share: .5·2, .3·1, .2·1 → 1, .3, .2, over 1.5
    moved = reweight_prior(np.array([[0.5, 0.3, 0.2]]), np.array([0.2, 0.4, 0.4]), np.array([0.4, 0.4, 0.4]))
    assert moved[0] == pytest.approx([1 / 1.5, 0.3 / 1.5, 0.2 / 1.5])


def test_prior_counts_do_as_well_as_shares_and_the_way_back_exists():
    _, probabilities = scored_names(50, 2)
    old, new = np.array([600, 250, 150]), np.array([0.9, 0.05, 0.05])
    moved = reweight_prior(probabilities, old, new)
    assert np.allclose(moved, reweight_prior(probabilities, old / 1000, 20 * new))
    assert np.allclose(reweight_prior(moved, new, old), probabilities)
    assert reweight_prior(probabilities.astype(np.float32), old, new).dtype == np.float32
    assert np.allclose(reweight_prior(probabilities, old, old), probabilities)


def test_prior_makes_a_balanced_model_right_in_unbalanced_data():
    generator = np.random.default_rng(3)
    labels = generator.choice(2, 50_000, p=[0.95, 0.05])
    x = generator.normal(2.0 * labels)
    likelihood = np.exp(-((x[:, None] - np.array([0, 2.0])) ** 2) / 2)
    balanced = likelihood / likelihood.sum(axis=1, keepdims=True)
    moved = reweight_prior(balanced, np.array([0.5, 0.5]), np.array([0.95, 0.05]))
    assert calibration_metrics(labels, balanced, benign_index=0)["ece_malicious"] > 0.1
    assert calibration_metrics(labels, moved, benign_index=0)["ece_malicious"] < 0.01


@pytest.mark.parametrize("prior", [[0.5, 0.5], [1, 0, 0], [1, -1, 1], [np.nan, 1, 1]])
def test_prior_that_is_none_is_refused(prior):
    with pytest.raises(ValueError, match="new_prior must"):
        reweight_prior(np.full((1, 3), 1 / 3), np.ones(3), np.array(prior))


@pytest.mark.parametrize("decimals", [None, 2])
def test_log_loss_and_brier_equal_their_definitions(decimals):
    labels, probabilities = scored_names(600, 4, decimals=decimals)
    probabilities = np.clip(probabilities, 1e-6, None)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    figures = calibration_metrics(labels, probabilities, benign_index=0)
    assert figures["log_loss"] == pytest.approx(log_loss(labels, probabilities))
    assert figures["brier"] == pytest.approx(((probabilities - np.eye(3)[labels]) ** 2).sum(axis=1).mean())


def test_log_loss_is_finite_for_a_class_called_impossible():
    figures = calibration_metrics(np.array([1]), np.array([[1.0, 0.0]]), benign_index=0)
    assert figures["log_loss"] == pytest.approx(34.5, abs=0.1)


def test_reliability_bins_hold_equal_numbers_and_all_rows():
    forecast = np.random.default_rng(5).random(1503)
    table = reliability(forecast, forecast > 0.5)
    sizes = [row["n"] for row in table]
    assert len(table) == 15
    assert sum(sizes) == 1503
    assert max(sizes) - min(sizes) <= 1
    assert all(row["low"] <= row["forecast"] <= row["high"] for row in table)
    assert all(first["high"] < second["low"] for first, second in pairwise(table))


def test_ece_by_hand_with_ties_and_in_any_order():
    forecast = np.repeat([0.2, 0.8], [30, 10])
    happened = np.concatenate([np.repeat([True, False], [9, 21]), np.repeat([True, False], [6, 4])])
    table = reliability(forecast, happened)
    assert [(row["n"], row["observed"]) for row in table] == [(30, 0.3), (10, 0.6)]
    assert expected_calibration_error(table) == pytest.approx((30 * 0.1 + 10 * 0.2) / 40)
    order = np.random.default_rng(6).permutation(40)
    assert expected_calibration_error(reliability(forecast[order], happened[order])) == pytest.approx(0.125)


@pytest.mark.parametrize("n", [1, 2, 14, 16])
def test_few_rows_still_make_a_table(n):
    labels, probabilities = scored_names(n, 7)
    figures = calibration_metrics(labels, probabilities, benign_index=0)
    assert sum(row["n"] for row in figures["reliability"]) == n
    assert 0 <= figures["ece"] <= 1


def test_calibration_imports_neither_scikit_learn_nor_scipy():
    program = "import sys, utils.calibration; print({'sklearn', 'scipy', 'torch'} & set(sys.modules))"
    root = Path(__file__).parents[1]
    output = subprocess.check_output([sys.executable, "-c", program], cwd=root, text=True)
    assert output.strip() == "set()"
