"""Made-up records that obey the Zenodo schema, for tests and benchmarks: seeded, as large as the real ones.

Every field of the collector's schema occurs (github.com/nesfit/domainradar-dib, data_schema.json). A record
has 4 to 17 kB, about 8 kB on average. A few carry the dirt of the real files: IPv4 addresses and underscores
as names, absent optional fields, `malware_type` for `malware`, dates beyond 1970–9999, non-ASCII text, and
the junk `'>` at the end of an issuer. No name, address or organisation is taken from anywhere.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tests.zenodo_fields import company, date, dns, ip, rdap, text, tls

LAYOUTS = ("mongoexport", "pretty", "single_line", "jsonl")
LABELS = ("benign", "phishing", "malware")
SOURCES = {
    "benign": ("cesnet", "umbrella"),
    "phishing": ("phishtank", "openphish"),
    "malware": ("threatfox", "urlhaus", "misp", "firebog"),
}
FAMILIES = ("unknown", "grapeloader", "tinfoilbot", "mothstealer", "paperworm")
_VOCABULARY = {
    "words": "amber basin cedar delta ember falcon garnet harbor island jasper kettle lumen meadow nectar "
    "orchid pebble quartz raven saddle timber umber velvet willow yonder zephyr anchor bramble copper dapple "
    "echo fern glacier hazel indigo juniper kiln ledger maple nimbus oasis plume quill ridge sparrow thistle "
    "union valley wharf yarrow zenith",
    "lures": "login secure verify account update wallet support signin billing confirm",
    "suffixes": "com net org info xyz top online shop site de cz fr co.uk com.br io app dev club live ru pl",
}
_WORDS, _LURES, _SUFFIXES = (text.split() for text in _VOCABULARY.values())
# Prime to all the counts that a name combines (50, 21 and 3,000): counting up meets each combination once.
_STRIDE = 7_368_787


def write_records(
    path: Path,
    *,
    count: int | None = None,
    size_bytes: int | None = None,
    layout: str = "mongoexport",
    seed: int = 0,
    label: str = "phishing",
    dirt: float = 0.02,
) -> int:
    """Write made-up records in one of `LAYOUTS` until there are `count`, or the file has `size_bytes`.

    Parameters
    ----------
    path
        The file to write, as UTF-8 without compression.
    count, size_bytes
        Exactly one of them; with `size_bytes` the last record is the first that reaches it.
    layout
        "mongoexport": one array with one record a line. "pretty": the array indented. "single_line": the
        array on one line. "jsonl": one record a line, no array.
    seed, label, dirt
        As in `zenodo_records`.

    Returns
    -------
    int
        The number of records written.
    """
    if (count is None) == (size_bytes is None):
        raise ValueError("give either count or size_bytes")
    opening, separator, closing = {
        "mongoexport": ("[", ",\n", "]\n"),
        "pretty": ("[\n", ",\n", "\n]\n"),
        "single_line": ("[", ", ", "]"),
        "jsonl": ("", "\n", "\n"),
    }[layout]
    written = 0
    with Path(path).open("wb") as file:
        file.write(opening.encode())
        for record in zenodo_records(seed=seed, label=label, dirt=dirt):
            if written == count or (size_bytes is not None and file.tell() >= size_bytes):
                break
            file.write((separator if written else "").encode() + encode_record(record, layout))
            written += 1
        file.write(closing.encode())
    return written


def encode_record(record: dict, layout: str) -> bytes:
    """Return one record as UTF-8 JSON: indented with tabs for "pretty", else on one line."""
    if layout == "pretty":
        return json.dumps(record, ensure_ascii=False, indent="\t").encode()
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def zenodo_records(*, seed: int = 0, label: str = "phishing", dirt: float = 0.02) -> Iterator[dict]:
    """Yield made-up records of one class without end, a share of `dirt` of them dirty in a known way.

    Names are distinct within a seed and between the labels. The same arguments give the same records.
    """
    rng = random.Random(f"{seed}/{label}")
    number = 0
    while True:
        record = _record(rng, made_up_name(number, label, seed), label)
        if rng.random() < dirt:
            _soil(rng, record, number)
        yield record
        number += 1


def made_up_name(number: int, label: str, seed: int = 0) -> str:
    """Return the `number`-th name of a class: two words, a tag and a top-level domain; lures for phishing."""
    index = number * len(LABELS) + LABELS.index(label) + seed * 1_000_003
    mixed = index * _STRIDE % (len(_WORDS) ** 2 * len(_SUFFIXES) * 3000)
    mixed, first = divmod(mixed, len(_WORDS))
    mixed, second = divmod(mixed, len(_WORDS))
    tag, suffix = divmod(mixed, len(_SUFFIXES))
    stem = f"{_WORDS[first]}{_WORDS[second]}{tag if tag else ''}"
    if label == "phishing" and number % 3:
        stem = f"{_LURES[number % len(_LURES)]}-{stem}"
    elif label == "malware" and number % 2:
        stem = f"{stem[:4]}{tag * 7919 % 46_656:x}"[:12] + f"{number:x}"
    return f"{stem}.{_SUFFIXES[suffix]}"


def _record(rng: random.Random, name: str, label: str) -> dict:
    """Return one clean record; the order of its keys is the collector's."""
    record = {
        "_id": {"$oid": f"{rng.getrandbits(96):024x}"},
        "domain_name": name,
        "url": f"https://{name}/{text(rng, 14)}",
        "evaluated_on": date(rng),
        "source": rng.choice(SOURCES[label]),
        "sourced_on": date(rng),
        "dns": dns(rng, name),
        "rdap": rdap(rng, name) if rng.random() < 0.9 else None,
        "tls": tls(rng, name) if rng.random() < 0.85 else None,
        "ip_data": [ip(rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))],
        "remarks": {
            "dns_evaluated_on": date(rng),
            "tls_evaluated_on": date(rng),
            "rdap_evaluated_on": date(rng),
            "dns_had_no_ips": False,
        },
        "label": label,
        "category": label,
    }
    if label == "malware":
        record["malware"] = rng.choice(FAMILIES)
    return record


def _soil(rng: random.Random, record: dict, number: int) -> None:
    """Make a record dirty in one of the ways that the real files are."""
    kind = rng.randrange(6)
    if kind == 0:
        record["domain_name"] = f"192.0.{2 + number % 250}.{rng.randrange(256)}"
    elif kind == 1:
        record["domain_name"] = f"_dmarc_{number}.{record['domain_name']}"
    elif kind == 2:
        for field in ("_id", "label", "category", "rdap", "tls", "ip_data", "sourced_on"):
            record.pop(field, None)
    elif kind == 3:
        record["sourced_on"] = {
            "$date": {"$numberLong": str(rng.choice((-62_135_596_800_000, 253_402_300_800_000)))}
        }
    elif kind == 4 and "malware" in record:
        record["malware_type"] = record.pop("malware")
    else:
        record["dns"]["TXT"] = [f'popis="příliš žluťoučký" \\ {company(rng)} \U0001f50e\t{text(rng, 40)}']
