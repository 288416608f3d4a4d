"""Files to compact arrays: each in a process of its own, or from the cache."""

import hashlib
import multiprocessing
import os
import signal
import threading
from array import array
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.sharedctypes import SynchronizedArray
from pathlib import Path

import numpy as np

from data import cache
from data.data_loader import Record, SourceFile, read_records
from data.domain_name import Rejected, normalize_domain, registered_domain
from data.labelled_domains import NO_WORD, UNKNOWN_DAY, FileNames
from data.name_table import NameTable, offsets_from_lengths
from data.progress_bars import NOT_BEGUN, Progress, ProgressBars
from utils.errors import EXIT_FAILED, DataError, UserError

MISSING_NAME = "missing_name"
MAX_WORDS = 2**16  # distinct sources and families of one file; more would not be a vocabulary
BYTES_WORTH_A_PROCESS = 32 * 2**20  # below this, starting a process costs more than it saves
RECORDS_BETWEEN_REPORTS = 2048


def gather_files(
    files: Sequence[SourceFile],
    *,
    workers: int = 0,
    cache_dir: Path | None = None,
    limit: int | None = None,
    show_progress: bool | None = None,
) -> list[FileNames]:
    """Read all files, in as many processes as are of use; the result does not depend on how many.

    Parameters
    ----------
    workers
        Number of processes; 0 takes one a processor.
    cache_dir
        Where to keep what files yield, or None. Not used with `limit`.
    limit
        Read only so many records of each file.
    show_progress
        Whether to draw bars on stderr; None draws them on a terminal only.

    Raises
    ------
    DataError
        A file is missing; or else the first one, in the order of `files`, that cannot be read to its end.
    UserError
        The cache cannot be written (before anything is read), or a reading process was killed.
    """
    store_in = None if limit is not None else cache_dir
    found = {} if store_in is None else _load_cached(files, store_in)
    missing = [i for i in range(len(files)) if i not in found]
    if store_in is not None and missing:
        cache.check_writable(store_in)
    unread = [files[i] for i in missing]
    sizes = [_size(file.path) for file in unread]
    processes = min(workers or os.cpu_count() or 1, len(unread))
    with ProgressBars([file.path.name for file in unread], sizes, show_progress) as bars:
        if processes > 1 and sum(sizes) >= BYTES_WORTH_A_PROCESS and limit is None:
            results = _gather_in_processes(unread, processes, store_in, bars)
        else:
            results = [_gather_one(file, store_in, limit, bars.reporter(n)) for n, file in enumerate(unread)]
    found.update(zip(missing, results, strict=True))
    return [found[i] for i in range(len(files))]


def gather_file(
    path: Path, format: str = "auto", *, limit: int | None = None, progress: Progress | None = None
) -> FileNames:
    """Read one file, keep what is a domain name, count the rest by reason.

    Parameters
    ----------
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
    for record in islice(read_records(path, format=format, progress=note), limit):
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


def _load_cached(files: Sequence[SourceFile], cache_dir: Path) -> dict[int, FileNames]:
    """Return what the cache has: place of a file in `files` → what it yielded."""
    loaded = {
        i: cache.load(cache_dir, cache.cache_key(file.path, file.format)) for i, file in enumerate(files)
    }
    return {i: names for i, names in loaded.items() if names is not None}


def _size(path: Path) -> int:
    """Return the bytes of a file."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error


def _gather_one(
    file: SourceFile, cache_dir: Path | None, limit: int | None, progress: Progress | None
) -> FileNames:
    """Read one file and put it into the cache where there is one."""
    key = None if cache_dir is None else cache.cache_key(file.path, file.format)
    names = gather_file(file.path, file.format, limit=limit, progress=progress)
    if cache_dir is not None and cache.cache_key(file.path, file.format) == key:  # not written to meanwhile
        cache.store(cache_dir, key, names)
    return names


# ---------------------------------------------------------------------- processes

# Bytes and records of each file, then the number of the last file that is still wanted.
NONE_WANTED = -1

_counters: SynchronizedArray | None = None  # set in each worker by its initializer


class _AbandonedError(Exception):
    """The parent wants this file no more: one before it failed, or the parent was interrupted."""


def _gather_in_processes(
    files: Sequence[SourceFile], processes: int, cache_dir: Path | None, bars: ProgressBars
) -> list[FileNames]:
    """Read each file in a process; workers report through shared counters and stop when told to."""
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    counters = context.Array("q", [0, NOT_BEGUN] * len(files) + [len(files) - 1])
    try:
        with ProcessPoolExecutor(processes, context, _initialize_worker, (counters,)) as pool:
            try:
                futures = [pool.submit(_work, number, file, cache_dir) for number, file in enumerate(files)]
                _wait_for_all(futures, counters, bars)
            finally:
                counters[-1] = NONE_WANTED
                pool.shutdown(wait=True, cancel_futures=True)
        return [future.result() for future in futures]  # raises what the first file that failed raised
    except BrokenProcessPool:
        raise UserError("a reading process was killed (out of memory?); set data.workers: 1") from None


def _wait_for_all(
    futures: Sequence[Future[FileNames]], counters: SynchronizedArray, bars: ProgressBars
) -> None:
    """Wait for all files; when one fails, stop those after it, but let those before it come to their end.

    One of those may fail as well, later: only so the first error does not depend on who was faster.
    """
    pending = set(futures)
    while pending:
        done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
        bars.update(counters[:-1])
        failed = [futures.index(future) for future in done if future.exception() is not None]
        counters[-1] = min([counters[-1], *failed])


def _initialize_worker(counters: SynchronizedArray) -> None:
    """Keep the counters; leave Ctrl-C to the parent; do not outlive it."""
    global _counters
    _counters = counters
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone: by SIGTERM, a parent ends without a word to its workers."""
    multiprocessing.parent_process().join()
    os._exit(EXIT_FAILED)


def _work(number: int, file: SourceFile, cache_dir: Path | None) -> FileNames:
    """Read one file in a worker."""

    def report(consumed: int, records: int) -> None:
        if number > _counters[-1]:
            raise _AbandonedError
        _counters[2 * number], _counters[2 * number + 1] = consumed, records

    return _gather_one(file, cache_dir, None, report)
