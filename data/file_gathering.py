"""One file to compact arrays, and many files at once in processes of their own."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data.data_loader import read_records
from data.domain_name import Rejected, normalize_domain, registered_domain
from data.labelled_domains import NO_WORD, UNKNOWN_DAY, FileNames
from data.name_table import NameTable, offsets_from_lengths
from utils.errors import DataError

MISSING_NAME = "missing_name"
MAX_WORDS = 2**16  # distinct sources and families of one file; more would not be a vocabulary


def gather_file(path: Path, format: str = "auto", progress: Callable[[int], None] | None = None) -> FileNames:
    """Read one file, keep what is a domain name, count the rest by reason.

    Parameters
    ----------
    progress
        Called now and then with the bytes of the file that are consumed.

    Raises
    ------
    DataError
        The file cannot be read to its end, or a line is malformed: half a file is not trained on.
    """
    blob, lengths, days = bytearray(), array("H"), array("i")
    hashes, groups = array("Q"), array("Q")
    sources, families = array("H"), array("H")
    words: dict[str, int] = {NO_WORD: 0}
    drops: Counter[str] = Counter()
    num_records = 0
    for record in read_records(path, format=format, progress=progress):
        num_records += 1
        if record.malformed:
            raise DataError(path, record.error, record.position)
        name = (
            normalize_domain(record.domain) if record.error is None else Rejected(MISSING_NAME, record.error)
        )
        if isinstance(name, Rejected):
            drops[name.reason] += 1
            continue
        encoded = name.encode("ascii")
        blob += encoded
        lengths.append(len(encoded))
        hashes.append(stable_hash(encoded))
        groups.append(stable_hash(registered_domain(name).encode("ascii")))
        days.append(UNKNOWN_DAY if record.sourced_on is None else record.sourced_on)
        sources.append(_number(words, record.source, path))
        families.append(_number(words, record.family, path))
    return FileNames(
        names=NameTable(
            np.frombuffer(blob, np.uint8), offsets_from_lengths(np.frombuffer(lengths, np.uint16))
        ),
        hashes=np.frombuffer(hashes, np.uint64),
        groups=np.frombuffer(groups, np.uint64),
        days=np.frombuffer(days, np.int32),
        sources=np.frombuffer(sources, np.uint16),
        families=np.frombuffer(families, np.uint16),
        words=list(words),
        num_records=num_records,
        drops=dict(drops),
    )


def stable_hash(data: bytes) -> int:
    """Return a 64-bit hash that is the same on every machine and in every release (BLAKE2b, RFC 7693)."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def _number(words: dict[str, int], word: str | None, path: Path) -> int:
    """Return the place of a word, adding it when it is new."""
    number = words.setdefault(word or NO_WORD, len(words))
    if number >= MAX_WORDS:
        raise DataError(path, f"has more than {MAX_WORDS} distinct values of source and malware")
    return number
