"""The paragraph that a report begins with: what is so, flattering or not."""

from collections.abc import Mapping, Sequence

# A shortcut "comes near" when it has this share of what the network's ROC-AUC has above chance.
NEAR_SHARE = 0.75

COMPARED = {"macro_f1": "macro-F1", "roc_auc": "ROC-AUC", "recall@0.01": "recall at 1 % false positives"}
SPLIT_NOTES = {
    "random": "**Optimistic bound:** the split is random, so training and test share registered domains. "
    "Expect less on fresh names.",
    "registered_domain": "The split is by registered domain: no registered domain stands in two parts.",
    "time": "The split is by time: the newest dated names of each class are the test part; names without a "
    "date are split by registered domain.",
    "files": "The names come from files of their own. **Overlap with training was not checked:** the run's "
    "own data was not at hand, so the model may have been trained on some of these names or on others of "
    "their registered domains.",
    "files_and_test": "Names from files of their own stand beside names of the run's test part. Overlap with "
    "training was checked: names of the files whose registered domain is in the run's training or validation "
    "part were dropped.",
}
FEATURE_NAMES = {
    "tld": "the TLD",
    "length": "the length",
    "label_count": "the number of labels",
    "all": "TLD, length and number of labels together",
}


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share as a percentage, "–" for None."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def decimal(value: float | None) -> str:
    """Write a figure with four decimals, "–" for None."""
    return "–" if value is None else f"{value:.4f}"


def enumerate_words(words: Sequence[str]) -> str:
    """Join words as "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def render_verdict(report: Mapping, part_name: str) -> str:
    """Return the opening paragraphs about one part: network, majority class, baseline, shortcuts, split."""
    part = report["parts"][part_name]
    baseline = (report.get("baseline") or {}).get(part_name)
    differences = (report.get("differences") or {}).get(part_name)
    sentences = [_network_sentence(part, part_name), _majority_sentence(part), _detection_sentence(part)]
    if baseline:
        sentences.append(baseline_sentence(part, baseline, differences))
    else:
        sentences.append("No baseline was trained beside it.")
    sentences.append(_shortcut_sentence(part, report.get("shortcuts")))
    paragraph = " ".join(filter(None, sentences))
    return f"{paragraph}\n\n{_split_note(report)}"


def _split_note(report: Mapping) -> str:
    """Say how the names were kept apart from those of the training, and where they were not."""
    splits = [report["split"], report.get("split_of_test")]
    return " Of the run's own names: ".join(SPLIT_NOTES[split] for split in splits if split is not None)


def _network_sentence(part: Mapping, part_name: str) -> str:
    groups = f" of {part['bootstrap']['groups']:,} registered domains" if part["bootstrap"]["grouped"] else ""
    figures = [f"macro-F1 {decimal(part['macro_f1'])}"]
    if part["detection"]["roc_auc"] is not None:
        figures.append(f"ROC-AUC {decimal(part['detection']['roc_auc'])} for malicious against benign")
    return f"On {part['n']:,} {part_name} names{groups} the network has {enumerate_words(figures)}."


def majority_macro_f1(part: Mapping) -> float | None:
    """Return the macro-F1 of always answering the most frequent class; None where there is but one class.

    Of that class the recall is 1 and the precision its share; F1 of every other class is 0.
    """
    present = sum(count > 0 for count in part["class_counts"].values())
    share = part["majority_share"]
    return None if present < 2 else 2 * share / (1 + share) / present


def _majority_sentence(part: Mapping) -> str:
    accuracy, share, majority = part["accuracy"], part["majority_share"], part["majority_class"]
    constant = majority_macro_f1(part)
    if constant is None:  # always answering it is always right
        return ""
    right = f"classifies {percent(accuracy)} right"
    would = f"always answering {majority} would get {percent(share)}"
    if accuracy > share:
        return f"It {right}; {would}."
    if part["macro_f1"] > constant:
        # Of very unequal classes accuracy knows the large one only.
        return f"It {right}; {would}, but a macro-F1 of {decimal(constant)}."
    return f"**It is no better than the majority class:** it {right}; {would}."


def _detection_sentence(part: Mapping) -> str:
    points = part["detection"]["at_fpr"].get("0.01", {})
    if points.get("validation"):
        point, threshold = points["validation"], "the 1 % threshold chosen on validation"
    elif points.get("this_part"):
        point, threshold = points["this_part"], "a 1 % threshold chosen on these very names (which flatters)"
    else:
        return ""
    if point["recall"] is None:
        return ""
    fpr = point["fpr"]
    cost = "" if fpr is None else f" and flags {percent(fpr, 2)} of the benign names"
    return f"At {threshold} it finds {percent(point['recall'])} of the malicious names{cost}."


def compared_figures(part: Mapping) -> dict[str, float | None]:
    """Return the figures that decide between two models on the same names."""
    own = part["detection"]["at_fpr"].get("0.01", {}).get("this_part") or {}
    return {
        "macro_f1": part["macro_f1"],
        "roc_auc": part["detection"]["roc_auc"],
        "recall@0.01": own.get("recall"),
    }


def baseline_sentence(part: Mapping, baseline: Mapping, differences: Mapping | None) -> str:
    """Say where the network beats the baseline, where it does not, and where chance explains the gap."""
    ours, theirs = compared_figures(part), compared_figures(baseline)
    won, lost, tied = [], [], []
    for key, name in COMPARED.items():
        if ours[key] is None or theirs[key] is None:
            continue
        label = f"{name} ({decimal(ours[key])} against {decimal(theirs[key])})"
        interval = ((differences or {}).get(key) or {}).get("interval")
        within_chance = interval is not None and interval[0] <= 0 <= interval[1]
        if within_chance or ours[key] == theirs[key]:
            tied.append(label)
        else:
            (won if ours[key] > theirs[key] else lost).append(label)
    sentences = []
    if lost:
        sentences.append(f"**The TF-IDF baseline wins** on {enumerate_words(lost)}.")
    if won:
        sentences.append(f"The network beats the TF-IDF baseline on {enumerate_words(won)}.")
    if tied:
        sentences.append(f"Network and TF-IDF baseline cannot be told apart on {enumerate_words(tied)}.")
    if sentences and not differences:
        sentences.append("(These gaps were not tested against chance.)")
    return " ".join(sentences)


def _shortcut_sentence(part: Mapping, shortcuts: Mapping | None) -> str:
    network = part["detection"]["roc_auc"]
    if not shortcuts or network is None:
        return ""
    aucs = {name: scores["roc_auc"] for name, scores in shortcuts["features"].items()}
    known = {name: auc for name, auc in aucs.items() if auc is not None}
    near = [name for name, auc in known.items() if auc - 0.5 >= NEAR_SHARE * (network - 0.5)]
    if near:
        named = enumerate_words([f"{decimal(known[k])} from {FEATURE_NAMES.get(k, k)}" for k in near])
        return f"**A shortcut comes near:** a small decision tree alone reaches ROC-AUC {named}."
    if not known:
        return ""
    best = max(known, key=known.get)
    return f"The best shortcut, {FEATURE_NAMES.get(best, best)}, has ROC-AUC {decimal(known[best])}."
