"""What a model takes and what its numbers mean, apart from its weights; the same for every file format.

Names reach a model as character codes (`data.feature_engineering`) and leave it as logits. The signature says
how long a name it sees, what its classes are called, and how logits become probabilities and decisions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.feature_engineering import ALPHABET, PADDING, UNKNOWN
from utils.errors import CheckpointError

EXPORT_FORMAT = "malicious-domain-classifier export"
EXPORT_VERSION = 1
MAX_NAME_LENGTH = 253  # of a domain name (RFC 1035)

# entry → type, in a file; one without any of them is none of ours
SIGNATURE_ENTRIES = {
    "classes": Sequence,
    "benign_class": str,
    "alphabet": str,
    "max_length": int,
    "temperature": float,
    "thresholds": Mapping,
    "prior": Mapping,
}


@dataclass(kw_only=True)
class ModelSignature:
    """What prediction needs to know about a model besides its weights.

    Attributes
    ----------
    classes
        Class names in the order of the logits.
    benign_class
        Which of them is harmless.
    temperature
        What the logits are divided by before the softmax.
    thresholds
        False-positive rate ("0.01") → the score 1 − P(benign) at and above which a name is flagged, or None
        where validation had too few benign names to tell, or no malicious one above them.
    prior
        The class shares to which the probabilities refer.
    alphabet
        The characters of the codes 2, 3, …
    max_length
        Characters that the model sees: the last ones of a longer name.
    """

    classes: tuple[str, ...]
    benign_class: str
    temperature: float = 1.0
    thresholds: Mapping[str, float | None] = field(default_factory=dict)
    prior: Mapping[str, float] = field(default_factory=dict)
    alphabet: str = ALPHABET
    max_length: int = 64

    def signature_dict(self) -> dict[str, Any]:
        """Return the entries of the signature as builtins that every format can hold."""
        return {
            "classes": list(self.classes),
            "benign_class": self.benign_class,
            "alphabet": self.alphabet,
            "max_length": self.max_length,
            "temperature": self.temperature,
            "thresholds": dict(self.thresholds),
            "prior": dict(self.prior),
        }


def check_signature(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `ModelSignature` that a file's `content` holds.

    Raises
    ------
    CheckpointError
        An entry is missing, of another type, or says what no model of ours says.
    """
    for key, kind in SIGNATURE_ENTRIES.items():
        if not isinstance(content.get(key), kind):
            raise CheckpointError(f"the entry '{key}' is missing or no {kind.__name__.lower()}")
    if content["alphabet"] != ALPHABET:
        raise CheckpointError("its alphabet is not this program's: the weights would mean other characters")
    classes = tuple(content["classes"])
    if not all(isinstance(c, str) and c.isprintable() for c in classes):
        raise CheckpointError("its class names are no texts")
    if not 2 <= len(set(classes)) == len(classes) or content["benign_class"] not in classes:
        raise CheckpointError("its class names are fewer than two, repeated, or lack the benign one")
    prior, thresholds = content["prior"], content["thresholds"]
    if prior and (
        set(prior) != set(classes) or not all(isinstance(p, float) and 0 < p < 1 for p in prior.values())
    ):
        raise CheckpointError("its prior does not give a share for each class")
    if not all(isinstance(t, float | None) for t in thresholds.values()):
        raise CheckpointError("its thresholds are no numbers")
    if not 0 < content["temperature"] < float("inf") or not 1 <= content["max_length"] <= MAX_NAME_LENGTH:
        raise CheckpointError("its temperature or its length is out of range")
    return {key: content[key] for key in SIGNATURE_ENTRIES} | {"classes": classes}


def signature_json(signature: ModelSignature, length: int | None) -> str:
    """Return the JSON text that travels with an exported model.

    Parameters
    ----------
    length
        The only number of codes a row that the exported model takes; None where it takes any.
    """
    K = len(signature.classes)
    content = {
        "format": EXPORT_FORMAT,
        "format_version": EXPORT_VERSION,
        **signature.signature_dict(),
        "padding_code": PADDING,
        "unknown_code": UNKNOWN,
        "input": {"codes": ["uint8", "batch", length or "length"]},
        "outputs": {
            "logits": ["float32", "batch", K],
            "probabilities": ["float32", "batch", K],
            "attention": ["float32", "batch", length or "length"],
        },
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_signature_json(text: str) -> ModelSignature:
    """Return the signature in the text of `signature_json`.

    Raises
    ------
    CheckpointError
        It is not such a text, of a newer version, or says what no model of ours says.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise CheckpointError("damaged: its signature is no JSON") from None
    if not isinstance(content, dict) or content.get("format") != EXPORT_FORMAT:
        raise CheckpointError(f"not an export of this project: its format is not '{EXPORT_FORMAT}'")
    version = content.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise CheckpointError("has no valid format version")
    if version > EXPORT_VERSION:
        raise CheckpointError(
            f"has format version {version}; this program reads up to {EXPORT_VERSION}: update it"
        )
    return ModelSignature(**check_signature(content))
