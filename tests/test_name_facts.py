"""Facts about names: whose they are, platforms and their tenants, punycode, scripts."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.domain_name import normalize_domain
from data.name_facts import _KIND_OF_OPERATOR, _KIND_OF_SUFFIX, NameFacts, Platform, name_facts
from data.public_suffix import private_suffix_rule, suffix_operators, suffix_rules


@pytest.mark.parametrize(
    ("name", "registered", "suffix"),
    [
        ("a.b.example.com", "example.com", "com"),
        ("news.example.co.uk", "example.co.uk", "co.uk"),
        ("shop.tenant.pages.dev", "tenant.pages.dev", "pages.dev"),
        ("pages.dev", None, "pages.dev"),
        ("co.uk", None, "co.uk"),
    ],
)
def test_whose_a_name_is(name, registered, suffix):
    facts = name_facts(name)
    assert (facts.registered_domain, facts.public_suffix) == (registered, suffix)


@pytest.mark.parametrize(
    ("name", "platform", "sentence"),
    [
        (
            "tenant.pages.dev",
            Platform("pages.dev", "hosting_platform", "Cloudflare, Inc.", is_apex=False),
            "on the hosting platform pages.dev",
        ),
        (
            "pages.dev",
            Platform("pages.dev", "hosting_platform", "Cloudflare, Inc.", is_apex=True),
            "pages.dev is the hosting platform itself, not one of its tenants",
        ),
        (
            "a.b.github.io",
            Platform("github.io", "hosting_platform", "GitHub, Inc.", is_apex=False),
            "on the hosting platform github.io",
        ),
        (
            "cam.duckdns.org",
            Platform("duckdns.org", "dynamic_dns", "DuckDNS", is_apex=False),
            "on the dynamic DNS service duckdns.org",
        ),
        (
            "box.ddns.net",
            Platform("ddns.net", "dynamic_dns", "No-IP.com", is_apex=False),
            "on the dynamic DNS service ddns.net",
        ),
        (
            "app.ew.r.appspot.com",
            Platform("r.appspot.com", "hosting_platform", "Google, Inc.", is_apex=False),
            "on the hosting platform r.appspot.com",
        ),
        (
            "example.uk.com",
            Platform("uk.com", "other", "CentralNic", is_apex=False),
            "under uk.com, where customers of CentralNic get names",
        ),
        ("example.co.uk", None, None),
        ("example.com", None, None),
    ],
)
def test_platforms(name, platform, sentence):
    facts = name_facts(name)
    assert facts.platform == platform
    assert facts.sentences() == ([sentence] if sentence else [])


def test_every_private_rule_of_the_list_has_an_operator():
    rules = [rule for rule, kind in suffix_rules().kinds.items() if kind & (2 | 8)]
    assert len(rules) > 2_000
    for rule in rules:
        assert private_suffix_rule(rule)[1], rule
        assert name_facts(f"x.{rule}").platform.operator, rule
    with pytest.raises(KeyError):
        private_suffix_rule("co.uk")


def test_our_tables_name_what_the_list_holds():
    """A list of a later month may rename an operator: then this table has to follow."""
    operators = suffix_operators()
    assert set(_KIND_OF_OPERATOR) <= set(operators.values())
    assert {s for s in _KIND_OF_SUFFIX if s not in operators and f"*.{s}" not in operators} == set()


def test_punycode_scripts_and_look_alikes():
    domain = normalize_domain("gооgle.com")
    facts = name_facts(domain)
    assert facts.unicode == "gооgle.com"
    assert facts.mixed_scripts == ["Cyrillic", "Latin"]
    assert facts.imitates == "google.com"
    assert facts.sentences() == [
        "looks like google.com: 'gооgle' reads as 'google'",
        "mixes Cyrillic and Latin letters in one label",
        "punycode for gооgle.com",
    ]


def test_an_ordinary_unicode_name_is_punycode_and_nothing_else():
    assert name_facts("xn--bcher-kva.de").sentences() == ["punycode for bücher.de"]
    assert name_facts("xn--google-.com") == NameFacts("xn--google-.com", "com")


@given(st.text(max_size=40))
def test_any_name_has_facts_that_can_be_shown(text):
    domain = normalize_domain(f"{text}.com")
    if isinstance(domain, str):
        facts = name_facts(domain)
        assert all(sentence.isprintable() for sentence in facts.sentences())
        json.dumps([facts.unicode, facts.imitates]).encode("utf-8")
