"""Allow and block lists: files of names for which the user decides, whatever the model says.

A line holds one entry, in any form that `normalize_domain` takes, but without a path: an entry covers a whole
host, and whoever blocks a page of a hosting platform does not mean the platform. `#` begins a comment.

    example.com          this name
    *.example.com        this name and every name below it; .example.com is the same

A leading `www.` or `*.` leads to the name itself everywhere in this project, so a suffix covers the name too.
The most specific entry decides: a name beats a suffix, a longer suffix a shorter one. Where a name (or a
suffix) stands in an allow list and in a block list, nobody can tell what is meant: an error.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from data.byte_source import ByteSource
from data.domain_name import normalize_domain
from data.rejection import Rejected
from data.url_host import has_path

_COMMENT = re.compile(r"(?:^|\s)#.*")
_LINE_BITS = 40  # of an entry's number: the line; the bits above are the file


class NameLists:
    """Every entry of some allow and block lists.

    Parameters
    ----------
    allow, block
        The files, plain or compressed.

    Raises
    ------
    DataError
        A file cannot be read; a line is no entry; an entry is allowed and blocked.
    """

    def __init__(self, allow: Sequence[Path] = (), block: Sequence[Path] = ()) -> None:
        self._files = [*allow, *block]
        self._decisions = ["allow"] * len(allow) + ["block"] * len(block)
        # Entry → file and line in one number: a million tuples would take 100 MB.
        self._names: dict[str, int] = {}
        self._suffixes: dict[str, int] = {}
        for file in range(len(self._files)):
            self._read(file)

    def __len__(self) -> int:
        return len(self._names) + len(self._suffixes)

    def find(self, name: str) -> tuple[str, str] | None:
        """Return the decision on a normalised name and "FILE:LINE" of the entry; None without an entry."""
        entry = self._names.get(name)
        if entry is None and self._suffixes:
            suffix = name
            while (entry := self._suffixes.get(suffix)) is None and suffix:
                suffix = suffix.partition(".")[2]
        if entry is None:
            return None
        file = entry >> _LINE_BITS
        return self._decisions[file], f"{self._files[file]}:{entry & (1 << _LINE_BITS) - 1}"

    def _read(self, file: int) -> None:
        with ByteSource(self._files[file]) as source:
            for number, line in enumerate(source.lines(), start=1):
                if line is None or not line or line.startswith(b"#"):
                    if line is None:
                        raise source.error("the line is too long", f"line {number}")
                    continue
                try:
                    text = line.decode()
                except UnicodeDecodeError:
                    raise source.error("expected UTF-8 text", f"line {number}") from None
                if "#" in text:
                    text = _COMMENT.sub("", text)
                text = text.strip()
                if not text:
                    continue
                entry = self._parse(text)
                if isinstance(entry, Rejected):
                    problem = f"expected a name, *.suffix or a comment: {entry.message}"
                    raise source.error(problem, f"line {number}")
                if entry[1] != text and has_path(text):  # else there is nothing but the name
                    problem = f"expected a name, found a path behind {entry[1]}: an entry covers a whole host"
                    raise source.error(problem, f"line {number}")
                self._add(source, file, number, *entry)

    def _parse(self, text: str) -> tuple[dict[str, int], str] | Rejected:
        """Return where an entry belongs, and its normal form."""
        if not text.startswith((".", "*.")):
            name = normalize_domain(text)
            return name if isinstance(name, Rejected) else (self._names, name)
        # With a label before it, a top-level domain is a name like any other.
        name = normalize_domain(f"x.{text.removeprefix('*').removeprefix('.')}")
        return name if isinstance(name, Rejected) else (self._suffixes, name.removeprefix("x."))

    def _add(self, source: ByteSource, file: int, number: int, entries: dict[str, int], name: str) -> None:
        """Add an entry; of equal ones the first counts."""
        other = entries.setdefault(name, file << _LINE_BITS | number)
        other_file = other >> _LINE_BITS
        if self._decisions[other_file] != self._decisions[file]:
            where = f"{self._files[other_file]}, line {other & (1 << _LINE_BITS) - 1}"
            kind = "suffix" if entries is self._suffixes else "name"
            raise source.error(f"the {kind} {name} is blocked here and allowed in {where}", f"line {number}")
