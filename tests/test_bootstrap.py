"""Resampling by weights equals resampling by rows, and its intervals cover what they claim."""

import numpy as np
import pytest

from tests.scored_names import scored_names
from utils.bootstrap import interval, resample, sort_rows, statistics


def sorted_rows(labels, probabilities, **options):
    return sort_rows(labels, probabilities, benign_index=0, **options)


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("seed", range(5))
def test_integer_weights_equal_repeated_rows(seed, decimals):
    labels, probabilities = scored_names(400, seed, decimals=decimals)
    rows = sorted_rows(labels, probabilities, thresholds={"0.01": 0.8})
    weights = np.random.default_rng(seed).poisson(1, 400)
    repeated = np.repeat(np.arange(400), weights)
    expected = statistics(sorted_rows(labels[repeated], probabilities[repeated], thresholds={"0.01": 0.8}))
    weighted = statistics(rows, weights[rows.ranking.order].astype(float))
    assert weighted.keys() == expected.keys()
    for name, value in weighted.items():
        assert value == pytest.approx(expected[name], abs=1e-12), name


def test_groups_are_drawn_whole():
    # Each name stands ten times in its group: the interval is that of the 200 groups, not of 2,000 names.
    labels, probabilities = scored_names(200, 1)
    many_labels, many = np.tile(labels, 10), np.tile(probabilities, (10, 1))
    groups = np.tile(np.arange(200, dtype=np.uint64) + 2**63, 10)

    def width(*arguments, **options):
        low, high = interval(resample(sorted_rows(*arguments, **options), 200, 0)["roc_auc"])
        return high - low

    grouped = width(many_labels, many, groups=groups)
    assert grouped == pytest.approx(width(labels, probabilities), rel=0.25)
    assert grouped > 2 * width(many_labels, many)


def test_a_resample_is_the_rows_of_the_drawn_groups():
    labels, probabilities = scored_names(500, 3, decimals=2)
    groups = np.random.default_rng(0).integers(0, 90, 500)
    groups = np.unique(groups, return_inverse=True)[1]
    count = groups.max() + 1
    drawn = np.random.default_rng(7).integers(0, count, count)
    chosen = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
    expected = statistics(sorted_rows(labels[chosen], probabilities[chosen]))
    resampled = resample(sorted_rows(labels, probabilities, groups=groups), 1, 7)
    for name in ("accuracy", "macro_f1", "roc_auc", "pr_auc", "roc_auc:1", "roc_auc:2"):
        assert resampled[name][0] == pytest.approx(expected[name], abs=1e-12)


def test_same_seed_same_resamples():
    labels, probabilities = scored_names(300, 2)
    rows = sorted_rows(labels, probabilities)
    first, again, other = (resample(rows, 10, seed)["roc_auc"] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    truth = {
        name: value
        for name, value in statistics(sorted_rows(*scored_names(200_000, 99))).items()
        if name in ("roc_auc", "pr_auc", "macro_f1", "accuracy")
    }
    covered = dict.fromkeys(truth, 0)
    for seed in range(60):
        drawn = resample(sorted_rows(*scored_names(400, seed)), 100, seed)
        for name, value in truth.items():
            low, high = interval(drawn[name])
            covered[name] += low <= value <= high
    # 95 % of 60 is 57; 50 or fewer would happen to a right interval once in a thousand tests.
    assert all(count > 50 for count in covered.values()), covered


def test_interval_is_refused_where_too_few_resamples_define_the_figure():
    assert interval(np.array([1.0] * 89 + [np.nan] * 11)) is None
    assert interval(np.array([1.0] * 90 + [np.nan] * 10)) == (1.0, 1.0)
    assert interval(np.array([])) is None
