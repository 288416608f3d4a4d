"""From what people paste and logs hold to the bare host: wrappers, defanging, URLs, ports.

The host comes out as written: upper case, Unicode and a trailing dot are `domain_name`'s business.
URLs are read as browsers read them (https://url.spec.whatwg.org/), where a backslash is a slash and the
user name ends at the last "@", because that is where a victim's browser would go.
"""

import re

from data.rejection import Rejected, quote

_QUOTES = "\"'`´‘’‚“”„‹›«»<>"
# A byte-order mark, zero-width characters and direction marks come along when people copy from documents.
_INVISIBLE = "\ufeff\u200b\u2060\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_WHITE_SPACE = "".join(filter(str.isspace, map(chr, range(0x3001))))
_BEFORE = _WHITE_SPACE + _INVISIBLE + _QUOTES
_AFTER = _BEFORE + ",;"
# What stands before the lines of a pasted list: a bullet or "12)", then white space, which no name holds. Not
# "12.": of a name that was torn, "360. example.com", the end would be answered as if it were all.
_BULLETS = "-+*\u00b7\u2022\u2023\u2043\u25e6\u2010-\u2015\u25a0-\u25cf"
_LIST_MARK = re.compile(rf"(?:[{_BULLETS}]|[0-9]{{1,4}}\))\s+(.*)", re.DOTALL)
# Full-width ASCII, the ideographic full stops and the ideographic space.
_TO_ASCII = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3002: ".", 0xFF61: ".", 0x3000: " "}

_BRACKET = re.compile(r"[\[\](){}]")
_DEFANGED = re.compile(r"[\[({]\s*([.:/@]|:?//|:/|dot|at)\s*[\])}]", re.IGNORECASE)
_DEFANGED_WORDS = {"dot": ".", "at": "@"}
# Schemes of the web, also as hxxp and h**p, may stand before any number of slashes, as in browsers; any other
# scheme before exactly two. Slashes may be backslashes, or escaped by one as in JSON.
_SLASHES = r"(?:\\?/|\\)"
_URL_START = re.compile(
    rf"(?:h[tx*]{{2}}ps?|ftps?|wss?):{_SLASHES}*|(?:[a-z][a-z0-9+.*-]*:)?{_SLASHES}{{2}}", re.IGNORECASE
)
_ESCAPED_DOT = re.compile(r"(?<!\\)\\++\.")  # anchored at the first backslash: linear on a long run of them
_BARE_DOT = re.compile(r"(?<!\\)\.")
_PORT = re.compile(r"[0-9]{0,5}")
_MAX_PORT = 65_535


def extract_host(text: str) -> str | Rejected:
    """Return the host that `text` names, or why it names none.

    Parameters
    ----------
    text
        A name, `host:port/path`, a URL, any of them defanged, between quotes, or a line of a pasted list. The
        work is linear in its length; the caller limits that.
    """
    authority, _, is_url = _split(text)
    if "@" in authority:
        if not is_url:
            return Rejected("email_address", f"{quote(authority)} is an e-mail address, not a domain name")
        authority = authority.rpartition("@")[2]
    if authority.startswith("[") or authority.count(":") > 1:
        return _reject_ipv6(authority)
    host, _, port = authority.partition(":")
    if port and not (_PORT.fullmatch(port) and int(port) <= _MAX_PORT):
        return Rejected("bad_syntax", f"{quote(port)} after the colon is no port number")
    if not host:
        return Rejected("empty", "no host name in the text")
    return _percent_decoded(host) if "%" in host else host


def has_path(text: str) -> bool:
    """Tell whether `text` names a page and not only its host: anything but a slash stands behind the host."""
    return _split(text)[1].strip("/\\") != ""


def without_list_mark(text: str) -> str:
    """Return a line of a pasted list without its bullet, or number and bracket; any other text as it is."""
    mark = _LIST_MARK.match(text.lstrip(_BEFORE))
    return mark[1] if mark else text


def _split(text: str) -> tuple[str, str, bool]:
    """Return the authority, what stands behind it, and whether `text` begins as a URL does."""
    if not text.isascii():
        text = text.translate(_TO_ASCII)
    text = _refang(without_list_mark(text).lstrip(_BEFORE).rstrip(_AFTER))
    start = _URL_START.match(text)
    return *_split_authority(text[start.end() :] if start else text), start is not None


def _refang(text: str) -> str:
    """Undo `[.]`, `(dot)`, `[:]`, `[://]`, `[@]` and the half-open `[.` and `.]`."""
    if not _BRACKET.search(text):
        return text
    text = _DEFANGED.sub(lambda match: _DEFANGED_WORDS.get(match[1].lower(), match[1]), text)
    return text.replace("[.", ".").replace(".]", ".")


def _split_authority(text: str) -> tuple[str, str]:
    """Return the authority, and path, query and fragment without the character that parts them from it.

    `\\.` is a dot of a regular expression only where every dot is so written. Else the backslash starts the
    path: a browser takes `https://evil.com\\.google.com` to evil.com.
    """
    authority, *behind = re.split(r"[/?#]", text, maxsplit=1)
    if "\\" in authority:
        if _ESCAPED_DOT.search(authority) and not _BARE_DOT.search(authority):
            authority = _ESCAPED_DOT.sub(".", authority)
        authority, _, path = authority.partition("\\")
        behind.insert(0, path)
    return authority, "".join(behind)


def _reject_ipv6(authority: str) -> Rejected:
    """Return the rejection of a host with brackets or several colons: IPv6, or nothing at all."""
    from ipaddress import AddressValueError, IPv6Address

    bracketed = re.fullmatch(r"\[([^\]]*)\](?::[0-9]*)?", authority)
    try:
        IPv6Address(bracketed[1] if bracketed else authority)
    except AddressValueError:
        return Rejected("bad_syntax", f"{quote(authority)} is neither a domain name nor an IPv6 address")
    return Rejected("ip_address", f"{quote(authority)} is an IPv6 address")


def _percent_decoded(host: str) -> str:
    """Undo %-encoding, which browsers allow in a host; bytes that are no UTF-8 become U+FFFD."""
    from urllib.parse import unquote

    return unquote(host)
