"""Invented domain generation algorithms, many of them, to train on: what generators have in common.

    python -m data.sample.dga_styles --output data/lists/generated.json

A model that saw the names of real families only knows these. Each family here draws its style (letters,
digits, syllables, words, …), lengths and top-level domains once, and then its names; none is that of a
malware. Name the file in a source with `training_only: true`: nothing should be judged on invented names.
What it brings is measured in docs/EXPERIMENTS.md, on whole families of real malware that training left out.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from data.sample.dga_words import DECLARATION, NOUNS, VERBS, words
from data.sample.generated_list import make_parser, write_generated
from data.sample.random_numbers import LETTERS, numbers
from utils.errors import run_script

DIGITS, VOWELS, CONSONANTS = "0123456789", "aeiou", "bcdfghjklmnpqrstvwxyz"
WORDS = tuple(sorted({*NOUNS, *VERBS, *DECLARATION}))
COMMON_SUFFIXES = ("com", "net", "org", "info", "biz", "ru")
SUFFIXES = COMMON_SUFFIXES + words(
    "cc xyz top su eu cn in tk me ws tv mobi pw click club site online space live shop work to la so ga cf "
    "ml gq br de co.uk com.cn nl it us ca jp kr fr pl bz am ac sh kz ir"
)
DYNAMIC_DNS = (
    "ddns.net",
    "dyndns.org",
    "hopto.org",
    "duckdns.org",
    "no-ip.biz",
    "myftp.org",
    "servehttp.com",
)

Draw = Callable[[int], int]  # the next number below a limit


@dataclass(frozen=True, slots=True)
class Family:
    """One invented algorithm."""

    suffixes: tuple[str, ...]
    write_label: Callable[[Draw], str]

    def name(self, draw: Draw) -> str:
        """Return the next name."""
        return f"{self.write_label(draw)}.{_choice(draw, self.suffixes)}"


def generate(families: int, names: int, seed: int) -> dict[str, str]:
    """Return name → family for `names` names of each family; a name that comes twice stands once."""
    found: dict[str, str] = {}
    for number in range(families):
        draw = numbers(seed * 1_000_003 + number)
        family = invent_family(draw)
        for _ in range(names):
            found.setdefault(family.name(draw), f"style-{number:04d}")
    return found


def invent_family(draw: Draw) -> Family:
    """Draw what all names of a family have in common."""
    pool = (DYNAMIC_DNS, *[COMMON_SUFFIXES] * 5, *[SUFFIXES] * 6)[draw(12)]
    suffixes = tuple(_choice(draw, pool) for _ in range(1 + draw(6)))
    shortest = 6 + draw(14)
    longest = shortest + (draw(12) if draw(3) else 0)
    style = _choice(draw, STYLES)
    return Family(suffixes, style(draw, shortest, longest))


def _letters(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """Each letter of a stretch of the alphabet is as likely."""
    alphabet = LETTERS[draw(8) : 18 + draw(9)]
    return lambda draw: _text(draw, alphabet, _between(draw, shortest, longest))


def _uneven_letters(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """Some letters come more often than others, as from arithmetic that is not quite uniform."""
    alphabet = LETTERS + _text(draw, LETTERS, 60)
    return lambda draw: _text(draw, alphabet, _between(draw, shortest, longest))


def _hexadecimal(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """Digits of a hash."""
    return lambda draw: _text(draw, DIGITS + "abcdef", _between(draw, max(shortest, 8), longest + 8))


def _letters_and_digits(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """Letters, with digits now and then or as often as letters."""
    alphabet = LETTERS * (1 + draw(3)) + DIGITS
    return lambda draw: _text(draw, alphabet, _between(draw, max(shortest, 8), longest + 2))


def _pronounceable(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """Consonants and vowels in turn."""
    consonants = _text(draw, CONSONANTS, 8 + draw(30))

    def write(draw: Draw) -> str:
        length, first = _between(draw, shortest, longest), draw(2)
        return "".join(_choice(draw, (consonants, VOWELS)[(first + place) % 2]) for place in range(length))

    return write


def _syllables(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """Syllables of a table."""
    table = [
        _choice(draw, CONSONANTS) + _choice(draw, VOWELS) + (_choice(draw, CONSONANTS) if draw(2) else "")
        for _ in range(20 + draw(60))
    ]

    def write(draw: Draw) -> str:
        text, length = "", _between(draw, shortest, longest)
        while len(text) < length:
            text += _choice(draw, table)
        return text

    return write


def _words(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """Two or three words of a list, some with a hyphen between them or with digits behind them."""
    vocabulary = [_choice(draw, WORDS) for _ in range(40 + draw(80))]
    separator, most, digits = ("", "", "", "-")[draw(4)], 2 + draw(2), draw(4) // 3 * 2

    def write(draw: Draw) -> str:
        chosen = [_choice(draw, vocabulary) for _ in range(_between(draw, 2, most))]
        return separator.join(chosen) + _text(draw, DIGITS, digits)

    return write


def _varied_stem(draw: Draw, shortest: int, longest: int) -> Callable[[Draw], str]:
    """A few letters that vary before or behind a stem that does not."""
    stem = _syllables(draw, shortest, longest)(draw)
    count, is_first = 3 + draw(4), draw(2)

    def write(draw: Draw) -> str:
        varied = _text(draw, LETTERS, count)
        return varied + stem if is_first else stem + varied

    return write


# Plain letters are by far the most common style of real families.
STYLES = (
    *(_letters, _letters, _letters, _uneven_letters, _uneven_letters),
    *(_hexadecimal, _letters_and_digits, _letters_and_digits),
    *(_pronounceable, _syllables, _words, _words, _varied_stem),
)


def _choice(draw: Draw, items: str | tuple[str, ...] | list[str]) -> str:
    return items[draw(len(items))]


def _text(draw: Draw, alphabet: str, length: int) -> str:
    return "".join(alphabet[draw(len(alphabet))] for _ in range(length))


def _between(draw: Draw, low: int, high: int) -> int:
    """Return a number from `low` to `high`, both included."""
    return low + draw(high - low + 1)


def main(argv: list[str] | None = None) -> int:
    """Write a list of names; return the exit code."""
    return run_script("dga_styles.py", lambda: _run(argv))


def _run(argv: list[str] | None) -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--families", type=int, default=2000, help="how many, default: %(default)s")
    parser.add_argument("--names", type=int, default=30, help="of each family, default: %(default)s")
    options = parser.parse_args(argv)
    found = generate(options.families, options.names, options.seed)
    return write_generated(options.output, found, "malware")


if __name__ == "__main__":
    sys.exit(main())
