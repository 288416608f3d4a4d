"""Histories and reports as figures; `utils.curve_figures` has those of scores, `utils.figure_style` the look.

These three alone import matplotlib. Every `plot_…` returns a `Figure` of its own, drawn without pyplot: no
window, no global state, no figure that stays in memory. `save_figures` writes them as PNG.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from utils.curve_figures import plot_precision_recall, plot_reliability, plot_roc
from utils.figure_style import BLUE, GREEN, GREY, ORANGE, PINK, new_figure, tidy
from utils.files import atomic_path

DOTS_PER_INCH = 130

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
    figure = new_figure(5.2 * columns_wide, 3.4 * rows)
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
    tidy(axes)


def plot_confusion(report: Mapping) -> Figure:
    """Draw the confusion matrix of `evaluate`'s report: shares of each true class, and the counts.

    Colours follow the share of the true class, so that a rare class can be read too.
    """
    counts = np.asarray(report["confusion"], dtype=float)
    classes = report["classes"]
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros_like(counts), where=support > 0)
    size = 1.15 * len(classes) + 1.5
    figure = new_figure(size + 1.7, size)
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
