"""Names to character codes: which character has which code, and which end of a long name is cut.

The alphabet is fixed, never learned from data, so that a checkpoint and this file cannot disagree about it.
NumPy only; models know this module, it knows nothing of models.
"""

from collections.abc import Sequence

import numpy as np

PADDING = 0
UNKNOWN = 1
ALPHABET: str = "abcdefghijklmnopqrstuvwxyz0123456789-._"
NUM_CODES = len(ALPHABET) + 2

_CODE_OF_BYTE = np.full(256, UNKNOWN, dtype=np.uint8)
_CODE_OF_BYTE[[ord(character) for character in ALPHABET]] = np.arange(2, NUM_CODES)


def encode_domains(domains: Sequence[str], max_length: int) -> np.ndarray:
    """Return one code per character.

    A name longer than `max_length` keeps its right end: the registered domain and its suffix say more than
    the left-most subdomains. A character outside `ALPHABET` (upper case and non-ASCII, too) is `UNKNOWN`.

    Parameters
    ----------
    domains
        N names, each as `normalize_domain` returns it.
    max_length
        T, the number of codes per name, at least 1.

    Returns
    -------
    ndarray of uint8, shape (N, T)
        `PADDING` after the end of each shorter name.

    Raises
    ------
    ValueError
        When `max_length` is below 1.
    """
    if max_length < 1:
        raise ValueError(f"The 'max_length' parameter must be an integer >= 1. Got {max_length} instead.")
    codes = np.full((len(domains), max_length), PADDING, dtype=np.uint8)
    lengths = np.fromiter(map(len, domains), dtype=np.int64, count=len(domains))
    if (lengths > max_length).any():
        domains = [domain[-max_length:] for domain in domains]
        lengths = np.minimum(lengths, max_length)
    # All names as one byte string: "replace" writes one "?" for each character outside ASCII, so that
    # bytes and characters stay aligned. 17 times faster than a loop (benchmarks/bench_names.py).
    characters = np.frombuffer("".join(domains).encode("ascii", "replace"), dtype=np.uint8)
    codes[np.arange(max_length) < lengths[:, None]] = _CODE_OF_BYTE[characters]
    return codes


def code_lengths(codes: np.ndarray) -> np.ndarray:
    """Return the number of codes before the padding.

    Parameters
    ----------
    codes
        (N, T), from `encode_domains`.

    Returns
    -------
    ndarray of int64, shape (N,)
    """
    return np.count_nonzero(codes != PADDING, axis=1).astype(np.int64)
