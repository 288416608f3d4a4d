"""Files to compact arrays: from the cache, or read, in several processes where that is of use."""

import os
from collections.abc import Sequence
from pathlib import Path

from data import cache
from data.data_loader import SourceFile
from data.file_names import gather_and_store
from data.file_parts import FilePart, split_file
from data.labelled_domains import FileNames
from data.parallel_gathering import gather_in_processes
from data.progress_bars import ProgressBars
from utils.errors import DataError

BYTES_WORTH_A_PROCESS = 32 * 2**20  # below this, starting a process costs more than it saves


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
    workers = workers or os.cpu_count() or 1
    with ProgressBars([file.path.name for file in unread], sizes, show_progress) as bars:
        if workers > 1 and sum(sizes) >= BYTES_WORTH_A_PROCESS and limit is None:
            parts = [_parts_of(file) for file in unread]
            results = gather_in_processes(unread, parts, workers, store_in, bars)
        else:
            results = [
                gather_and_store(file, store_in, limit=limit, progress=bars.reporter(number))
                for number, file in enumerate(unread)
            ]
    found.update(zip(missing, results, strict=True))
    return [found[i] for i in range(len(files))]


def _load_cached(files: Sequence[SourceFile], cache_dir: Path) -> dict[int, FileNames]:
    """Return what the cache has: place of a file in `files` → what it yielded."""
    loaded = {i: cache.load(cache_dir, cache.cache_key(file)) for i, file in enumerate(files)}
    return {i: names for i, names in loaded.items() if names is not None}


def _parts_of(file: SourceFile) -> list[FilePart]:
    """Return the parts of a file; one where it is to be refused: in its turn, when it is read."""
    try:
        return split_file(file.path, file.format, arrays=True)
    except DataError:
        return [FilePart(file.path, file.format, None, _size(file.path))]


def _size(path: Path) -> int:
    """Return the bytes of a file."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
