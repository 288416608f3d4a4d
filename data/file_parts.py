"""Files to parts that can be read apart from each other, and which process reads which part.

What the parts are depends on the files alone, not on the number of processes, so that a job that is started
again with another number finds its parts.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from data.byte_source import ByteSource
from data.decompression import GZIP_MAGIC, ZSTD_MAGIC
from data.file_format import detect_format
from utils.errors import DataError

PART_BYTES = 16 * 1024 * 1024  # 800,000 names: minutes of one core
# Formats in which a line is understood without those before it. CSV has a header, and line feeds in quotes.
_FORMATS_OF_LINES = ("text", "jsonl")


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file, or the lines of it from one byte up to another.

    Attributes
    ----------
    format
        One of `FORMATS`; never "auto" where there is a span.
    span
        The places where its first line and the line after its last start; None for the whole file.
    num_bytes
        What there is to read, compressed as it is.
    """

    path: Path
    format: str
    span: tuple[int, int] | None
    num_bytes: int


def split_files(paths: Sequence[Path], format: str, part_bytes: int | None = None) -> list[FilePart]:
    """Return the parts of the files, in the order of the files and of their lines.

    Only uncompressed files of lines are split, into parts of `PART_BYTES` or `part_bytes`.

    Raises
    ------
    DataError
        A file cannot be read, or its format cannot be told.
    """
    return [part for path in paths for part in _split(path, format, part_bytes or PART_BYTES)]


def share_of(parts: Sequence[FilePart], rank: int, size: int) -> list[int]:
    """Return the numbers of the parts that process `rank` of `size` reads: together all, about evenly.

    The largest part goes first, each to whoever has least so far.
    """
    loads = [(0, process) for process in range(size)]
    mine = []
    for number in sorted(range(len(parts)), key=lambda n: (-parts[n].num_bytes, n)):
        load, process = heapq.heappop(loads)
        heapq.heappush(loads, (load + parts[number].num_bytes, process))
        if process == rank:
            mine.append(number)
    return sorted(mine)


def _split(path: Path, format: str, part_bytes: int) -> list[FilePart]:
    """Return the parts of one file."""
    try:
        num_bytes = path.stat().st_size
        if num_bytes <= part_bytes:
            return [FilePart(path, format, None, num_bytes)]
        with path.open("rb") as file:
            is_compressed = file.read(4).startswith((GZIP_MAGIC, ZSTD_MAGIC))
        if is_compressed:
            return [FilePart(path, format, None, num_bytes)]
        with ByteSource(path) as source:
            found = detect_format(source) if format == "auto" else format
        if found not in _FORMATS_OF_LINES:
            return [FilePart(path, found, None, num_bytes)]
        starts = _line_starts(path, num_bytes, part_bytes)
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    ends = [*starts[1:], num_bytes]
    return [FilePart(path, found, span, span[1] - span[0]) for span in zip(starts, ends, strict=True)]


def _line_starts(path: Path, num_bytes: int, part_bytes: int) -> list[int]:
    """Return where lines start, some `part_bytes` apart, the first at 0."""
    starts = [0]
    with path.open("rb") as file:
        while starts[-1] + part_bytes < num_bytes:
            file.seek(starts[-1] + part_bytes)
            _skip_line(file)
            if file.tell() >= num_bytes:
                break
            starts.append(file.tell())
    return starts


def _skip_line(file: BinaryIO) -> None:
    """Read to the end of a line, in pieces: a line may be as long as the file."""
    while (piece := file.readline(1024 * 1024)) and not piece.endswith(b"\n"):
        pass
