"""A run's report for a human: what is so first, then the tables. Every figure is in report.json."""

from collections.abc import Mapping
from typing import Any

from utils.markdown_table import FIGURE, TEXT, table
from utils.report_part import render_part
from utils.report_verdict import FEATURE_NAMES, decimal, percent, render_verdict

PLACES_SHOWN = 4
RUN_NAMES = {"job": "torchrun job"}


def render_report(report: Mapping) -> str:
    """Write a whole run as Markdown.

    Parameters
    ----------
    report
        run {…}, classes, benign, data {counts {part: {class: n}}, dropped {reason: n}, reasons {reason:
        meaning}}, split (a key of `report_verdict.SPLIT_NOTES`), parts
        {name: `utils.evaluation.evaluate(…)`}, temperature, prior {class: share}; may be None or absent:
        uncalibrated {part: `calibration_metrics(…)`}, baseline {part: `evaluate(…)`}, differences
        {part: `paired_differences(…)`, network − baseline}, shortcuts `audit_shortcuts(…)`.

    Returns
    -------
    str
        Markdown with tables, ending in a newline. "–" stands for an undefined figure; the end says why.
    """
    parts = report["parts"]
    first = "test" if "test" in parts else next(iter(parts))
    order = [first, *(name for name in parts if name != first)]
    sections = ["# Report", render_verdict(report, first), _run(report), _data(report)]
    sections += [render_part(report, name) for name in order]
    sections += [_comparison(report), _shortcuts(report), _undefined(parts)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _run(report: Mapping) -> str:
    shown_below = ("classes", "data")
    rows = [
        (RUN_NAMES.get(key, key), _words(value))
        for key, value in report["run"].items()
        if key not in shown_below and value is not None
    ]
    if report.get("temperature") is not None:
        rows.append(("temperature (fitted on validation)", f"{report['temperature']:.3f}"))
    if report.get("prior"):
        shares = ", ".join(f"{name} {percent(share)}" for name, share in report["prior"].items())
        rows.append(("class prior that probabilities assume", shares))
    return "## Run\n\n" + table(("", ""), rows, [TEXT]) if rows else ""


def _words(value: Any) -> str:
    """Write a JSON value of the run's description as words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(map(_words, value))
    return "–" if value is None else str(value)


def _data(report: Mapping) -> str:
    counts, dropped = report["data"]["counts"], report["data"]["dropped"]
    classes = report["classes"]
    rows = [
        (part, *(by_class.get(name, 0) for name in classes), sum(by_class.values()))
        for part, by_class in counts.items()
    ]
    section = "## Data\n\n" + table(("part", *classes, "all"), rows)
    if dropped:
        meanings = report["data"]["reasons"]
        rows = [(reason, count, meanings[reason]) for reason, count in dropped.items()]
        section += "\n\nRows that were dropped:\n\n" + table(
            ("reason", "rows", "meaning"), rows, [FIGURE, TEXT]
        )
    return section


def _comparison(report: Mapping) -> str:
    """Set another model beside this one: difference, and its interval on paired resamples."""
    comparison = report.get("comparison")
    if not comparison:
        return ""
    rows = []
    for name, found in comparison["differences"].items():
        interval = found["interval"]
        bounds = "–" if interval is None else f"[{interval[0]:+.4f}, {interval[1]:+.4f}]"
        beyond = "" if interval is None else "yes" if interval[0] > 0 or interval[1] < 0 else "no"
        difference = "–" if found["difference"] is None else f"{found['difference']:+.4f}"
        rows.append((name, difference, bounds, beyond))
    header = ("figure", "difference", "95 % interval", "beyond chance")
    warning = f"**Beware:** {comparison['warning']}.\n\n" if comparison["warning"] else ""
    return (
        f"## Compared with {comparison['with']}\n\n{warning}"
        "This model minus the other, on the same resamples of registered domains.\n\n"
        + table(header, rows, [FIGURE, FIGURE, TEXT])
    )


def _shortcuts(report: Mapping) -> str:
    shortcuts = report.get("shortcuts")
    if not shortcuts:
        return ""
    rows = [
        (
            FEATURE_NAMES.get(name, name),
            decimal(scores["macro_f1"]),
            decimal(scores["roc_auc"]),
            percent(scores["recall_at_1pct_fpr"]),
        )
        for name, scores in shortcuts["features"].items()
    ]
    text = f"Decision trees of depth {shortcuts['max_depth']} that see nothing else of the name:"
    header = ("feature", "macro-F1", "ROC-AUC", "recall at 1 % false positives")
    return f"## Shortcut audit\n\n{text}\n\n" + table(header, rows)


def _undefined(parts: Mapping) -> str:
    """Return why figures are missing, the places of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for name, part in parts.items():
        for place, reason in part["undefined"].items():
            by_reason.setdefault(reason, []).append(f"`{name}/{place}`")
    if not by_reason:
        return ""
    lines = []
    for reason, places in by_reason.items():
        more = f" and {len(places) - PLACES_SHOWN} more" if len(places) > PLACES_SHOWN else ""
        lines.append(f"- {reason}: {', '.join(places[:PLACES_SHOWN])}{more}")
    return "## Undefined figures\n\n" + "\n".join(lines)
