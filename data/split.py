"""Who is in which part. The only place that decides it.

The part of a name is a pure function of its registered domain and the seed, so the split needs no memory,
is the same on every machine whatever files are added, and never puts two names of one registered domain
into two parts.
"""

from dataclasses import dataclass

import numpy as np

from data.labelled_domains import UNKNOWN_DAY, LabelledDomains
from utils.config import DataConfig

NOWHERE, TRAIN, VALIDATION, TEST = -1, 0, 1, 2


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of each part, ascending. A row may be in none."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def parts(self) -> dict[str, np.ndarray]:
        """Return part name → row numbers."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def split_dataset(dataset: LabelledDomains, config: DataConfig) -> Split:
    """Divide a data set as `data.split` says.

    "registered_domain" is the honest one. "random" puts names of one registered domain into several parts
    and so gives an optimistic bound. "time" puts the newest dated names of each class into the test part
    and the next newest into validation; a registered domain goes with its oldest name, and names without
    a date are divided by registered domain.

    Names that are `training_only` change nothing of that. They are in the training part, but for those
    whose registered domain has a name in another part: these are in none.
    """
    parts = np.full(len(dataset), TRAIN)
    parts[~dataset.training_only] = _parts(dataset.judged(), config)
    extra = np.flatnonzero(dataset.training_only)
    if len(extra):
        parts[extra[np.isin(dataset.groups[extra], dataset.groups[parts != TRAIN])]] = NOWHERE
    return Split(*(np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION, TEST)))


def unit_interval(hashes: np.ndarray, seed: int) -> np.ndarray:
    """Map 64-bit hashes to [0, 1) in a way of its own for each seed (N,) float64.

    The mixing function is SplitMix64's finaliser (Steele, Lea, Flood 2014).
    """
    mixed = hashes.astype(np.uint64) + np.uint64((seed * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2**53


def _parts(dataset: LabelledDomains, config: DataConfig) -> np.ndarray:
    """Return each row's part, (N,)."""
    fractions = (config.validation_fraction, config.test_fraction)
    if config.split == "random":
        return _parts_by_hash(dataset.hashes, config.seed, *fractions)
    parts = _parts_by_hash(dataset.groups, config.seed, *fractions)
    return _parts_by_time(dataset, parts, *fractions) if config.split == "time" else parts


def _parts_by_hash(hashes: np.ndarray, seed: int, validation: float, test: float) -> np.ndarray:
    """Return each row's part: the first `test` of the unit interval, then `validation`, then the rest."""
    place = unit_interval(hashes, seed)
    return np.where(place < test, TEST, np.where(place < test + validation, VALIDATION, TRAIN))


def _parts_by_time(dataset: LabelledDomains, parts: np.ndarray, validation: float, test: float) -> np.ndarray:
    """Replace the parts of dated rows: each class's newest are test, the next newest validation."""
    parts = parts.copy()
    for label in range(len(dataset.classes)):
        rows = np.flatnonzero((dataset.labels == label) & (dataset.days != UNKNOWN_DAY))
        if not len(rows):
            continue
        days = dataset.days[rows]
        test_from = np.quantile(days, 1 - test, method="higher")
        validation_from = np.quantile(days, 1 - test - validation, method="higher")
        parts[rows] = np.where(days >= test_from, TEST, np.where(days >= validation_from, VALIDATION, TRAIN))
    # TRAIN < VALIDATION < TEST: a registered domain goes where its oldest name is.
    _, inverse = np.unique(dataset.groups, return_inverse=True)
    earliest = np.full(inverse.max(initial=-1) + 1, TEST)
    np.minimum.at(earliest, inverse, parts)
    return earliest[inverse]
