"""A run's report for a human: what is so first, then the tables. Every figure is in report.json."""

from collections.abc import Mapping
from typing import Any

from utils.markdown_table import table
from utils.report_verdict import FEATURE_NAMES, decimal, percent, render_verdict

FAMILIES_SHOWN = 10
PLACES_SHOWN = 4
SUMMARY_FIGURES = ("macro_f1", "accuracy", "roc_auc", "pr_auc")
FIGURE_NAMES = {
    "macro_f1": "macro-F1",
    "accuracy": "accuracy",
    "roc_auc": "ROC-AUC, malicious against benign",
    "pr_auc": "PR-AUC, malicious against benign",
}
CALIBRATION_NAMES = {
    "log_loss": "log loss (nats)",
    "brier": "Brier score (0…2)",
    "ece": "ECE of the predicted class",
    "ece_malicious": "ECE of the malicious score",
}


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
    sections += [_part(report, name) for name in order]
    sections += [_comparison(report), _shortcuts(report), _undefined(parts)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _run(report: Mapping) -> str:
    shown_below = ("classes", "data")
    rows = [(key, _words(value)) for key, value in report["run"].items() if key not in shown_below]
    if report.get("temperature") is not None:
        rows.append(("temperature (fitted on validation)", f"{report['temperature']:.3f}"))
    if report.get("prior"):
        shares = ", ".join(f"{name} {percent(share)}" for name, share in report["prior"].items())
        rows.append(("class prior that probabilities assume", shares))
    return "## Run\n\n" + table(("", ""), rows, "---") if rows else ""


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
        section += "\n\nRows that were dropped:\n\n" + table(("reason", "rows", "meaning"), rows)
    return section


def _part(report: Mapping, name: str) -> str:
    part = report["parts"][name]
    baseline = (report.get("baseline") or {}).get(name)
    uncalibrated = (report.get("uncalibrated") or {}).get(name)
    sections = [
        f"## {name.capitalize()}",
        _summary(part, baseline),
        _operating_points(part, baseline),
        _classes(part),
        _confusion(part),
        _calibration(part, uncalibrated, baseline),
        _slices(part),
        _families(part),
    ]
    return "\n\n".join(section for section in sections if section)


def _summary(part: Mapping, baseline: Mapping | None) -> str:
    columns = {"network": part} | ({"TF-IDF baseline": baseline} if baseline else {})
    rows = [
        (
            FIGURE_NAMES[key],
            *(_with_interval(_headline(judged, key), judged, key) for judged in columns.values()),
        )
        for key in SUMMARY_FIGURES
    ]
    majority = f"always {part['majority_class']}: accuracy {percent(part['majority_share'])}"
    confidence = percent(part["bootstrap"]["confidence"], 0)
    unit = "registered domains" if part["bootstrap"]["grouped"] else "names"
    note = f"In brackets: {confidence} interval, bootstrap over {unit}. Majority class, {majority}."
    return table(("figure", *columns), rows) + f"\n\n{note}"


def _headline(part: Mapping, key: str) -> float | None:
    return part[key] if key in part else part["detection"][key]


def _with_interval(value: float | None, part: Mapping, key: str, write=decimal) -> str:
    interval = part["intervals"].get(key)
    return write(value) + (f" [{write(interval[0])}, {write(interval[1])}]" if interval else "")


def _operating_points(part: Mapping, baseline: Mapping | None) -> str:
    """Return what each threshold catches and costs, the network's and the baseline's."""
    lookups = f"{part['detection']['lookups_per_day']:,}"
    header = (
        "aimed-at FPR",
        "threshold, chosen on",
        "model",
        "recall",
        "realised FPR",
        "false positives",
        "precision at prevalence 1 %",
        "at prevalence 0.1 %",
        f"false alarms in {lookups} look-ups",
    )
    rows = []
    for rate, points in part["detection"]["at_fpr"].items():
        for source in points:
            for model, judged in (("network", part), ("baseline", baseline)):
                point = judged and judged["detection"]["at_fpr"].get(rate, {}).get(source)
                if point:
                    rows.append(_operating_row(rate, source, model, point, judged))
    if not rows:
        return ""
    classes = _class_recalls(part)
    return "### Malicious against benign\n\n" + table(header, rows) + f"\n\n{classes}"


def _operating_row(rate: str, source: str, model: str, point: Mapping, judged: Mapping) -> tuple:
    key = f"recall@{rate}" + (",validation" if source == "validation" else "")
    precision, alarms = point["precision_at_prevalence"], point["false_alarms_per_day"]
    threshold = "none" if point["threshold"] is None else f"{point['threshold']:.6g}"
    return (
        f"{100 * float(rate):g} %",
        f"{threshold}, {source.replace('_', ' ')}",
        model,
        _with_interval(point["recall"], judged, key, percent),
        percent(point["fpr"], 3),
        point["false_positives"],
        percent(precision.get("0.01")),
        percent(precision.get("0.001")),
        "–" if alarms is None else round(alarms),
    )


def _class_recalls(part: Mapping) -> str:
    """Return each malicious class against benign, on the one malicious score."""
    detection = part["detection"]
    points = [(rate, source) for rate, pair in detection["at_fpr"].items() for source in pair if pair[source]]
    header = ["class", "names", "ROC-AUC"]
    header += [f"recall at {100 * float(rate):g} %, {source.replace('_', ' ')}" for rate, source in points]
    rows = [
        (
            name,
            judged["n"],
            _with_interval(judged["roc_auc"], part, f"roc_auc:{name}"),
            *(percent(judged["recall_at_fpr"][rate][source]) for rate, source in points),
        )
        for name, judged in detection["per_class"].items()
    ]
    return table(header, rows)


def _classes(part: Mapping) -> str:
    rows = [
        (name, decimal(row["precision"]), decimal(row["recall"]), decimal(row["f1"]), row["support"])
        for name, row in part["per_class"].items()
    ]
    return "### Classes\n\n" + table(("class", "precision", "recall", "F1", "names"), rows)


def _confusion(part: Mapping) -> str:
    rows = [(name, *counts) for name, counts in zip(part["classes"], part["confusion"], strict=True)]
    return table(("true class ↓, predicted →", *part["classes"]), rows)


def _calibration(part: Mapping, uncalibrated: Mapping | None, baseline: Mapping | None) -> str:
    columns = {"before temperature": uncalibrated} if uncalibrated else {}
    columns["network"] = part["calibration"]
    if baseline:
        columns["TF-IDF baseline"] = baseline["calibration"]
    rows = [
        (name, *(decimal(figures.get(key)) for figures in columns.values()))
        for key, name in CALIBRATION_NAMES.items()
    ]
    return "### Calibration\n\n" + table(("figure", *columns), rows)


def _slices(part: Mapping) -> str:
    if not part["slices"]:
        return ""
    rows = [
        (
            name,
            row["n"],
            row["malicious"],
            decimal(row["roc_auc"]),
            percent(row["recall"]),
            percent(row["fpr"], 2),
            decimal(row["macro_f1"]),
        )
        for name, row in part["slices"].items()
    ]
    header = ("slice", "names", "malicious", "ROC-AUC", "recall", "FPR", "macro-F1")
    return f"### Slices\n\n{_alarm_note(part)}\n\n" + table(header, rows)


def _alarm_note(part: Mapping) -> str:
    alarm = part["alarm_threshold"]
    if alarm["threshold"] is None:
        return "There is no 1 % threshold, so recall and FPR are undefined."
    source = alarm["chosen_on"].replace("_", " ")
    threshold = decimal(alarm["threshold"])
    return f"Recall and FPR at the one 1 % threshold for all names ({threshold}, from {source})."


def _families(part: Mapping) -> str:
    families = part["families"]
    if not families or not families["worst_first"]:
        return ""
    worst_first = families["worst_first"]
    shown = worst_first
    minimum = f"families of at least {families['minimum_names']} names"
    title = f"All {minimum}, worst first."
    if len(worst_first) > 2 * FAMILIES_SHOWN:
        shown = [*worst_first[:FAMILIES_SHOWN], None, *worst_first[-FAMILIES_SHOWN:]]
        title = f"The {FAMILIES_SHOWN} worst and {FAMILIES_SHOWN} best of {len(worst_first)} {minimum}."
    rows = [(row["family"], row["n"], percent(row["recall"])) if row else ("…", "…", "…") for row in shown]
    return f"### Families\n\n{title} {_alarm_note(part)}\n\n" + table(("family", "names", "recall"), rows)


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
        "This model minus the other, on the same resamples of registered domains.\n\n" + table(header, rows)
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
