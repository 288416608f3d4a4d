"""Figures of scores: ROC, precision over recall, reliability; the network's beside the baseline's."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from utils.detection import average_precision, detection_curve, last_block_within, roc_auc
from utils.figure_style import BASELINE, BLUE, GREY, NETWORK, new_figure, tidy

# Enough points for any screen; a quarter of a million would only make the drawing slow.
MAX_CURVE_POINTS = 4_000


def plot_roc(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    benign_index: int,
    baseline: np.ndarray | None = None,
) -> Figure:
    """Draw malicious recall over the false-positive rate, the latter on a log axis down to one benign name.

    A security team works at the left end, which a linear axis hides.

    Parameters
    ----------
    labels
        (N,) integers 0…K−1, benign and malicious ones.
    probabilities, baseline
        (N, K) of the network and, drawn beside it, of the baseline.
    """
    figure = new_figure(6.4, 4.6)
    axes = figure.add_subplot()
    models = _models(labels, probabilities, baseline, benign_index)
    floor = 1 / np.count_nonzero(np.asarray(labels) == benign_index)
    for name, style, (hits, misses) in models:
        # A log axis has no place for FPR 0: the curve starts where it has cost one benign name.
        start = last_block_within(misses, floor)
        fpr, recall = _thin(misses[start:] / misses[-1], hits[start:] / hits[-1])
        label = f"{name}, AUC {roc_auc(hits, misses):.3f}"
        axes.step(np.maximum(fpr, floor), recall, where="post", label=label, **style)
        if style is NETWORK:
            _mark_rates(axes, hits, misses)
    chance = np.geomspace(floor, 1, 200)
    axes.plot(chance, chance, color=GREY, linewidth=0.9, linestyle=":", label="chance")
    axes.set_xscale("log")
    axes.set_xlim(floor, 1)
    axes.set_ylim(0, 1.02)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:g} %"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("false-positive rate: benign names flagged (log scale)")
    axes.set_ylabel("recall: malicious names flagged")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:.0f} %"))
    axes.set_title(f"ROC, malicious against benign, {len(labels):,} names", loc="left", fontsize=11, pad=24)
    # Above the axes: a curve may run through any corner.
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=3, fontsize=9)
    tidy(axes)
    return figure


def _mark_rates(axes: Axes, hits: np.ndarray, misses: np.ndarray) -> None:
    """Put a dot and the recall on the network's curve at 1 % and 0.1 % false positives."""
    for rate in (0.01, 0.001):
        block = last_block_within(misses, rate)
        if rate * misses[-1] < 1 or block < 0:
            continue
        recall = hits[block] / hits[-1]
        axes.plot(rate, recall, "o", color=BLUE, markersize=6)
        text = f"{100 * recall:.0f} %"
        place = {"xytext": (-5, 5), "textcoords": "offset points", "ha": "right"}  # a rising curve is below
        axes.annotate(text, (rate, recall), color=BLUE, fontsize=10, fontweight="bold", **place)


def plot_precision_recall(
    labels: np.ndarray,
    probabilities: np.ndarray,
    *,
    benign_index: int,
    baseline: np.ndarray | None = None,
    prevalence: float = 0.01,
) -> Figure:
    """Draw precision over recall, in these names' own mix and at a stated share of malicious names.

    Precision depends on how many names are malicious; the right panel shows what is left of it in traffic.
    Arguments as for `plot_roc`.
    """
    figure = new_figure(10.4, 4.4)
    share = float((np.asarray(labels) != benign_index).mean())
    titles = (f"In these names' mix, {100 * share:.1f} % malicious", f"At {100 * prevalence:g} % malicious")
    for place, title in enumerate(titles):
        axes = figure.add_subplot(1, 2, place + 1)
        mix = prevalence if place else share
        for name, style, (hits, misses) in _models(labels, probabilities, baseline, benign_index):
            recall, fpr = hits[1:] / hits[-1], misses[1:] / misses[-1]  # flagging nothing has no precision
            precision = mix * recall / np.maximum(mix * recall + (1 - mix) * fpr, np.finfo(float).tiny)
            label = name if place else f"{name}, AP {average_precision(hits, misses):.3f}"
            axes.plot(*_thin(recall, precision), label=label, **style)
        axes.axhline(mix, color=GREY, linewidth=0.9, linestyle=":", label="flag everything")
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.03)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda x, _: f"{100 * x:.0f} %"))
        axes.set_xlabel("recall: malicious names flagged")
        axes.set_ylabel("precision: alarms that are right")
        axes.set_title(title, loc="left", fontsize=11)
        axes.legend(frameon=False, fontsize=9, loc="lower left" if not place else "upper right")
        tidy(axes)
    return figure


def plot_reliability(before: Mapping | None, after: Mapping) -> Figure:
    """Draw what was forecast against what happened, before and after temperature scaling.

    Parameters
    ----------
    before, after
        `utils.calibration.calibration_metrics(…)`, in a report under `calibration`; `before` may be None.
    """
    panels = (
        ("", "Predicted class", "confidence", "share that was right"),
        ("_malicious", "Malicious score", "1 − P(benign)", "share that was malicious"),
    )
    curves = [("before", BASELINE | {"marker": "s"}, before)] if before else []
    curves.append(("after" if before else "network", NETWORK | {"marker": "o"}, after))
    figure = new_figure(10.0, 4.6)
    for place, (kind, title, x_label, y_label) in enumerate(panels):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.9, linestyle=":", label="perfect")
        for name, style, figures in curves:
            points = np.array([(row["forecast"], row["observed"]) for row in figures[f"reliability{kind}"]])
            label = f"{name}, ECE {figures[f'ece{kind}']:.3f}"
            axes.plot(points[:, 0], points[:, 1], markersize=4, label=label, **style)
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_aspect("equal")
        axes.set_xlabel(f"{x_label} (bins of equal size)")
        axes.set_ylabel(y_label)
        axes.set_title(title, loc="left", fontsize=11)
        axes.legend(frameon=False, fontsize=9, loc="upper left")
        tidy(axes)
    return figure


def _models(
    labels: np.ndarray, probabilities: np.ndarray, baseline: np.ndarray | None, benign_index: int
) -> list[tuple[str, dict, tuple[np.ndarray, np.ndarray]]]:
    """Return name, style and detection curve of the network and, if given, of the baseline."""
    models = [("network", NETWORK, probabilities), ("TF-IDF baseline", BASELINE, baseline)]
    return [
        (name, style, detection_curve(labels, answers, benign_index))
        for name, style, answers in models
        if answers is not None
    ]


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep at most some thousand points, dense at the start, where the strict thresholds are."""
    if len(x) <= MAX_CURVE_POINTS:
        return x, y
    kept = np.unique(np.geomspace(1, len(x), MAX_CURVE_POINTS).astype(int) - 1)
    return x[kept], y[kept]
