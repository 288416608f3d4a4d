"""Why a text is no domain name: the reasons, and the value that carries one."""

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
