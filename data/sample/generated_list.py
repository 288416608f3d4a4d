"""Writes invented names as a list in the layout of the Zenodo files: the end of both generators' scripts."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

from utils.errors import EXIT_DONE, ConfigError
from utils.files import write_text
from utils.terminal_text import write_result

SOURCE = "generated"


def make_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows where to write and the seed."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the names, default: %(default)s")
    return parser


def write_generated(path: Path, found: Mapping[str, str], key: str) -> int:
    """Write name → kind, the kind under `key`; say how many there are, and return the exit code.

    Raises
    ------
    ConfigError
        There is no name.
    """
    if not found:
        raise ConfigError("there is no name to write: the numbers asked for must be above 0")
    rows = [json.dumps({"domain_name": name, "source": SOURCE, key: kind}) for name, kind in found.items()]
    write_text(path, "[\n" + ",\n".join(rows) + "\n]\n")
    write_result(f"{path}: {len(found):,} names of {len(set(found.values())):,} kinds")
    return EXIT_DONE
