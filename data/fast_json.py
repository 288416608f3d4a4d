"""JSON values to raw records by simdjson: the fields that are read are built, and nothing else.

simdjson parses a text as a whole, which proves UTF-8, syntax and integers of 64 bits, and hands out what is
asked for. It takes nothing that is no JSON, but not all that is (numbers like 1e400, more than 1,024 levels),
and tells no place: what it refuses has to be looked at by another parser. It also takes equal keys, and gives
the first of them; so the keys of each object that is read are compared here.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import UNSET

try:
    import simdjson
    from simdjson import Array, Object
except (ImportError, RuntimeError):  # the second where its compiled part is missing
    simdjson = None

from data.json_checks import RefusedBytesError
from data.json_keys import repeated
from data.record import Field, RawRecord, WantedFields

_BOM = b"\xef\xbb\xbf"  # simdjson passes over it
# A parser keeps its room for what it was given, up to 13 times as long. Blocks of records are shorter.
_LONG_BYTES = 2 * 1024 * 1024
_SIMDJSON_ERRORS = (ValueError, RuntimeError)
_NOTHING = [UNSET] * len(RawRecord.__struct_fields__)


def fast_parser(wanted: WantedFields) -> "FastParser | None":
    """Return a parser; None where the package is not installed, or cannot look for a key: it ends at NUL."""
    has_nul = any("\0" in key for field in wanted.fields for key in (field.key, *field.inner))
    return None if simdjson is None or has_nul else FastParser(wanted)


@cache
def warn_where_it_is_missing() -> None:
    """Say in the log, once, that the package is not installed and what this means for the time of reading."""
    if simdjson is None:
        logging.getLogger(__name__).warning(
            "pysimdjson is not installed, as where it has no wheel for this Python: "
            "reading takes as long as with all keys compared"
        )


class FastParser:
    """Parses JSON values: an object becomes a raw record, an array an empty one, all else stays as it is."""

    def __init__(self, wanted: WantedFields) -> None:
        self._fields_of = _FieldsOfObjects(wanted)
        self._keys: list[str] = []  # of an object before; nearly all objects of a file have the same
        self._fields = self._fields_of[()]
        self._parser = simdjson.Parser()

    def value(self, text: bytes) -> object:
        """Return one value.

        Raises
        ------
        RefusedBytesError
            It is none, or has a key twice that is read, or there may be something wrong with it.
        """
        if text.startswith(_BOM):
            raise RefusedBytesError("a byte-order mark before a value")
        return self._taken(text, self._raw)

    def elements(self, array: memoryview) -> list[object]:
        """Return the elements of an array, whose bracket comes first; errors as of `value`."""
        return self._taken(array, lambda parsed: list(map(self._raw, parsed)))

    def _taken(self, text: bytes | memoryview, take: Callable[[Any], Any]) -> Any:
        """Parse a text and return what `take` takes of it."""
        parser = self._parser if len(text) <= _LONG_BYTES else simdjson.Parser()
        try:
            parsed = parser.parse(text)
        except _SIMDJSON_ERRORS as error:
            raise RefusedBytesError(str(error)) from error
        try:
            return take(parsed)
        except RefusedBytesError:
            # The error's traceback keeps what was parsed; until it is gone, its parser takes nothing else.
            self._parser = simdjson.Parser()
            raise

    def _raw(self, parsed: object) -> object:
        if type(parsed) is not Object:
            return [] if type(parsed) is Array else parsed
        keys = list(parsed)
        if keys == self._keys:
            fields = self._fields
        else:
            fields = self._fields_of[tuple(keys)]
            if len(keys) <= _FieldsOfObjects.MAX_KEYS:
                self._keys, self._fields = keys, fields
        values = _NOTHING.copy()
        for place, key, inner in fields:
            value = parsed[key]
            values[place] = value if type(value) is str else _way_into(value, inner)
        return RawRecord(*values)


class _FieldsOfObjects(dict):
    """The keys of an object → its fields that are read."""

    # What is worth remembering; other objects, and more of them, are looked at anew.
    MAX_KEYS = 64
    _MAX_CHARACTERS = 4096
    _MAX_OBJECTS = 256

    def __init__(self, wanted: WantedFields) -> None:
        self._wanted = wanted

    def __missing__(self, keys: tuple[str, ...]) -> list[Field]:
        fields = [field for field in self._wanted.of_object(keys) if _stands_once(field.key, keys)]
        if len(keys) <= self.MAX_KEYS and sum(map(len, keys)) <= self._MAX_CHARACTERS:
            if len(self) >= self._MAX_OBJECTS:
                self.clear()
            self[keys] = fields
        return fields


def _way_into(value: object, keys: tuple[str, ...]) -> object:
    """Return a value; of an object or array no more than what `keys` lead to, one in the other."""
    if type(value) is Object:
        if not keys or not (len(value) == 1 or _stands_once(keys[0], tuple(value))):
            return {}
        inner = value.get(keys[0], UNSET)
        if type(inner) is str:
            return {keys[0]: inner}
        return {} if inner is UNSET else {keys[0]: _way_into(inner, keys[1:])}
    if type(value) is Array:
        place = int(keys[0]) if keys and keys[0].isdecimal() else len(value)
        return [None] * place + [_way_into(value[place], keys[1:])] if place < len(value) else []
    return value


def _stands_once(key: str, keys: tuple[str, ...]) -> bool:
    """Tell whether `key` is among the keys of an object.

    Raises
    ------
    RefusedBytesError
        More than once.
    """
    number = keys.count(key)
    if number > 1:
        raise RefusedBytesError(repeated(key))
    return number == 1
