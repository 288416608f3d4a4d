"""Some lines of a file: what lies between two places of it."""

import io
from collections.abc import Callable
from pathlib import Path

from data.byte_source import BLOCK_BYTES, ByteSource


class ByteRange(ByteSource):
    """The bytes of an uncompressed file from `start` up to `end`, each of which is where a line starts.

    What tells the file's format stands at its beginning only: `head` is empty for any later range, and a line
    there may look like the beginning of another kind of file.

    Attributes
    ----------
    is_last
        Whether it reaches to the end of the file.
    line_before
        The end of the line before it, b"" where there is none.
    """

    def __init__(
        self, path: Path, start: int, end: int, progress: Callable[[int], object] | None = None
    ) -> None:
        super().__init__(path, progress)
        self._start, self._end = start, end
        self.is_last = False
        self.line_before = b""

    def _look_at_start(self, file: io.RawIOBase) -> None:
        self.is_last = self._end >= self._file.seek(0, io.SEEK_END)
        self._file.seek(max(self._start - 3, 0))
        self.line_before = self._file.read(min(self._start, 3))
        content = _FirstBytes(file, self._end - self._start)
        if self._start == 0:
            super()._look_at_start(content)
        else:
            self._content = content
            self._buffered = io.BufferedReader(content, BLOCK_BYTES)


class _FirstBytes(io.RawIOBase):
    """The next bytes of a file, so many at most."""

    def __init__(self, file: io.RawIOBase, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        size = self._file.readinto(memoryview(buffer)[: self._left])
        self._left -= size
        return size
