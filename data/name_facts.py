"""Facts about a name that anyone can check, without the model and without the network.

Whose the name is (registered domain, public suffix), whether it is a tenant of a platform, what its punycode
stands for, and what it looks like. They stand beside the model's answer; none of them moved its score.
"""

from dataclasses import dataclass, field

from data.look_alikes import LookAlike, find_look_alikes, mixes_scripts, scripts_of, unicode_label
from data.public_suffix import private_suffix_rule, public_suffix, registered_domain

HOSTING, DYNAMIC_DNS, OTHER = "hosting_platform", "dynamic_dns", "other"

# Who rents what is our own knowledge, written by hand: the public suffix list names operators, not their
# trade. Operators as its comments have them; single suffixes where an operator offers several things.
# Everything else in the private section is OTHER, for it also holds sellers of names (`uk.com`), content
# delivery and clouds.
_KIND_OF_OPERATOR = dict.fromkeys(
    [
        "addr.tools", "COSIMO GmbH", "dappnode.io", "ddnss.de", "deSEC", "dnsHome", "DrayTek Corp.",
        "DuckDNS", "DynDNS.com", "Dynu.com", "dynv6", "Future Versatile Group.", "GoIP DNS Services",
        "No-IP.com", "Now-DNS", "QNAP System Inc", "Securepoint GmbH", "Synology, Inc.",
        "TAIFUN Software AG",
    ],
    DYNAMIC_DNS,
)  # fmt: skip
_KIND_OF_OPERATOR |= dict.fromkeys(
    [
        "Altervista", "Carrd", "DigitalOcean App Platform", "fly.io", "Framer", "GitHub, Inc.",
        "GitLab, Inc.", "Heroku", "Netlify", "PythonAnywhere LLP", "Render", "Repl.it", "Shopify",
        "Surge", "Typedream", "Vercel, Inc", "Webflow, Inc.", "Wix.com, Inc.",
    ],
    HOSTING,
)  # fmt: skip
_KIND_OF_SUFFIX = dict.fromkeys(
    ["ddns-ip.net", "dns-dynamic.net", "dnsupdate.info", "ip-ddns.com", "ip-dynamic.org"], DYNAMIC_DNS
)
_KIND_OF_SUFFIX |= dict.fromkeys(
    [
        "appspot.com", "azurestaticapps.net", "azurewebsites.net", "blogspot.com", "deno.dev",
        "firebaseapp.com", "my.canva.site", "notion.site", "pages.dev", "r.appspot.com", "square.site",
        "up.railway.app", "web.app", "workers.dev",
    ],
    HOSTING,
)  # fmt: skip
_WORDS = {HOSTING: "the hosting platform", DYNAMIC_DNS: "the dynamic DNS service"}


@dataclass(frozen=True, slots=True)
class Platform:
    """A public suffix under which an operator gives names to its customers.

    Attributes
    ----------
    suffix
        Such as `pages.dev`; of a wildcard rule the part behind the `*.`.
    kind
        `hosting_platform`, `dynamic_dns`, or `other` where we do not know.
    operator
        As the public suffix list has it.
    is_apex
        The name is the platform's own, not a customer's.
    """

    suffix: str
    kind: str
    operator: str
    is_apex: bool


@dataclass(frozen=True, slots=True)
class NameFacts:
    """What `name_facts` found.

    Attributes
    ----------
    registered_domain
        None where the name is itself a public suffix.
    public_suffix
        From either section of the list.
    platform
        Where the public suffix is from the list's private section.
    unicode
        The name with its punycode labels decoded; None where it has none.
    mixed_scripts
        The scripts of labels that mix what no language mixes, sorted.
    look_alikes
        Parts that read as something else.
    imitates
        The ASCII name that these make it look like.
    """

    registered_domain: str | None
    public_suffix: str
    platform: Platform | None = None
    unicode: str | None = None
    mixed_scripts: list[str] = field(default_factory=list)
    look_alikes: list[LookAlike] = field(default_factory=list)
    imitates: str | None = None

    def sentences(self) -> list[str]:
        """Return what is remarkable, as short sentences for people."""
        found = []
        if self.imitates is not None:
            parts = ", ".join(f"'{part.text}' reads as '{part.reads_as}'" for part in self.look_alikes)
            found.append(f"looks like {self.imitates}: {parts}")
        if self.mixed_scripts:
            found.append(f"mixes {' and '.join(self.mixed_scripts)} letters in one label")
        if self.unicode is not None:
            found.append(f"punycode for {self.unicode}")
        if self.platform is not None:
            found.append(_platform_sentence(self.platform))
        return found


def name_facts(domain: str) -> NameFacts:
    """Gather the facts about a normalised name.

    Parameters
    ----------
    domain
        What `normalize_domain` returned.
    """
    suffix, is_private = public_suffix(domain)
    look_alikes, imitates = find_look_alikes(domain)
    labels = [unicode_label(label) for label in domain.split(".")] if "xn--" in domain else []
    decoded = ".".join(labels)
    mixed = [scripts for label in labels if mixes_scripts(scripts := scripts_of(label))]
    return NameFacts(
        registered_domain=None if suffix == domain else registered_domain(domain),
        public_suffix=suffix,
        platform=_platform(domain, suffix) if is_private else None,
        unicode=decoded if labels and decoded != domain else None,
        mixed_scripts=sorted(set().union(*mixed)),
        look_alikes=look_alikes,
        imitates=imitates,
    )


def _platform(domain: str, suffix: str) -> Platform:
    rule, operator = private_suffix_rule(suffix)
    base = rule.removeprefix("*.")
    kind = _KIND_OF_SUFFIX.get(base) or _KIND_OF_OPERATOR.get(operator, OTHER)
    return Platform(base, kind, operator, is_apex=base == domain)


def _platform_sentence(platform: Platform) -> str:
    what = _WORDS.get(platform.kind)
    if platform.is_apex:
        return f"{platform.suffix} is {what or 'the shared suffix'} itself, not one of its tenants"
    if what:
        return f"on {what} {platform.suffix}"
    return f"under {platform.suffix}, where customers of {platform.operator} get names"
