"""What a domain name is. Training, evaluation and prediction all ask `normalize_domain` and nothing else.

The normal form: lower-case ASCII (A-labels, "xn--…", for Unicode), no trailing dot, no leading `*.` or `www.`
unless the name has two labels only, at most 253 characters in two or more labels of 1–63, the last of them a
top-level domain of the public suffix list. Letters, digits, hyphens and underscores may stand anywhere in a
label, because logs hold such names.
"""

import re
from functools import lru_cache

from data.public_suffix import public_suffix, registered_domain, top_level_domains
from data.rejection import REASONS, Rejected, quote
from data.url_host import extract_host

__all__ = ["REASONS", "Rejected", "normalize_domain", "public_suffix", "registered_domain"]

MAX_NAME_LENGTH = 253
MAX_LABEL_LENGTH = 63
MAX_TEXT_LENGTH = 8_192  # longer than any URL that servers take; bounds the work on hostile input
_MAX_HOST_LENGTH = 1_024  # as written: zero-width characters may make it longer than the name it maps to

# The normal form but for the top-level domain, "xn--" and the length. Nearly every row of a data set passes.
_CLEAN_NAME = re.compile(r"(?!www\.)(?:[a-z0-9_-]{1,63}\.)+([a-z0-9-]{1,63})").fullmatch
_NO_LABEL_CHARACTER = re.compile(r"[^a-z0-9_\x80-\U0010ffff-]").search
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*").fullmatch


def normalize_domain(raw: object) -> str | Rejected:
    """Return the one normal form of the domain name in `raw`, or why there is none.

    Takes names and URLs as logs and reports hold them: any case, trailing dots, quotes, port and path,
    defanged (`hxxps://a[.]b/c`), Unicode, full-width, percent-encoded. Never raises; idempotent.

    Unicode is mapped by UTS 46 (https://www.unicode.org/reports/tr46/, not transitional) and written as
    punycode, also what IDNA 2008 refuses, such as emoji. An A-label that decodes to a text which UTS 46 maps
    to another one (upper case, not NFC) becomes the A-label of that other text, as its Unicode form would.
    One that is no punycode, or that decodes to what no Unicode label may be (pure ASCII, a dot, a forbidden
    character), exists in the DNS all the same and stays as it is: `xn--google-.com` is not `google.com`.

    Parameters
    ----------
    raw
        A string, or bytes in UTF-8. Anything else is rejected as `not_text`.
    """
    kind = type(raw)
    if kind is str:
        if len(raw) <= MAX_NAME_LENGTH:
            match = _CLEAN_NAME(raw)
            if match and match[1] in top_level_domains() and "xn--" not in raw:
                return raw
        return _normalize_text(raw)
    # Not isinstance, which asks the object and may run code of its own.
    if issubclass(kind, str):
        return _normalize_text(str.__str__(raw))
    if issubclass(kind, (bytes, bytearray)):
        return _normalize_bytes(raw)
    return Rejected("not_text", f"a domain name must be a string, found {quote(kind.__name__)}")


def _normalize_bytes(raw: bytes | bytearray) -> str | Rejected:
    if len(raw) > 4 * MAX_TEXT_LENGTH:
        return _too_long_text(len(raw), "bytes")
    try:
        return normalize_domain(bytes(raw).decode("utf-8"))
    except UnicodeDecodeError:
        return Rejected("not_text", "a domain name must be text, found bytes that are no UTF-8")


def _normalize_text(text: str) -> str | Rejected:
    if len(text) > MAX_TEXT_LENGTH:
        return _too_long_text(len(text), "characters")
    host = extract_host(text)
    if isinstance(host, Rejected):
        return host
    if len(host) > _MAX_HOST_LENGTH:
        return Rejected("too_long", f"a host of {len(host)} characters; the limit is {MAX_NAME_LENGTH}")
    # Trailing dots go before the mapping, which makes three of an ellipsis: "google.com…" is a cut name.
    host = host.rstrip(".")
    name = host.lower() if host.isascii() else _map_unicode(host)
    if name is None:
        return Rejected("bad_syntax", f"{quote(host)} holds a character that no domain name can have")
    name = _without_prefixes(name)
    if not name:
        return Rejected("empty", "no host name in the text")
    labels = []
    for label in name.split("."):
        ascii_label = _normalize_label(label)
        if isinstance(ascii_label, Rejected):
            return ascii_label
        labels.append(ascii_label)
    return _check_name(labels)


def _normalize_label(label: str) -> str | Rejected:
    """Return a lower-case label in ASCII."""
    if not label:
        return Rejected("bad_syntax", "two dots in a row, or one at the start: an empty label")
    if wrong := _NO_LABEL_CHARACTER(label):
        return Rejected("bad_syntax", f"{quote(label)} holds {quote(wrong[0])}, which no name can have")
    if not label.isascii():
        label = _punycode(label)
    if len(label) > MAX_LABEL_LENGTH:
        return Rejected("too_long", f"{quote(label)} has {len(label)} characters; a label has at most 63")
    return _canonical_a_label(label) if label.startswith("xn--") else label


def _check_name(labels: list[str]) -> str | Rejected:
    """Join normalised labels; check what concerns the whole name."""
    name, last = ".".join(labels), labels[-1]
    if _NUMBER(last):
        return Rejected("ip_address", f"{quote(name)} ends in a number, as only IP addresses do")
    if len(labels) == 1:
        return Rejected("single_label", f"{quote(name)} has no dot: a domain name has two labels or more")
    if len(name) > MAX_NAME_LENGTH:
        return Rejected("too_long", f"a name of {len(name)} characters; the limit is {MAX_NAME_LENGTH}")
    if last not in top_level_domains():
        return Rejected("unknown_suffix", f"{quote(last)} is no top-level domain of the public suffix list")
    return name


def _without_prefixes(name: str) -> str:
    """Remove `www.` and `*.` from the left as long as two labels remain: `www.com` is a name of its own."""
    while name.count(".") > 1:
        if name.startswith("www."):
            name = name[4:]
        elif name.startswith("*."):
            name = name[2:]
        else:
            break
    return name


def _map_unicode(text: str) -> str | None:
    """Return the UTS 46 mapping of `text` in NFC; None where it holds a forbidden character."""
    from idna import IDNAError, uts46_remap

    try:
        # STD3 rules would forbid underscores; `_NO_LABEL_CHARACTER` refuses the rest of what they forbid.
        return uts46_remap(text, std3_rules=False)
    except IDNAError:
        return None


@lru_cache(maxsize=4_096)
def _canonical_a_label(label: str) -> str:
    """Return the A-label of the text that the A-label `label` stands for (see `normalize_domain`)."""
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    mapped = _map_unicode(text)
    if mapped is None or mapped.isascii() or _NO_LABEL_CHARACTER(mapped):
        return label
    canonical = _punycode(mapped)
    return canonical if len(canonical) <= MAX_LABEL_LENGTH else label


def _punycode(label: str) -> str:
    return "xn--" + label.encode("punycode").decode("ascii")


def _too_long_text(length: int, unit: str) -> Rejected:
    return Rejected("too_long", f"a text of {length:,} {unit}; the limit is {MAX_TEXT_LENGTH:,} characters")
