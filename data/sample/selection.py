"""Which names go into which file of the sample: the rules that README.md states.

Takes the lists of sources.py and the generators of dga.py; writes nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from data.domain_name import normalize_domain, public_suffix, registered_domain
from data.sample.dga import FAMILIES
from data.sample.random_numbers import shuffled
from data.sample.sources import NameList

SEED = 20_241_210
MAX_PER_REGISTERED_DOMAIN = 3
BENIGN, PHISHING, MALWARE, UNLABELLED = "benign", "phishing", "malware", "unlabelled"
UMBRELLA, TRANCO, CRUX, CRUX_PLATFORMS = "cisco-umbrella", "tranco", "chrome-crux", "chrome-crux/platforms"
ETH_PHISHING, URLHAUS, DGA = "eth-phishing-detect", "urlhaus-filter", "dga"
POPULARITY_LISTS = ("tranco", "tranco10k", "cisco_top20k", "google-chrome-crux-1million", "majestic_million")

# Platforms whose popular names are mostly what they seem; elsewhere in CrUX many are spam or stolen content.
PLATFORMS = frozenset(
    {
        "azurewebsites.net",
        "blogspot.com",
        "cloudfront.net",
        "github.io",
        "hatenablog.com",
        "herokuapp.com",
        "myshopify.com",
        "netlify.app",
        "service.gov.uk",
        "withgoogle.com",
    }
)
# Adult and gambling sites are no threat, but a sample that people open need not show them.
UNWANTED = (
    "porn",
    "xxx",
    "xvid",
    "xnxx",
    "xxnx",
    "xham",
    "sex",
    "nude",
    "mature",
    "hentai",
    "escort",
    "whore",
    "jerk",
    "putaria",
    "pussy",
    "spank",
    "fap",
    "cams",
    "hunk",
    "mallu",
    "masa49",
    "casino",
    "togel",
    "slot",
    "jackpot",
    "matka",
)
# Free hosting that the phishing list holds beside its customers' names.
HOSTING_SERVICES = frozenset({"domen-hosting.org", "kissr.com"})
GENERATED_ON = (date(2023, 11, 6), date(2024, 2, 29), date(2024, 6, 17))
NAMES_PER_DAY = 60


@dataclass(frozen=True, slots=True)
class Shares:
    """How many names to choose: for each source of a part, in this order.

    Malware takes what URLhaus has, up to its total, and fills up with generated names.
    """

    benign: dict[str, int]
    phishing: int
    malware: int
    unlabelled: dict[str, int]


@dataclass(frozen=True, slots=True)
class Name:
    """One chosen name; `listed_on` and `family` are None where unknown."""

    domain: str
    source: str
    listed_on: date | None = None
    family: str | None = None


@dataclass(frozen=True, slots=True)
class Pools:
    """Valid names by source, the names that no part may hold, and the day each source states."""

    names: dict[str, list[str]]
    forbidden: set[str]
    listed_on: dict[str, date | None]


def generated_names(family: str, count: int = NAMES_PER_DAY) -> list[str]:
    """Return distinct valid names of one family, made on `GENERATED_ON` with seeds derived from its name.

    Parameters
    ----------
    count
        Names asked of the generator for each day.
    """
    names: list[str] = []
    for number, day in enumerate(GENERATED_ON):
        seed = int.from_bytes(hashlib.sha256(f"{SEED}:{family}:{number}".encode()).digest()[:4], "big")
        names += FAMILIES[family](seed, day, count)
    return normalized(names)


def normalized(raw_names: Iterable[str]) -> list[str]:
    """Return the valid names in normal form, each once, in the given order."""
    names = (normalize_domain(raw) for raw in raw_names)
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def build_pools(popular: dict[str, NameList], phishing: NameList, malware: NameList) -> Pools:
    """Sort the lists into pools by source.

    Parameters
    ----------
    popular
        The lists `POPULARITY_LISTS` by name.
    """
    lists = {name: normalized(listed.names) for name, listed in popular.items()}
    malicious = {ETH_PHISHING: normalized(phishing.names), URLHAUS: normalized(malware.names)}
    malicious |= {family: generated_names(family) for family in FAMILIES}

    seen_in = Counter(domain for names in malicious.values() for domain in names)
    seen_in.update(set().union(*lists.values()))
    return Pools(
        names=_benign_pools(lists) | malicious,
        forbidden={domain for domain, times in seen_in.items() if times > 1} | HOSTING_SERVICES,
        listed_on={
            UMBRELLA: popular["cisco_top20k"].listed_on,
            CRUX: popular["google-chrome-crux-1million"].listed_on,
            TRANCO: popular["tranco10k"].listed_on,
            ETH_PHISHING: phishing.listed_on,
            URLHAUS: malware.listed_on,
        },
    )


def _benign_pools(lists: dict[str, list[str]]) -> dict[str, list[str]]:
    """Keep the popular names whose registered domain, or whose platform, is among Tranco's million too.

    One list alone also holds spam, and the beacons of malware that many machines look up.
    """
    tranco = set(lists["tranco"])

    def usable(domain: str) -> bool:
        if any(word in domain for word in UNWANTED):
            return False
        if registered_domain(domain) in tranco:
            return True
        suffix, is_private = public_suffix(domain)
        return is_private and any(parent in tranco for parent in _with_parents(suffix))

    crux = [domain for domain in lists["google-chrome-crux-1million"] if usable(domain)]
    return {
        UMBRELLA: [domain for domain in lists["cisco_top20k"] if usable(domain)],
        CRUX: [domain for domain in crux if not public_suffix(domain)[1]],
        CRUX_PLATFORMS: [domain for domain in crux if public_suffix(domain)[0] in PLATFORMS],
        TRANCO: [domain for domain in lists["tranco10k"] if usable(domain)],
    }


def _with_parents(domain: str) -> list[str]:
    """Return `domain` and its parents down to two labels."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(len(labels) - 1)]


def choose_names(pools: Pools, shares: Shares) -> dict[str, list[Name]]:
    """Choose the names of every part; a part is short where its sources are.

    A registered domain belongs to the first part that takes from it. Unlabelled names come first, so that
    they have none in common with the labelled files; then the malicious ones, which are scarcer.
    """
    chooser = _Chooser(pools)
    for source, count in shares.unlabelled.items():
        _take(chooser, UNLABELLED, source, count)
    chooser.take(PHISHING, ETH_PHISHING, shares.phishing)
    chooser.take(MALWARE, URLHAUS, shares.malware, family="unknown")
    _take(chooser, MALWARE, DGA, shares.malware - len(chooser.parts[MALWARE]))
    for source, count in shares.benign.items():
        chooser.take(BENIGN, source, count)
    return chooser.parts


def _take(chooser: "_Chooser", part: str, source: str, count: int) -> None:
    """Take from a source; `DGA` means every family in turn, in equal shares as far as they go."""
    if source != DGA:
        chooser.take(part, source, count)
        return
    wanted = len(chooser.parts[part]) + count
    for number, family in enumerate(FAMILIES):
        missing, families_left = wanted - len(chooser.parts[part]), len(FAMILIES) - number
        chooser.take(part, family, -(-missing // families_left), family=family)


class _Chooser:
    """Takes names in seeded random order and remembers what is taken."""

    def __init__(self, pools: Pools) -> None:
        self.parts: dict[str, list[Name]] = {part: [] for part in (BENIGN, PHISHING, MALWARE, UNLABELLED)}
        self._pools = pools
        self._taken = set(pools.forbidden)
        self._part_of_group: dict[str, str] = {}
        self._group_sizes: Counter[str] = Counter()

    def take(self, part: str, source: str, count: int, family: str | None = None) -> None:
        """Add up to `count` names of a source to a part."""
        label = DGA if source in FAMILIES else CRUX if source == CRUX_PLATFORMS else source
        for domain in shuffled(self._pools.names[source], SEED):
            if count == 0:
                break
            group = registered_domain(domain)
            if domain in self._taken or self._group_sizes[group] == MAX_PER_REGISTERED_DOMAIN:
                continue
            if self._part_of_group.setdefault(group, part) != part:
                continue
            self._taken.add(domain)
            self._group_sizes[group] += 1
            self.parts[part].append(Name(domain, label, self._pools.listed_on.get(label), family))
            count -= 1
