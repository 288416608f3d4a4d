"""The embedded sample: what the committed files hold, and that the builder keeps its rules."""

import hashlib
import json
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from data.domain_name import Rejected, normalize_domain, registered_domain
from data.sample import build_sample
from data.sample.dga import FAMILIES
from data.sample.dga_hashes import padcrypt
from data.sample.dga_letters import banjori_from, ramnit
from data.sample.dga_patterned import corebot
from data.sample.random_numbers import numbers, shuffled
from data.sample.selection import Name, Shares, generated_names

SAMPLE = Path(build_sample.__file__).parent
LABELLED = ("benign", "phishing", "malware")
PARTS = (*LABELLED, "unlabelled")
DAY, OTHER_DAY = date(2024, 2, 29), date(2024, 6, 17)

# The structure that each docstring states: the whole name as a pattern.
STRUCTURES = {
    "bamital": r"[0-9a-f]{32}\.(info|org)",
    "banjori": r"[a-z]{16,24}\.com",
    "chinad": r"[a-z0-9]{16}\.(com|org|net|biz|info|ru|cn)",
    "conficker": r"[a-z]{5,11}\.(com|net|org|info|biz)",
    "corebot": r"[a-y0-8]{12,23}\.ddns\.net",
    "dyre": r"[a-z][0-9a-f]{33}\.(cc|ws|to|in|hk|cn|tk|so)",
    "gozi": r"[a-z]{12,23}\.(com|ru|cn|net|biz)",
    "kraken": r"[a-z]{6,11}\.(dyndns\.org|yi\.org|mooo\.com|dynserv\.com)",
    "locky": r"[a-y]{5,15}\.(ru|pw|eu|in|yt|pm|us|fr|de|it|be|uk|nl|tf)",
    "matsnu": r"[a-z]{4,}(-[a-z]{3,}){0,3}\.com",
    "murofet": r"[a-z]{9,32}\.(ru|com|net|org|info|biz)",
    "necurs": r"[a-y]{7,21}\.[a-z]{2,4}",
    "newgoz": r"[a-z0-9]{21,28}\.(com|net|org|biz)",
    "nymaim": r"[a-z]{5,12}\.(net|com|in|pw)",
    "padcrypt": r"[abcdefnolmk]{16}\.(com|co\.uk|de|org|net|eu|info|online|co|cc|website)",
    "pushdo": r"([b-df-hj-np-tv-xz][aeiou][b-df-hj-np-tv-xz]?){3,6}[b-df-hj-np-tv-xz]?\.kz",
    "qadars": r"[a-z0-9]{12}\.(com|org|net)",
    "ramnit": r"[a-y]{8,19}\.com",
    "ranbyus": r"[a-y]{14}\.(in|me|cc|su|tw|net|com|pw|org)",
    "simda": r"([b-df-hj-np-tv-xz][aeiouy]){3,5}[b-df-hj-np-tv-xz]?\.(com|info|eu)",
    "suppobox": r"[a-z]{7,18}\.net",
    "tinba": r"[b-y]{12}\.com",
    "virut": r"[a-z]{6}\.com",
}
WITHOUT_DATE = {"banjori", "kraken", "ramnit", "simda", "tinba"}


@pytest.fixture(scope="module")
def records() -> dict[str, list[dict]]:
    return {part: json.loads((SAMPLE / f"{part}.json").read_text("utf-8")) for part in PARTS}


@pytest.fixture(scope="module")
def domains(records) -> dict[str, list[str]]:
    return {part: [record["domain_name"] for record in records[part]] for part in PARTS}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_family(family: str) -> None:
    generate = FAMILIES[family]
    names = generate(4711, DAY, 200)
    assert len(names) == 200
    assert names == generate(4711, DAY, 200), "the same arguments give the same names"
    assert names[:50] == generate(4711, DAY, 50), "asking for more names changes none"
    assert set(names) != set(generate(4712, DAY, 200)), "the seed matters"
    assert (names == generate(4711, OTHER_DAY, 200)) == (family in WITHOUT_DATE)
    assert [name for name in names if normalize_domain(name) != name] == []
    pattern = re.compile(STRUCTURES[family])
    assert [name for name in names if not pattern.fullmatch(name)] == []
    assert len(set(names)) > 150, "a generator that repeats itself is stuck"
    assert "Source:" in generate.__doc__ or "In the manner of" in generate.__doc__


def test_families_are_those_of_the_table_and_share_no_name() -> None:
    assert set(FAMILIES) == set(STRUCTURES)
    seen = Counter(name for generate in FAMILIES.values() for name in set(generate(4711, DAY, 500)))
    assert [name for name, families in seen.items() if families > 1] == []


@pytest.mark.parametrize(
    ("names", "digest"),
    [
        (ramnit(0x79159C10, DAY, 10), "1f1f378713d4ac62"),
        ([name.split(".")[0] for name in corebot(0x1DBA8930, date(2015, 9, 8), 10)], "1c3576ccf8725ccd"),
        (padcrypt(0, date(2016, 3, 6), 10), "87fbaae13c86195c"),
        (banjori_from("earnestnessbiophysicalohax", 10), "c6626749b0317a94"),
    ],
    ids=["ramnit", "corebot", "padcrypt", "banjori"],
)
def test_families_called_exact_give_the_published_names(names: list[str], digest: str) -> None:
    """The first ten names that J. Bader printed for these families, as a digest."""
    assert hashlib.sha256(" ".join(names).encode()).hexdigest()[:16] == digest


def test_random_numbers_are_splitmix64() -> None:
    draw = numbers(1234567)
    # Reference output of the algorithm's published C code for this seed.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert [draw(1 << 64) for _ in expected] == expected


def test_shuffled_forgets_the_order_it_was_given() -> None:
    assert shuffled(["a", "b", "c", "a"], 7) == shuffled(["c", "a", "b"], 7)
    assert len({tuple(shuffled("abcdef", seed)) for seed in range(20)}) > 10


def test_committed_files_have_the_layout_of_mongoexport(records) -> None:
    for part, part_records in records.items():
        text = (SAMPLE / f"{part}.json").read_text("utf-8")
        assert text.startswith("[{")
        assert text.endswith("}]\n")
        assert text.count("\n") == len(part_records), part
        assert [json.loads(line.strip("[],\n")) for line in text.splitlines()] == part_records


def test_committed_counts_and_sizes(domains) -> None:
    assert [len(domains[part]) for part in PARTS] == [2000, 2000, 2000, 200]
    files = [path for path in SAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_committed_names_are_normal_and_unique(domains) -> None:
    every = [name for names in domains.values() for name in names]
    assert [name for name in every if normalize_domain(name) != name] == []
    assert len(set(every)) == len(every)


def test_no_registered_domain_is_in_two_files_or_more_than_three_times(domains) -> None:
    files_of_group: dict[str, set[str]] = {}
    group_sizes: Counter[str] = Counter()
    for part, names in domains.items():
        for name in names:
            files_of_group.setdefault(registered_domain(name), set()).add(part)
            group_sizes[registered_domain(name)] += 1
    assert {group: parts for group, parts in files_of_group.items() if len(parts) > 1} == {}
    assert max(group_sizes.values()) <= 3


def test_committed_fields(records) -> None:
    for part in LABELLED:
        for record in records[part]:
            assert re.fullmatch(r"[0-9a-f]{24}", record["_id"]["$oid"])
            assert set(record) <= {"_id", "domain_name", "source", "sourced_on", "malware"}
            assert ("malware" in record) == (part == "malware")
            if "sourced_on" in record:
                assert re.fullmatch(r"2025-\d\d-\d\dT00:00:00Z", record["sourced_on"]["$date"])
    assert {tuple(record) for record in records["unlabelled"]} == {("_id", "domain_name")}


def test_committed_bytes_are_those_the_builder_writes_for_these_names(records) -> None:
    for part in PARTS:
        names = [
            Name(record["domain_name"], record.get("source", ""), _day(record), record.get("malware"))
            for record in records[part]
        ]
        text = build_sample.format_records(names[::-1], labelled=part in LABELLED)
        assert text == (SAMPLE / f"{part}.json").read_text("utf-8"), part


def _day(record: dict) -> date | None:
    return date.fromisoformat(record["sourced_on"]["$date"][:10]) if "sourced_on" in record else None


def test_generated_names_in_malware_come_from_their_family(records) -> None:
    generated = {family: set(generated_names(family)) for family in FAMILIES}
    of_dga = [record for record in records["malware"] if record["source"] == "dga"]
    assert [r for r in of_dga if r["domain_name"] not in generated[r["malware"]]] == []
    assert {record["malware"] for record in of_dga} == set(FAMILIES)
    assert {record["malware"] for record in records["malware"] if record["source"] != "dga"} == {"unknown"}


def test_readme_states_the_counts(records) -> None:
    readme = (SAMPLE / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+)\.json \| `([\w-]+)` \| ([\d,]+) \|", readme, re.MULTILINE)
    stated = {(part, source): int(count.replace(",", "")) for part, source, count in rows}
    actual = {
        (part, source): count
        for part in LABELLED
        for source, count in Counter(record["source"] for record in records[part]).items()
    }
    assert stated == actual


def test_text_input_holds_one_garbage_line_and_one_address(domains) -> None:
    lines = (SAMPLE / "unlabelled.txt").read_text("utf-8").splitlines()
    results = [normalize_domain(line) for line in lines]
    assert 18 <= len(lines) <= 24
    rejected = sorted(result.reason for result in results if isinstance(result, Rejected))
    assert rejected == ["bad_syntax", "ip_address"]
    every = {name for names in domains.values() for name in names}
    assert not every & {result for result in results if isinstance(result, str)}


# The builder, on packages of a few made-up names.

TINY_SHARES = Shares(
    benign={"cisco-umbrella": 9, "chrome-crux": 2, "chrome-crux/platforms": 1, "tranco": 9},
    phishing=9,
    malware=30,
    unlabelled={"tranco": 1, "eth-phishing-detect": 1, "urlhaus-filter": 1, "dga": 2},
)


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Lay out the three packages: names that must be kept, and one of every kind that must not."""
    known = [f"made-up-known-{number}.com" for number in range(5)]
    lists = {
        "tranco": [*known, "github.io", "made-up-both.com", "made-up-casino.com"],
        "tranco10k": [*known[:4], "made-up-unconfirmed.com", "made-up-casino.com"],
        "cisco_top20k": [f"{label}.made-up-known-4.com" for label in ("a", "b", "c", "d", "e")],
        "google-chrome-crux-1million": ["www.made-up-known-1.com", "made-up.github.io", "made-up-both.com"],
        "majestic_million": ["made-up-popular-phish.com"],
    }
    for name, names in lists.items():
        path = tmp_path / "warning" / "lists" / name / "list.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"version": 20240102, "list": names}), "utf-8")
    path = tmp_path / "phishing" / "src" / "config.json"
    path.parent.mkdir(parents=True)
    phish = [*(f"www.made-up-phish-{number}.com" for number in range(4)), "login.made-up-known-2.com"]
    more = ["made-up-popular-phish.com", "made-up-both.com", "made-up-two-feeds.com", "made-up-allowed.com"]
    path.write_text(json.dumps({"blacklist": phish + more, "whitelist": ["made-up-allowed.com"]}), "utf-8")
    path = tmp_path / "ublock" / "urlhaus-filter" / "urlhaus-filter-online.txt"
    path.parent.mkdir(parents=True)
    path.write_text(
        "! Title: made up\n! Updated: 2024-03-04T00:10:18Z\n192.0.2.7\n||made-up-mal-0.com^$all\n"
        "||made-up-forge.com/a/b.exe^$all\nmade-up-two-feeds.com\nmade-up-mal-1.com\nmade-up-mal-2.com\n",
        "utf-8",
    )
    return tmp_path


def _arguments(packages: Path, output: Path, *more: str) -> list[str]:
    output.mkdir(exist_ok=True)
    folders = {"warning-lists": "warning", "phishing-detect": "phishing", "ublock": "ublock"}
    return [f"--output={output}", *(f"--{key}={packages / name}" for key, name in folders.items()), *more]


def _build(packages: Path, output: Path) -> dict[str, list[dict]]:
    arguments = build_sample.make_parser().parse_args(_arguments(packages, output, "--any-version"))
    build_sample.build(arguments, TINY_SHARES)
    return {path.stem: json.loads(path.read_text("utf-8")) for path in output.glob("*.json")}


def test_builder_keeps_its_rules(packages: Path) -> None:
    built = _build(packages, packages / "out")
    names = {part: {record["domain_name"] for record in records} for part, records in built.items()}
    every = set().union(*names.values())
    assert not {name for name in every if name.startswith(("www.", "192."))}
    unwanted = ("both", "two-feeds", "popular-phish", "allowed", "unconfirmed", "casino", "forge")
    assert not every & {f"made-up-{word}.com" for word in unwanted}
    assert "made-up.github.io" in names["benign"]
    assert len([name for name in every if registered_domain(name) == "made-up-known-4.com"]) == 3
    assert len(names["phishing"]) == 4, "five valid ones, of which one is unlabelled"
    groups = {part: {registered_domain(name) for name in part_names} for part, part_names in names.items()}
    assert sum(map(len, groups.values())) == len(set().union(*groups.values())), "a group in two files"
    assert len(names["malware"]) == 30
    assert {tuple(record) for record in built["unlabelled"]} == {("_id", "domain_name")}
    assert len(names["unlabelled"]) == 5
    feed = [record for record in built["malware"] if record["source"] == "urlhaus-filter"]
    assert {record["sourced_on"]["$date"] for record in feed} == {"2024-03-04T00:00:00Z"}
    assert len(feed) == 2


def test_rebuild_gives_the_same_bytes(packages: Path) -> None:
    _build(packages, packages / "one")
    path = packages / "phishing" / "src" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(config | {"blacklist": config["blacklist"][::-1]}), "utf-8")
    _build(packages, packages / "two")
    for part in PARTS:
        one, two = (packages / folder / f"{part}.json" for folder in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_another_package_version_is_refused(packages: Path, capsys) -> None:
    assert build_sample.main(_arguments(packages, packages / "out")) == 1
    assert "expected the version with SHA-256" in capsys.readouterr().err
    assert list((packages / "out").iterdir()) == []


def test_a_missing_package_names_the_commands_that_fetch_it(packages: Path, capsys) -> None:
    (packages / "phishing" / "src" / "config.json").unlink()
    assert build_sample.main(_arguments(packages, packages / "out", "--any-version")) == 1
    error = capsys.readouterr().err
    assert "found 0" in error
    assert "npm pack eth-phishing-detect@1.2.0" in error


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("warning/lists/tranco/list.json", '{"version": "new", "list": []}', "a date as `version`"),
        ("phishing/src/config.json", '{"blacklist": []}', "`whitelist`"),
        ("ublock/urlhaus-filter/urlhaus-filter-online.txt", "a.example\n", "! Updated:"),
        ("ublock/urlhaus-filter/urlhaus-filter-online.txt", "! Updated: soon\n", "line 1"),
    ],
)
def test_a_malformed_list_is_refused(packages: Path, capsys, path: str, content: str, expected: str) -> None:
    (packages / path).write_text(content, "utf-8")
    assert build_sample.main(_arguments(packages, packages / "out", "--any-version")) == 1
    assert expected in capsys.readouterr().err
