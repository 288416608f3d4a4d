"""Why a text is no domain name, and why a row is not used: the reasons, and the value that carries one."""

from dataclasses import dataclass

REASONS: dict[str, str] = {
    "not_text": "neither a string nor UTF-8 bytes",
    "empty": "nothing but white space, quotes or dots, or a URL without a host",
    "too_long": "a name over 253 characters, a label over 63, or a text over 8,192",
    "email_address": "an e-mail address",
    "ip_address": "an IPv4 or IPv6 address, or a host whose last label is a number",
    "single_label": "one label only, such as localhost or com",
    "bad_syntax": "characters, empty labels or a port that no domain name can have",
    "unknown_suffix": "a top-level domain that the public suffix list does not hold",
}

DUPLICATE = "duplicate"
CONFLICT = "in_two_classes"
OVER_CAP = "over_class_cap"
TRAINING_ONLY = "training_only_known"
IN_TRAINING = "registered_domain_in_training"

# Every reason for which a row of a labelled file is not used: what reports print beside its count.
DROP_REASONS: dict[str, str] = REASONS | {
    "missing_name": "a row without a name where one was expected",
    DUPLICATE: "a further row of a name that is already there under the same class",
    CONFLICT: "all rows of a name that stands under more than one class",
    OVER_CAP: "a name beyond data.max_per_class, which keeps a uniform sample of each class",
    TRAINING_ONLY: "a training_only name that another source has, too, or of a validation or test name's "
    "registered domain",
    IN_TRAINING: "a new name whose registered domain is in the training or validation part of the run",
}

_SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Rejected:
    """The answer to a text that is no domain name.

    Attributes
    ----------
    reason
        One of the keys of `REASONS`: for counts and for programs.
    message
        One sentence for people: what was expected and what was found.
    """

    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.message}"


def quote(text: str) -> str:
    """Return `text` in quotes, printable (also lone surrogates and control characters) and short."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return ascii(shown) if not shown.isprintable() else repr(shown)
