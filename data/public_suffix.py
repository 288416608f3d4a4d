"""The public suffix list: top-level domains, public suffixes and registered domains, offline.

The list is the copy inside the package publicsuffixlist. It is parsed here, because that package's own
parser forgets which rules are from the private section (hosting platforms) and is two to three times slower.
Rules: https://github.com/publicsuffix/list/wiki/Format.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_EXACT, _EXACT_PRIVATE, _WILDCARD, _WILDCARD_PRIVATE, _EXCEPTION = 1, 2, 4, 8, 16


@dataclass(frozen=True, slots=True)
class SuffixRules:
    """The parsed list.

    Attributes
    ----------
    kinds
        Domain → bits: it is a rule, `*.` before it is one, `!` before it is one, and from which section.
    top_level_domains
        The last label of every rule, as A-labels.
    """

    kinds: dict[str, int]
    top_level_domains: frozenset[str]


def public_suffix(domain: str) -> tuple[str, bool]:
    """Return the public suffix of a normalised domain name.

    As the list's linter and the package publicsuffixlist have it, the parent of a wildcard rule is a public
    suffix too (`*.ck` makes `ck` one). A name under no rule has its last label as its suffix.

    Parameters
    ----------
    domain
        What `normalize_domain` returned.

    Returns
    -------
    suffix, is_private
        The longest public suffix, which may be the whole name, and whether it is from the private section
        of the list, that is a platform where customers get names (`github.io`), not a registry (`co.uk`).
    """
    kinds = suffix_rules().kinds
    longer, suffix = "", domain
    while True:
        kind = kinds.get(suffix)
        if kind is not None:
            return _apply_rule(kinds, kind, suffix, longer)
        _, dot, parent = suffix.partition(".")
        if not dot:
            return suffix, False
        longer, suffix = suffix, parent


def registered_domain(domain: str) -> str:
    """Return the public suffix of a normalised domain name with one label before it.

    A name that is itself a public suffix is its own registered domain, so that it has a group in the split.
    """
    kinds = suffix_rules().kinds
    label, _, top_level = domain.rpartition(".")
    if "." not in label and kinds.get(top_level) == _EXACT and domain not in kinds:
        return domain  # as the long way, in a third of the time: half of all names are like this
    suffix, _ = public_suffix(domain)
    if len(suffix) == len(domain):
        return domain
    return domain[domain.rfind(".", 0, -len(suffix) - 1) + 1 :]


@cache
def top_level_domains() -> frozenset[str]:
    """Return every top-level domain of the list, as A-labels."""
    return suffix_rules().top_level_domains


@cache
def suffix_rules() -> SuffixRules:
    """Read the list at the first call (about 20 ms), then return the same object.

    Raises
    ------
    OSError
        When the package's data file is missing.
    """
    return parse_rules(_lines_of_list())


def private_suffix_rule(suffix: str) -> tuple[str, str]:
    """Return the rule behind a public suffix of the private section, and who runs it.

    Parameters
    ----------
    suffix
        From `public_suffix`, where that said that it is private.

    Returns
    -------
    rule, operator
        `suffix` itself, or with `*.` before it or in place of its first label; the operator as the list's
        comments have it.

    Raises
    ------
    KeyError
        It is no suffix of the private section.
    """
    operators = suffix_operators()
    for rule in (suffix, f"*.{suffix}", f"*.{suffix.partition('.')[2]}"):
        if rule in operators:
            return rule, operators[rule]
    raise KeyError(suffix)


@cache
def suffix_operators() -> dict[str, str]:
    """Return rule → operator for the private section: the first comment line above a group of rules."""
    lines = _lines_of_list()
    start = next(i for i, line in enumerate(lines) if "===BEGIN PRIVATE DOMAINS===" in line) + 1
    operators: dict[str, str] = {}
    operator, in_group = "", False
    for line in lines[start:]:
        if line.startswith("//") and not in_group:
            operator = re.split(r"\s*:\s+(?=https?://)", line[2:].strip())[0]
        elif line and not line.startswith("//"):
            rule = line.split(maxsplit=1)[0].lower()
            operators[".".join(map(_to_a_label, rule.split(".")))] = operator
        in_group = bool(line)
    return operators


def _lines_of_list() -> list[str]:
    from publicsuffixlist import PSLFILE

    return Path(PSLFILE).read_text(encoding="utf-8").splitlines()


def parse_rules(lines: Iterable[str]) -> SuffixRules:
    """Parse the lines of a public suffix list; comments, also the section marks, start with `//`."""
    kinds: dict[str, int] = {}
    private = False
    for line in lines:
        if line.startswith("//"):
            private = private or "===BEGIN PRIVATE DOMAINS===" in line
            continue
        rule = line.split(maxsplit=1)[0].lower() if line and not line.isspace() else ""
        if not rule:
            continue
        if not rule.isascii():
            rule = ".".join(map(_to_a_label, rule.split(".")))
        if rule[0] == "!":
            rule, bits = rule[1:], _EXCEPTION
        elif rule.startswith("*."):
            rule, bits = rule[2:], _WILDCARD | (_WILDCARD_PRIVATE if private else 0)
        else:
            bits = _EXACT | (_EXACT_PRIVATE if private else 0)
        kinds[rule] = kinds.get(rule, 0) | bits
    return SuffixRules(kinds, frozenset(rule.rpartition(".")[2] for rule in kinds))


def _apply_rule(kinds: dict[str, int], kind: int, suffix: str, longer: str) -> tuple[str, bool]:
    """Return what the rules at `suffix` make the public suffix; `longer` has one more label, or is empty."""
    if kind & _EXCEPTION:
        parent = suffix.partition(".")[2]
        return parent, bool(kinds.get(parent, 0) & _WILDCARD_PRIVATE)
    if kind & _WILDCARD and longer:
        return longer, bool(kind & _WILDCARD_PRIVATE)
    if kind & _EXACT:
        return suffix, bool(kind & _EXACT_PRIVATE)
    return suffix, bool(kind & _WILDCARD_PRIVATE)


def _to_a_label(label: str) -> str:
    """Return a label of a rule in ASCII; the list keeps its Unicode labels in their canonical form."""
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
