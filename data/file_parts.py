"""Files to parts that can be read apart from each other, and which process reads which part.

What the parts are depends on the files alone, not on the number of processes, so that a job that is started
again with another number finds its parts.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import msgspec

from data.byte_source import MAX_RECORD_BYTES, ByteSource
from data.decompression import GZIP_MAGIC, ZSTD_MAGIC
from data.file_format import detect_format
from data.json_reader import array_start
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
    """Return the parts of the files, in the order of the files and of their lines; see `split_file`."""
    return [part for path in paths for part in split_file(path, format, part_bytes)]


def split_file(
    path: Path, format: str, part_bytes: int | None = None, *, arrays: bool = False
) -> list[FilePart]:
    """Return the parts of a file, in their order.

    Only uncompressed files of lines are split, into parts of `PART_BYTES` or `part_bytes`.

    Parameters
    ----------
    arrays
        Also split a JSON array whose first line is a whole record. It may turn out otherwise further on: if a
        part of it is refused, that tells nothing, and the file has to be read as a whole.

    Raises
    ------
    DataError
        The file cannot be read, or its format cannot be told.
    """
    try:
        num_bytes = path.stat().st_size
        whole = [FilePart(path, format, None, num_bytes)]
        part_bytes = part_bytes or PART_BYTES
        if num_bytes <= part_bytes or _is_compressed(path):
            return whole
        with ByteSource(path) as source:
            found = detect_format(source) if format == "auto" else format
            is_array = arrays and found == "json" and _has_one_record_a_line(source)
        if not is_array and found not in _FORMATS_OF_LINES:
            return [replace(whole[0], format=found)]
        starts = _line_starts(path, num_bytes, part_bytes, is_array)
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    ends = [*starts[1:], num_bytes]
    return [FilePart(path, found, span, span[1] - span[0]) for span in zip(starts, ends, strict=True)]


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


def _is_compressed(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4).startswith((GZIP_MAGIC, ZSTD_MAGIC))


def _has_one_record_a_line(source: ByteSource) -> bool:
    """Tell whether the first line of an array, after its opening, is a value and a comma."""
    start = array_start(source)
    if start is None:
        return False
    source.skip(start)
    line = next(source.pieces(MAX_RECORD_BYTES), b"")
    if not line.endswith((b",\n", b",\r\n")):
        return False
    try:
        msgspec.json.decode(line.rstrip()[:-1], type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _line_starts(path: Path, num_bytes: int, part_bytes: int, is_array: bool) -> list[int]:
    """Return where lines start, some `part_bytes` apart, the first at 0; in an array, after a comma."""
    starts = [0]
    with path.open("rb") as file:
        while starts[-1] + part_bytes < num_bytes:
            file.seek(starts[-1] + part_bytes)
            ending = _skip_line(file)
            if file.tell() >= num_bytes or (is_array and not ending.endswith((b",\n", b",\r\n"))):
                break
            starts.append(file.tell())
    return starts


def _skip_line(file: BinaryIO) -> bytes:
    """Read to the end of a line, in pieces: a line may be as long as the file. Return the last piece."""
    while (piece := file.readline(1024 * 1024)) and not piece.endswith(b"\n"):
        pass
    return piece
