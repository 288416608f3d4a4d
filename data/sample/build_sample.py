"""Rebuild the embedded sample, byte for byte, from three public packages and our own generators.

    python -m data.sample.build_sample --warning-lists DIR --phishing-detect DIR --ublock DIR

The folders hold the unpacked packages; `--help` prints the commands that fetch and unpack them. Names are
read, sorted and written, never resolved or contacted. What is chosen and why: README.md beside this file.
"""

import argparse
import hashlib
import json
import sys
from collections import Counter
from pathlib import Path

from data.sample.random_numbers import shuffled
from data.sample.selection import (
    BENIGN,
    CRUX,
    CRUX_PLATFORMS,
    DGA,
    ETH_PHISHING,
    MALWARE,
    PHISHING,
    POPULARITY_LISTS,
    SEED,
    TRANCO,
    UMBRELLA,
    UNLABELLED,
    URLHAUS,
    Name,
    Shares,
    build_pools,
    choose_names,
)
from data.sample.sources import GET_PACKAGES, read_phishing_blocklist, read_urlhaus_hosts, read_warning_list
from utils.errors import EXIT_DONE, UserError
from utils.files import write_text

# Umbrella brings host names, CrUX web sites and names on platforms, Tranco bare registered domains.
SHARES = Shares(
    benign={UMBRELLA: 700, CRUX: 580, CRUX_PLATFORMS: 80, TRANCO: 640},
    phishing=2_000,
    malware=2_000,
    unlabelled={
        UMBRELLA: 35,
        CRUX: 30,
        CRUX_PLATFORMS: 5,
        TRANCO: 30,
        ETH_PHISHING: 55,
        URLHAUS: 22,
        DGA: 23,
    },
)


def main(argv: list[str] | None = None) -> int:
    """Build the four JSON files; return the exit code."""
    arguments = make_parser().parse_args(argv)
    try:
        parts = build(arguments)
    except UserError as error:
        print(f"build_sample.py: {error}", file=sys.stderr)
        return error.exit_code
    for part, names in parts.items():
        counts = ", ".join(f"{source} {count}" for source, count in Counter(n.source for n in names).items())
        print(f"{part}.json: {len(names)} names ({counts})")
    return EXIT_DONE


def build(arguments: argparse.Namespace, shares: Shares = SHARES) -> dict[str, list[Name]]:
    """Read the packages, choose and write; return the names by part.

    Raises
    ------
    DataError
        A package's file is missing, of another version or malformed.
    OSError
        The output folder cannot be written.
    """
    any_version = arguments.any_version
    pools = build_pools(
        {
            name: read_warning_list(arguments.warning_lists, name, any_version=any_version)
            for name in POPULARITY_LISTS
        },
        read_phishing_blocklist(arguments.phishing_detect, any_version=any_version),
        read_urlhaus_hosts(arguments.ublock, any_version=any_version),
    )
    parts = choose_names(pools, shares)
    for part in (BENIGN, PHISHING, MALWARE, UNLABELLED):
        text = format_records(parts[part], labelled=part != UNLABELLED)
        write_text(arguments.output / f"{part}.json", text)
    return parts


def format_records(names: list[Name], *, labelled: bool) -> str:
    """Return a JSON array as mongoexport lays it out: one record a line, in seeded random order.

    Parameters
    ----------
    labelled
        Whether to write `source`, `sourced_on` and `malware`, each of which gives the class away.
    """
    by_domain = {name.domain: name for name in names}
    records = [_record(by_domain[domain], labelled) for domain in shuffled(by_domain, SEED + 1)]
    return "[" + ",\n".join(json.dumps(record, separators=(",", ":")) for record in records) + "]\n"


def _record(name: Name, labelled: bool) -> dict[str, object]:
    """Return the record of one name; a field that is not known is left out, as mongoexport does."""
    record: dict[str, object] = {
        "_id": {"$oid": hashlib.sha256(name.domain.encode()).hexdigest()[:24]},
        "domain_name": name.domain,
    }
    if labelled:
        record["source"] = name.source
        if name.listed_on is not None:
            record["sourced_on"] = {"$date": f"{name.listed_on.isoformat()}T00:00:00Z"}
        if name.family is not None:
            record["malware"] = name.family
    return record


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m data.sample.build_sample",
        description="Rebuild the embedded sample from three public packages.",
        epilog=f"The packages:\n{GET_PACKAGES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--warning-lists", type=Path, required=True, help="unpacked pymispwarninglists")
    parser.add_argument("--phishing-detect", type=Path, required=True, help="unpacked eth-phishing-detect")
    parser.add_argument("--ublock", type=Path, required=True, help="unpacked webext-ublock-origin-firefox")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder for the files")
    parser.add_argument(
        "--any-version", action="store_true", help="accept other package versions; the sample will differ"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
