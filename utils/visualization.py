"""Histories and probabilities as figures: the only file that imports matplotlib.

Every `plot_…` returns a `Figure` of its own, drawn without pyplot: no window, no global state, no figure
that stays in memory. `save_figures` writes them as PNG.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from utils.detection import average_precision, detection_curve, last_block_within, roc_auc
from utils.files import atomic_path

# Okabe and Ito's colours stay apart for colour-blind eyes; line styles differ as well, for print.
BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#6B6B6B"
NETWORK = {"color": BLUE, "linewidth": 2.0}
BASELINE = {"color": ORANGE, "linewidth": 1.6, "linestyle": "--"}
DOTS_PER_INCH = 130
# Enough points for any screen; a quarter of a million would only make the drawing slow.
MAX_CURVE_POINTS = 4_000

# Panels of the history: title, and for each column of the history its legend entry and style.
TRAINING = {"color": ORANGE, "linestyle": "--"}
VALIDATION = {"color": BLUE}
HISTORY_PANELS = (
    ("Loss", {"loss": ("training", TRAINING), "val_loss": ("validation", VALIDATION)}),
    ("Accuracy", {"accuracy": ("training", TRAINING), "val_accuracy": ("validation", VALIDATION)}),
    (
        "Validation metrics",
        {
            "val_macro_f1": ("macro-F1", {"color": BLUE}),
            "val_auc": ("ROC-AUC", {"color": GREEN, "linestyle": "--"}),
            "val_recall_at_1pct_fpr": ("recall at 1 % FPR", {"color": PINK, "linestyle": "-."}),
        },
    ),
    ("Learning rate", {"learning_rate": ("learning rate", {"color": GREY})}),
)


def plot_history(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draw an epoch's figures over the epochs: loss, accuracy, validation metrics, learning rate.

    Parameters
    ----------
    history
        Column → one number an epoch. Columns without a panel are left out, and so are panels without columns;
        the epoch with the lowest validation loss is marked.

    Raises
    ------
    ValueError
        No column that has a panel, or no epoch.
    """
    panels = [
        (title, {key: style for key, style in columns.items() if len(history.get(key, ())) > 0})
        for title, columns in HISTORY_PANELS
    ]
    panels = [(title, columns) for title, columns in panels if columns]
    if not panels:
        raise ValueError(f"the history has nothing to draw; its columns are {sorted(history)}")
    columns_wide = min(2, len(panels))
    rows = -(-len(panels) // columns_wide)
    figure = _figure(5.2 * columns_wide, 3.4 * rows)
    losses = np.asarray(history.get("val_loss", ()), dtype=float)
    best = int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else None
    for place, (title, columns) in enumerate(panels):
        axes = figure.add_subplot(rows, columns_wide, place + 1)
        _draw_panel(axes, title, columns, history)
        if best is not None:
            label = "lowest validation loss" if title == "Loss" else None
            axes.axvline(best, color=GREY, linewidth=0.9, linestyle=":", label=label, zorder=0)
        if len(columns) > 1 or title == "Loss":
            axes.legend(frameon=False, fontsize=9)
    return figure


def _draw_panel(
    axes: Axes, title: str, columns: Mapping[str, tuple], history: Mapping[str, Sequence[float]]
) -> None:
    """Draw some columns of the history over the epochs."""
    for key, (label, style) in columns.items():
        values = np.asarray(history[key], dtype=float)
        marker = "o" if len(values) <= 30 else None
        axes.plot(np.arange(1, len(values) + 1), values, label=label, marker=marker, markersize=3, **style)
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if title == "Learning rate":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        axes.set_ylim(bottom=0)
    _tidy(axes)


def plot_confusion(report: Mapping) -> Figure:
    """Draw the confusion matrix of `evaluate`'s report: shares of each true class, and the counts.

    Colours follow the share of the true class, so that a rare class can be read too.
    """
    counts = np.asarray(report["confusion"], dtype=float)
    classes = report["classes"]
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros_like(counts), where=support > 0)
    size = 1.15 * len(classes) + 1.5
    figure = _figure(size + 1.7, size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(*counts.shape):
        color = "white" if shares[i, j] > 0.55 else "black"
        text = f"{100 * shares[i, j]:.1f} %\n{int(counts[i, j]):,}"
        axes.text(j, i, text, ha="center", va="center", color=color, fontsize=10)
    axes.set_xticks(range(len(classes)), classes, rotation=0 if len(classes) < 5 else 35, ha="center")
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"Confusion matrix, {report['n']:,} names", loc="left", fontsize=11)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, format=FuncFormatter(lambda x, _: f"{100 * x:.0f} %"))
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    return figure


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
    figure = _figure(6.4, 4.6)
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
    _tidy(axes)
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
    figure = _figure(10.4, 4.4)
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
        _tidy(axes)
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
    figure = _figure(10.0, 4.6)
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
        _tidy(axes)
    return figure


def draw_figures(
    *,
    history: Mapping[str, Sequence[float]] | None = None,
    report: Mapping | None = None,
    labels: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    baseline: np.ndarray | None = None,
    uncalibrated: Mapping | None = None,
) -> dict[str, Figure]:
    """Draw every figure whose input is given: name → figure.

    Parameters
    ----------
    history
        For "history".
    report
        One part's `evaluate(…)`, for "confusion" and "reliability", and with `labels` and `probabilities` for
        "roc" and "precision_recall" (left out where `report` has no ROC-AUC).
    baseline
        (N, K) probabilities, drawn beside the network.
    uncalibrated
        `calibration_metrics(…)` before temperature scaling.
    """
    figures: dict[str, Figure] = {}
    if history:
        figures["history"] = plot_history(history)
    if report is not None:
        figures["confusion"] = plot_confusion(report)
        figures["reliability"] = plot_reliability(uncalibrated, report["calibration"])
        if labels is not None and probabilities is not None and report["detection"]["roc_auc"] is not None:
            index = report["classes"].index(report["benign"])
            models = {"benign_index": index, "baseline": baseline}
            figures["roc"] = plot_roc(labels, probabilities, **models)
            figures["precision_recall"] = plot_precision_recall(labels, probabilities, **models)
    return figures


def save_figures(folder: Path, figures: Mapping[str, Figure]) -> list[Path]:
    """Write figures as PNG into `folder`, made if absent, each file whole or not at all; return the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        with atomic_path(path) as temporary:
            # No metadata: the same figures give the same bytes with the same matplotlib.
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
        paths.append(path)
    return paths


def _figure(width: float, height: float) -> Figure:
    """Return a figure of this size in inches on the Agg canvas, laid out without overlaps."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _tidy(axes: Axes) -> None:
    """Take away the frame's upper right and add a light grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.7)


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
