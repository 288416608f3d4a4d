"""The report for humans: the first sentences tell the truth, the tables hold the figures."""

import copy

import numpy as np
import pytest

from tests.scored_names import CLASSES, scored_names
from utils.calibration import calibration_metrics
from utils.evaluation import evaluate, paired_differences, thresholds_at_fpr
from utils.report_markdown import render_report
from utils.report_verdict import enumerate_words, majority_macro_f1, render_verdict

LABELS, NETWORK = scored_names(3000, 1, skill=2.0)
_, WORSE = scored_names(3000, 1, skill=1.2)  # the same seed, so the same labels
THRESHOLDS = thresholds_at_fpr(*scored_names(3000, 2, skill=2.0), CLASSES, benign="benign")


def judged(probabilities, **options):
    return evaluate(LABELS, probabilities, CLASSES, benign="benign", resamples=20, **options)


@pytest.fixture(scope="module")
def full_report():
    """Return a report with every section."""
    families = np.where(LABELS == 2, np.array(["fam|ly", "<b>", "plain"])[np.arange(3000) % 3], None)
    part = judged(
        NETWORK,
        groups=np.arange(3000) // 2,
        thresholds=THRESHOLDS,
        slices={"even": np.arange(3000) % 2 == 0, "none": np.zeros(3000, bool)},
        families=families,
    )
    return {
        "run": {"device": "cpu", "versions": {"numpy": "2", "torch": None}, "command": ["train.py", "-x"]},
        "classes": list(CLASSES),
        "benign": "benign",
        "data": {
            "counts": {"train": {"benign": 9000, "phishing": 80}},
            "dropped": {"ip_address": 7},
            "reasons": {"ip_address": "an IPv4 address", "duplicate": "a further row"},
        },
        "split": "registered_domain",
        "parts": {"validation": judged(NETWORK), "test": part},
        "uncalibrated": {"test": calibration_metrics(LABELS, WORSE, benign_index=0)},
        "temperature": 1.234,
        "baseline": {"test": judged(WORSE)},
        "differences": {
            "test": paired_differences(LABELS, NETWORK, WORSE, CLASSES, benign="benign", resamples=50)
        },
        "shortcuts": {
            "max_depth": 6,
            "features": {
                "tld": {"macro_f1": 0.4, "roc_auc": 0.7, "recall_at_1pct_fpr": 0.1},
                "length": {"macro_f1": 0.3, "roc_auc": None, "recall_at_1pct_fpr": None},
            },
        },
        "prior": {"benign": 0.6, "phishing": 0.25, "malware": 0.15},
    }


def changed(report, **entries):
    """Return a copy of the report with other entries."""
    return copy.deepcopy(report) | entries


def test_every_section_stands_and_every_table_is_whole(full_report):
    text = render_report(full_report)
    headings = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["Run", "Data", "Test", "Validation", "Shortcut audit", "Undefined figures"]
    assert "nan" not in text
    assert "None" not in text
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 3 + 8 + 6 + 1  # run and data, test, validation (no slices, no families), shortcuts
    for rows in tables:
        assert len(rows) >= 3
        assert len({row.replace("\\|", "").count("|") for row in rows}) == 1, rows


def test_no_words_stand_in_a_column_of_figures(full_report):
    comparison = {"with": "old.pt", "warning": None, "differences": {}}
    comparison["differences"]["roc_auc"] = {"difference": 0.0213, "interval": [0.01, 0.03]}
    text = render_report(changed(full_report, comparison=comparison))
    for block in text.split("\n\n"):
        if block.startswith("|"):
            _, alignments, *rows = (row.strip("| ").split(" | ") for row in block.splitlines())
            for alignment, *column in zip(alignments, *rows, strict=True):
                assert alignment == "---" or not any(cell[:1].isalpha() for cell in column), column


def test_what_a_run_does_not_have_is_not_in_the_table(full_report):
    assert "job" not in render_report(changed(full_report, run={"device": "cpu", "job": None}))
    assert "| torchrun job | 7 |" in render_report(changed(full_report, run={"job": "7"}))


def test_figures_of_the_report_stand_in_the_text(full_report):
    text = render_report(full_report)
    test = full_report["parts"]["test"]
    low, high = test["intervals"]["macro_f1"]
    assert f"{test['macro_f1']:.4f} [{low:.4f}, {high:.4f}]" in text
    point = test["detection"]["at_fpr"]["0.01"]["validation"]
    assert f"{100 * point['recall']:.1f} %" in text
    assert f"{point['threshold']:.6f}, validation" in text
    assert "| ip_address | 7 | an IPv4 address |" in text
    assert "a further row" not in text
    assert "| train | 9,000 | 80 | 0 | 9,080 |" in text
    assert "| versions | numpy 2, torch – |" in text
    assert "benign 60.0 %, phishing 25.0 %, malware 15.0 %" in text
    assert "| temperature (fitted on validation) | 1.234 |" in text
    assert "fam\\|ly" in text
    assert "&lt;b>" in text
    assert "needs at least 10,000 benign names" in text


def test_verdict_says_who_wins(full_report):
    won = render_verdict(full_report, "test")
    assert "The network beats the TF-IDF baseline on macro-F1" in won
    assert "baseline wins" not in won
    assert "1,500 registered domains" in won
    swapped = changed(full_report, baseline={"test": judged(NETWORK)}, differences=None)
    swapped["parts"]["test"] = judged(WORSE)
    lost = render_verdict(swapped, "test")
    assert "**The TF-IDF baseline wins** on macro-F1" in lost
    assert "The network beats" not in lost
    assert "not tested against chance" in lost


def test_verdict_calls_a_gap_within_chance_a_tie(full_report):
    differences = copy.deepcopy(full_report["differences"])
    differences["test"]["macro_f1"]["interval"] = [-0.01, 0.02]
    text = render_verdict(changed(full_report, differences=differences), "test")
    assert "cannot be told apart on macro-F1" in text
    assert "beats the TF-IDF baseline on ROC-AUC" in text
    assert "baseline wins" not in text


def test_verdict_names_a_shortcut_only_when_it_comes_near(full_report):
    assert "comes near" not in render_verdict(full_report, "test")
    near = changed(full_report)
    near["shortcuts"]["features"]["tld"]["roc_auc"] = 0.9
    assert "**A shortcut comes near:**" in render_verdict(near, "test")
    assert "reaches ROC-AUC 0.9000 from the TLD." in render_verdict(near, "test")


def test_verdict_admits_no_better_than_the_majority(full_report):
    constant = np.tile([0.8, 0.1, 0.1], (3000, 1))
    report = changed(full_report, parts={"test": judged(constant)}, baseline=None)
    text = render_verdict(report, "test")
    assert "no better than the majority class" in text
    assert "No baseline was trained" in text


def judged_answers(labels, answers):
    """Judge a model that is sure of its answers."""
    probabilities = np.full((len(labels), 3), 0.05) + 0.85 * np.eye(3)[answers]
    return evaluate(np.array(labels), probabilities, CLASSES, benign="benign", resamples=0)


@pytest.mark.parametrize(("counts", "constant"), [((900, 60, 40), 0.3158), ((900, 100, 0), 0.4737)])
def test_the_majority_has_the_macro_f1_of_a_constant_answer(counts, constant):
    part = judged_answers(np.repeat(range(3), counts), np.zeros(1000, int))
    assert majority_macro_f1(part) == pytest.approx(part["macro_f1"])
    assert majority_macro_f1(part) == pytest.approx(constant, abs=1e-4)


def test_one_class_has_no_majority_to_compare_with(full_report):
    part = judged_answers([1] * 50, [1] * 45 + [0] * 5)
    text = render_report(changed(full_report, parts={"test": part}, baseline=None))
    assert "ajority class" not in text
    assert "always answering" not in text


def test_of_very_unequal_classes_accuracy_alone_gives_no_verdict(full_report):
    labels = [0] * 970 + [1] * 30
    answers = [1] * 40 + [0] * 930 + [1] * 29 + [0]  # 41 wrong, where always benign has 30
    report = changed(full_report, parts={"test": judged_answers(labels, answers)}, baseline=None)
    text = render_verdict(report, "test")
    assert (
        "It classifies 95.9 % right; always answering benign would get 97.0 %, but a macro-F1 of 0." in text
    )
    assert "no better" not in text


def test_random_split_is_marked_as_the_optimistic_bound(full_report):
    assert "Optimistic bound" not in render_report(full_report)
    assert "**Optimistic bound:**" in render_report(changed(full_report, split="random"))


def test_names_from_files_are_not_said_to_be_split(full_report):
    files = render_verdict(changed(full_report, split="files"), "test")
    assert "**Overlap with training was not checked:**" in files
    assert "no registered domain stands in two parts" not in files
    both = changed(full_report, split="files_and_test", split_of_test="random")
    text = render_verdict(both, "test")
    assert "Overlap with training was checked" in text
    assert "Of the run's own names: **Optimistic bound:**" in text


def test_threshold_chosen_on_the_test_names_is_said_to_flatter(full_report):
    report = changed(full_report, parts={"test": judged(NETWORK)})
    assert "chosen on these very names (which flatters)" in render_verdict(report, "test")


@pytest.mark.parametrize("n", [1, 5, 40])
def test_tiny_parts_and_a_bare_report_render(full_report, n):
    part = evaluate(LABELS[:n], NETWORK[:n], CLASSES, benign="benign", resamples=5)
    bare = changed(full_report, parts={"test": part})
    for key in ("uncalibrated", "baseline", "differences", "shortcuts"):
        del bare[key]
    text = render_report(bare)
    assert text.startswith("# Report\n\nOn ")
    assert "None" not in text


def test_words_are_enumerated():
    assert [enumerate_words(list("abc"[:n])) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_another_model_stands_beside_with_its_interval(full_report):
    differences = {
        "roc_auc": {"difference": 0.0213, "interval": [0.01, 0.03]},
        "macro_f1": {"difference": -0.001, "interval": [-0.01, 0.008]},
        "pr_auc": {"difference": None, "interval": None},
    }
    comparison = {"with": "old.pt", "warning": None, "differences": differences}
    text = render_report(changed(full_report, comparison=comparison))
    assert "**Beware:**" not in text
    comparison["warning"] = "old.pt was trained with another split"
    warned = render_report(changed(full_report, comparison=comparison))
    assert "**Beware:** old.pt was trained with another split.\n\nThis model minus" in warned
    assert "## Compared with old.pt" in text
    assert "| roc_auc | +0.0213 | [+0.0100, +0.0300] | yes |" in text
    assert "| macro_f1 | -0.0010 | [-0.0100, +0.0080] | no |" in text
    assert "| pr_auc | – | – |  |" in text
    assert "Compared with" not in render_report(full_report)
