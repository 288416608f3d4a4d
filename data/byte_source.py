"""The bytes of a data file: opening, standard input, compression, byte-order marks, lines, progress.

Everything is read forwards once and in small blocks, so that a pipe, a file of 16 GB and `tail -f` are alike.
"""

import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

from data.decompression import GZIP_MAGIC, ZSTD_MAGIC, GunzippedBytes, UnzstdBytes
from utils.errors import DataError

STDIN = Path("-")
BLOCK_BYTES = 256 * 1024  # from the file at once
READ_BYTES = 64 * 1024  # for a parser at once, which makes an object of each token
# A record has 6 to 17 kB, and MongoDB takes no document beyond 16 MiB: this bounds memory and time, not data.
MAX_RECORD_BYTES = 16 * 1024 * 1024
# Enough of the first line to tell the formats apart.
MAX_HEAD_BYTES = 1024 * 1024

_OTHER_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "bzip2 data",
    b"\xfd7zXZ\x00": "xz data",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_BOM = b"\xef\xbb\xbf"


class ByteSource:
    """The decompressed bytes of one file, as a context manager.

    Parameters
    ----------
    path
        A file, or `STDIN` for standard input. Compression is told by the first bytes, not by the
        name.
    progress
        Called with the number of bytes newly read from the (compressed) file, once a block.

    Attributes
    ----------
    name
        What error messages call the file.
    head
        The start of the file up to the end of the first line that is not blank, or some `MAX_HEAD_BYTES`.
        These bytes are still to be read. No more is taken from a pipe than that, so it does not wait.

    Raises
    ------
    DataError
        From every method: the file is missing, a folder, unreadable, damaged, or compressed otherwise.
    """

    def __init__(self, path: Path, progress: Callable[[int], object] | None = None) -> None:
        self.name = "<stdin>" if path == STDIN else str(path)
        self._path = path
        self._progress = progress
        self._file: BinaryIO | None = None
        self.head = b""

    def __enter__(self) -> "ByteSource":
        try:
            self._file = _raw_stdin() if self._path == STDIN else self._path.open("rb", buffering=0)
        except OSError as error:
            raise self.error(f"cannot be opened: {error.strerror}") from error
        try:
            self._look_at_start(_FileBytes(self._file, self._progress, self.error))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None and self._path != STDIN:
            self._file.close()

    def skip(self, size: int) -> None:
        """Leave out the first `size` bytes of `head`, before anything else is read."""
        self._buffered = io.BufferedReader(_Chained(self.head[size:], self._content), BLOCK_BYTES)

    def read(self) -> bytes:
        """Return the next bytes, as many as there are at hand, and b"" only at the end of the file."""
        return self._buffered.read1(READ_BYTES)

    def readinto(self, buffer: memoryview) -> int:
        """Put the next bytes into `buffer`, as many as there are at hand; return 0 only at the end."""
        return self._buffered.readinto1(buffer)

    def pieces(self, max_bytes: int) -> Iterator[bytes]:
        """Yield each line with its line feed as soon as it is complete, but at most `max_bytes` at once."""
        return iter(partial(self._buffered.readline, max_bytes), b"")

    def line_blocks(self) -> Iterator[tuple[bytearray, int, int]]:
        """Yield a buffer and where whole lines in it begin and end, always the same one or a longer one.

        A line beyond `MAX_RECORD_BYTES` is dropped: both places are 0. Whole lines never wait for more.
        """
        room = 4 * BLOCK_BYTES
        buffer, held, too_long = bytearray(room), 0, False
        while size := self._read_behind(buffer, held):
            end = buffer.rfind(b"\n", held, held + size) + 1
            held += size
            if end:
                if too_long:
                    yield buffer, 0, 0
                start = buffer.index(b"\n") + 1 if too_long else 0
                if start < end:
                    yield buffer, start, end
                rest = buffer[end:held]
                held, too_long = len(rest), False
                buffer = buffer if len(buffer) == room else bytearray(max(room, held))
                buffer[:held] = rest
            if held == len(buffer) and (too_long or held >= MAX_RECORD_BYTES):
                held, too_long = 0, True
            elif held == len(buffer):
                buffer += bytes(min(held, MAX_RECORD_BYTES - held))
        if held or too_long:
            yield buffer, 0, 0 if too_long else held

    def _read_behind(self, buffer: bytearray, held: int) -> int:
        with memoryview(buffer) as view, view[held:] as room:
            return self.readinto(room)

    def lines(self) -> Iterator[bytes | None]:
        """Yield each line without its line feed, but None for a line beyond `MAX_RECORD_BYTES`."""
        too_long = False
        for piece in self.pieces(MAX_RECORD_BYTES):
            if too_long or (len(piece) == MAX_RECORD_BYTES and not piece.endswith(b"\n")):
                if not too_long:
                    yield None
                # What is left of such a line is read and dropped.
                too_long = not piece.endswith(b"\n")
            else:
                yield piece.removesuffix(b"\n")

    def error(self, message: str, position: str | None = None) -> DataError:
        """Return the error to raise about this file."""
        return DataError(self.name, message, position)

    def _look_at_start(self, file: "_FileBytes") -> None:
        """Find out how the file is compressed, drop a byte-order mark, and set `head`."""
        start = _read_start(file, [GZIP_MAGIC, ZSTD_MAGIC, *_OTHER_MAGIC])
        for magic, kind in _OTHER_MAGIC.items():
            if start.startswith(magic):
                raise self.error(
                    f"expected UTF-8 text, plain or compressed by gzip or zstandard, found {kind}"
                )
        content: io.RawIOBase = _Chained(start, file)
        if start.startswith(GZIP_MAGIC):
            content = GunzippedBytes(content, self.error)
        elif start.startswith(ZSTD_MAGIC):
            content = UnzstdBytes(content, self.error)
        head = _read_start(content, [_BOM]).removeprefix(_BOM)
        while b"\n" not in head.lstrip() and len(head) < MAX_HEAD_BYTES:
            block = content.read(BLOCK_BYTES)
            if not block:
                break
            head += block
        if b"\x00" in head.lstrip().partition(b"\n")[0]:
            raise self.error("expected text, found binary data")
        self.head = head
        self._content = content
        self._buffered = io.BufferedReader(_Chained(head, content), BLOCK_BYTES)


class _FileBytes(io.RawIOBase):
    """An open file whose errors are the user's and whose progress is told."""

    def __init__(
        self, file: BinaryIO, progress: Callable[[int], object] | None, error: Callable[[str], DataError]
    ) -> None:
        # `readinto1` returns what a pipe holds at the moment; `readinto` of an unbuffered file does as well.
        self._fill = getattr(file, "readinto1", file.readinto)
        self._progress = progress
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        try:
            size = self._fill(buffer)
        except OSError as error:
            raise self._error(f"cannot be read: {error.strerror}") from error
        if self._progress is not None and size:
            self._progress(size)
        return size


def _raw_stdin() -> BinaryIO:
    """Return standard input without its buffer, whose lock a waiting thread would hold when Python ends."""
    return getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)


class _Chained(io.RawIOBase):
    """Some bytes, and then those of another file."""

    def __init__(self, start: bytes, rest: io.RawIOBase) -> None:
        self._start = start
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        if not self._start:
            return self._rest.readinto(buffer)
        part = self._start[: len(buffer)]
        self._start = self._start[len(part) :]
        buffer[: len(part)] = part
        return len(part)


def _read_start(file: io.RawIOBase, prefixes: list[bytes]) -> bytes:
    """Return the first bytes, as many as it takes to tell which of `prefixes` they begin with."""
    data = b""
    while any(len(data) < len(prefix) and prefix.startswith(data) for prefix in prefixes):
        block = file.read(BLOCK_BYTES)
        if not block:
            break
        data += block
    return data
