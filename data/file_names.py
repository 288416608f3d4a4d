"""One file, or a part of it, to compact arrays: normalised names, what is known of each, what was dropped."""

from array import array
from collections import Counter
from hashlib import blake2b
from itertools import compress, islice
from pathlib import Path

import numpy as np

from data import cache
from data.data_loader import Record, SourceFile, read_records
from data.domain_name import Rejected, normalize_domain, registered_domain
from data.labelled_domains import MAX_WORDS, NO_WORD, UNKNOWN_DAY, FileNames
from data.name_table import NameTable, offsets_from_lengths
from data.progress_bars import Progress
from utils.errors import DataError
from utils.row_batches import file_batches

MISSING_NAME = "missing_name"
RECORDS_AT_ONCE = 256  # few enough to be in the processor's cache still when their names are looked at
BATCHES_A_REPORT = 8


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
    for batch in file_batches(islice(records, limit), RECORDS_AT_ONCE):
        columns.add(batch)
        if columns.num_records % (RECORDS_AT_ONCE * BATCHES_A_REPORT) == 0:
            report()
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


def stable_hash(text: str) -> int:
    """Return a 64-bit hash of ASCII, the same on every machine and in every release (BLAKE2b, RFC 7693)."""
    return int(_as_integers(_hash_bytes(text))[0])


_HASHER = blake2b(digest_size=8)


def _hash_bytes(text: str) -> bytes:
    hasher = _HASHER.copy()  # in two thirds of the time that making one takes
    hasher.update(text.encode("ascii"))
    return hasher.digest()


def _as_integers(hashes: bytes | bytearray) -> np.ndarray:
    """Return hashes that stand one after the other as (N,) uint64."""
    return np.frombuffer(hashes, np.dtype("<u8"))


class _Columns:
    """The growing arrays of one file."""

    def __init__(self, path: Path) -> None:
        self.blob, self.lengths, self.days = bytearray(), array("H"), array("i")
        self.hashes, self.groups = bytearray(), bytearray()
        self.sources, self.families = array("H"), array("H")
        self.places = _Places(path)
        self._path = path
        self.drops: Counter[str] = Counter()
        self.num_records = 0

    def add(self, records: list[Record]) -> None:
        """Append the names of some records and what is said of them, and count the records without one.

        Raises
        ------
        DataError
            One is malformed.
        """
        self.num_records += len(records)
        names = [normalize_domain(record.domain) if record.error is None else None for record in records]
        is_name = [type(name) is str for name in names]
        if not all(is_name):
            self._count_drops(names, records)
            names, records = list(compress(names, is_name)), list(compress(records, is_name))
        self.blob += "".join(names).encode("ascii")
        self.lengths.extend(map(len, names))
        hashes = list(map(_hash_bytes, names))
        self.hashes += b"".join(hashes)
        self.groups += b"".join(
            [
                own if group == name else _hash_bytes(group)
                for name, group, own in zip(names, map(registered_domain, names), hashes, strict=True)
            ]
        )
        self.days.extend([UNKNOWN_DAY if (day := record.sourced_on) is None else day for record in records])
        # One word after the other: their order must not depend on how many records come at once.
        words = [word for record in records for word in (record.source, record.family)]
        places = array("H", map(self.places.__getitem__, words))
        self.sources += places[::2]
        self.families += places[1::2]

    def _count_drops(self, names: list[str | Rejected | None], records: list[Record]) -> None:
        """Count what is no name by reason; a malformed record is an error."""
        for name, record in zip(names, records, strict=True):
            if record.malformed:
                raise DataError(self._path, record.error, record.position)
            if type(name) is not str:
                self.drops[MISSING_NAME if name is None else name.reason] += 1

    def finish(self) -> FileNames:
        """Return the arrays."""
        lengths = np.frombuffer(self.lengths, np.uint16)
        return FileNames(
            names=NameTable(np.frombuffer(self.blob, np.uint8), offsets_from_lengths(lengths)),
            hashes=_as_integers(self.hashes),
            groups=_as_integers(self.groups),
            days=np.frombuffer(self.days, np.int32),
            sources=np.frombuffer(self.sources, np.uint16),
            families=np.frombuffer(self.families, np.uint16),
            words=self.places.words,
            num_records=self.num_records,
            drops=dict(self.drops),
        )


class _Places(dict):
    """Word → its place in `words`, which grows by each new word; None has that of no word."""

    def __init__(self, path: Path) -> None:
        super().__init__({None: 0, NO_WORD: 0})
        self.words = [NO_WORD]
        self._path = path

    def __missing__(self, word: str) -> int:
        place = len(self.words)
        if place >= MAX_WORDS:
            raise DataError(self._path, f"has more than {MAX_WORDS:,} distinct values of source and malware")
        self.words.append(word)
        self[word] = place
        return place
