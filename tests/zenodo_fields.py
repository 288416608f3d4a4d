"""Made-up values for the fields of a Zenodo record: DNS, RDAP, TLS, IP addresses, dates."""

import random
import string

COMPANIES = ("Sandbox Certificates Inc.", "Nimbus Sample LLC", "Quiet Harbor Registry", "Paper Kite Hosting")
FOREIGN_COMPANIES = (
    "Křemen Síťová s.r.o.",
    "Blå Fjord Hosting AS",
    "Grün & Söhne GmbH",
    "東雲ネット株式会社",
)
RECORD_TYPES = ("A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT")
_POOL = "".join(random.Random(0).choices(string.ascii_letters + string.digits + "+/=", k=65_536))


def dns(rng: random.Random, name: str) -> dict:
    soa = {
        "primary_ns": f"ns1.{name}",
        "resp_mailbox_dname": f"host.{name}",
        "serial": rng.randrange(2**31),
        "refresh": 3600,
        "retry": 600,
        "expire": 86_400,
        "min_ttl": 300,
    }
    related = [{"ttl": rng.randrange(86_400), "value": address(rng)} for _ in range(2)]
    return {
        "A": [address(rng) for _ in range(rng.randrange(1, 5))],
        "AAAA": [f"2001:db8::{rng.getrandbits(16):x}:{rng.getrandbits(16):x}"]
        if rng.random() < 0.4
        else None,
        "CNAME": {"value": f"edge.{name}", "related_ips": related} if rng.random() < 0.2 else None,
        "MX": {f"mx{n}.{name}": {"priority": 10 * n, "related_ips": related} for n in range(rng.randrange(3))}
        or None,
        "NS": {f"ns{n}.{name}": {"related_ips": related} for n in range(1, 4)},
        "TXT": [
            f"v=spf1 ip4:{address(rng)} -all",
            text(rng, rng.choice((30, 60, 60, 90, 90, 90, 120, 120, 120, 4000))),
        ],
        "SOA": soa,
        "zone_SOA": soa,
        "dnssec": {kind: rng.randrange(4) for kind in RECORD_TYPES},
        "remarks": {
            "has_spf": True,
            "has_dkim": None,
            "has_dmarc": False,
            "has_dnskey": rng.random() < 0.1,
            "zone_dnskey_selfsign_ok": False,
            "zone": name,
        },
        "sources": {kind: rng.randrange(3) for kind in RECORD_TYPES},
        "ttls": {kind: rng.choice((0, 60, 300, 3600)) for kind in RECORD_TYPES},
    }


def tls(rng: random.Random, name: str) -> dict:
    certificates = []
    for depth in range(rng.choice((1, 2, 2, 2, 3, 4))):
        extensions = [
            {"critical": rng.randrange(2), "name": extension, "value": text(rng, rng.randrange(10, 100))}
            for extension in (
                "keyUsage",
                "extendedKeyUsage",
                "basicConstraints",
                "subjectKeyIdentifier",
                "authorityKeyIdentifier",
                "authorityInfoAccess",
                "certificatePolicies",
            )
        ]
        extensions.append({"critical": 0, "name": "subjectAltName", "value": f"DNS:{name}, DNS:www.{name}"})
        certificates.append(
            {
                "common_name": f"Sample Intermediate R{depth}",
                "organization": company(rng) + ("'>" if rng.random() < 0.1 else ""),
                "country": rng.choice(("CZ'>", "US", "NO", "JP")),
                "validity_start": date(rng),
                "validity_end": date(rng),
                "valid_len": rng.choice((7_775_999, 31_535_999)),
                "extensions": extensions,
                "extension_count": len(extensions),
                "is_root": depth > 2,
            }
        )
    cipher = "TLS_AES_256_GCM_SHA384"
    return {"protocol": "TLSv1.3", "cipher": cipher, "count": len(certificates), "certificates": certificates}


def rdap(rng: random.Random, name: str) -> dict:
    roles = {
        role: [
            {
                "handle": text(rng, 10),
                "name": company(rng),
                "email": f"{role}@{name}",
                "type": "entity",
                "whois_server": None,
                "url": None,
                "rir": None,
            }
        ]
        for role in ("registrant", "registrar", "abuse", "administrative", "technical")
    }
    return {
        "handle": text(rng, 12),
        "parent_handle": "",
        "name": name.upper(),
        "whois_server": f"whois.{name}",
        "type": "domain",
        "terms_of_service_url": f"https://{name}/{text(rng, 60)}",
        "copyright_notice": "",
        "description": [text(rng, 80)],
        "last_changed_date": date(rng),
        "registration_date": date(rng),
        "expiration_date": date(rng) if rng.random() < 0.8 else None,
        "rir": None,
        "url": f"https://{name}/rdap",
        "entities": roles,
        "nameservers": [f"ns{n}.{name}" for n in range(1, 4)],
        "status": ["client transfer prohibited", "client update prohibited"],
        "dnssec": rng.random() < 0.1,
    }


def ip(rng: random.Random) -> dict:
    network = f"198.51.{rng.randrange(256)}.0"
    entity = [{"handle": text(rng, 10), "name": company(rng), "email": None, "type": "org"}]
    return {
        "ip": address(rng),
        "from_record": rng.choice(("A", "AAAA", "CNAME")),
        "remarks": {
            "rdap_evaluated_on": date(rng),
            "asn_evaluated_on": date(rng),
            "geo_evaluated_on": date(rng),
            "rep_evaluated_on": None,
            "ping_evaluated_on": date(rng),
            "is_alive": rng.random() < 0.8,
            "average_rtt": round(rng.uniform(1, 300), 3),
            "ports_scanned_on": None,
        },
        "rep": {"nerd": None},
        "rdap": {
            "handle": text(rng, 12),
            "name": text(rng, 10),
            "network": {
                "network_address": network,
                "netmask": "255.255.255.0",
                "broadcast_address": f"{network[:-1]}255",
                "hostmask": "0.0.0.255",
                "prefixlen": 24,
            },
            "description": text(rng, 120),
            "last_changed_date": date(rng),
            "registration_date": date(rng),
            "ip_version": 4,
            "assignment_type": "allocated",
            "country": "ZZ",
            "entities": {"registrant": entity, "abuse": entity},
        },
        "asn": {
            "asn": rng.randrange(64_496, 64_512),
            "as_org": company(rng),
            "network_address": network,
            "prefix_len": 24,
        }
        if rng.random() < 0.95
        else None,
        "geo": {
            "country": "Nowhere",
            "country_code": "ZZ",
            "region": "Sample",
            "region_code": "S",
            "city": "Sampleton",
            "postal_code": f"{rng.randrange(100_000):05}",
            "latitude": round(rng.uniform(-90, 90), 4),
            "longitude": round(rng.uniform(-180, 180), 4),
            "timezone": "Etc/UTC",
            "isp": None,
            "org": None,
        },
    }


def date(rng: random.Random) -> dict:
    """Return an Extended JSON date of 2023 or 2024, with or without a fraction of a second."""
    day = f"{rng.choice((2023, 2024))}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}"
    fraction = rng.choice(("", ".5", ".123"))
    return {"$date": f"{day}T{rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}{fraction}Z"}


def company(rng: random.Random) -> str:
    """Return the name of an organisation; one record in six or so gets one that is not ASCII."""
    return rng.choice(COMPANIES if rng.random() < 0.98 else FOREIGN_COMPANIES)


def text(rng: random.Random, length: int) -> str:
    """Return a stretch of a fixed pool: choosing every character anew would take most of the time."""
    start = int(rng.random() * (len(_POOL) - length))
    return _POOL[start : start + length]


def address(rng: random.Random) -> str:
    """Return an IPv4 address of the block for documentation (RFC 5737)."""
    return f"203.0.113.{rng.randrange(256)}"
