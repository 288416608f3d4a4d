"""Which files the configuration's sources name."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from utils.errors import ConfigError, DataError


class Source(Protocol):
    """What is needed of a `utils.config.SourceConfig`."""

    path: str
    label: str
    format: str
    training_only: bool


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file to read, its class, its format, and whether nothing is judged on its names.

    `all_keys`: see `data.data_loader.read_records`.
    """

    path: Path
    label: str
    format: str
    training_only: bool = False
    all_keys: bool = True


def resolve_sources(root: Path, sources: Iterable[Source], *, all_keys: bool = True) -> list[SourceFile]:
    """Return the files of all sources, in the order of the sources and sorted by path within each.

    Parameters
    ----------
    root
        The folder that relative paths start from.
    sources
        Each with a `path` (a file, or a pattern with *, ?, [] or **), a `label`, a `format` and
        `training_only`. A path that exists as it stands is a file, not a pattern. A pattern takes no folders
        and no hidden files.

    Raises
    ------
    DataError
        Sources match no file or name a folder; all such are in one message.
    ConfigError
        A file is in two sources.
    """
    files: list[SourceFile] = []
    owners: dict[Path, str] = {}
    problems: list[str] = []
    for source in sources:
        name = f"source {source.path!r} ({source.label})"
        paths, problem = _matches(root, source.path)
        if problem:
            problems.append(f"{name} {problem}")
        for path in paths:
            real_path = path.resolve()
            if real_path in owners:
                raise ConfigError(f"{path} is in two sources: {owners[real_path]} and {name}")
            owners[real_path] = name
            files.append(SourceFile(path, source.label, source.format, source.training_only, all_keys))
    if problems:
        raise DataError(root, "; ".join(problems))
    return files


def find_files(pattern: str) -> list[Path]:
    """Return the files that a path or a pattern names, sorted.

    Raises
    ------
    DataError
        There is none.
    """
    paths, problem = _matches(Path(), pattern)
    if problem:
        raise DataError(pattern, problem)
    return paths


def _matches(root: Path, pattern: str) -> tuple[list[Path], str | None]:
    """Return the files of one source, or what is wrong with it."""
    path = root / pattern
    if path.is_dir():
        return [], f"is a folder: name its files, for example {pattern.rstrip('/')}/*.json"
    if path.exists():
        return [path], None
    # pathlib takes no absolute pattern, only what comes after the anchor.
    anchor = Path(pattern).anchor
    matches = Path(anchor).glob(pattern.removeprefix(anchor)) if anchor else root.glob(pattern)
    found = sorted(file for file in matches if file.is_file() and not file.name.startswith("."))
    return found, None if found else "matches no file"
