"""Data sets for tests, made from lists of names."""

import numpy as np

from data.domain_name import registered_domain
from data.file_names import stable_hash
from data.labelled_domains import UNKNOWN_DAY, LabelledDomains
from data.name_table import NameTable, offsets_from_lengths

CLASSES = ("benign", "phishing", "malware")


def hashes_of(names):
    """Return the stable hash of each name, (N,) uint64."""
    return np.array([stable_hash(name) for name in names], dtype=np.uint64)


def name_table(names):
    """Return ASCII strings as a table."""
    encoded = [name.encode("ascii") for name in names]
    lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
    return NameTable(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets_from_lengths(lengths))


def labelled_domains(names, labels, days=None, training_only=None):
    """Return a data set of distinct normalised names, by default without days and for all parts."""
    count = len(names)
    return LabelledDomains(
        domains=name_table(names),
        labels=np.asarray(labels, dtype=np.int64),
        groups=hashes_of([registered_domain(name) for name in names]),
        hashes=hashes_of(names),
        days=np.full(count, UNKNOWN_DAY, np.int32) if days is None else np.asarray(days, np.int32),
        sources=np.zeros(count, np.uint16),
        families=np.zeros(count, np.uint16),
        training_only=np.zeros(count, bool) if training_only is None else np.asarray(training_only, bool),
        classes=CLASSES,
        words=[""],
    )
