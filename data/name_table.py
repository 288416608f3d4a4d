"""Many domain names in two arrays: 1.1 million of them take 26 MB, as Python strings 80 MB."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np


class NameTable(Sequence[str]):
    """Names as one block of bytes and the places where they start; reads like a list of strings.

    Parameters
    ----------
    blob
        (M,) uint8, the ASCII bytes of all names, one after the other.
    offsets
        (N + 1,) int64; name i is `blob[offsets[i] : offsets[i + 1]]`.
    """

    def __init__(self, blob: np.ndarray, offsets: np.ndarray) -> None:
        self.blob = blob
        self.offsets = offsets

    @classmethod
    def concatenate(cls, tables: Sequence["NameTable"]) -> "NameTable":
        """Put tables one after the other."""
        lengths = np.concatenate([np.diff(table.offsets) for table in tables])
        return cls(np.concatenate([table.blob for table in tables]), offsets_from_lengths(lengths))

    def take(self, rows: np.ndarray) -> "NameTable":
        """Return the names at row numbers `rows` (n,), in that order."""
        lengths = np.diff(self.offsets)[rows]
        offsets = offsets_from_lengths(lengths)
        # For each byte of the result: where it comes from.
        source = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][rows] - offsets[:-1], lengths)
        return NameTable(self.blob[source], offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        if isinstance(row, slice):
            raise TypeError("use take() for more than one row")
        row = range(len(self))[row]  # negative numbers, and IndexError beyond the end
        return self.blob[self.offsets[row] : self.offsets[row + 1]].tobytes().decode("ascii")

    def __iter__(self) -> Iterator[str]:
        text = self.blob.tobytes().decode("ascii")
        edges = self.offsets.tolist()
        return (text[start:end] for start, end in pairwise(edges))


def offsets_from_lengths(lengths: np.ndarray) -> np.ndarray:
    """Return the starts of rows of these lengths, and the end of the last: (N + 1,) int64."""
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
