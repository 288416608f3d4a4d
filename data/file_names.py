"""One file, or a part of it, to compact arrays: normalised names, what is known of each, what was dropped."""

from array import array
from collections import Counter
from hashlib import blake2b
from itertools import islice
from pathlib import Path

import numpy as np

from data import cache
from data.data_loader import Record, SourceFile, read_records
from data.domain_name import normalize_domain, registered_domain
from data.labelled_domains import MAX_WORDS, NO_WORD, UNKNOWN_DAY, FileNames
from data.name_table import NameTable, offsets_from_lengths
from data.progress_bars import Progress
from utils.errors import DataError

MISSING_NAME = "missing_name"
RECORDS_AT_ONCE = 2048  # between reports of progress


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
    names: list[str] = []
    kept: list[Record] = []

    def put() -> None:
        columns.add(names, kept)
        names.clear()
        kept.clear()

    for record in islice(records, limit):
        columns.num_records += 1
        if record.malformed:
            raise DataError(path, record.error, record.position)
        name = normalize_domain(record.domain) if record.error is None else None
        if type(name) is str:
            names.append(name)
            kept.append(record)
        else:
            columns.drops[MISSING_NAME if name is None else name.reason] += 1
        if columns.num_records % RECORDS_AT_ONCE == 0:
            put()
            report()
    put()
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


def _hash_bytes(text: str) -> bytes:
    return blake2b(text.encode("ascii"), digest_size=8).digest()


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
        self.drops: Counter[str] = Counter()
        self.num_records = 0

    def add(self, names: list[str], records: list[Record]) -> None:
        """Append normalised names and what their records say of them."""
        self.blob += "".join(names).encode("ascii")
        self.lengths.extend(map(len, names))
        hashes = list(map(_hash_bytes, names))
        registered = map(registered_domain, names)
        self.hashes += b"".join(hashes)
        self.groups += b"".join(
            [
                own if group == name else _hash_bytes(group)
                for name, group, own in zip(names, registered, hashes, strict=True)
            ]
        )
        days = [record.sourced_on for record in records]
        self.days.extend([UNKNOWN_DAY if day is None else day for day in days])
        # One word after the other: their order must not depend on how many records come at once.
        places = [self.places[word] for record in records for word in (record.source, record.family)]
        self.sources.extend(places[::2])
        self.families.extend(places[1::2])

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
