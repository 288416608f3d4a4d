"""The arrays of a data set: what one file yields, and many files put together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.name_table import NameTable

UNKNOWN_DAY = -1  # a name without a date
NO_WORD = ""  # a name without a source or a family
MAX_WORDS = 2**16  # distinct sources and families of one file; more would not be a vocabulary


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNames:
    """What one file yields: its names, normalised, in the order of the file.

    Attributes
    ----------
    names
        N normalised names; the same name may stand more than once.
    hashes, groups
        (N,) uint64, a stable hash of the name and of its registered domain.
    days
        (N,) int32, `sourced_on` as days since 1970-01-01, or UNKNOWN_DAY.
    sources, families
        (N,) uint16, places in `words`.
    words
        The distinct values of `source` and `malware`; place 0 is the empty word.
    num_records
        Rows read, N and the dropped ones together.
    drops
        Reason → how many rows were no domain name.
    """

    names: NameTable
    hashes: np.ndarray
    groups: np.ndarray
    days: np.ndarray
    sources: np.ndarray
    families: np.ndarray
    words: list[str]
    num_records: int
    drops: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledDomains:
    """Names with their classes; all arrays have one entry a name.

    Attributes
    ----------
    domains
        N normalised names, each once.
    labels
        (N,) int64, place in `classes`.
    groups
        (N,) uint64, a stable hash of the registered domain: what splits and intervals go by.
    hashes
        (N,) uint64, a stable hash of the name.
    days
        (N,) int32, days since 1970-01-01, or UNKNOWN_DAY.
    sources, families
        (N,) unsigned, places in `words`. Never a model input: they give the class away.
    training_only
        (N,) bool, names that nothing may be judged on, for example generated ones.
    classes
        Class names.
    words
        The distinct sources and families.
    """

    domains: NameTable
    labels: np.ndarray
    groups: np.ndarray
    hashes: np.ndarray
    days: np.ndarray
    sources: np.ndarray
    families: np.ndarray
    training_only: np.ndarray
    classes: tuple[str, ...]
    words: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "LabelledDomains":
        """Return the names at row numbers `rows`, in that order."""
        return LabelledDomains(
            domains=self.domains.take(rows),
            labels=self.labels[rows],
            groups=self.groups[rows],
            hashes=self.hashes[rows],
            days=self.days[rows],
            sources=self.sources[rows],
            families=self.families[rows],
            training_only=self.training_only[rows],
            classes=self.classes,
            words=self.words,
        )

    def only(self, classes: Sequence[str]) -> "LabelledDomains":
        """Return the names of some classes; the class numbers stay."""
        wanted = np.array([self.classes.index(name) for name in classes])
        return self.take(np.flatnonzero(np.isin(self.labels, wanted)))

    def judged(self) -> "LabelledDomains":
        """Return the names that are not `training_only`."""
        return self.take(np.flatnonzero(~self.training_only)) if self.training_only.any() else self

    def family_names(self) -> np.ndarray:
        """Return each name's family, (N,) object, None where unknown."""
        return np.array([word or None for word in self.words], dtype=object)[self.families]

    def counts(self) -> dict[str, int]:
        """Return class name → number of names."""
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return dict(zip(self.classes, numbers.tolist(), strict=True))


def join_datasets(datasets: Sequence[LabelledDomains]) -> LabelledDomains:
    """Put data sets with the same classes one after the other."""
    words, translation = _common_words([dataset.words for dataset in datasets])
    pairs = list(zip(translation, datasets, strict=True))
    return LabelledDomains(
        domains=NameTable.concatenate([dataset.domains for dataset in datasets]),
        labels=np.concatenate([dataset.labels for dataset in datasets]),
        groups=np.concatenate([dataset.groups for dataset in datasets]),
        hashes=np.concatenate([dataset.hashes for dataset in datasets]),
        days=np.concatenate([dataset.days for dataset in datasets]),
        sources=np.concatenate([places[dataset.sources] for places, dataset in pairs]),
        families=np.concatenate([places[dataset.families] for places, dataset in pairs]),
        training_only=np.concatenate([dataset.training_only for dataset in datasets]),
        classes=datasets[0].classes,
        words=words,
    )


def join_parts(parts: Sequence[FileNames]) -> FileNames | None:
    """Put the parts of a file together; None where they have more than `MAX_WORDS` words."""
    words, translation = _common_words([part.words for part in parts])
    if len(words) > MAX_WORDS:
        return None
    pairs = list(zip(translation, parts, strict=True))
    return FileNames(
        names=NameTable.concatenate([part.names for part in parts]),
        hashes=np.concatenate([part.hashes for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        days=np.concatenate([part.days for part in parts]),
        sources=np.concatenate([places[part.sources] for places, part in pairs]).astype(np.uint16),
        families=np.concatenate([places[part.families] for places, part in pairs]).astype(np.uint16),
        words=words,
        num_records=sum(part.num_records for part in parts),
        drops=dict(sum((Counter(part.drops) for part in parts), Counter())),
    )


def label_file(
    file: FileNames, label: int, classes: tuple[str, ...], *, training_only: bool = False
) -> LabelledDomains:
    """Give all names of a file the class number `label`; nothing is copied."""
    return LabelledDomains(
        domains=file.names,
        labels=np.full(len(file.names), label, dtype=np.int64),
        groups=file.groups,
        hashes=file.hashes,
        days=file.days,
        sources=file.sources,
        families=file.families,
        training_only=np.full(len(file.names), training_only),
        classes=classes,
        words=file.words,
    )


def _common_words(vocabularies: Sequence[list[str]]) -> tuple[list[str], list[np.ndarray]]:
    """Return one vocabulary, and for each old one the new place of each of its words (uint32)."""
    words = [NO_WORD, *dict.fromkeys(word for words in vocabularies for word in words if word != NO_WORD)]
    place = {word: number for number, word in enumerate(words)}
    return words, [np.array([place[word] for word in words_], dtype=np.uint32) for words_ in vocabularies]
