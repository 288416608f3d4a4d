"""One part of the data in a report for a human: figures, thresholds, classes, calibration, weak spots."""

from collections.abc import Mapping

from utils.decision import threshold_text
from utils.markdown_table import FIGURE, TEXT, table
from utils.report_verdict import decimal, majority_macro_f1, percent

FAMILIES_SHOWN = 10
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


def render_part(report: Mapping, name: str) -> str:
    """Return the section about the part `name` of `render_report`'s report."""
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
    confidence = percent(part["bootstrap"]["confidence"], 0)
    unit = "registered domains" if part["bootstrap"]["grouped"] else "names"
    note = f"In brackets: {confidence} interval, bootstrap over {unit}."
    if majority_macro_f1(part) is not None:
        note += (
            f" Majority class, always {part['majority_class']}: accuracy {percent(part['majority_share'])}."
        )
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
    aligned = [TEXT, TEXT, *[FIGURE] * (len(header) - 3)]
    return "### Malicious against benign\n\n" + table(header, rows, aligned) + f"\n\n{classes}"


def _operating_row(rate: str, source: str, model: str, point: Mapping, judged: Mapping) -> tuple:
    key = f"recall@{rate}" + (",validation" if source == "validation" else "")
    precision, alarms = point["precision_at_prevalence"], point["false_alarms_per_day"]
    threshold = "none" if point["threshold"] is None else threshold_text(point["threshold"], 6)
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
    threshold = threshold_text(alarm["threshold"])
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
