"""The report's figures against scikit-learn, by hand, and where they are undefined."""

import json

import numpy as np
import pytest
from sklearn import metrics

from tests.scored_names import CLASSES, scored_names
from utils.detection import malicious_scores, minimum_benign
from utils.evaluation import evaluate, paired_differences, thresholds_at_fpr, validation_metrics


def judge(labels, probabilities, **options):
    """Evaluate quickly, and check that the report is JSON without NaN whose gaps are all explained."""
    report = evaluate(labels, probabilities, CLASSES, benign="benign", **{"resamples": 20, **options})
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert set(places_of_none(report)) == set(report["undefined"])
    assert all(reason and reason != "undefined" for reason in report["undefined"].values())
    return report


def places_of_none(value, place=()):
    """Yield where a report says None."""
    if value is None:
        yield "/".join(place)
    elif isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from places_of_none(item, (*place, str(key)))


def brute_force_threshold(scores, malicious, rate):
    """Try every malicious score as a threshold; return the smallest with a low enough false-positive rate."""
    benign = scores[~malicious]
    fitting = [t for t in np.unique(scores[malicious]) if np.mean(benign >= t) <= rate]
    return min(fitting) if fitting else None


@pytest.mark.parametrize(
    ("n", "seed", "decimals"), [(2000, 0, None), (2000, 1, 1), (500, 2, 2), (40, 3, None), (40, 4, 1)]
)
def test_figures_equal_scikit_learn(n, seed, decimals):
    labels, probabilities = scored_names(n, seed, decimals=decimals)
    report = judge(labels, probabilities)
    scores, malicious = malicious_scores(probabilities, 0), labels > 0
    predicted = probabilities.argmax(axis=1)
    detection = report["detection"]
    assert detection["roc_auc"] == pytest.approx(metrics.roc_auc_score(malicious, scores))
    assert detection["pr_auc"] == pytest.approx(metrics.average_precision_score(malicious, scores))
    assert report["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert report["macro_f1"] == pytest.approx(metrics.f1_score(labels, predicted, average="macro"))
    assert report["confusion"] == metrics.confusion_matrix(labels, predicted, labels=[0, 1, 2]).tolist()
    expected = metrics.precision_recall_fscore_support(labels, predicted, zero_division=np.nan)
    for k, name in enumerate(CLASSES):
        row = report["per_class"][name]
        for key, column in zip(("precision", "recall", "f1", "support"), expected, strict=True):
            assert row[key] == pytest.approx(column[k])
    for k, name in ((1, "phishing"), (2, "malware")):
        kept = (labels == 0) | (labels == k)
        assert detection["per_class"][name]["roc_auc"] == pytest.approx(
            metrics.roc_auc_score(labels[kept] == k, scores[kept])
        )


@pytest.mark.parametrize("decimals", [None, 1, 2, 3])
@pytest.mark.parametrize("rate", [0.3, 0.29, 0.05, 0.01])
def test_threshold_is_the_smallest_malicious_score_within_the_rate(rate, decimals):
    labels, probabilities = scored_names(700, 5, decimals=decimals)
    scores = malicious_scores(probabilities, 0)
    chosen = thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign", rates=(rate,))
    assert chosen[f"{rate:g}"] == brute_force_threshold(scores, labels > 0, rate)


def test_no_threshold_lies_among_the_benign_names_of_classes_that_are_well_apart():
    labels = np.repeat([0, 1], [300, 100])
    scores = np.concatenate([np.geomspace(1e-9, 1e-5, 300), np.linspace(0.8, 0.99, 100)])
    probabilities = np.column_stack([1 - scores, scores, np.zeros(400)])
    chosen = thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign")
    assert chosen["0.01"] == pytest.approx(0.8)
    point = judge(labels, probabilities)["detection"]["at_fpr"]["0.01"]["this_part"]
    assert (point["threshold"], point["recall"], point["fpr"]) == (chosen["0.01"], 1.0, 0.0)


def test_no_threshold_where_no_malicious_name_scores_high_enough():
    scores = np.linspace(0.01, 0.99, 301)  # the lowest one is the malicious name's
    probabilities = np.column_stack([1 - scores, scores, np.zeros(301)])
    labels = np.array([1] + [0] * 300)
    assert thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign")["0.01"] is None
    point = judge(labels, probabilities)["detection"]["at_fpr"]["0.01"]["this_part"]
    assert (point["threshold"], point["recall"], point["false_positives"]) == (None, 0.0, 0)


def test_rate_that_is_no_binary_fraction_is_met_exactly():
    # 29 of 100 is 29 %, though 0.29 * 100 is 28.999999999999996 in floating point.
    benign_probability = np.linspace(0.01, 0.99, 101)  # scores fall along the rows
    labels = np.array([0] * 29 + [1] + [0] * 71)
    probabilities = np.column_stack([benign_probability, 1 - benign_probability, np.zeros(101)])
    chosen = thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign", rates=(0.29,))["0.29"]
    assert (malicious_scores(probabilities, 0)[labels == 0] >= chosen).sum() == 29


def test_thresholds_rise_as_the_rate_falls_and_need_enough_benign_names():
    labels, probabilities = scored_names(30_000, 6)
    chosen = thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign")
    assert chosen["0.01"] < chosen["0.001"] < 1
    assert chosen["0.0001"] is None  # 18,000 benign names; ten false positives of 0.01 % need 100,000
    assert [minimum_benign(rate) for rate in (0.01, 0.001, 0.0001)] == [100, 10_000, 100_000]
    few = thresholds_at_fpr(labels[:120], probabilities[:120], CLASSES, benign="benign")
    assert list(few.values()) == [None, None, None]


def test_no_threshold_where_the_top_score_is_shared_by_too_many_benign_names():
    labels = np.array([0] * 200 + [1] * 50)
    probabilities = np.tile([0.1, 0.9, 0.0], (250, 1))
    assert thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign")["0.01"] is None
    point = judge(labels, probabilities)["detection"]["at_fpr"]["0.01"]["this_part"]
    assert (point["threshold"], point["recall"], point["false_positives"]) == (None, 0.0, 0)


def test_operating_points_by_hand():
    # 400 benign names: 4 of them, and 60 of 100 malicious ones, score 0.9; the rest 0.1.
    labels = np.repeat([0, 1, 2], [400, 40, 60])
    scores = np.repeat([0.9, 0.1, 0.9, 0.1, 0.9, 0.1], [4, 396, 30, 10, 30, 30])
    probabilities = np.column_stack([1 - scores, scores, np.zeros(500)])
    report = judge(labels, probabilities, thresholds={"0.01": 0.05, "0.001": None}, lookups_per_day=10_000)
    points = report["detection"]["at_fpr"]
    own = points["0.01"]["this_part"]
    assert own["threshold"] == pytest.approx(0.9)
    assert (own["recall"], own["fpr"], own["false_positives"]) == (0.6, 0.01, 4)
    assert own["precision_at_prevalence"]["0.01"] == pytest.approx(0.006 / (0.006 + 0.0099))
    assert own["precision_at_prevalence"]["0.001"] == pytest.approx(0.0006 / (0.0006 + 0.00999))
    assert own["false_alarms_per_day"] == pytest.approx(100)
    fixed = points["0.01"]["validation"]  # a threshold below every score flags everything
    assert (fixed["recall"], fixed["fpr"], fixed["threshold"]) == (1.0, 1.0, 0.05)
    assert points["0.001"] == {"this_part": None, "validation": None}
    assert report["detection"]["per_class"]["phishing"]["recall_at_fpr"]["0.01"]["this_part"] == 0.75
    assert report["detection"]["per_class"]["malware"]["recall_at_fpr"]["0.01"]["this_part"] == 0.5
    assert report["alarm_threshold"] == {"rate": "0.01", "chosen_on": "validation", "threshold": 0.05}


@pytest.mark.parametrize("decimals", [None, 2])
def test_a_name_exactly_at_the_threshold_is_flagged(decimals):
    labels, probabilities = scored_names(2000, 12, decimals=decimals)
    chosen = thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign")
    points = judge(labels, probabilities, thresholds=chosen)["detection"]["at_fpr"]["0.01"]
    assert points["validation"] == points["this_part"]


def test_precision_without_a_false_positive_is_not_called_perfect():
    labels = np.repeat([0, 1], [200, 100])
    scores = np.repeat([0.1, 0.9], [200, 100])
    probabilities = np.column_stack([1 - scores, scores, np.zeros(300)])
    report = judge(labels, probabilities)
    assert report["detection"]["at_fpr"]["0.01"]["this_part"]["recall"] == 1.0
    assert report["detection"]["at_fpr"]["0.01"]["this_part"]["precision_at_prevalence"]["0.01"] is None
    assert report["macro_f1"] == 1.0  # malware does not occur here and does not count


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 300])
def test_parts_of_a_single_class_say_what_is_undefined(label, n):
    _, probabilities = scored_names(n, 7)
    report = judge(np.full(n, label), probabilities, thresholds={"0.01": 0.9})
    assert report["detection"]["roc_auc"] is None
    assert report["undefined"]["detection/roc_auc"] == "needs both benign and malicious names"
    assert report["majority_share"] == 1.0
    point = report["detection"]["at_fpr"]["0.01"]["validation"]
    assert (point["fpr"] is None) == (label == 1)
    assert (point["recall"] is None) == (label == 0)


def test_report_does_not_depend_on_the_order_of_rows():
    labels, probabilities = scored_names(800, 8, decimals=2)
    shuffled = np.random.default_rng(0).permutation(len(labels))
    first = judge(labels, probabilities, resamples=0)
    second = judge(labels[shuffled], probabilities[shuffled], resamples=0)
    assert first["detection"] == second["detection"]
    assert first["calibration"]["ece"] == pytest.approx(second["calibration"]["ece"], abs=1e-12)


def test_slices_share_the_global_threshold():
    labels, probabilities = scored_names(3000, 9)
    mask = np.arange(3000) % 3 == 0
    threshold = thresholds_at_fpr(labels, probabilities, CLASSES, benign="benign")["0.01"]
    slices = {"third": mask, "groups": ~mask, "none": np.zeros(3000, bool)}
    report = judge(labels, probabilities, slices=slices)
    third, scores = report["slices"]["third"], malicious_scores(probabilities, 0)
    assert report["alarm_threshold"]["threshold"] == threshold
    assert third["n"] == 1000
    assert third["recall"] == pytest.approx((scores[mask & (labels > 0)] >= threshold).mean())
    assert third["fpr"] == pytest.approx((scores[mask & (labels == 0)] >= threshold).mean())
    assert third["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels[mask] > 0, scores[mask]))
    assert report["slices"]["none"] == dict.fromkeys(third, None) | {"n": 0, "malicious": 0, "benign": 0}


def test_families_are_ranked_worst_first_and_small_ones_left_out():
    labels = np.repeat([0, 2], [200, 69])
    scores = np.concatenate([np.full(200, 0.1), np.full(30, 0.9), np.full(20, 0.05), np.full(19, 0.9)])
    probabilities = np.column_stack([1 - scores, np.zeros(269), scores])
    families = np.array(["benign's own"] * 100 + [None] * 100 + ["a"] * 30 + ["b"] * 20 + ["c"] * 19, object)
    report = judge(labels, probabilities, families=families)
    assert report["families"]["worst_first"] == [
        {"family": "b", "n": 20, "recall": 0.0},
        {"family": "a", "n": 30, "recall": 1.0},
    ]
    assert (report["families"]["families"], report["families"]["names"]) == (3, 69)


def test_validation_metrics_are_the_report_s():
    labels, probabilities = scored_names(2000, 10)
    report = judge(labels, probabilities)
    values = validation_metrics(labels, probabilities.astype(np.float32), 0)
    assert values["macro_f1"] == pytest.approx(report["macro_f1"])
    assert values["auc"] == pytest.approx(report["detection"]["roc_auc"], abs=1e-5)
    own = report["detection"]["at_fpr"]["0.01"]["this_part"]
    assert values["recall_at_1pct_fpr"] == pytest.approx(own["recall"], abs=0.01)
    only_benign = validation_metrics(np.zeros(5, int), probabilities[:5], 0)
    assert np.isnan([only_benign["auc"], only_benign["recall_at_1pct_fpr"]]).all()


def test_scores_of_float32_near_one_are_told_apart():
    # 1 − 1e-9 and 1 − 1e-8 are both 1.0 in float32.
    probabilities = np.array([[1e-9, 1, 0], [1e-8, 1, 0]], dtype=np.float32)
    scores = malicious_scores(probabilities, 0)
    assert scores[0] > scores[1]


def test_paired_differences_find_a_better_model_and_no_difference_to_itself():
    labels, good = scored_names(3000, 11, skill=1.6)
    worse = 0.7 * good + 0.3 * np.roll(good, 1, axis=0)
    found = paired_differences(labels, good, worse, CLASSES, benign="benign", resamples=100)
    assert found["roc_auc"]["interval"][0] > 0
    assert found["roc_auc:phishing"]["difference"] > 0
    same = paired_differences(labels, good, good, CLASSES, benign="benign", resamples=20)
    assert all(row["difference"] == 0 and row["interval"] == [0, 0] for row in same.values())


@pytest.mark.parametrize(
    ("labels", "probabilities", "options", "message"),
    [
        ([], np.zeros((0, 3)), {}, "N >= 1"),
        ([0.0], [[1, 0, 0]], {}, "integers"),
        ([0], [[0.5, 0.5]], {}, r"shape \(1, 3\); got \(1, 2\)"),
        ([3], [[1, 0, 0]], {}, "0…2; got 3…3"),
        ([0], [[0.5, 0.4, 0.0]], {}, "sum to 1"),
        ([0], [[np.nan, 0.5, 0.5]], {}, "sum to 1"),
        ([0], [[1, 0, 0]], {"benign": "good"}, "'good' is not among"),
        ([0], [[1, 0, 0]], {"groups": np.zeros(2)}, "'groups' must have the shape"),
        ([0], [[1, 0, 0]], {"slices": {"long": np.zeros(3, bool)}}, "'long' must have the shape"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(labels, probabilities, options, message):
    arguments = {"benign": "benign", **options}
    with pytest.raises(ValueError, match=message):
        evaluate(np.array(labels), np.array(probabilities, dtype=float), CLASSES, **arguments)
