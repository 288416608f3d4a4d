"""gzip and zstandard as streams: memory is bounded whatever the data claims, and an early end is an error."""

import io
import zlib
from abc import abstractmethod
from collections.abc import Callable

import zstandard

from utils.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_BLOCK_BYTES = 256 * 1024
# A block of three bytes may stand for 128 kB of content, and the decompressor gives all that its input holds:
# of so little input at once that is 40 MB at the very worst.
_ZSTD_INPUT_BYTES = 1024


class Decompressed(io.RawIOBase):
    """The content of one or more compressed members, one after the other.

    Parameters
    ----------
    compressed
        The file.
    error
        Makes the error to raise from a message.
    """

    kind: str

    def __init__(self, compressed: io.RawIOBase, error: Callable[[str], DataError]) -> None:
        self._compressed = compressed
        self._error = error
        self._data = b""

    def readable(self) -> bool:
        return True

    def _damaged(self, problem: Exception) -> DataError:
        return self._error(f"the {self.kind} data is damaged ({problem})")

    def _truncated(self) -> DataError:
        return self._error(f"the {self.kind} data ends early: the file is truncated")

    @abstractmethod
    def readinto(self, buffer: memoryview) -> int:
        """Put the next bytes of the content into `buffer`; return 0 only at the end."""


class GunzippedBytes(Decompressed):
    """gzip; zero bytes after a member are padding (gzip(1), RFC 1952)."""

    kind = "gzip"

    def __init__(self, compressed: io.RawIOBase, error: Callable[[str], DataError]) -> None:
        super().__init__(compressed, error)
        self._member = zlib.decompressobj(wbits=31)

    def readinto(self, buffer: memoryview) -> int:
        while True:
            at_end = False
            if not self._data:
                self._data = self._compressed.read(_BLOCK_BYTES)
                at_end = not self._data
            if self._member.eof:
                self._data = self._data.lstrip(b"\x00")
                if at_end:
                    return 0
                if not self._data:
                    continue
                self._member = zlib.decompressobj(wbits=31)
            try:
                # At the end of the file, the decompressor may still hold output that did not fit before.
                content = self._member.decompress(self._data, min(len(buffer), _BLOCK_BYTES))
            except zlib.error as error:
                raise self._damaged(error) from error
            self._data = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if content:
                buffer[: len(content)] = content
                return len(content)
            if at_end and not self._member.eof:
                raise self._truncated()


class UnzstdBytes(Decompressed):
    """zstandard (RFC 8878); a frame that asks for a window beyond 128 MB is refused, as by zstd(1)."""

    kind = "zstandard"

    def __init__(self, compressed: io.RawIOBase, error: Callable[[str], DataError]) -> None:
        super().__init__(compressed, error)
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._content = memoryview(b"")

    def readinto(self, buffer: memoryview) -> int:
        while not self._content:
            if not self._data:
                self._data = self._compressed.read(_BLOCK_BYTES)
                if not self._data:
                    if not self._frame.eof:
                        raise self._truncated()
                    return 0
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            part, self._data = self._data[:_ZSTD_INPUT_BYTES], self._data[_ZSTD_INPUT_BYTES:]
            try:
                self._content = memoryview(self._frame.decompress(part))
            except zstandard.ZstdError as error:
                raise self._damaged(error) from error
            if self._frame.eof:
                self._data = self._frame.unused_data + self._data
        size = min(len(self._content), len(buffer))
        buffer[:size] = self._content[:size]
        self._content = self._content[size:]
        return size
