"""JSON objects with a key twice: no two programs agree on which value counts (RFC 8259, section 4).

Most programs write numbers and text in the same way. Where a value is read and written again and gives the
same bytes, but for white space, nothing was lost on the way: both then have the same tokens, so also as many
keys, and an object that was read has each of its keys once. That proves valid UTF-8 and integers of 64 bits,
too, and takes half as long as to compare the keys of each object as they come, which is done for all others.
"""

import gc
import io
import json
from collections import deque
from collections.abc import Iterator

import ijson
import orjson

from data.byte_source import READ_BYTES
from data.json_checks import CheckedBytes, RefusedBytesError, untrapped, what_is_wrong

# What is longer is looked at piece by piece: built, it may be 25 times as large. Real records have 17 kB.
BUILT_BYTES = 1024 * 1024
_WHITE_SPACE = b" \t\r\n"
READ_AT_ONCE = 4 * 1024  # bytes of short lines; the objects of more leave the processor's caches


def parts_of_lines(
    lines: bytes | bytearray, start: int, end: int, ending: bytes
) -> Iterator[tuple[int, int]]:
    """Yield from where to where lines reach that are read at once: a long one, or some short ones.

    Parameters
    ----------
    lines
        From `start` to `end` lines, each with one value.
    ending
        What stands between two of them: a line feed, with a comma or without.
    """
    while start <= end:
        last = end
        if end - start > READ_AT_ONCE:
            # Looking for one byte takes a fraction of looking for two; another end of a line is rare.
            line_feed = lines.rfind(b"\n", start, start + READ_AT_ONCE)
            if line_feed < 0:
                line_feed = lines.find(b"\n", start, end)
            if lines.startswith(ending, max(start, line_feed + 1 - len(ending))):
                last = line_feed + 1 - len(ending)
        yield start, last
        start = last + len(ending)


def read_surely(lines: bytes, ending: bytes) -> list[object] | None:
    """Return what the JSON values of some lines are, if it is sure that no key stands twice in any.

    Returns
    -------
    At least one value, several a line perhaps where `ending` has a comma; None where they have to be looked
    at more closely.
    """
    if len(lines) > BUILT_BYTES:
        return None
    # Python's garbage collector looks at new objects every 700 of them: here it would find nothing, at the
    # price of the reading.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        built = orjson.loads(b"[%b]" % (lines if b"," in ending else lines.replace(ending, b",")))
        written = ending.join(map(orjson.dumps, built))
        if written != lines and written.translate(None, _WHITE_SPACE) != lines.translate(None, _WHITE_SPACE):
            return None
        return built or None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
    finally:
        if was_enabled:
            gc.enable()


def check_all_keys(value: bytes | bytearray) -> None:
    """Check JSON that was taken as such, in any spelling.

    Raises
    ------
    RefusedBytesError
        A key stands twice in its object, or it is no JSON for ijson.
    RecursionError
        It is nested too deeply.
    """
    if len(value) <= BUILT_BYTES:
        _decode(value.decode())
        return
    stream = io.BytesIO(value)
    checked = CheckedBytes(lambda: stream.read(READ_BYTES), b"")
    try:
        untrapped(deque, unique_keys(iter(ijson.basic_parse(checked, buf_size=READ_BYTES))), 0)
    except ijson.JSONError as error:
        raise RefusedBytesError(what_is_wrong(error, checked)) from error


def unique_keys(events: Iterator[tuple[str, object]]) -> Iterator[tuple[str, object]]:
    """Yield the events of ijson's `basic_parse` up to a key that stands in its object already.

    Raises
    ------
    RefusedBytesError
        There is one.
    """
    outer: list[set[str]] = []  # the keys of each object that is open, but for the innermost
    keys: set[str] = set()
    for item in events:
        event = item[0]
        if event == "map_key":
            if item[1] in keys:
                raise RefusedBytesError(repeated(item[1]))
            keys.add(item[1])
        elif event == "start_map":
            outer.append(keys)
            keys = set()
        elif event == "end_map":
            keys = outer.pop()
        yield item


def repeated(key: str) -> str:
    """Return what to say of a key that stands twice."""
    return f"expected each key once in its object, found {key!r} twice"


def _unique(pairs: list[tuple[str, object]]) -> None:
    """Look at the members of an object and let go of them."""
    if len(dict(pairs)) < len(pairs):
        seen = set()
        for key, _ in pairs:
            if key in seen:
                raise RefusedBytesError(repeated(key))
            seen.add(key)


_decode = json.JSONDecoder(object_pairs_hook=_unique, parse_int=float).decode
