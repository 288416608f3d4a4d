"""The container of an export: the metadata of an .onnx file, and what is refused before a runtime reads it.

An .onnx file is a protobuf message. ONNX Runtime, given a hostile one, opens other files that it names as the
place of its weights, and runs loops without end. Exports of this project need neither: the graph is flat and
complete. So the few fields that could ask for more are looked at first, on the wire, where no library is
needed and no memory is taken on the file's word.

Formats: https://protobuf.dev/programming-guides/encoding/ and onnx.proto of https://github.com/onnx/onnx
"""

import stat
from collections.abc import Iterator
from pathlib import Path

from utils.errors import CheckpointError

MAX_BYTES = 2**31 - 1  # of any protobuf message
MAX_FIELDS = 1_000_000  # an export has some thousand; each costs a microsecond here

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# (message, field) → the kind of message inside; what is not listed holds numbers or text
_INSIDE = {
    ("model", 7): "graph",
    ("model", 14): "metadata",
    ("graph", 1): "node",
    ("graph", 5): "tensor",
    ("node", 5): "attribute",
    ("attribute", 5): "tensor",
    ("attribute", 10): "tensor",
}
_REFUSED = {
    ("model", 20): "a training graph",
    ("model", 25): "functions",
    ("graph", 15): "sparse weights",
    ("attribute", 6): "a loop or a branch",
    ("attribute", 11): "a loop or a branch",
    ("attribute", 22): "sparse weights",
    ("attribute", 23): "sparse weights",
    ("tensor", 13): "weights that lie in another file",
}


def read_onnx_file(path: Path) -> tuple[bytes, dict[str, str]]:
    """Return the bytes of an .onnx file and its metadata.

    Raises
    ------
    CheckpointError
        No such file, no ONNX file, damaged, or it holds what no export needs.
    """
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISCHR(status.st_mode) or stat.S_ISFIFO(status.st_mode):
            raise CheckpointError(f"{path}: no regular file")  # it may go on without end
        if status.st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: larger than 2 GB, which no ONNX file is")
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return content, read_metadata(content)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None


def read_metadata(content: bytes) -> dict[str, str]:
    """Return the metadata of an ONNX model, refusing what no export needs.

    Raises
    ------
    CheckpointError
        The bytes are no ONNX model, or hold sub-graphs, functions or references to other files.
    """
    metadata: dict[str, str] = {}
    budget = MAX_FIELDS
    waiting = [("model", 0, len(content))]
    while waiting:
        message, start, end = waiting.pop()
        if message == "metadata":
            key, value = _text_pair(content, start, end)
            metadata[key] = value
            continue
        for field, start_of_value, end_of_value in _fields(content, start, end):
            budget -= 1
            if budget < 0:
                raise CheckpointError(f"refused: it has more than {MAX_FIELDS:,} parts, which no export has")
            if (message, field) in _REFUSED:
                raise CheckpointError(f"refused: it holds {_REFUSED[message, field]}, which no export needs")
            if (message, field) in _INSIDE:
                waiting.append((_INSIDE[message, field], start_of_value, end_of_value))
    return metadata


def _fields(content: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (field number, start, end) of each value of the message in content[position:end]."""
    while position < end:
        key, position = _varint(content, position, end)
        wire_type = key & 7
        if wire_type == _BYTES:
            length, start = _varint(content, position, end)
            position = start + length
        elif wire_type == _VARINT:
            start = position
            _, position = _varint(content, position, end)
        elif wire_type in (_FIXED64, _FIXED32):
            start, position = position, position + (8 if wire_type == _FIXED64 else 4)
        else:
            raise CheckpointError("damaged, cut short, or no ONNX file")
        if position > end:
            raise CheckpointError("damaged, cut short, or no ONNX file")
        yield key >> 3, start, position


def _varint(content: bytes, position: int, end: int) -> tuple[int, int]:
    """Return the number that starts at `position`, seven bits a byte, and where the next value starts."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= end:
            break
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise CheckpointError("damaged, cut short, or no ONNX file")


def _text_pair(content: bytes, start: int, end: int) -> tuple[str, str]:
    """Return the key and the value of one entry of the metadata."""
    texts = {1: "", 2: ""}
    for field, start_of_value, end_of_value in _fields(content, start, end):
        if field in texts:
            texts[field] = content[start_of_value:end_of_value].decode("utf-8", "replace")
    return texts[1], texts[2]
