"""What the command line takes: a parser that says what a slip was meant for, and types for its values.

A type makes a value of a text, or one line that says what was expected.
"""

import argparse
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NoReturn

from utils.config import FORMATS
from utils.errors import EXIT_USAGE
from utils.prediction_formats import OUTPUT_FORMATS

_NEAR = 0.8  # difflib's ratio: --imput and --dryrun are near, --colour is not near --column
_NUMBER = re.compile(r"-\.?\d")
_SHOWN_MEANT = 3


class ScriptParser(argparse.ArgumentParser):
    """A parser whose errors say which option a slip was meant for; without an idea, how all are used.

    Parameters
    ----------
    file_options
        What a file's name ends in → the option that takes such a file.
    settings
        Names of settings that `--set NAME=VALUE` takes.
    """

    def __init__(
        self, *, file_options: Mapping[str, str] | None = None, settings: Sequence[str] = (), **others: object
    ) -> None:
        super().__init__(**others)
        self._file_options = file_options or {}
        self._settings = settings
        self._given: list[str] = []

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        hints = list(self._hints())
        if not hints:
            super().error(message)
        self.exit(EXIT_USAGE, f"{self.prog}: error: {'; '.join([message, *hints])}\n")

    def _hints(self) -> Iterator[str]:
        """Yield what words of the command line may be meant for."""
        before = ""
        for word, after in pairwise([*self._given, ""]):
            flag, equals, value = word.partition("=")
            if word == "--":
                return
            if self._is_unknown_flag(flag):
                if meant := self._meant_by(flag, value if equals else after):
                    yield f"{flag}: did you mean {' or '.join(meant)}?"
            elif before == "--set" and not equals and after and not after.startswith("--"):
                yield f"did you mean --set {word}={after}?"
            elif not self._takes_value(before):
                flags = {given.partition("=")[0] for given in self._given}
                for ending, option in self._file_options.items():
                    if word.lower().endswith(ending) and option not in flags:
                        yield f"did you mean {option} {word}?"
            before = word

    def _takes_value(self, word: str) -> bool:
        """Tell whether a word is an option whose value is the next word; an unknown one may be."""
        if self._is_unknown_flag(word.partition("=")[0]):
            return "=" not in word
        action = self._option_string_actions.get(word)
        return action is not None and action.nargs != 0

    def _is_unknown_flag(self, flag: str) -> bool:
        """Tell whether a word is like an option, and neither one nor the beginning of one."""
        if len(flag) < 2 or not flag.startswith("-") or _NUMBER.match(flag):
            return False
        return not any(option.startswith(flag) for option in self._option_string_actions)

    def _meant_by(self, flag: str, value: str) -> list[str]:
        """Return the options that an unknown one may be meant for."""
        import difflib

        options = [option for option in self._option_string_actions if option.startswith("--")]
        if not flag.startswith("--"):
            return [option for option in options if option.startswith(f"-{flag}")][:_SHOWN_MEANT]
        word = flag[2:].replace("-", "_")
        value = "…" if not value or value.startswith("--") else value
        named = [name for name in self._settings if name.rpartition(".")[2] == word]
        if named:
            return [f"--set {name}={value}" for name in named[:_SHOWN_MEANT]]
        return difflib.get_close_matches(flag.lower(), options, n=1, cutoff=_NEAR)


def output_format_name(text: str) -> str:
    """Read --format of predict.py, which was the input's once."""
    if text in FORMATS and text not in OUTPUT_FORMATS:
        raise argparse.ArgumentTypeError(f"is the output's format; the input's is --input-format {text}")
    if text not in OUTPUT_FORMATS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(OUTPUT_FORMATS)}. Got {text}")
    return text


def class_shares(text: str) -> dict[str, float]:
    """Read benign=0.999,phishing=0.0007,…"""
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"must look like benign=0.99,phishing=0.005,… Got {text}") from None


def share(text: str) -> float:
    """Read a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"must be a number from 0 to 1. Got {text}")
    return number


def positive(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0. Got {text}")
    return int(text)
