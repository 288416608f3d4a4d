"""Files to compact arrays: each in a process of its own, or from the cache."""

import hashlib
import multiprocessing
import os
import signal
import sys
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from data import cache
from data.data_loader import SourceFile, read_records
from data.domain_name import Rejected, normalize_domain, registered_domain
from data.labelled_domains import NO_WORD, UNKNOWN_DAY, FileNames
from data.name_table import NameTable, offsets_from_lengths
from utils.errors import DataError

MISSING_NAME = "missing_name"
MAX_WORDS = 2**16  # distinct sources and families of one file; more would not be a vocabulary
BYTES_WORTH_A_PROCESS = 32 * 2**20  # below this, starting a process costs more than it saves
RECORDS_BETWEEN_REPORTS = 2048

Progress = Callable[[int, int], None]  # bytes of the file consumed, records read


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
        The first file, in the order of `files`, that cannot be read.
    """
    found: dict[int, FileNames] = {}
    if cache_dir is not None and limit is None:
        loaded = {
            i: cache.load(cache_dir, cache.cache_key(file.path, file.format)) for i, file in enumerate(files)
        }
        found = {i: names for i, names in loaded.items() if names is not None}
    missing = [i for i in range(len(files)) if i not in found]
    bars = Bars([files[i] for i in missing], show_progress)
    total = sum(files[i].path.stat().st_size for i in missing)
    processes = min(workers or os.cpu_count() or 1, len(missing))
    store_in = None if limit is not None else cache_dir
    with bars:
        if processes > 1 and total >= BYTES_WORTH_A_PROCESS and limit is None:
            results = _gather_in_processes([files[i] for i in missing], processes, store_in, bars)
        else:
            results = [
                _gather_one(files[i], store_in, limit, bars.reporter(n)) for n, i in enumerate(missing)
            ]
    found.update(zip(missing, results, strict=True))
    return [found[i] for i in range(len(files))]


def gather_file(
    path: Path, format: str = "auto", *, limit: int | None = None, progress: Progress | None = None
) -> FileNames:
    """Read one file, keep what is a domain name, count the rest by reason.

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

    for record in islice(read_records(path, format=format, progress=note), limit):
        columns.num_records += 1
        if progress is not None and columns.num_records % RECORDS_BETWEEN_REPORTS == 0:
            progress(consumed, columns.num_records)
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

    def add(self, name: str, record) -> None:
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


def _gather_one(
    file: SourceFile, cache_dir: Path | None, limit: int | None, progress: Progress | None
) -> FileNames:
    """Read one file and put it into the cache where there is one."""
    key = None if cache_dir is None else cache.cache_key(file.path, file.format)
    names = gather_file(file.path, file.format, limit=limit, progress=progress)
    if (
        cache_dir is not None and cache.cache_key(file.path, file.format) == key
    ):  # nobody wrote to it meanwhile
        cache.store(cache_dir, key, names)
    return names


# ---------------------------------------------------------------------- processes

_shared: "multiprocessing.sharedctypes.SynchronizedArray | None" = (
    None  # set in each worker by its initializer
)


class _AbandonedError(Exception):
    """The parent gave up: another file failed, or it was interrupted."""


def _gather_in_processes(
    files: Sequence[SourceFile], processes: int, cache_dir: Path | None, bars: "Bars"
) -> list[FileNames]:
    """Read each file in a process; workers report through shared counters and stop when told to."""
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    counters = context.Array("q", 2 * len(files) + 1)  # bytes and records of each file, then "stop"
    with ProcessPoolExecutor(processes, context, _initialize_worker, (counters,)) as pool:
        futures: list[Future[FileNames]] = [
            pool.submit(_work, number, file, cache_dir) for number, file in enumerate(files)
        ]
        try:
            pending = set(futures)
            while pending:
                done, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
                bars.update(counters[:-1])
                if any(future.exception() for future in done):
                    break
        finally:
            counters[-1] = 1
            pool.shutdown(wait=True, cancel_futures=True)
    failures = [f.exception() for f in futures if not f.cancelled() and f.exception() is not None]
    real = [failure for failure in failures if not isinstance(failure, _AbandonedError)]
    if real:
        raise real[0]
    return [future.result() for future in futures]


def _initialize_worker(counters) -> None:
    """Keep the counters; leave Ctrl-C to the parent."""
    global _shared
    _shared = counters
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _work(number: int, file: SourceFile, cache_dir: Path | None) -> FileNames:
    """Read one file in a worker."""

    def report(consumed: int, records: int) -> None:
        if _shared[-1]:
            raise _AbandonedError
        _shared[2 * number], _shared[2 * number + 1] = consumed, records

    return _gather_one(file, cache_dir, None, report)


class Bars:
    """A progress bar for each file: bytes read, time left, records/s; on a terminal only."""

    def __init__(self, files: Sequence[SourceFile], show: bool | None) -> None:
        self._files = files
        self._show = sys.stderr.isatty() if show is None else show
        self._bars: list[tqdm] = []
        self._started = time.monotonic()

    def __enter__(self) -> "Bars":
        if self._show:
            self._bars = [
                tqdm(
                    total=file.path.stat().st_size,
                    desc=file.path.name,
                    unit="B",
                    unit_scale=True,
                    position=n,
                    leave=False,
                    dynamic_ncols=True,
                )
                for n, file in enumerate(self._files)
            ]
        return self

    def __exit__(self, *_: object) -> None:
        for bar in reversed(self._bars):
            bar.close()

    def reporter(self, number: int) -> Progress:
        """Return the `progress` of one file."""
        return lambda consumed, records: self._set(number, consumed, records)

    def update(self, counters: Sequence[int]) -> None:
        """Take bytes and records of all files."""
        for number in range(len(self._files)):
            self._set(number, counters[2 * number], counters[2 * number + 1])

    def _set(self, number: int, consumed: int, records: int) -> None:
        if self._bars:
            bar = self._bars[number]
            speed = records / max(time.monotonic() - self._started, 1e-9)
            bar.set_postfix_str(f"{speed:,.0f} records/s", refresh=False)
            bar.update(consumed - bar.n)
