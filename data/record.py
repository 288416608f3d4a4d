"""What a reader yields: one record, and how the fields of a Zenodo record become one."""

import datetime
from collections.abc import Collection, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import msgspec

# Where a name stands in a JSON object when nobody says otherwise: in the Zenodo files, in other lists.
# The first that is there wins.
NAME_KEYS = ("domain_name", "domain")
DETAIL_KEYS = ("source", "sourced_on", "malware", "malware_type")
DATE_KEYS = ("$date", "$numberLong")  # one in the other, in `sourced_on`

# What a decoder returns for anything but an object.
_BARE_TYPES = frozenset({str, int, float, bool, list, type(None)})
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_MS_A_DAY = 86_400_000
# As far as JavaScript's dates go (ECMA-262, section 21.4.1.1), and well within 32 bits.
_MAX_DAY = 100_000_000


class Record(msgspec.Struct, gc=False):
    """One row of a file of domain names, not yet normalised.

    Attributes
    ----------
    domain
        Whatever stood in the name's place: text, but also a number or a truth value. None where nothing stood
        there, or an object or array; `error` then says why.
    source, family
        The feed that reported the name; the malware family (`malware` or `malware_type`). None where absent.
    sourced_on
        Days since 1970-01-01 in UTC, negative before; None where absent or no date, or beyond 270,000 years.
    position
        "record 12" in a JSON array, "line 7" elsewhere; both count from 1.
    error
        Why the row has no name, else None.
    malformed
        True for a line that could not be read at all; False where it was read and only the name is missing.
    fields
        The whole row as it was, for whoever asked to keep it: a mapping of text, or JSON; else UNSET.
    """

    domain: object
    source: str | None
    sourced_on: int | None
    family: str | None
    position: str
    error: str | None = None
    malformed: bool = False
    fields: object = msgspec.UNSET


class RawRecord(msgspec.Struct, gc=False):
    """The wanted fields as they stand in a JSON object; of every other field there is nothing.

    Where a column is asked for, `domain_name` is its value, and `outer` what the way to it begins with.
    """

    domain_name: Any = msgspec.UNSET
    domain: Any = msgspec.UNSET
    source: Any = msgspec.UNSET
    sourced_on: Any = msgspec.UNSET
    malware: Any = msgspec.UNSET
    malware_type: Any = msgspec.UNSET
    outer: Any = msgspec.UNSET


class Field(NamedTuple):
    """A field that is read: its place among those of `RawRecord`, its key, and the keys read within it."""

    place: int
    key: str
    inner: tuple[str, ...]


class WantedFields:
    """The fields that are read of a JSON object.

    Parameters
    ----------
    column
        As of `data.record_decoder.RecordDecoder`.

    Attributes
    ----------
    fields
        All of them.
    inner
        Their keys, each with the keys that are read within its value, one in the other. Not for a way that
        begins at another field (`source.name`): a key stands here once.
    """

    def __init__(self, column: str | None) -> None:
        self._column = column
        ways = {key: (key,) for key in (*NAME_KEYS, *DETAIL_KEYS)}
        ways["sourced_on"] += DATE_KEYS
        if column is not None:
            del ways["domain"]
            ways["domain_name"] = (column,)
        if is_path(column):
            ways["outer"] = tuple(column.split("."))
        attributes = RawRecord.__struct_fields__
        self._keys = [ways[attribute][0] if attribute in ways else None for attribute in attributes]
        self.fields = [Field(attributes.index(attribute), way[0], way[1:]) for attribute, way in ways.items()]
        self.inner = {field.key: field.inner for field in self.fields}

    def of_object(self, keys: Collection[str]) -> list[Field]:
        """Return those that are read of an object with these keys."""
        # Where the column itself is a key, nobody goes the way to it.
        is_there = is_path(self._column) and self._column in keys
        fields = self.fields[:-1] if is_there else self.fields
        return [field for field in fields if field.key in keys]

    def raw_record(self, values: dict[str, object]) -> RawRecord:
        """Return the raw record of an object that is built."""
        return RawRecord(*[values.get(key, msgspec.UNSET) for key in self._keys])


def is_path(column: str | None) -> bool:
    """Tell whether a column may be the way into an object: `dns.rrname`."""
    return column is not None and "." in column.strip(".")


def records_from_json(
    elements: list[object], kind: str, first: int, column: str | None = None
) -> Iterator[Record]:
    """Return the records of decoded JSON values that follow each other, each made when it is asked for.

    Parameters
    ----------
    kind, first
        Their positions: "record" and 12 for "record 12", "record 13", ….
    """
    positions = [f"{kind} {number}" for number in range(first, first + len(elements))]
    return map(record_from_json, elements, positions, repeat(column))


def record_from_json(element: object, position: str, column: str | None = None) -> Record:
    """Return the record of one decoded JSON value: a raw record, or a bare name.

    A bare value other than an object is the name itself, whatever its type; null and an array are errors.
    """
    if type(element) in _BARE_TYPES:
        return _bare_record(element, position)
    name, error = element.domain_name, None
    if type(name) is not str:
        if name is msgspec.UNSET:
            name = element.domain if column is None else _follow(element, column)
        if type(name) is not str and (error := _name_error(name, element, column)):
            name = None
    source = element.source
    if type(source) is not str:
        source = None
    family = element.malware
    if type(family) is not str:
        family = element.malware_type
        if type(family) is not str:
            family = None
    day = element.sourced_on
    day = None if day is msgspec.UNSET else day_of(day)
    return Record(name, source, day, family, position, error)


def day_of(value: object) -> int | None:
    """Return the day of a date in days since 1970-01-01 (UTC), None where `value` is no date.

    Parameters
    ----------
    value
        MongoDB Extended JSON v2, `{"$date": "2024-02-29T23:59:59.5Z"}` or `{"$date": {"$numberLong": "-1"}}`
        (milliseconds), or a plain ISO 8601 date or time. A time without an offset is UTC.
    """
    instant = value.get("$date") if isinstance(value, dict) else value
    if type(instant) is str:
        # All of a file's times lie on a few thousand days, and nearly all are in UTC: the date alone decides.
        day = _DAYS[instant[:11]] if instant[-1:] == "Z" else None
        return _day_of_time(instant) if day is None else day
    if not isinstance(value, dict):
        return None
    milliseconds = _whole_number(instant.get("$numberLong")) if isinstance(instant, dict) else instant
    if type(milliseconds) is not int:
        return None
    day = milliseconds // _MS_A_DAY
    return day if abs(day) <= _MAX_DAY else None


class _Days(dict):
    """The start of a time → its day: of "2024-02-29T", None for anything else. Faster than an `lru_cache`."""

    _MAX = 8192

    def __missing__(self, text: str) -> int | None:
        if len(self) >= self._MAX:
            self.clear()
        try:
            day = datetime.date.fromisoformat(text.removesuffix("T")).toordinal() - _EPOCH
        except ValueError:
            day = None
        self[text] = day
        return day


_DAYS = _Days()


def _day_of_time(text: str) -> int | None:
    """Return the UTC day of an ISO 8601 date or time in any of its forms, None where it is neither."""
    try:
        moment = datetime.datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return None
    return moment.toordinal() - _EPOCH


def _whole_number(value: object) -> int | None:
    """Return the number of a $numberLong, 64 bits wide and written as text; None for anything else."""
    if type(value) is not str or not 0 < len(value) <= 20:
        return None
    return int(value) if value.removeprefix("-").isascii() and value.removeprefix("-").isdigit() else None


def _follow(element: object, column: str) -> object:
    """Return what the path `column` leads to; UNSET where it leads nowhere."""
    if not is_path(column):
        return msgspec.UNSET
    value = element.outer
    for key in column.split(".")[1:]:
        if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        elif isinstance(value, dict) and key in value:
            value = value[key]
        else:
            return msgspec.UNSET
    return value


def malformed(position: str, error: str) -> Record:
    """Return the record of a line that cannot be read at all."""
    return Record(None, None, None, None, position, error, malformed=True)


def _bare_record(element: object, position: str) -> Record:
    if element is None or isinstance(element, list | dict):
        kind = "null" if element is None else "an array" if isinstance(element, list) else "an object"
        return Record(None, None, None, None, position, f"expected an object or a name, found {kind}")
    return Record(element, None, None, None, position)


def _name_error(name: object, element: object, column: str | None) -> str | None:
    """Return why `name` of `element` cannot be handed on, None for a value that normalisation can judge."""
    if name is msgspec.UNSET:
        return f"the record has no {' or '.join(map(repr, NAME_KEYS if column is None else (column,)))}"
    key = column or NAME_KEYS[element.domain_name is msgspec.UNSET]
    if name is None:
        return f"{key!r} is null"
    if isinstance(name, dict | list):
        return f"{key!r} holds an {'object' if isinstance(name, dict) else 'array'}, expected text"
    return None
