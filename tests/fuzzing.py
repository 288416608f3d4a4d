"""What must hold for a damaged file, and the runs that show whether it does.

- The exit code is 0, 1 or 2; no exception leaves the script; stderr is printable.
- A data file is answered (0) only where a plain reader reads it too, with as many rows, the same names in the
  same order, and for each name what the model answers when it is asked for that name alone. It is refused (1)
  only where the plain reader finds a fault, and then the rows in the `.partial` file are the plain reader's
  first ones.
- A configuration is accepted only where libyaml reads the same values from it, every one of them.
- A checkpoint is refused, or gives exactly the answers of the original. One that was damaged and then sealed
  again with right checksums is another checkpoint: it is refused, or its probabilities are finite and sum
  to 1.
"""

import contextlib
import io
import json
import math
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import yaml

import predict
import train
from data.domain_name import normalize_domain
from models.classifier import DomainClassifier
from tests.mutations import FORMATS, TOKENS, mutate, reseal, valid_files
from tests.plain_readers import MALFORMED, plain_rows
from utils.config import Config
from utils.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE

CHECKPOINT = Path(__file__).parent / "data" / "checkpoints" / "version-1.pt"
KINDS = (*FORMATS, "yaml", "checkpoint", "resealed checkpoint")
SUFFIXES = dict(zip(FORMATS, ("json", "jsonl", "csv", "txt"), strict=True))
ASKED = "github.com\namberbasin7.com\nq0x7zk3vbd9.xyz\nno-dot\n"
# One reader of JSON shortens longer runs of digits (data/json_checks.py): such a text is no name anyway.
_LONG_DIGITS = re.compile(r"[0-9]{4096,}")
_CLOSE = 2e-6  # six decimals are written; a batch of other names may move the last bit of a float32


class Violation(Exception):
    """A damaged file was dealt with as it must not be."""


def damaged_file(kind: str, seed: int) -> bytes:
    """Return the damaged file number `seed` of a kind; the same on every machine."""
    draw = random.Random(f"{kind} {seed}")
    base = kind.removeprefix("resealed ")
    damage = reseal if kind != base else mutate
    return damage(draw.choice(valid_files(base)), draw, TOKENS[base])


class Fuzzer:
    """Runs the scripts on damaged files in this process, with the model loaded once.

    Parameters
    ----------
    folder
        Where input and output lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder / "out.jsonl"
        self.partial = folder / "out.jsonl.partial"
        self._classifier = DomainClassifier.load(CHECKPOINT)
        self._alone: dict[str, list[float]] = {}
        self.asked = folder / "asked.txt"
        self.asked.write_text(ASKED, encoding="utf-8")
        self.check("checkpoint", CHECKPOINT.read_bytes(), is_original=True)
        self._original = self.output.read_bytes()

    def check(self, kind: str, content: bytes, is_original: bool = False) -> int:
        """Run the script on a file of a kind; return the exit code.

        Raises
        ------
        Violation
            Something of the list above does not hold.
        """
        for path in self.folder.glob("out.*"):
            path.unlink()
        if kind in FORMATS:
            return self._check_data(kind, content)
        if kind == "yaml":
            return self._check_config(content)
        path = self.folder / "in.pt"
        path.write_bytes(content)
        code = _run(predict.main, self.predict_arguments(path, self.asked, "text"))
        if code == EXIT_DONE and not is_original:
            if kind == "checkpoint" and self.output.read_bytes() != self._original:
                raise Violation("a changed checkpoint gave other answers")
            for row in self._rows(self.output):
                if row["error"] is None:
                    _check_probabilities(list(row["probabilities"].values()))
        return code

    def predict_arguments(self, checkpoint: Path, path: Path, format: str) -> list[str]:
        """Return the arguments of predict.py."""
        arguments = ["--checkpoint", str(checkpoint), "--device", "cpu", "--input", str(path)]
        return [*arguments, "--input-format", format, "--output", str(self.output)]

    def write_input(self, format: str, content: bytes) -> Path:
        """Write a data file and return its path."""
        path = self.folder / f"in.{SUFFIXES[format]}"
        path.write_bytes(content)
        return path

    def _check_data(self, format: str, content: bytes) -> int:
        path = self.write_input(format, content)
        with mock.patch.object(DomainClassifier, "load", return_value=self._classifier):
            code = _run(predict.main, self.predict_arguments(CHECKPOINT, path, format))
        expected, fault = plain_rows(content, format)
        rows = list(self._rows(self.output if code == EXIT_DONE else self.partial))
        if code == EXIT_USAGE:
            raise Violation("a damaged data file is no usage error")
        if code == EXIT_DONE and fault:
            raise Violation(f"answered as if whole, although: {fault}")
        if code == EXIT_FAILED and not fault:
            raise Violation("refused, although the plain reader finds no fault")
        if len(rows) > len(expected) or (code == EXIT_DONE and len(rows) < len(expected)):
            raise Violation(f"{len(rows)} rows answered, {len(expected)} expected")
        for number, (row, name) in enumerate(zip(rows, expected, strict=False), start=1):
            self._check_row(number, row, name)
        return code

    def _check_row(self, number: int, row: dict, name: object) -> None:
        """Compare an answered row with what the plain reader found in its place."""
        if not isinstance(name, str):
            is_malformed = str(row["error"]).startswith("malformed")
            if row["error"] is None or row["label"] is not None or is_malformed != (name is MALFORMED):
                raise Violation(f"row {number}: no name there, answered with {row}")
            return
        normal = normalize_domain(name)
        wanted = normal if isinstance(normal, str) else None
        is_same = _LONG_DIGITS.sub(_cut, str(row["domain"])) == _LONG_DIGITS.sub(_cut, name)
        if not is_same or row["normalized"] != wanted or (row["error"] is None) != (wanted is not None):
            raise Violation(f"row {number}: {name!r} answered with {row}")
        if wanted is None:
            if row["label"] is not None or row["probabilities"] is not None:
                raise Violation(f"row {number}: an error with an answer: {row}")
            return
        if wanted not in self._alone:
            self._alone[wanted] = self._classifier.classify([wanted])[0].tolist()
        found = list(row["probabilities"].values())
        if not np.allclose(found, self._alone[wanted], rtol=0, atol=_CLOSE):
            raise Violation(f"row {number}: {found}, alone {self._alone[wanted]}")
        if row["label"] != max(row["probabilities"], key=row["probabilities"].get):
            raise Violation(f"row {number}: the label is not the most probable class: {row}")
        _check_probabilities(found)

    def _check_config(self, content: bytes) -> int:
        path = self.folder / "in.yaml"
        path.write_bytes(content)
        accepted: list[Config] = []
        with mock.patch.object(train, "dry_run", lambda config, *_: accepted.append(config)):
            code = _run(train.main, ["--config", str(path), "--dry-run"])
        if code == EXIT_FAILED or (code == EXIT_DONE) != bool(accepted):
            raise Violation(f"exit code {code} for a configuration")
        if accepted:
            try:
                plain = yaml.load(content.decode(), Loader=yaml.CSafeLoader) or {}
            except (yaml.YAMLError, ValueError) as error:
                raise Violation(f"accepted, although: {error}") from None
            _check_same_values(plain, accepted[0].to_dict(), "")
        return code

    @staticmethod
    def _rows(path: Path) -> Iterator[dict]:
        if path.exists():
            yield from (json.loads(line) for line in path.read_bytes().splitlines())


def _run(main: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a script's `main`; return its exit code."""
    stdout, stderr = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with (
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        mock.patch("os.fsync"),  # waits for the disk, thousands of times
    ):
        try:
            code = main(arguments)
        except Exception as error:
            raise Violation(f"a traceback: {error!r}") from error
    message = stderr.getvalue()
    if code not in (EXIT_DONE, EXIT_FAILED, EXIT_USAGE):
        raise Violation(f"exit code {code}")
    if not message.replace("\n", "").isprintable():
        raise Violation(f"control characters on stderr: {message!r}")
    if code != EXIT_DONE and ".py: " not in message:
        raise Violation(f"exit code {code} without a reason: {message!r}")
    return code


def _cut(digits: re.Match) -> str:
    return digits[0][:4096]


def _check_probabilities(values: list[float]) -> None:
    if not all(isinstance(value, float) and 0 <= value <= 1 for value in values):
        raise Violation(f"no probabilities: {values}")
    if not math.isclose(sum(values), 1, abs_tol=1e-5):
        raise Violation(f"probabilities that do not sum to 1: {values}")


def _check_same_values(plain: object, accepted: object, name: str) -> None:
    """Raise unless every value of `plain` is in `accepted`; an empty section takes the defaults."""
    if plain is None and isinstance(accepted, dict):
        return
    if isinstance(plain, dict) and isinstance(accepted, dict):
        for key, value in plain.items():
            if key not in accepted:
                raise Violation(f"{name}{key}: ignored")
            _check_same_values(value, accepted[key], f"{name}{key}.")
    elif isinstance(plain, list) and isinstance(accepted, list) and len(plain) == len(accepted):
        for one, other in zip(plain, accepted, strict=True):
            _check_same_values(one, other, name)
    elif plain != accepted or isinstance(plain, bool) != isinstance(accepted, bool):
        raise Violation(f"{name} {plain!r} became {accepted!r}")
