"""Writes invented names as a list in the layout of the Zenodo files: the end of both generators' scripts."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from utils.errors import EXIT_DONE, UserError
from utils.files import write_text

SOURCE = "generated"


def make_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser that knows where to write and the seed."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the names, default: %(default)s")
    return parser


def write_generated(path: Path, found: Mapping[str, str], key: str) -> int:
    """Write name → kind, the kind under `key`; say how many, or what is wrong; return the exit code."""
    rows = [json.dumps({"domain_name": name, "source": SOURCE, key: kind}) for name, kind in found.items()]
    try:
        write_text(path, "[\n" + ",\n".join(rows) + "\n]\n")
    except UserError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{path}: {len(found):,} names of {len(set(found.values())):,} kinds")
    return EXIT_DONE
