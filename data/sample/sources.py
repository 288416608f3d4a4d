"""The three public packages that the sample's real names come from, and how their lists are read.

The names come out as they stand in the packages: not normalised, with IP addresses and repetitions.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from utils.errors import DataError

GET_PACKAGES = """\
pip download --no-deps pymispwarninglists==1.7.0
python -m zipfile -e pymispwarninglists-1.7.0-*.whl warning-lists
npm pack eth-phishing-detect@1.2.0
mkdir phishing-detect && tar -xzf eth-phishing-detect-1.2.0.tgz -C phishing-detect
apt-get update && apt-get download webext-ublock-origin-firefox
dpkg-deb -x webext-ublock-origin-firefox_1.67.0*.deb ublock"""

# Path inside the unpacked package → SHA-256 of the version the committed sample was built from.
WARNING_LISTS = {
    "tranco": "b4459ab57b64bde2140ce139907b4c412d8020b345e1de7188dd0fee23f5657e",
    "tranco10k": "0a502192cea537c0718307cad1a93008aa585b71ffe6127d3fdc57d1f21da61e",
    "cisco_top20k": "b609c26e001a0c3a36219056b7d80b5f28bf3631bfc24d9bb70c55575e4bf28d",
    "google-chrome-crux-1million": "896a0955f98de58946d5211d42f1947fcf6f7fe9a97ed5c420c88de180630ba1",
    "majestic_million": "b84133160726d9483a9ff205d5026944a8fb13efc2ebafce7c8bbf3614d4bf1c",
}
PHISHING_CONFIG = ("src/config.json", "6dd1fe4ded6d241b599d36135f65e5f8aeed2e6ce5b74f7360e37c2d08738436")
URLHAUS_FILTER = (
    "urlhaus-filter/urlhaus-filter-online.txt",
    "eb135248aaa83c87348dee3e183c36d83cb63c141e536a613446184c47ccbde2",
)


@dataclass(frozen=True, slots=True)
class NameList:
    """Names as a package lists them.

    Attributes
    ----------
    names
        In the package's order.
    listed_on
        The day the list states for itself; None where it states none.
    """

    names: list[str]
    listed_on: date | None


def read_warning_list(package: Path, name: str, *, any_version: bool = False) -> NameList:
    """Read one list of the MISP warning lists, for example "tranco10k"; its version is a date.

    Raises
    ------
    DataError
        The file is missing, another version, or not what a warning list looks like.
    """
    path, content = _read_pinned(package, f"lists/{name}/list.json", WARNING_LISTS[name], any_version)
    try:
        parsed = json.loads(content)
        return NameList(
            [str(entry) for entry in parsed["list"]],
            datetime.strptime(str(parsed["version"]), "%Y%m%d").replace(tzinfo=UTC).date(),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"expected `list` and a date as `version`: {error!r}") from None


def read_phishing_blocklist(package: Path, *, any_version: bool = False) -> NameList:
    """Read the block list of eth-phishing-detect without the names its allow list holds too; no date.

    Raises
    ------
    DataError
        As `read_warning_list`.
    """
    path, content = _read_pinned(package, *PHISHING_CONFIG, any_version)
    try:
        config = json.loads(content)
        allowed = set(config["whitelist"])
        return NameList([str(entry) for entry in config["blacklist"] if entry not in allowed], None)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(path, f"expected lists `blacklist` and `whitelist`: {error!r}") from None


def read_urlhaus_hosts(package: Path, *, any_version: bool = False) -> NameList:
    """Read the whole hosts that urlhaus-filter blocks, leaving out single URLs.

    The filter blocks a URL alone where the host is a popular site that carries malware among other things
    (a code forge, a file store); those hosts are not malicious names.

    Raises
    ------
    DataError
        As `read_warning_list`.
    """
    path, content = _read_pinned(package, *URLHAUS_FILTER, any_version)
    names, listed_on = [], None
    for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
        rule = line.strip()
        if rule.startswith("! Updated:"):
            listed_on = _date_of(path, number, rule.removeprefix("! Updated:").strip())
        elif rule and not rule.startswith("!"):
            host = rule.removeprefix("||").removesuffix("^$all")
            if "/" not in host:
                names.append(host)
    if listed_on is None:
        raise DataError(path, "expected a line `! Updated: <ISO 8601 time>`, found none")
    return NameList(names, listed_on)


def _date_of(path: Path, number: int, text: str) -> date:
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise DataError(path, f"expected an ISO 8601 time, found {text!r}", f"line {number}") from None


def _read_pinned(package: Path, ending: str, sha256: str, any_version: bool) -> tuple[Path, bytes]:
    """Find the one file whose path ends in `ending` below `package`; check that it is the known version."""
    candidates = package.rglob(Path(ending).name)
    found = [path for path in candidates if path.as_posix().endswith("/" + ending)]
    if len(found) != 1:
        raise DataError(
            package,
            f"expected one file …/{ending} below it, found {len(found)}; "
            f"unpack the packages with:\n{GET_PACKAGES}",
        )
    content = found[0].read_bytes()
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256 and not any_version:
        raise DataError(
            found[0],
            f"expected the version with SHA-256 {sha256[:12]}…, found {actual[:12]}…; "
            "--any-version builds a different sample from it",
        )
    return found[0], content
