"""One file, or a part of it, to compact arrays: normalised names, what is known of each, what was dropped."""

import hashlib
from array import array
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np

from data import cache
from data.data_loader import Record, SourceFile, read_records
from data.domain_name import Rejected, normalize_domain, registered_domain
from data.labelled_domains import MAX_WORDS, NO_WORD, UNKNOWN_DAY, FileNames
from data.name_table import NameTable, offsets_from_lengths
from data.progress_bars import Progress
from utils.errors import DataError

MISSING_NAME = "missing_name"
RECORDS_BETWEEN_REPORTS = 2048


def gather_file(
    path: Path,
    format: str = "auto",
    *,
    all_keys: bool = True,
    span: tuple[int, int] | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> FileNames:
    """Read one file, keep what is a domain name, count the rest by reason.

    Parameters
    ----------
    all_keys
        See `data.data_loader.read_records`.
    span
        Read only the lines between two places, from `data.file_parts.split_file`; `format` is its, too.
    limit
        Read only so many records.
    progress
        Called at the start, now and then, and at the end.

    Raises
    ------
    DataError
        The file cannot be read to its end, or a line is malformed: half a file is not trained on.
    """
    columns = _Columns(path)
    consumed = 0

    def note(new_bytes: int) -> None:
        nonlocal consumed
        consumed += new_bytes

    def report() -> None:
        if progress is not None:
            progress(consumed, columns.num_records)

    report()
    records = read_records(path, format=format, all_keys=all_keys, span=span, progress=note)
    for record in islice(records, limit):
        columns.num_records += 1
        if columns.num_records % RECORDS_BETWEEN_REPORTS == 0:
            report()
        if record.malformed:
            raise DataError(path, record.error, record.position)
        if record.error is not None:
            columns.drops[MISSING_NAME] += 1
            continue
        name = normalize_domain(record.domain)
        if isinstance(name, Rejected):
            columns.drops[name.reason] += 1
        else:
            columns.add(name, record)
    report()
    return columns.finish()


def gather_and_store(
    file: SourceFile, cache_dir: Path | None, *, limit: int | None = None, progress: Progress | None = None
) -> FileNames:
    """Read one file as `gather_file` does, and put it into the cache where there is one.

    Raises
    ------
    DataError
        As of `gather_file`.
    UserError
        The cache cannot be written.
    """
    key = None if cache_dir is None else cache.cache_key(file)
    names = gather_file(file.path, file.format, all_keys=file.all_keys, limit=limit, progress=progress)
    if cache_dir is not None and cache.cache_key(file) == key:  # not written to meanwhile
        cache.store(cache_dir, key, names)
    return names


def stable_hash(data: bytes) -> int:
    """Return a 64-bit hash that is the same on every machine and in every release (BLAKE2b, RFC 7693)."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


class _Columns:
    """The growing arrays of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blob, self.lengths, self.days = bytearray(), array("H"), array("i")
        self.hashes, self.groups = array("Q"), array("Q")
        self.sources, self.families = array("H"), array("H")
        self.words: dict[str, int] = {NO_WORD: 0}
        self.drops: Counter[str] = Counter()
        self.num_records = 0

    def add(self, name: str, record: Record) -> None:
        """Append a normalised name and what its record says of it."""
        encoded = name.encode("ascii")
        self.blob += encoded
        self.lengths.append(len(encoded))
        self.hashes.append(stable_hash(encoded))
        self.groups.append(stable_hash(registered_domain(name).encode("ascii")))
        self.days.append(UNKNOWN_DAY if record.sourced_on is None else record.sourced_on)
        self.sources.append(self._place(record.source))
        self.families.append(self._place(record.family))

    def _place(self, word: str | None) -> int:
        """Return the place of a word, adding it when it is new."""
        place = self.words.setdefault(word or NO_WORD, len(self.words))
        if place >= MAX_WORDS:
            raise DataError(self.path, f"has more than {MAX_WORDS:,} distinct values of source and malware")
        return place

    def finish(self) -> FileNames:
        """Return the arrays."""
        lengths = np.frombuffer(self.lengths, np.uint16)
        return FileNames(
            names=NameTable(np.frombuffer(self.blob, np.uint8), offsets_from_lengths(lengths)),
            hashes=np.frombuffer(self.hashes, np.uint64),
            groups=np.frombuffer(self.groups, np.uint64),
            days=np.frombuffer(self.days, np.int32),
            sources=np.frombuffer(self.sources, np.uint16),
            families=np.frombuffer(self.families, np.uint16),
            words=list(self.words),
            num_records=self.num_records,
            drops=dict(self.drops),
        )
