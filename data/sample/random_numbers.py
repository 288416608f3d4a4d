"""Numbers from a seed that are the same on every machine and in every Python version.

The standard library promises this for `random.random()` only, not for `choice` or `shuffle`.
"""

import hashlib
from collections.abc import Callable, Iterable

MASK32 = 0xFFFFFFFF
MASK64 = 0xFFFFFFFFFFFFFFFF
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def numbers(seed: int) -> Callable[[int], int]:
    """Return `draw(limit)`, which gives the next integer in [0, limit).

    Source: G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators" (SplitMix64, 2014).
    """
    state = seed & MASK64

    def draw(limit: int) -> int:
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & MASK64
        mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & MASK64
        return (mixed ^ (mixed >> 31)) % limit

    return draw


def shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Return the distinct names in an order that depends on the set of names and the seed alone."""
    return sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
