"""The full names of the configuration's keys, and which one is meant by a key that there is not."""

import difflib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin


def join(prefix: str, name: str) -> str:
    """Write the full name of a key."""
    return f"{prefix}.{name}" if prefix else name


def _leaf(full: str) -> str:
    """Return the last word of a full name."""
    return full.rpartition(".")[2]


def key_names(cls: type, prefix: str = "") -> list[str]:
    """Return the full name of every section and key; "data.sources[].path" for those of a list's items."""
    names = []
    for item in fields(cls):
        full = join(prefix, item.name)
        names.append(full)
        in_list = get_args(item.type)[:1] if get_origin(item.type) is tuple else ()
        if is_dataclass(item.type):
            names += key_names(item.type, full)
        elif in_list and is_dataclass(in_list[0]):
            names += key_names(in_list[0], f"{full}[]")
    return names


def setting_names(cls: type) -> list[str]:
    """Return the full name of every key that has one value: no section and no list of sections."""
    names = key_names(cls)
    return [
        name
        for name in names
        if not any(other.startswith((f"{name}.", f"{name}[")) for other in names) and "[" not in name
    ]


def unknown_key(
    key: Any, prefix: str, here: list[str], names: list[str], replaced: Mapping[str, str]
) -> tuple[str, list[str]]:
    """Return that a key is unknown, for people, and which known ones may be meant.

    The same word in another section is what is meant most often, then one that was replaced, then a word
    that is near: in this section (`here`) first; then those that begin with it, one that is near anywhere
    (`names`), and one that has its words.
    """
    full = join(prefix, str(key))
    leaf = _leaf(str(key))
    if full in names:  # a dot in the key itself: "training.epochs: 3" at the top of the file
        return f"{full}: must stand as {leaf} in the section {full.removesuffix('.' + leaf)}", [full]
    meant = [] if full in replaced else [name for name in names if _leaf(name) == leaf]
    if not meant:
        by_leaf = {_leaf(name): answer for name, answer in replaced.items()}
        answer = replaced.get(full, by_leaf.get(leaf))
        if answer is not None:
            return f"{full}: is a key of the earlier version; {answer}", []
        begun = [name for name in names if _leaf(name).startswith(f"{leaf}_")]
        meant = _nearest(leaf, here) or begun or _nearest(leaf, names) or _with_words_of(leaf, here)
    hint = f"did you mean {' or '.join(meant)}?" if meant else f"known here: {', '.join(here)}"
    return f"{full}: unknown key; {hint}", meant


def _nearest(leaf: str, names: list[str]) -> list[str]:
    """Return the full names whose last word is nearest to `leaf`; none where none is near."""
    near = difflib.get_close_matches(leaf, {_leaf(name): None for name in names}, n=1)
    return [name for name in names if _leaf(name) in near]


def _with_words_of(leaf: str, names: list[str]) -> list[str]:
    """Return the full names that have all words of `leaf`: `early_stopping_patience` for `patience`."""
    return [
        name
        for name in names
        if all(difflib.get_close_matches(word, _leaf(name).split("_"), 1, 0.8) for word in leaf.split("_"))
    ]
