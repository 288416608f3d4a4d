"""Public suffixes and registered domains: the same answers as the package publicsuffixlist gives."""

import random

import pytest
from publicsuffixlist import PublicSuffixList

from data.domain_name import normalize_domain, public_suffix, registered_domain
from data.public_suffix import parse_rules, suffix_rules, top_level_domains


@pytest.fixture(scope="module")
def names():
    """Every rule of the list itself and with up to three labels before it, in a normal form."""
    generator = random.Random(7)
    rules = [rule for rule in suffix_rules().kinds if "." in rule]
    labels = ["a", "example", "xn--bcher-kva", "city", "www", "x-1"]
    subdomains = [".".join([*generator.choices(labels, k=generator.randint(1, 3)), rule]) for rule in rules]
    under_top_level = [f"{generator.choice(labels)}.{label}" for label in top_level_domains()]
    return sorted({*rules, *subdomains, *under_top_level})


def test_agrees_with_publicsuffixlist(names):
    whole, registries = PublicSuffixList(), PublicSuffixList(only_icann=True)
    assert len(names) > 15_000
    for name in names:
        suffix = whole.publicsuffix(name)
        assert public_suffix(name) == (suffix, suffix != registries.publicsuffix(name)), name
        assert registered_domain(name) == (whole.privatesuffix(name) or name), name


@pytest.mark.parametrize(
    ("name", "suffix", "private", "registered"),
    [
        ("google.com", "com", False, "google.com"),
        ("a.b.google.com", "com", False, "google.com"),
        ("news.bbc.co.uk", "co.uk", False, "bbc.co.uk"),
        ("co.uk", "co.uk", False, "co.uk"),
        ("octocat.github.io", "github.io", True, "octocat.github.io"),
        ("a.octocat.github.io", "github.io", True, "octocat.github.io"),
        ("github.io", "github.io", True, "github.io"),
        ("xn--d1abbgf6aiiy.xn--p1ai", "xn--p1ai", False, "xn--d1abbgf6aiiy.xn--p1ai"),
        ("a.b.ck", "b.ck", False, "a.b.ck"),
        ("b.ck", "b.ck", False, "b.ck"),
        ("www.ck", "ck", False, "www.ck"),
        ("a.www.ck", "ck", False, "www.ck"),
        ("city.kobe.jp", "kobe.jp", False, "city.kobe.jp"),
        ("a.b.city.kobe.jp", "kobe.jp", False, "city.kobe.jp"),
        ("a.b.c.kobe.jp", "c.kobe.jp", False, "b.c.kobe.jp"),
        ("printer.local", "local", False, "printer.local"),
    ],
)
def test_known_names(name, suffix, private, registered):
    assert public_suffix(name) == (suffix, private)
    assert registered_domain(name) == registered


def test_top_level_domains_are_normalised_and_known():
    assert {"com", "uk", "ck", "xn--p1ai", "onion", "arpa"} <= top_level_domains()
    assert len(top_level_domains()) > 1_000
    for label in top_level_domains():
        assert normalize_domain(f"example.{label}") == f"example.{label}"


def test_rules_of_the_list_are_in_normal_form():
    for rule in suffix_rules().kinds:
        if "." in rule:
            assert normalize_domain(f"x.{rule}") == f"x.{rule}", rule


def test_parser_reads_sections_comments_and_unicode():
    rules = parse_rules(
        [
            "// ===BEGIN ICANN DOMAINS===",
            "com",
            "",
            "  ",
            "*.bücher  a comment after white space",
            "!city.bücher",
            "// ===END ICANN DOMAINS===",
            "// ===BEGIN PRIVATE DOMAINS===",
            "Blog.COM",
        ]
    )
    assert list(rules.kinds) == ["com", "xn--bcher-kva", "city.xn--bcher-kva", "blog.com"]
    assert rules.top_level_domains == {"com", "xn--bcher-kva"}
