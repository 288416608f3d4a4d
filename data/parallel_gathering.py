"""Files to compact arrays in several processes, each of which reads a part of a file at a time.

A part that is refused tells nothing yet: the lines before it may have been no whole records, and it does not
know their number. Then the file is read as a whole, by one process, so that an array in another layout is
read all the same, and an error names the place.
"""

import gc
import multiprocessing
import os
import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from pathlib import Path

from data import cache
from data.data_loader import SourceFile
from data.file_names import gather_and_store, gather_file
from data.file_parts import FilePart
from data.labelled_domains import FileNames, join_parts
from data.progress_bars import NOT_BEGUN, ProgressBars
from data.public_suffix import suffix_rules
from utils.errors import EXIT_FAILED, DataError, UserError
from utils.signals import leave_signals_to_parent, signals_held
from utils.worker_processes import can_fork

_NONE_WANTED = -1
_MOST_PROCESSES = 61  # more are an error on Windows, and of no use to a disk
_SECONDS_BETWEEN_REPORTS = 0.2


def gather_in_processes(
    files: Sequence[SourceFile],
    parts: Sequence[Sequence[FilePart]],
    workers: int,
    cache_dir: Path | None,
    bars: ProgressBars,
) -> list[FileNames]:
    """Read the files, each of which consists of `parts`, in at most so many processes.

    Raises
    ------
    DataError
        The first file, in their order, that cannot be read to its end.
    UserError
        A process was killed, or the cache cannot be written.
    """
    context = multiprocessing.get_context("fork" if can_fork() else "spawn")
    suffix_rules()  # read once: copies have it
    gathering = _Gathering(files, parts, cache_dir, context)
    processes = min(workers, sum(map(len, parts)), _MOST_PROCESSES)
    try:
        with ProcessPoolExecutor(
            processes, gathering.context, _initialize_worker, (gathering.shared,)
        ) as pool:
            try:
                return gathering.run(pool, bars)
            finally:
                gathering.shared.last_wanted.value = _NONE_WANTED
                pool.shutdown(wait=True, cancel_futures=True)
    except BrokenProcessPool:
        raise UserError("a reading process was killed (out of memory?); set data.workers: 1") from None


@dataclass(frozen=True, slots=True)
class _Task:
    """Something that a worker reads.

    Attributes
    ----------
    file
        The number of the file.
    place
        The number of the part in it; None for all of a file whose parts are not wanted any more.
    slot
        Where the worker reports.
    """

    file: int
    place: int | None
    slot: int


class _Shared:
    """What the processes tell each other: a number each, without locks: a killed process would keep one.

    Attributes
    ----------
    progress
        Bytes and records of each slot.
    is_read_whole
        Of each file, whether its parts are not wanted any more.
    last_wanted
        The number of the last file that is still wanted.
    """

    def __init__(self, context: BaseContext, num_files: int, num_slots: int) -> None:
        self.progress = context.RawArray("q", [0, NOT_BEGUN] * num_slots)
        self.is_read_whole = context.RawArray("b", num_files)
        self.last_wanted = context.RawValue("q", num_files - 1)


class _Gathering:
    """What is read, what is still to be read, and what came out."""

    def __init__(
        self,
        files: Sequence[SourceFile],
        parts: Sequence[Sequence[FilePart]],
        cache_dir: Path | None,
        context: BaseContext,
    ) -> None:
        self.context = context
        self._files = files
        self._parts = parts
        self._cache_dir = cache_dir
        self._slots = []  # of each file: those of its parts, then one for the whole
        for file_parts in parts:
            first = self._slots[-1][-1] + 1 if self._slots else 0
            self._slots.append(range(first, first + len(file_parts) + 1))
        self.shared = _Shared(context, len(files), self._slots[-1][-1] + 1)
        self._keys = [None if cache_dir is None else cache.cache_key(f) for f in files]
        self._modified = [_modified_ns(file.path) for file in files]
        self._read: list[dict[int, FileNames]] = [{} for _ in files]  # place of a part → its names
        self._results: dict[int, FileNames] = {}
        self._errors: dict[int, BaseException] = {}
        self._pending: dict[Future[FileNames], _Task] = {}
        self._done: queue.SimpleQueue[Future[FileNames]] = queue.SimpleQueue()

    def run(self, pool: ProcessPoolExecutor, bars: ProgressBars) -> list[FileNames]:
        """Let the workers read everything, and return it.

        When a file fails, those after it are stopped, but those before it come to their end. One of those may
        fail as well, later: only so the first error does not depend on who was faster.
        """
        with signals_held():  # the first task starts the workers
            for file, parts in enumerate(self._parts):
                for place in range(len(parts)):
                    self._submit(pool, _Task(file, place, self._slots[file][place]))
        next_report = 0.0
        while self._pending:
            try:
                future = self._done.get(timeout=_SECONDS_BETWEEN_REPORTS)
            except queue.Empty:
                future = None
            if future is not None:
                self._take(pool, self._pending.pop(future), future)
            if time.monotonic() >= next_report or not self._pending:  # it looks at every file
                bars.update(
                    [number for file in range(len(self._files)) for number in self._progress_of(file)]
                )
                next_report = time.monotonic() + _SECONDS_BETWEEN_REPORTS
        if self._errors:
            raise self._errors[min(self._errors)]
        return [self._results[file] for file in range(len(self._files))]

    def _submit(self, pool: ProcessPoolExecutor, task: _Task) -> None:
        file = self._files[task.file]
        part = None if task.place is None else self._parts[task.file][task.place]
        if part is not None and part.span is not None:
            future = pool.submit(_read_part, task, part, file.all_keys)
        else:
            future = pool.submit(_read_file, task, file, self._cache_dir)
        self._pending[future] = task
        future.add_done_callback(self._done.put)

    def _take(self, pool: ProcessPoolExecutor, task: _Task, future: Future[FileNames]) -> None:
        """Take what became of a task."""
        error = future.exception()
        if isinstance(error, _AbandonedError):
            return
        is_part = task.place is not None and self._parts[task.file][task.place].span is not None
        if error is None and not is_part:
            self._results[task.file] = future.result()
        elif error is None:
            self._read[task.file][task.place] = future.result()
            if len(self._read[task.file]) == len(self._parts[task.file]):
                self._join(pool, task.file)
        elif is_part and isinstance(error, DataError):
            self._read_whole(pool, task.file)
        elif isinstance(error, BrokenProcessPool):
            raise error
        else:
            self._errors[task.file] = error
            self.shared.last_wanted.value = min(self.shared.last_wanted.value, task.file)

    def _join(self, pool: ProcessPoolExecutor, file: int) -> None:
        """Put the parts of a file together."""
        parts = self._read[file]
        names = join_parts([parts[place] for place in range(len(parts))])
        parts.clear()
        if names is None or not names.num_records or not self._is_unchanged(file):
            self._read_whole(pool, file)
            return
        if self._cache_dir is not None and cache.cache_key(self._files[file]) == self._keys[file]:
            cache.store(self._cache_dir, self._keys[file], names)
        self._results[file] = names

    def _is_unchanged(self, file: int) -> bool:
        """Tell whether a file still is what it was when it was divided."""
        path = self._files[file].path
        try:
            is_as_large = path.stat().st_size == sum(part.num_bytes for part in self._parts[file])
        except OSError:
            return False
        return is_as_large and _modified_ns(path) == self._modified[file]

    def _read_whole(self, pool: ProcessPoolExecutor, file: int) -> None:
        """Let one worker read a file from its start, and the others leave its parts."""
        if not self.shared.is_read_whole[file]:
            self.shared.is_read_whole[file] = True
            self._submit(pool, _Task(file, None, self._slots[file][-1]))

    def _progress_of(self, file: int) -> tuple[int, int]:
        """Return the bytes and the records of a file so far; `NOT_BEGUN` records: not yet."""
        *of_parts, of_whole = self._slots[file]
        slots = [of_whole] if self.shared.is_read_whole[file] else of_parts
        reports = [self.shared.progress[2 * slot : 2 * slot + 2] for slot in slots]
        begun = [report for report in reports if report[1] != NOT_BEGUN]
        return (sum(r[0] for r in begun), sum(r[1] for r in begun)) if begun else (0, NOT_BEGUN)


def _modified_ns(path: Path) -> int:
    """Return when a file was written to; 0 where it is not there: whoever reads it says so."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


# ------------------------------------------------------------------------ workers

_shared: _Shared | None = None  # set in each worker by its initializer


class _AbandonedError(Exception):
    """The parent wants this no more: a file before it failed, or the parent was interrupted."""


def _initialize_worker(shared: _Shared) -> None:
    """Keep what is shared; leave signals to the parent; do not outlive it."""
    global _shared
    _shared = shared
    leave_signals_to_parent()
    gc.freeze()  # looking through its objects would copy the memory that they lie in
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone: by SIGTERM, a parent ends without a word to its workers."""
    multiprocessing.parent_process().join()
    os._exit(EXIT_FAILED)


def _read_part(task: _Task, part: FilePart, all_keys: bool) -> FileNames:
    return gather_file(part.path, part.format, all_keys=all_keys, span=part.span, progress=_Reporter(task))


def _read_file(task: _Task, file: SourceFile, cache_dir: Path | None) -> FileNames:
    return gather_and_store(file, cache_dir, progress=_Reporter(task))


class _Reporter:
    """Tells the parent how far this worker is, and ends its task where that is not wanted any more."""

    def __init__(self, task: _Task) -> None:
        self._task = task

    def __call__(self, consumed: int, records: int) -> None:
        task = self._task
        is_replaced = task.place is not None and _shared.is_read_whole[task.file]
        if is_replaced or task.file > _shared.last_wanted.value:
            raise _AbandonedError
        _shared.progress[2 * task.slot : 2 * task.slot + 2] = [consumed, records]
