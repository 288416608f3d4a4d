"""What a file yields, kept as memory-mapped arrays, so that a second training starts in seconds.

An entry is a folder of `.npy` files and a `meta.json`. Its name is a hash of all that decides its content:
the file's fingerprint, how it is read, and the versions of the rules (this format, the public suffix list,
Unicode). A changed file or rule thus has another entry; a damaged or half-written one is noticed by its
checksums and made again. Two runs may write at once: each writes to a folder of its own and renames it.
The program never removes an entry that is merely old: delete the folder at will.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import tempfile
import unicodedata
from importlib.metadata import version
from pathlib import Path

import numpy as np

from data.fingerprint import fingerprint
from data.labelled_domains import FileNames
from data.name_table import NameTable
from data.sources import SourceFile
from utils.errors import UserError

logger = logging.getLogger(__name__)

CACHE_VERSION = 3  # raise it when FileNames changes, the rules for a domain name, or what a reader refuses
ARRAYS = ("blob", "offsets", "hashes", "groups", "days", "sources", "families")


def cache_key(file: SourceFile) -> str:
    """Return the name of the entry for a file as it is now, whatever its class.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    decisive = {
        "cache_version": CACHE_VERSION,
        "file": fingerprint(file.path) | {"name": str(file.path.resolve())},
        "format": file.format,
        "all_keys": file.all_keys,
        "publicsuffixlist": version("publicsuffixlist"),
        "idna": version("idna"),
        "unicode": unicodedata.unidata_version,
    }
    text = json.dumps(decisive, sort_keys=True)
    return f"{file.path.name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def check_writable(folder: Path) -> None:
    """Make the folder where it is missing and try to write there: better now than after an hour of reading.

    Raises
    ------
    UserError
        The folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\0")
    except OSError as error:
        raise _unwritable(folder, error) from None


def store(folder: Path, key: str, names: FileNames) -> None:
    """Write an entry; when another run has written it meanwhile, keep that one.

    Raises
    ------
    UserError
        The folder cannot be written.
    """
    arrays = _arrays(names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=folder))
        try:
            checksums = {}
            for name, array in arrays.items():
                with (temporary / f"{name}.npy").open("wb") as file:
                    np.save(file, array)
                    file.flush()
                    os.fsync(file.fileno())
                checksums[name] = _checksum(temporary / f"{name}.npy")
            facts = {"words": names.words, "num_records": names.num_records, "drops": names.drops}
            meta = {"facts": facts, "checksums": checksums | {"facts": _facts_checksum(facts)}}
            (temporary / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
            with contextlib.suppress(OSError):  # another run was first: theirs is as good
                temporary.rename(folder / key)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise _unwritable(folder, error) from None


def load(folder: Path, key: str) -> FileNames | None:
    """Return an entry with its arrays memory-mapped, or None where there is none or it is damaged.

    A damaged entry is removed, so that it is made again.
    """
    entry = folder / key
    if not entry.is_dir():
        return None
    try:
        meta = json.loads((entry / "meta.json").read_text(encoding="utf-8"))
        for name in ARRAYS:
            if _checksum(entry / f"{name}.npy") != meta["checksums"][name]:
                raise ValueError(f"{name}.npy does not match its checksum")
        if _facts_checksum(meta["facts"]) != meta["checksums"]["facts"]:
            raise ValueError("meta.json does not match its checksum")
        arrays = {name: np.load(entry / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
        table = NameTable(arrays.pop("blob"), arrays.pop("offsets"))
        return FileNames(names=table, **arrays, **meta["facts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s: damaged cache entry, reading the data file again (%s)", entry, error)
        shutil.rmtree(entry, ignore_errors=True)
        return None


def _unwritable(folder: Path, error: OSError) -> UserError:
    return UserError(f"{folder}: the cache cannot be written ({error}); set data.cache_dir to null")


def _arrays(names: FileNames) -> dict[str, np.ndarray]:
    """Return what is stored: array name → array."""
    table = {"blob": names.names.blob, "offsets": names.names.offsets}
    return table | {name: getattr(names, name) for name in ARRAYS if name not in table}


def _facts_checksum(facts: dict) -> str:
    """Return a hash of what is no array."""
    return hashlib.sha1(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _checksum(path: Path) -> str:
    """Return a hash of a whole file; 60 MB, a million names, take a tenth of a second."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()
