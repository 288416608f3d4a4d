"""The figures: right data in them, no global state, whole files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.scored_names import CLASSES, scored_names
from utils.calibration import calibration_metrics
from utils.curve_figures import plot_precision_recall, plot_reliability, plot_roc
from utils.evaluation import evaluate
from utils.visualization import draw_figures, plot_confusion, plot_history, save_figures

LABELS, NETWORK = scored_names(2000, 1, skill=2.0)
_, BASELINE = scored_names(2000, 1, skill=1.0)
HISTORY = {
    "loss": [0.9, 0.6, 0.5],
    "val_loss": [0.8, 0.55, 0.6],
    "accuracy": [0.6, 0.7, 0.8],
    "val_accuracy": [0.6, 0.7, 0.7],
    "val_macro_f1": [0.5, 0.6, 0.65],
    "val_auc": [0.8, 0.85, 0.9],
    "learning_rate": [1e-3, 5e-4, 0.0],
    "elapsed_s": [3.0, 3.0, 3.0],
}


@pytest.fixture(scope="module")
def report():
    return evaluate(LABELS, NETWORK, CLASSES, benign="benign", resamples=0)


def lines(axes):
    """Return label → (x, y) of what is drawn."""
    return {line.get_label(): line.get_data() for line in axes.lines}


def png_size(path):
    """Return width and height of a PNG file from its header; fails where it is none."""
    head = path.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def test_history_draws_its_columns_and_marks_the_best_epoch():
    figure = plot_history(HISTORY)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Loss", "Accuracy", "Validation metrics", "Learning rate"]
    loss = lines(figure.axes[0])
    assert list(loss["training"][1]) == HISTORY["loss"]
    assert list(loss["validation"][0]) == [1, 2, 3]
    assert loss["lowest validation loss"][0] == [2, 2]
    assert "recall at 1 % FPR" not in lines(figure.axes[2])  # the column is absent
    assert all(axes.get_xlabel() == "epoch" for axes in figure.axes)


def test_history_of_one_epoch_with_a_gap_and_of_nothing():
    assert len(plot_history({"loss": [1.0], "val_loss": [float("nan")]}).axes) == 1
    with pytest.raises(ValueError, match=r"nothing to draw; its columns are \['elapsed_s'\]"):
        plot_history({"elapsed_s": [1.0]})


def test_confusion_shows_shares_and_counts(report):
    axes = plot_confusion(report).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == list(CLASSES)
    texts = [text.get_text() for text in axes.texts]
    counts = np.array(report["confusion"])
    shares = counts / counts.sum(axis=1, keepdims=True)
    assert texts == [
        f"{100 * share:.1f} %\n{count:,}" for share, count in zip(shares.flat, counts.flat, strict=True)
    ]
    assert np.allclose(axes.images[0].get_array(), shares)


def test_confusion_of_a_part_without_a_class():
    part = evaluate(np.zeros(10, int), NETWORK[:10], CLASSES, benign="benign", resamples=0)
    assert plot_confusion(part).axes[0].texts[-1].get_text() == "0.0 %\n0"


def test_roc_is_drawn_on_a_log_axis_from_one_benign_name_on(report):
    axes = plot_roc(LABELS, NETWORK, benign_index=0, baseline=BASELINE).axes[0]
    drawn = lines(axes)
    network = next(label for label in drawn if label.startswith("network"))
    assert network == f"network, AUC {report['detection']['roc_auc']:.3f}"
    assert any(label.startswith("TF-IDF baseline, AUC") for label in drawn)
    assert axes.get_xscale() == "log"
    fpr, recall = drawn[network]
    assert fpr[0] == axes.get_xlim()[0] == pytest.approx(1 / (LABELS == 0).sum())
    assert (np.diff(fpr) >= 0).all()
    assert (np.diff(recall) >= 0).all()
    assert (fpr[-1], recall[-1]) == (1, 1)
    own = report["detection"]["at_fpr"]["0.01"]["this_part"]
    assert recall[np.searchsorted(fpr, 0.01, side="right") - 1] == pytest.approx(own["recall"])
    assert axes.texts[0].get_text() == f"{100 * own['recall']:.0f} %"


def test_long_curves_are_thinned_without_losing_their_ends():
    labels, probabilities = scored_names(60_000, 3)
    axes = plot_roc(labels, probabilities, benign_index=0).axes[0]
    fpr, recall = axes.lines[0].get_data()
    assert len(fpr) <= 4000
    assert (fpr[-1], recall[-1]) == (1, 1)
    assert fpr[0] <= 1 / (labels == 0).sum()


def test_precision_recall_in_two_mixes(report):
    figure = plot_precision_recall(LABELS, NETWORK, benign_index=0, baseline=BASELINE, prevalence=0.01)
    own, rare = (lines(axes) for axes in figure.axes)
    label = f"network, AP {report['detection']['pr_auc']:.3f}"
    share = (LABELS > 0).mean()
    assert own[label][1][-1] == pytest.approx(share)
    assert own["flag everything"][1][0] == pytest.approx(share)
    assert rare["network"][1][-1] == pytest.approx(0.01)
    assert (rare["network"][1] <= own[label][1] + 1e-12).all()


@pytest.mark.parametrize("label", [0, 1])
def test_curves_need_both_kinds_of_names(label):
    with pytest.raises(ValueError, match="names of both kinds"):
        plot_roc(np.full(10, label), NETWORK[:10], benign_index=0)


def test_reliability_before_and_after(report):
    before = calibration_metrics(LABELS, BASELINE, benign_index=0)
    after = report["calibration"]
    left, right = plot_reliability(before, after).axes
    assert f"before, ECE {before['ece']:.3f}" in lines(left)
    drawn = lines(right)[f"after, ECE {after['ece_malicious']:.3f}"]
    assert list(drawn[1]) == [row["observed"] for row in after["reliability_malicious"]]
    alone = lines(plot_reliability(None, after).axes[0])
    assert list(alone) == ["perfect", f"network, ECE {after['ece']:.3f}"]


def test_figures_are_saved_whole_and_the_same_twice(tmp_path, report):
    inputs = {"report": report, "labels": LABELS, "probabilities": NETWORK, "baseline": BASELINE}
    first = save_figures(tmp_path / "new" / "a", draw_figures(history=HISTORY, **inputs))
    names = ["history.png", "confusion.png", "reliability.png", "roc.png", "precision_recall.png"]
    assert [path.name for path in first] == names
    assert sorted(path.name for path in first[0].parent.iterdir()) == sorted(names)
    assert all(min(png_size(path)) > 400 for path in first)
    again = save_figures(tmp_path / "b", draw_figures(history=HISTORY))
    assert again[0].read_bytes() == first[0].read_bytes()


def test_only_what_has_its_input_is_drawn(report):
    assert list(draw_figures(report=report)) == ["confusion", "reliability"]
    only_benign = np.zeros(10, int)
    part = evaluate(only_benign, NETWORK[:10], CLASSES, benign="benign", resamples=0)
    figures = draw_figures(report=part, labels=only_benign, probabilities=NETWORK[:10])
    assert list(figures) == ["confusion", "reliability"]  # one kind of name makes no ROC curve
    assert draw_figures() == {}


def test_nothing_is_drawn_through_pyplot(report):
    program = (
        "import sys, utils.visualization as v; figure = v.plot_history({'loss': [1.0, 0.5]}); "
        "print('matplotlib.pyplot' in sys.modules, type(figure.canvas).__name__)"
    )
    root = Path(__file__).parents[1]
    output = subprocess.check_output([sys.executable, "-c", program], cwd=root, text=True)
    assert output.split() == ["False", "FigureCanvasAgg"]
    assert isinstance(plot_confusion(report), Figure)


def test_the_legend_of_the_roc_stays_clear_of_curves_and_title():
    figure = plot_roc(LABELS, NETWORK, benign_index=0, baseline=BASELINE)
    figure.canvas.draw()
    axes = figure.axes[0]
    legend = axes.get_legend().get_window_extent()
    assert legend.y0 >= axes.get_window_extent().y1
    title = next(text for text in axes.findobj(Text) if text.get_text().startswith("ROC,"))
    assert not legend.overlaps(title.get_window_extent())
    assert legend.x1 <= figure.bbox.x1
