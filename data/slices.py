"""Slices: the groups of names for which the report gives metrics of their own."""

import re
from collections.abc import Sequence

import numpy as np

from data.domain_name import public_suffix, registered_domain

_LENGTH_BOUNDS = (10, 20, 35)
_A_LABEL = re.compile(r"(?<![^.])xn--[^.]*")
_DIGIT = re.compile(r"[0-9]")


def slice_masks(domains: Sequence[str]) -> dict[str, np.ndarray]:
    """Return, for every slice, which of the names belong to it.

    Lengths count the characters of the normal form: Unicode as punycode, no leading `www.`. Within each of
    these lines, every name is in exactly one slice:

    - `hosting platform`: the public suffix is from the list's private section, where customers of a platform
      get names (`user.github.io`; the apex `github.io`, too); `own registered domain`: it is not.
    - `bare registered domain`: the public suffix with one label before it, or a public suffix itself;
      `subdomain`: more labels than that.
    - `length ≤ 10`, `length 11–20`, `length 21–35`, `length > 35`.
    - `punycode`: a label starts with `xn--`, so that it stands for Unicode; `no punycode`.
    - `with digits`: 0–9 anywhere but in a punycode label; `no digits`.

    Parameters
    ----------
    domains
        N normalised names.

    Returns
    -------
    dict of str to ndarray of bool, shape (N,)
    """
    hosted = np.array([public_suffix(domain)[1] for domain in domains], dtype=bool)
    bare = np.array([registered_domain(domain) == domain for domain in domains], dtype=bool)
    punycode = np.array([_A_LABEL.search(domain) is not None for domain in domains], dtype=bool)
    # Digits in an A-label only encode positions and characters.
    digits = np.array([_DIGIT.search(_A_LABEL.sub("", domain)) is not None for domain in domains], dtype=bool)
    return {
        "hosting platform": hosted,
        "own registered domain": ~hosted,
        "bare registered domain": bare,
        "subdomain": ~bare,
        **_length_masks(np.array([len(domain) for domain in domains], dtype=np.int64)),
        "punycode": punycode,
        "no punycode": ~punycode,
        "with digits": digits,
        "no digits": ~digits,
    }


def _length_masks(lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Return one mask for each class of lengths between the bounds."""
    short, medium, long = _LENGTH_BOUNDS
    return {
        f"length ≤ {short}": lengths <= short,
        f"length {short + 1}–{medium}": (lengths > short) & (lengths <= medium),
        f"length {medium + 1}–{long}": (lengths > medium) & (lengths <= long),
        f"length > {long}": lengths > long,
    }
