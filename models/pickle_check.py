"""Which pickles are unpickled at all: found out from their instructions, without running any.

`weights_only` executes nothing either, but it lets through the call bytearray(10**12), and a tuple that
holds another one twice, which holds another one twice, and so on: a few hundred bytes that take days to hash
and all memory to print.
"""

import pickletools
import re
from collections.abc import Iterator

from utils.errors import CheckpointError

# More values than any checkpoint has, each counted as often as it would be written out.
MAX_VALUES = 1_000_000

# What `torch.save` writes for builtins and tensors: instruction → how many values it takes from the stack for
# the new one that it puts there; None: all down to the mark.
_MAKING = {
    "NONE": 0, "NEWTRUE": 0, "NEWFALSE": 0, "BININT": 0, "BININT1": 0, "BININT2": 0, "LONG1": 0,
    "BINFLOAT": 0, "BINUNICODE": 0, "GLOBAL": 0, "EMPTY_DICT": 0, "EMPTY_LIST": 0, "EMPTY_TUPLE": 0,
    "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "TUPLE": None, "REDUCE": 2, "BINPERSID": 1,
}  # fmt: skip
_ADDING = {"APPEND": 1, "SETITEM": 2, "APPENDS": None, "SETITEMS": None}
_STORING = {"BINPUT", "LONG_BINPUT"}
_FETCHING = {"BINGET", "LONG_BINGET"}
_OTHERS = {"PROTO", "STOP", "MARK"}
_OPCODES = _MAKING.keys() | _ADDING.keys() | _STORING | _FETCHING | _OTHERS
_GLOBAL = re.compile(r"collections OrderedDict|torch\._utils _rebuild_tensor_v2|torch [A-Za-z0-9]+Storage")


class _Value(list):
    """A value of the pickle; holds those that it is made of."""


def refuse_bad_pickle(data: bytes) -> None:
    """Let through only what builtins and tensors need, in a size that can be written out.

    Raises
    ------
    CheckpointError
        The pickle names a function or holds an instruction that no checkpoint needs, is damaged, or has
        values that hold one another without end, or nearly.
    """
    try:
        if _largest(_values(data)) > MAX_VALUES:
            raise CheckpointError("refused: its values hold one another so often that they have no end")
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise CheckpointError(f"damaged: not a pickle ({error})") from None


def _values(data: bytes) -> list[_Value]:
    """Return every value that the instructions make."""
    made: list[_Value] = []
    stack: list[_Value | None] = []  # None: a mark
    memo: dict[int, _Value] = {}
    for name, argument in _checked_instructions(data):
        if name == "MARK":
            stack.append(None)
        elif name in _MAKING:
            made.append(_Value(_taken(stack, _MAKING[name])))
            stack.append(made[-1])
        elif name in _ADDING:
            items = _taken(stack, _ADDING[name])
            stack[-1].extend(items)
        elif name in _STORING:
            memo[argument] = stack[-1]
        elif name in _FETCHING:
            stack.append(memo[argument])
    return made


def _checked_instructions(data: bytes) -> Iterator[tuple[str, object]]:
    """Yield name and argument of each instruction; raise at the first that no checkpoint needs."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL" and not _GLOBAL.fullmatch(argument):
            raise CheckpointError(
                f"refused: it names {argument.replace(' ', '.')}, which no checkpoint needs"
            )
        if opcode.name not in _OPCODES:
            raise CheckpointError(
                f"refused: it holds the instruction {opcode.name}, which no checkpoint needs"
            )
        yield opcode.name, argument


def _taken(stack: list, count: int | None) -> list[_Value]:
    """Remove the last `count` values, or those down to the mark, from the stack, and return them."""
    if count is None:
        start = len(stack) - 1
        while stack[start] is not None:
            start -= 1
        items = stack[start + 1 :]
    else:
        start = len(stack) - count
        items = stack[start:]
    if start < 0 or None in items:
        raise ValueError("it takes values that are not there")
    del stack[start:]
    return items


def _largest(values: list[_Value]) -> float:
    """Return how many values the largest one is when it is written out; infinity where it holds itself."""
    sizes: dict[int, float] = {}
    for value in values:
        path = [value]
        while path:
            top = path[-1]
            if id(top) not in sizes:
                sizes[id(top)] = float("inf")  # until it is known: who meets it on the way goes in a circle
                path += [held for held in top if id(held) not in sizes]
            else:
                path.pop()
                if sizes[id(top)] == float("inf"):
                    sizes[id(top)] = 1 + sum(sizes[id(held)] for held in top)
    return max(sizes.values(), default=0)
