"""From NumPy values to JSON: builtins only, and every undefined figure with its reason."""

from typing import Any

import numpy as np

# Why a figure of this name is undefined where the arithmetic gives 0/0.
REASONS = {
    "roc_auc": "needs both benign and malicious names",
    "pr_auc": "needs malicious names",
    "precision": "no name was predicted as this class",
    "recall": "no such names in this part, or no threshold",
    "f1": "the class neither occurs nor is predicted",
    "macro_f1": "no names",
    "accuracy": "no names",
    "fpr": "no benign names, or no threshold",
    "false_alarms_per_day": "no benign names",
    "this_part": "no names of this class",
    "validation": "no names of this class",
    "precision_at_prevalence": "no false positive was seen, so it has no estimate",
    "threshold": "the highest score is already shared by too many benign names",
}


class Undefined(str):
    """The reason why a figure is missing; `to_builtins` writes None in its place."""


def to_builtins(report: dict, *, explain: bool = True) -> dict:
    """Return a copy of `report` that `json.dumps(…, allow_nan=False)` accepts.

    NaN and `Undefined` become None. With `explain`, the copy has a key `undefined`: the place of each such
    None, as keys joined by "/", → the reason.
    """
    reasons: dict[str, str] = {}
    plain = _plain(report, (), reasons)
    if explain:
        plain["undefined"] = reasons
    return plain


def _plain(value: Any, place: tuple[str, ...], reasons: dict[str, str]) -> Any:
    """Convert one value, recording under its place why it is undefined."""
    if isinstance(value, Undefined):
        reasons["/".join(place)] = str(value)
        return None
    if isinstance(value, dict):
        return {str(key): _plain(item, (*place, str(key)), reasons) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, (*place, str(i)), reasons) for i, item in enumerate(value)]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist(), place, reasons)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        known = (REASONS[key] for key in reversed(place) if key in REASONS)
        reasons["/".join(place)] = next(known, "undefined")
        return None
    return value
