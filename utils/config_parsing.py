"""From YAML text to typed dataclasses: the machinery of `utils/config.py`, which holds the keys.

All problems are gathered in one list, each with the full name of its key, so that a user mends a file once.
"""

import difflib
import re
import reprlib
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, field, fields, is_dataclass
from typing import Any, get_args, get_origin

import yaml

from utils.config_names import join, key_names, unknown_key

_NUMBER_AS_TEXT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")  # floats to a human, text to YAML 1.1
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxlong, _SHORT.maxother = 2, 60, 60, 60


def option(default: Any = MISSING, **rules: Any) -> Any:
    """Declare a key: its default, and its rules.

    The rules: `low`, `high`, `above`, `below`, `choices`, `min_items`, `max_items`, `zero_is_off`.

    `low` and `high` are inclusive, `above` and `below` exclusive; for a list they hold for every item.
    """
    return field(default=default, metadata=rules) if default is not MISSING else field(metadata=rules)


class _UniqueKeyLoader(yaml.SafeLoader):
    """The safe loader, but a key that stands twice in one mapping is an error (PyYAML keeps the last)."""


def _construct_mapping(loader: _UniqueKeyLoader, node: yaml.MappingNode) -> dict:
    mapping: dict = {}
    for key_node, value_node in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            raise yaml.constructor.ConstructorError(
                None, None, "no merge keys (<<), please", key_node.start_mark
            )
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
        if key in mapping:
            loader.repeated.append(
                f"line {key_node.start_mark.line + 1}: the key '{key}' stands twice in one section"
            )
        mapping[key] = loader.construct_object(value_node, deep=True)
    return mapping


_UniqueKeyLoader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)


def parse_yaml(text: str, problems: list[str], prefix: str = "") -> Any:
    """Parse YAML safely; append syntax errors and repeated keys to `problems`, each after `prefix`.

    Returns None for an empty text, and where there is a syntax error.
    """
    repeated: list[str] = []
    try:
        loader = _UniqueKeyLoader(text)
        loader.repeated = repeated
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problems.append(
            f"{prefix}{where}not valid YAML: {getattr(error, 'problem', None) or error or 'nested too deep'}"
        )
        return None
    finally:
        problems += [prefix + problem for problem in repeated]


def apply_overrides(tree: Any, overrides: list[str] | tuple[str, ...], problems: list[str]) -> None:
    """Set each `section.key=value` of the command line in `tree`; the value is read as YAML."""
    for override in overrides:
        name, equals, text = override.partition("=")
        parts = name.strip().split(".")
        if not equals or not all(parts):
            problems.append(f"--set {override}: must look like section.key=value")
            continue
        if not isinstance(tree, dict):
            continue
        if len(parts) == 1:
            # Wrong whatever it is: a section is no text, and no other key stands at the top. The builder
            # answers it, since it knows where such a key stands.
            tree[parts[0]] = text
            continue
        target = tree
        for part in parts[:-1]:
            if target.get(part) is None:
                target[part] = {}
            target = target[part]
            if not isinstance(target, dict):
                problems.append(f"--set {override}: '{part}' is not a section")
                break
        else:
            before = len(problems)
            value = parse_yaml(text, problems, f"--set {override}: ") if text.strip() else ""
            if len(problems) == before:
                target[parts[-1]] = value


class ConfigBuilder:
    """Builds dataclasses from mappings and gathers every problem on the way.

    Parameters
    ----------
    problems
        The list that problems are appended to, each with its key's full name.
    replaced
        Full names of keys of an earlier version → what to use instead.
    required_items
        Whether lists that must hold something (`min_items`) may not be left out or empty.
    """

    def __init__(self, problems: list[str], replaced: Mapping[str, str], required_items: bool = True) -> None:
        self.problems = problems
        self.replaced = replaced
        self.required_items = required_items
        self._names: list[str] = []  # the full name of every key, once the outermost dataclass is known
        self._doubtful: set[str] = set()  # full names of keys whose value is missing, wrong or under another

    def is_sound(self, *keys: str) -> bool:
        """Tell whether none of these keys has problems, nor what holds it, nor what it holds."""
        return not any(
            key == name or key.startswith((f"{name}.", f"{name}[")) or name.startswith((f"{key}.", f"{key}["))
            for key in keys
            for name in self._doubtful
        )

    def build(self, cls: type, tree: Any, prefix: str = "") -> Any:
        """Build the dataclass `cls`; what is missing or wrong in it is None (see `problems`, `is_sound`)."""
        if not isinstance(tree, Mapping):
            where = f"{prefix}: " if prefix else ""
            self.problems.append(f"{where}must be a mapping of keys to values. Got {_shown(tree)}")
            self._doubtful.add(prefix)
            return None
        if not prefix:
            self._names = key_names(cls)
        known = {item.name: item for item in fields(cls)}
        for key in tree:
            if key not in known:
                here = [join(prefix, name) for name in known]
                problem, meant = unknown_key(key, prefix, here, self._names, self.replaced)
                self.problems.append(problem)
                self._doubtful.update(meant)
        values = {}
        for name, item in known.items():
            full = join(prefix, name)
            if name in tree:
                is_empty_section = is_dataclass(item.type) and tree[name] is None  # "data:", nothing below it
                values[name] = self._convert(
                    {} if is_empty_section else tree[name], item.type, item.metadata, full
                )
            elif is_dataclass(item.type):
                values[name] = self.build(item.type, {}, full)
            elif item.default is MISSING or (
                self.required_items and item.default == () and "min_items" in item.metadata
            ):
                self.problems.append(f"{full}: is missing")
                self._doubtful.add(full)
                values[name] = None
        return cls(**values)

    def _convert(self, value: Any, kind: Any, rules: Mapping, name: str) -> Any:
        """Return `value` as `kind`, or append a problem and return None."""
        if is_dataclass(kind):
            return self.build(kind, value, name)
        arguments = get_args(kind)
        if isinstance(kind, types.UnionType):
            if value is None and type(None) in arguments:
                return None
            if isinstance(value, Mapping) and any(get_origin(argument) is Mapping for argument in arguments):
                return dict(value)  # class weights: checked against the classes by the caller
            return self._convert(value, next(a for a in arguments if a is not type(None)), rules, name)
        if get_origin(kind) is tuple:
            return self._convert_list(value, arguments[0], rules, name)
        return self._convert_scalar(value, kind, rules, name)

    def _convert_list(self, value: Any, kind: Any, rules: Mapping, name: str) -> tuple | None:
        if not isinstance(value, list | tuple):
            self._wrong(name, f"must be a list. Got {_shown(value)}")
            return None
        if self.required_items and len(value) < rules.get("min_items", 0):
            self._wrong(name, f"must have at least {rules['min_items']} item(s). Got {len(value)}")
        if len(value) > rules.get("max_items", len(value)):
            self._wrong(name, f"must have at most {rules['max_items']} items. Got {len(value)}")
            return None
        return tuple(self._convert(item, kind, rules, f"{name}[{index}]") for index, item in enumerate(value))

    def _convert_scalar(self, value: Any, kind: type, rules: Mapping, name: str) -> Any:
        """Check one number, word or switch; an int is a fine float, a bool is no number."""
        expected = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}[kind]
        accepted = (int, float) if kind is float else (kind,)
        choices = rules.get("choices")
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            hint = "; 0 switches it off" if value is False and rules.get("zero_is_off") else ""
            if kind in (int, float) and isinstance(value, str) and _NUMBER_AS_TEXT.fullmatch(value):
                number = float(value)
                if kind is int and number.is_integer():
                    number = int(number)
                hint = f"; YAML reads {value} as text: write {number!r}"
            self._wrong(name, f"must be {expected}{_range(rules)}. Got {_shown(value)}{hint}")
        elif choices and value not in choices:
            near = difflib.get_close_matches(value, choices, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self._wrong(name, f"must be one of {', '.join(choices)}. Got {short_repr(value)}{hint}")
        elif not _is_within(value, rules):
            self._wrong(name, f"must be {expected}{_range(rules)}. Got {short_repr(value)}")
        else:
            return float(value) if kind is float else value
        return None

    def _wrong(self, name: str, problem: str) -> None:
        """Note what is wrong with the value of a key."""
        self.problems.append(f"{name}: {problem}")
        self._doubtful.add(name)


def _is_within(value: Any, rules: Mapping) -> bool:
    """Tell whether a number lies in its range (NaN lies in none, nor does what no float can hold)."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return True
    return (
        abs(value) <= sys.float_info.max
        and value >= rules.get("low", value)
        and value <= rules.get("high", value)
        and value > rules.get("above", float("-inf"))
        and value < rules.get("below", float("inf"))
    )


def _range(rules: Mapping) -> str:
    """Write the range as an interval: " in the range [0.0, 1.0)"."""
    if not rules.keys() & {"low", "high", "above", "below"}:
        return ""
    left = f"({rules['above']}" if "above" in rules else f"[{rules['low']}" if "low" in rules else "(-inf"
    right = f"{rules['below']})" if "below" in rules else f"{rules['high']}]" if "high" in rules else "inf)"
    return f" in the range {left}, {right}"


def _shown(value: Any) -> str:
    """Show a value shortly, with its type where that is the point."""
    return f"{short_repr(value)} ({type(value).__name__})"


def short_repr(value: Any) -> str:
    """Write a value in at most 60 characters; a value that is nested without end is not followed."""
    text = _SHORT.repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
