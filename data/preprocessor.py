"""Files to a data set: normalised, each name once, no name under two classes, capped; and class weights.

    data = load_parts(config.data)      # data.parts["train"] is a LabelledDomains; data.drops: reason → count

What a domain name is says `data/domain_name.py`; who is in which part says `data/split.py`.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data.data_loader import SourceFile, resolve_sources
from data.domain_name import Rejected, normalize_domain
from data.file_format import class_column
from data.file_gathering import gather_files
from data.fingerprint import fingerprint
from data.labelled_domains import UNKNOWN_DAY, LabelledDomains, join_datasets, label_file
from data.rejection import CONFLICT, DUPLICATE, IN_TRAINING, OVER_CAP, TRAINING_ONLY
from data.split import split_dataset, unit_interval
from utils.config import DataConfig
from utils.errors import DataError

__all__ = [
    "PreparedData",
    "Rejected",
    "add_counts",
    "class_weights",
    "clean",
    "drop_trained_on",
    "in_words",
    "load_parts",
    "normalize_domain",
    "read_rows",
]


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedData:
    """What training needs: the parts, and what became of the rest.

    Attributes
    ----------
    parts
        "train", "validation", "test" → names. Each part has names of every class.
    drops
        Reason → number of rows that were not used.
    fingerprints
        What identifies each source file.
    """

    parts: dict[str, LabelledDomains]
    drops: dict[str, int]
    fingerprints: list[dict]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return part → class → number of names."""
        return {name: part.counts() for name, part in self.parts.items()}

    def num_undated(self) -> int:
        """Return how many names have no date, so that `data.split: time` cannot go by it."""
        return sum(int((part.days == UNKNOWN_DAY).sum()) for part in self.parts.values())

    def class_shares(self) -> dict[str, float]:
        """Return class → its share of the training names, those that are `training_only` left out.

        What probabilities refer to: names that come on top raise the odds of their class among their own
        kind, and there only.
        """
        counts = self.parts["train"].judged().counts()
        return {name: count / sum(counts.values()) for name, count in counts.items()}


def load_parts(config: DataConfig, *, limit: int | None = None) -> PreparedData:
    """Read, clean and split all sources.

    Parameters
    ----------
    limit
        Read only so many records of each file: for a look at the data, not for training.

    Raises
    ------
    DataError
        A file cannot be read, or a part lacks a class.
    """
    rows, unusable, files = read_rows(config, limit=limit)
    dataset, dropped = clean(rows, config)
    drops = add_counts(unusable, dropped)
    for name, count in dataset.counts().items():
        if not count:
            where = ", ".join(str(file.path) for file in files if file.label == name)
            raise DataError(
                where, f"no usable name of the class '{name}' is left; dropped: {in_words(drops)}"
            )
    split = split_dataset(dataset, config)
    drops = add_counts(drops, {TRAINING_ONLY: len(dataset) - sum(map(len, split.parts().values()))})
    parts = {name: dataset.take(rows) for name, rows in split.parts().items()}
    for name, part in parts.items():
        absent = [label for label, count in part.judged().counts().items() if not count]
        if absent:
            raise DataError(
                Path(config.root),
                f"the {name} part has no {', '.join(absent)} names (of {len(dataset):,} in all): "
                f"{_how_to_fill(dataset.only(absent[:1]), absent[0], config)}",
            )
    return PreparedData(parts, drops, [fingerprint(file.path) for file in files])


def read_rows(
    config: DataConfig, *, limit: int | None = None
) -> tuple[LabelledDomains, dict[str, int], list[SourceFile]]:
    """Read all sources and put them together as they are: `clean` has not seen the rows yet.

    Returns
    -------
    Every row that is a domain name, in the order of the files; reason → number of rows that are none; and
    the files.
    """
    files = resolve_sources(Path(config.root), config.sources, all_keys=config.check_all_keys)
    for file in files:
        if (column := class_column(file.path, file.format)) is not None:
            logger.warning(
                "%s: the column %r is not read: every row counts as %s, since a file has one class "
                "(docs/QUICKSTART.md divides such a file)",
                file.path,
                column,
                file.label,
            )
    cache_dir = None if config.cache_dir is None else Path(config.cache_dir)
    gathered = gather_files(files, workers=config.workers, cache_dir=cache_dir, limit=limit)
    dataset = join_datasets(
        [
            label_file(
                names, config.classes.index(file.label), config.classes, training_only=file.training_only
            )
            for names, file in zip(gathered, files, strict=True)
        ]
    )
    return dataset, add_counts(*(names.drops for names in gathered)), files


def clean(dataset: LabelledDomains, config: DataConfig) -> tuple[LabelledDomains, dict[str, int]]:
    """Keep each name once, names of two classes not at all, and of each class at most `data.max_per_class`.

    The rule for every set of names that is trained or judged on, wherever they come from. Names of sources
    that are `training_only` make no difference to the others: of a name in both, theirs is dropped.

    Returns
    -------
    The names that stay, in their order, and reason → number of rows that do not.
    """
    extra = np.flatnonzero(dataset.training_only)
    known = extra[:0]
    if len(extra):
        known = extra[np.isin(dataset.hashes[extra], dataset.hashes[~dataset.training_only])]
        dataset = dataset.take(np.delete(np.arange(len(dataset)), known))
    rows, duplicates, conflicts = _distinct_rows(dataset.hashes, dataset.labels)
    kept = _cap_classes(dataset, rows, config)
    dropped = {DUPLICATE: duplicates, CONFLICT: conflicts, OVER_CAP: len(rows) - len(kept)}
    return dataset.take(kept), add_counts(dropped, {TRAINING_ONLY: len(known)})


def drop_trained_on(
    dataset: LabelledDomains, parts: Mapping[str, LabelledDomains]
) -> tuple[LabelledDomains, dict[str, int]]:
    """Leave out names whose registered domain is in the training or validation part of `parts`.

    Returns
    -------
    The names that stay, in their order, and reason → number of rows that do not.
    """
    is_known = np.isin(dataset.groups, np.concatenate([parts["train"].groups, parts["validation"].groups]))
    return dataset.take(np.flatnonzero(~is_known)), add_counts({IN_TRAINING: int(is_known.sum())})


def add_counts(*counts: Mapping[str, int]) -> dict[str, int]:
    """Add up counts by reason, in alphabetical order; a reason that nothing was dropped for is left out."""
    total = sum((Counter(count) for count in counts), Counter())
    return {reason: count for reason, count in sorted(total.items()) if count}


def in_words(counts: Mapping[str, int]) -> str:
    """Write counts by reason, as `add_counts` returns them, for a message: "3 duplicate, 1 ip_address"."""
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.items()) or "none"


def class_weights(labels: np.ndarray, classes: Sequence[str], mode: str | Mapping[str, float]) -> np.ndarray:
    """Return the weight of each class in the training loss, (K,) float32.

    Parameters
    ----------
    mode
        "balanced": N / (K · n_k), so that every class has the same sum of weights (King, Zeng 2001);
        "sqrt": its square root, half-way to "none"; or class name → weight.
    """
    if isinstance(mode, Mapping):
        return np.array([mode[name] for name in classes], dtype=np.float32)
    if mode == "none":
        return np.ones(len(classes), dtype=np.float32)
    balanced = len(labels) / (len(classes) * np.bincount(labels, minlength=len(classes)))
    return (balanced if mode == "balanced" else np.sqrt(balanced)).astype(np.float32)


def _distinct_rows(hashes: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, int, int]:
    """Return the rows to keep, ascending, and how many were duplicates and how many in two classes."""
    order = np.argsort(hashes, kind="stable")  # among equal names the first of the input comes first
    starts = np.flatnonzero(np.r_[True, hashes[order][1:] != hashes[order][:-1]]) if len(order) else order
    if not len(starts):
        return starts, 0, 0
    sizes = np.diff(np.r_[starts, len(order)])
    lowest = np.minimum.reduceat(labels[order], starts)
    highest = np.maximum.reduceat(labels[order], starts)
    agrees = lowest == highest
    conflicts = int(sizes[~agrees].sum())
    duplicates = int((sizes[agrees] - 1).sum())
    return np.sort(order[starts[agrees]]), duplicates, conflicts


def _how_to_fill(names: LabelledDomains, label: str, config: DataConfig) -> str:
    """Say what to do about a part without names of a class, of which `names` are all there are."""
    days = names.days[names.days != UNKNOWN_DAY]
    if config.split != "time" or not len(days):
        return "give more names, or change data.seed or the fractions"
    count = len(np.unique(days))
    return (
        f"data.split: time goes by dates, and of {len(names):,} {label} names {len(days):,} have one, "
        f"on {count:,} {'day' if count == 1 else 'days'}: give names of more days, or take another data.split"
    )


def _cap_classes(dataset: LabelledDomains, rows: np.ndarray, config: DataConfig) -> np.ndarray:
    """Keep at most `max_per_class` rows of each class: those with the smallest hash of name and seed.

    That is a uniform sample of the whole input, whatever its order, and the same on every machine. Names
    that are `training_only` are not counted.
    """
    if config.max_per_class is None:
        return rows
    extra, rows = rows[dataset.training_only[rows]], rows[~dataset.training_only[rows]]
    place = unit_interval(dataset.hashes[rows], config.seed + 1)  # not the numbers that the split goes by
    order = rows[np.argsort(place, kind="stable")]
    labels = dataset.labels[order]
    kept = [order[labels == k][: config.max_per_class] for k in range(len(config.classes))]
    return np.sort(np.concatenate([*kept, extra]))
