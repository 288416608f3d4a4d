"""Unicode labels that look like ASCII: which ASCII text they imitate, and which scripts they mix.

The look-alikes are those of Unicode's confusables list (UTS 39, https://www.unicode.org/reports/tr39/), from
the package confusable-homoglyphs; nothing is looked up elsewhere. (Python's `unicodedata` alone reads 2 of
the 27 homographs of the tests by NFKD, 8 by the names of characters.) What is flagged follows the browsers
(https://chromium.googlesource.com/chromium/src/+/main/docs/idn.md): a label that mixes Latin with a script
whose letters look like Latin ones, and a label of one such script that reads as ASCII throughout, unless its
top-level domain is at home in that script.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from data.brand_look_alikes import is_brand, reads_as_brand

# Letters that Unicode's list leaves out, because they differ in print, but that spoofs use; Chromium has them
# too. Only where the label mixes scripts: an ordinary word of one script holds many of them.
_IN_MIXED_LABELS = dict(zip("вкмнптгшκτηω", "bkmhntrwktnw", strict=True))
_STROKE = "ӏ"  # the palochka: listed as i, used as l
_SCRIPTS_LIKE_LATIN = {"Cyrillic", "Greek", "Armenian", "Cherokee", "Coptic", "Lisu", "Georgian", "Deseret"}
# Where a whole label of the script is what one expects. A top-level domain of its own script is, too.
_HOME = {
    "Cyrillic": {"bg", "by", "kg", "kz", "mk", "mn", "rs", "ru", "su", "tj", "ua", "uz"},
    "Greek": {"gr", "cy"},
    "Armenian": {"am"},
    "Georgian": {"ge"},
}
_EAST_ASIAN = {"Han", "Hiragana", "Katakana", "Hangul", "Bopomofo"}
_NO_SCRIPT = {"Common", "Inherited"}


@dataclass(frozen=True, slots=True)
class LookAlike:
    """A part of a name that reads as something else.

    Attributes
    ----------
    text
        What stands in the name: an ASCII part, or a whole label in Unicode.
    reads_as
        The ASCII text that it looks like.
    """

    text: str
    reads_as: str


def unicode_label(label: str) -> str:
    """Return what an A-label stands for, and any other label as it is.

    So is an A-label that stands for nothing (see `normalize_domain`) or for what nobody can see: control and
    direction characters could rewrite the line that shows them.
    """
    if not label.startswith("xn--"):
        return label
    try:
        text = label[4:].encode("ascii").decode("punycode")
    except UnicodeError:
        return label
    return label if text.isascii() or not text.isprintable() else text


def find_look_alikes(domain: str) -> tuple[list[LookAlike], str | None]:
    """Return the look-alikes of a normalised name, and the ASCII name that they make it look like.

    Parameters
    ----------
    domain
        What `normalize_domain` returned.

    Returns
    -------
    look_alikes : list
        From left to right; of labels in Unicode, and of ASCII labels that hold a brand with swapped
        characters (see `data.brand_look_alikes`).
    imitated : str or None
        `domain` with each of them replaced; None where there are none.
    """
    *labels, suffix = domain.split(".")
    found, imitated = [], []
    for label in labels:
        text = unicode_label(label)
        if text.isascii():
            pairs, target = reads_as_brand(label)
            found += [LookAlike(part, brand) for part, brand in pairs]
        else:
            target = imitated_label(text, suffix)
            if target is not None:
                found.append(LookAlike(text, target))
        imitated.append(target or label)
    return found, ".".join([*imitated, suffix]) if found else None


def imitated_label(label: str, top_level_domain: str) -> str | None:
    """Return the ASCII label that a Unicode label passes for, or None where it is an honest one.

    Parameters
    ----------
    label
        In Unicode, lower case.
    top_level_domain
        Of the name, as an A-label: all-Cyrillic labels are at home under `ru`, not under `com`.
    """
    scripts = scripts_of(label)
    mixed = mixes_scripts(scripts)
    target = ascii_reading(label, mixed=mixed)
    if target is None or target == label:
        return None
    target = reads_as_brand(target)[1] or target  # one Cyrillic letter stands for i or l
    if mixed:
        return target
    if scripts == {"Latin"}:
        # Half of Europe writes accents: only what reads as a brand is worth a word.
        return target if is_brand(target) else None
    (script,) = scripts if len(scripts) == 1 else ("",)
    if script not in _SCRIPTS_LIKE_LATIN:
        return None
    at_home = top_level_domain in _HOME.get(script, ()) or not unicode_label(top_level_domain).isascii()
    return None if at_home else target


def scripts_of(text: str) -> set[str]:
    """Return the scripts of a text's letters ("Latin", "Han", …); digits and hyphens have none."""
    return {_script(character) for character in text} - _NO_SCRIPT


def mixes_scripts(scripts: set[str]) -> bool:
    """Tell whether no language writes these scripts in one word.

    As UTS 39, "moderately restrictive": East Asian scripts go together and with Latin; Latin goes with any
    script but those whose letters look like its own.
    """
    others = scripts - {"Latin"}
    if len(others) > 1:
        return not others <= _EAST_ASIAN
    return len(scripts) == 2 and bool(others & _SCRIPTS_LIKE_LATIN)


def ascii_reading(label: str, *, mixed: bool) -> str | None:
    """Return the lower-case ASCII that each character of a label looks like, accents left out; else None."""
    text = unicodedata.normalize("NFD", label)
    reading = [_ascii_look_alike(c, mixed) for c in text if not unicodedata.combining(c)]
    return None if None in reading else "".join(reading)


@lru_cache(maxsize=4_096)
def _ascii_look_alike(character: str, mixed: bool) -> str | None:
    """Return the ASCII letter, digit or hyphen that a character looks like; ae for æ; None for none."""
    if character.isascii():
        return character
    if character == _STROKE:
        return "l"
    if mixed and character in _IN_MIXED_LABELS:
        return _IN_MIXED_LABELS[character]
    # Imported here: it reads two tables (0.1 s), and only names with "xn--" need them.
    from confusable_homoglyphs.confusables import confusables_data

    candidates = [entry["c"] for entry in confusables_data.get(character, ()) if entry["c"].isascii()]
    if character.isalpha():  # "б" is listed as 6: with digits ordinary words would become codes
        candidates = [text for text in candidates if text.isalpha()]
    else:
        candidates = [text for text in candidates if text.isalnum() or text == "-"]
    # The list gives "l", "I" and "|" for one stroke: a lower-case letter is what the name would hold.
    candidates.sort(key=lambda text: (len(text), not text.islower(), text))
    return candidates[0].lower() if candidates else None


@lru_cache(maxsize=4_096)
def _script(character: str) -> str:
    if character.isascii():
        return "Latin" if character.isalpha() else "Common"
    from confusable_homoglyphs.categories import alias

    return alias(character).title()
