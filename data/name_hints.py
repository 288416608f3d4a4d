"""Which keys of a JSON input may hold its names: a hint for people, where none of its rows has one.

Only a hint: what is read is decided by `data.record` alone, for training as well.
"""

import json
import re
from collections.abc import Iterator
from itertools import islice

from data.domain_name import normalize_domain
from data.file_format import is_name_heading
from data.record import DETAIL_KEYS
from data.rejection import quote

_LOOKED_AT_BYTES = 256 * 1024
_LOOKED_AT_RECORDS = 50  # an event log begins with events of any kind
_LOOKED_AT_VALUES = 1_000  # of a record
_MAX_LEVELS = 4
_SHOWN_PATHS = 3
_SHOWN_KEYS = 10
_BETWEEN = re.compile(r"[\s,\[]*")


def hint_at_keys(head: bytes, column: str | None) -> str | None:
    """Return which keys may be meant, in words; None where nothing can be said.

    Parameters
    ----------
    head
        The start of a file of JSON objects, in lines or an array.
    column
        The key that was asked for and held no name, None for the usual ones.
    """
    records = list(islice(_objects(head[:_LOOKED_AT_BYTES].decode(errors="replace")), _LOOKED_AT_RECORDS))
    for record in records:
        texts = islice(_texts(record, ()), _LOOKED_AT_VALUES)
        ways = [way for way, text in texts if isinstance(normalize_domain(text), str)]
        # A key that was asked for in another place is what is meant, then one that usually holds names.
        ways.sort(key=lambda way: (way[-1] != column, not is_name_heading(way[-1])))
        paths = [path for path in map(".".join, ways) if path != column and path not in DETAIL_KEYS]
        if paths:
            return f"perhaps {' or '.join(map(quote, paths[:_SHOWN_PATHS]))}"
    keys = list(records[0]) if records else []
    if not keys:
        return None
    more = f" and {len(keys) - _SHOWN_KEYS:,} more" if len(keys) > _SHOWN_KEYS else ""
    return f"the first record has {', '.join(map(quote, keys[:_SHOWN_KEYS]))}{more}"


def _objects(text: str) -> Iterator[dict[str, object]]:
    """Yield the objects that a text begins with, as far as they are whole."""
    decode = json.JSONDecoder(parse_int=float).raw_decode  # an integer may have too many digits for Python
    end = _BETWEEN.match(text).end()
    while end < len(text):
        try:
            value, end = decode(text, end)
        except (ValueError, RecursionError):
            return
        if isinstance(value, dict):
            yield value
        end = _BETWEEN.match(text, end).end()


def _texts(value: object, way: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield each text in a value that --column can lead to, and the way; of an array the first element."""
    if isinstance(value, str) and way:
        yield way, value
    elif len(way) < _MAX_LEVELS and isinstance(value, dict):
        for key, inner in value.items():
            if key and "." not in key:
                yield from _texts(inner, (*way, key))
    elif way and len(way) < _MAX_LEVELS and isinstance(value, list) and value:
        yield from _texts(value[0], (*way, "0"))
