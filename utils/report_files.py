"""A report on disk: JSON, Markdown, figures and the scores of each name; each file whole or not at all."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.files import write_text
from utils.report_markdown import render_report
from utils.run_report import PartScores
from utils.visualization import draw_figures, save_figures


def write_report(
    folder: Path,
    report: Mapping[str, Any],
    test: PartScores,
    *,
    baseline: np.ndarray | None = None,
    history: Mapping[str, Sequence[float]] | None = None,
    figures: bool = True,
) -> dict[str, Any]:
    """Write a report into an existing folder.

    Parameters
    ----------
    report
        What `utils.run_report.Judge.report` returned.
    test
        The part that the figures and `test_predictions.csv` show.
    baseline
        The baseline's probabilities (N, K) on it, drawn beside the network.
    history
        For the training curves.
    figures
        Whether to draw.

    Returns
    -------
    Name → Matplotlib figure, for TensorBoard; empty without figures.
    """
    drawn = {}
    if figures:
        drawn = draw_figures(
            history=history,
            report=report["parts"]["test"],
            labels=test.labels,
            probabilities=test.probabilities,
            baseline=baseline,
            uncalibrated=report["uncalibrated"]["test"],
        )
        save_figures(folder / "figures", drawn)
    write_text(folder / "test_predictions.csv", scores_csv(test, report["classes"]))
    write_text(folder / "report.md", render_report(report))
    # The last one: a run is finished when it has its report.json (utils/run_folder.py).
    write_text(
        folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    return drawn


def scores_csv(part: PartScores, classes: Sequence[str]) -> str:
    """Return, as CSV, what is true of each name of a part and what the model said."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["domain", "true_label", "label", *(f"p_{name}" for name in classes)])
    best = part.probabilities.argmax(axis=1)
    rounded = part.probabilities.astype(float).round(6).tolist()
    for domain, true, label, row in zip(part.domains, part.labels, best, rounded, strict=True):
        writer.writerow([domain, classes[true], classes[label], *row])
    return buffer.getvalue()
