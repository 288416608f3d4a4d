"""JSON arrays with one record a line, as mongoexport writes them: decoded a block of lines at a time.

JSON strings hold no raw line feed, so a comma before a line feed stands between two values. What comes before
the last such comma of a block, in brackets, is a JSON array if and only if the commas between its lines are
those between elements of the file's array: any other cut leaves a bracket or a brace open. So a whole
block is decoded where it lies in the buffer, and one that is refused is looked at line by line.
"""

from collections.abc import Generator, Iterable, Iterator

import msgspec

from data import byte_source
from data.byte_source import READ_BYTES, ByteSource
from data.record import Record, records_from_json
from data.record_decoder import REFUSALS, RecordDecoder

# Large enough that what a block costs by itself is little: 256 kB take 2 % longer, and 1 MB, which leaves the
# processor's second cache, as well.
BLOCK_BYTES = 512 * 1024


def read_one_a_line(
    source: ByteSource, column: str | None, all_keys: bool, lines: bytes
) -> Generator[Iterable[Record], None, tuple[int, Iterator[bytes]]]:
    """Yield the records of an array, whose opening has been read, as far as each line ends with a comma.

    Those of a block come together.

    Parameters
    ----------
    lines
        Some of the file, of which the end of the first line that is not blank tells how all lines end.

    Returns
    -------
    number
        How many records there were; nothing after them has been looked at.
    rest
        The bytes after them that have been read from `source`, in small pieces. There are some wherever the
        last element is reached, a line is no element, or a line is longer than `MAX_RECORD_BYTES`.
    """
    first, line_feed, _ = lines.lstrip().partition(b"\n")
    block = _Block(b",\r\n" if first.endswith(b"\r") and line_feed else b",\n")
    decoder = RecordDecoder(column, all_keys)
    number = 0
    while block.read_from(source):
        try:
            elements = block.decode(decoder)
        except REFUSALS:
            elements = block.decode_by_line(decoder)
        yield records_from_json(elements, "record", number + 1, column)
        number += len(elements)
        if not block.is_good:
            break
    return number, block.pieces()


class _Block:
    """A buffer for some lines that end with a comma, and the start of the next line.

    Attributes
    ----------
    is_good
        Whether every line that was looked at is an element.
    """

    def __init__(self, ending: bytes) -> None:
        self._ending = ending  # of each line: the comma and what follows it
        self._buffer = bytearray(1 + BLOCK_BYTES)  # the first byte is for a bracket
        self._start = 1  # of what is not decoded yet
        self._comma = 0  # the last that ends a line
        self._end = 1  # of what has been read
        self.is_good = True

    def read_from(self, source: ByteSource) -> bool:
        """Read on until there is a line that ends with a comma; return whether there is one."""
        self._move_to_front()
        while self._end <= byte_source.MAX_RECORD_BYTES:
            self._make_room()
            new = self._end
            with memoryview(self._buffer) as view, view[new : 1 + byte_source.MAX_RECORD_BYTES] as room:
                self._end += source.readinto(room[:BLOCK_BYTES])
            # An ending may have begun before. Without one, there was no comma before the lines that ended.
            self._comma = self._buffer.rfind(self._ending, max(1, new - len(self._ending) + 1), self._end)
            if self._comma >= 0:
                return True
            if new == self._end or self._buffer.find(b"\n", new, self._end) >= 0:
                return False
        return False

    def decode(self, decoder: RecordDecoder) -> list[object]:
        """Return the elements of all lines.

        Raises
        ------
        DecodeError, UnicodeDecodeError, RecursionError, RefusedBytesError
            There is anything else between the commas at the lines' ends, or nothing, or what is refused.
        """
        self._buffer[0] = ord("[")
        self._buffer[self._comma] = ord("]")
        try:
            elements = decoder.decode_array(self._buffer, 0, self._comma + 1, self._ending)
        finally:
            self._buffer[self._comma] = ord(",")
        if not elements:
            raise msgspec.DecodeError("no element before the comma")
        self._start = self._comma + len(self._ending)
        return elements

    def decode_by_line(self, decoder: RecordDecoder) -> list[object]:
        """Return the elements of the lines before the first that is no element."""
        elements = []
        while self._start <= self._comma:
            line_end = self._buffer.index(b"\n", self._start) + 1
            line = bytes(self._buffer[self._start : line_end])
            self.is_good = line.endswith(self._ending)
            if not self.is_good:
                break
            try:
                elements.append(decoder.decode(line[: -len(self._ending)]))
            except REFUSALS:
                self.is_good = False
                break
            self._start = line_end
        return elements

    def pieces(self) -> Iterator[bytes]:
        """Yield what was read and not decoded, then let go of it."""
        for place in range(self._start, self._end, READ_BYTES):
            yield bytes(self._buffer[place : min(place + READ_BYTES, self._end)])
        self._buffer = bytearray()

    def _move_to_front(self) -> None:
        rest = self._buffer[self._start : self._end]
        if len(self._buffer) > 1 + BLOCK_BYTES:  # there was a long record
            self._buffer = bytearray(1 + max(BLOCK_BYTES, len(rest)))
        self._start, self._end = 1, 1 + len(rest)
        self._buffer[1 : self._end] = rest

    def _make_room(self) -> None:
        size = len(self._buffer)
        if self._end == size:
            self._buffer += bytes(min(size, 1 + byte_source.MAX_RECORD_BYTES - size))
