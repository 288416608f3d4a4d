"""Speed of everything that happens to a name before the model: names a second on one core, median and spread.

    python benchmarks/bench_names.py
    python benchmarks/bench_names.py --input names.txt --repeats 7 --output names.json

Without `--input` it makes names with a seed: 22 % with a subdomain, 10 % on a hosting platform, 1 % punycode.
"""

import argparse
import random
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import (
    circumstances,
    make_parser,
    positive,
    print_circumstances,
    summarize,
    time_repeats,
    write_figures,
)
from data.domain_name import normalize_domain, registered_domain
from data.feature_engineering import ALPHABET, PADDING, UNKNOWN, encode_domains
from data.public_suffix import suffix_rules
from data.slices import slice_masks
from utils.errors import EXIT_DONE, DataError, UserError

MAX_LENGTH = 64
SLOW_STAGE_NAMES = 100_000  # for what is far slower, so that no stage dominates the run
SUFFIXES = ["com"] * 10 + ["net", "org", "de", "co.uk", "com.br", "ru", "xyz", "info"]
PLATFORMS = ["github.io", "pages.dev", "blogspot.com", "cloudfront.net"]


def main() -> int:
    """Measure every stage, print a table and write JSON."""
    args = parse_arguments()
    try:
        names = read_names(args.input) if args.input else make_names(args.count, args.seed)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    report = {
        **circumstances(),
        "input": {
            "file": args.input.name if args.input else None,
            "seed": None if args.input else args.seed,
            "names": len(names),
            "mean_length": round(statistics.fmean(map(len, names)), 2),
        },
        "repeats": args.repeats,
        "load_public_suffix_list_ms": summarize(time_repeats(suffix_rules.__wrapped__, args.repeats), 1e3),
        "stages": measure_stages(names, args.repeats),
    }
    print_report(report)
    write_figures(args.output, report)
    return EXIT_DONE


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__, repeats=5, repeated="of each stage")
    parser.add_argument("--input", type=Path, help="text file, one name a line (default: made-up names)")
    parser.add_argument("--count", type=positive, default=1_000_000, help="to make up (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up names (default: %(default)s)")
    return parser.parse_args()


def read_names(path: Path) -> list[str]:
    """Read one name a line; empty lines are skipped."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(path, f"cannot be read as UTF-8 text: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    if not names:
        raise DataError(path, "expected one name a line, found none")
    return names


def make_names(count: int, seed: int) -> list[str]:
    """Make names whose lengths and mix resemble a real list's."""
    generator = random.Random(seed)
    vowels = ("a", "e", "i", "o", "u", "an", "er", "in", "or")
    syllables = [consonant + vowel for consonant in "bcdfghjklmnprstvwz" for vowel in vowels]
    names = []
    for _ in range(count):
        label = "".join(generator.choices(syllables, k=generator.choice((3, 4, 5, 6))))
        draw = generator.random()
        if draw < 0.10:
            label += f"-{generator.randrange(10_000):04}.{generator.choice(PLATFORMS)}"
        else:
            label = f"{label}{generator.choice(('', '', '', '-online', '24'))}.{generator.choice(SUFFIXES)}"
        if draw > 0.99:
            label = "xn--bcher-kva." + label
        elif draw > 0.78:
            label = f"{generator.choice(('mail', 'login', 'cdn', 'shop'))}.{label}"
        names.append(label)
    return names


def measure_stages(names: list[str], repeats: int) -> dict[str, dict[str, object]]:
    """Time each stage; the input of the later ones is what normalisation accepted."""
    accepted = [name for name in map(normalize_domain, names) if isinstance(name, str)]
    some = accepted[:SLOW_STAGE_NAMES]
    pasted = [f"hxxps://www.{name.upper().replace('.', '[.]')}:443/path" for name in some]

    def normalize_and_encode() -> None:
        kept = [name for name in map(normalize_domain, names) if isinstance(name, str)]
        encode_domains(kept, MAX_LENGTH)

    stages: dict[str, tuple[Sequence[str], Callable[[], object]]] = {
        "normalize_domain": (names, lambda: list(map(normalize_domain, names))),
        "normalize_domain, defanged URLs": (pasted, lambda: list(map(normalize_domain, pasted))),
        "registered_domain": (accepted, lambda: list(map(registered_domain, accepted))),
        "encode_domains": (accepted, lambda: encode_domains(accepted, MAX_LENGTH)),
        "encoding by a loop, for comparison": (some, lambda: encode_by_loop(some)),
        "slice_masks": (some, lambda: slice_masks(some)),
        "normalize + encode": (names, normalize_and_encode),
        "normalize + registered_domain + encode": (names, lambda: prepare_for_training(names)),
    }
    figures = {}
    for stage, (stage_names, run) in stages.items():
        elapsed_s = time_repeats(run, repeats)
        figures[stage] = {
            "names": len(stage_names),
            "seconds": summarize(elapsed_s),
            "names_per_s": round(len(stage_names) / statistics.median(elapsed_s)),
        }
    return figures


def prepare_for_training(names: Sequence[str]) -> None:
    """Do all that is done with a name before a training."""
    kept = [name for name in map(normalize_domain, names) if isinstance(name, str)]
    for name in kept:
        registered_domain(name)
    encode_domains(kept, MAX_LENGTH)


def encode_by_loop(names: Sequence[str]) -> list[list[int]]:
    """Encode as most character-level models do: a dictionary, one character at a time."""
    code_of = {character: code for code, character in enumerate(ALPHABET, start=2)}
    rows = []
    for name in names:
        row = [code_of.get(character, UNKNOWN) for character in name[-MAX_LENGTH:]]
        rows.append(row + [PADDING] * (MAX_LENGTH - len(row)))
    return rows


def print_report(report: dict) -> None:
    """Print the report as a table."""
    source, load = report["input"], report["load_public_suffix_list_ms"]
    print_circumstances(report)
    print("one core is used")
    origin = source["file"] or f"made up with seed {source['seed']}"
    print(f"{source['names']:,} names, {source['mean_length']} characters on average ({origin})")
    print(f"public suffix list loads in {load['median']:.1f} ms ({load['min']:.1f}–{load['max']:.1f})\n")
    first_column = f"stage (median of {report['repeats']})"
    print(f"{first_column:<42}{'names':>11}{'s':>8}{'min':>8}{'max':>8}{'names/s':>13}")
    for stage, row in report["stages"].items():
        seconds = row["seconds"]
        columns = f"{seconds['median']:>8.3f}{seconds['min']:>8.3f}{seconds['max']:>8.3f}"
        print(f"{stage:<42}{row['names']:>11,}{columns}{row['names_per_s']:>13,}")


if __name__ == "__main__":
    sys.exit(main())
