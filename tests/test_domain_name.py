"""What a domain name is: the table of cases, and properties that hold for any input."""

import re
import time

import idna
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from data.domain_name import REASONS, Rejected, normalize_domain
from tests.domain_name_cases import CASES

NORMAL_FORM = re.compile(r"(?=.{4,253}\Z)([a-z0-9_-]{1,63}\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
LABEL_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_"
SUFFIXES = ["com", "org", "de", "co.uk", "github.io", "xn--p1ai", "ck"]
# What names are pasted with, in any order.
FRAGMENTS = [
    *("www.", "*.", "xn--", "google", ".com", "0x7f", "1.2.3.4", "[::1]", "ü", "。", "рф"),
    *("hxxps", "://", "[.]", "[dot]", "\\.", "@", ":443", "/", "%2e", "..", "mailto:", "<", " ", "\n"),
]
DOTS = ["[.]", "(.)", "{.}", "[dot]", "(dot)", "{DOT}", "[.", ".]", "\\.", "。", "．", "｡", "%2E"]
LINEAR_S = 0.03  # the worst case takes 3 ms; with a quadratic step it is 0.04 s and more
HOSTILE_UNITS = [
    *("a", ".", "a.", "\\", "\\.", "[", "[.", "].", "[dot]", "[\u3000", "\u3000", " ", "<", "ü", "ﷺ"),
    *("www.", "*.", "xn--", "%", "%41", ":", "@", "/"),
]

labels = st.text(LABEL_CHARACTERS, min_size=1, max_size=20).filter(lambda label: not label.startswith("xn--"))
names = st.builds(
    lambda head, suffix: ".".join([*head, suffix]),
    st.lists(labels, min_size=1, max_size=5),
    st.sampled_from(SUFFIXES),
)
# Text in the alphabets of real internationalised names, of look-alikes, and of emoji.
unicode_labels = st.text(
    st.sampled_from(
        "abcxyz019-_äöüßéñçÄÖéłøžабвгдежзийАРӏорсуαβγλςΣ日本中文한국مثالक्षש💩❤☃ｇＡ①ﬁⅫ\u0308\u0301\u200d\u212a"
    ),
    min_size=1,
    max_size=12,
)
any_text = st.one_of(
    st.text(),
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Zs", "Po", "Ll"])),
    st.text(st.sampled_from("aw.:/\\@[](){}*%?#-_ 0x1\"'<>,;。．｡\u200b\ufeff"), max_size=60),
    st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join),
)
properties = settings(derandomize=True, deadline=None, max_examples=300)


def is_mapped(character):
    """Tell whether UTS 46 maps a character to something else, or to nothing."""
    try:
        return idna.uts46_remap(character, std3_rules=False) != character
    except idna.IDNAError:
        return False


def to_unicode(domain):
    """Decode every A-label, by the codec of the standard library."""
    return ".".join(
        label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label
        for label in domain.split(".")
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.raw)[:60])
def test_table_of_cases(case):
    answer = normalize_domain(case.raw)
    if case.reason is None:
        assert answer == case.domain
    else:
        assert isinstance(answer, Rejected), answer
        assert answer.reason == case.reason
        assert answer.message.isprintable()
        assert len(answer.message) < 200


def test_table_is_whole():
    assert len(CASES) >= 120
    assert {case.reason for case in CASES if case.reason} == set(REASONS)
    for case in CASES:
        assert (case.domain is None) != (case.reason is None)


@properties
@given(any_text)
@example("www." * 60 + "com")
@example("https://" * 3 + "google.com")
@example("xn--" + "9" * 59 + ".com")
@example("xn--ls8h.XN--LS8H.com")
def test_any_text_gives_the_normal_form_or_a_reason(text):
    answer = normalize_domain(text)
    if isinstance(answer, Rejected):
        assert answer.reason in REASONS
        assert answer.message
    else:
        assert NORMAL_FORM.fullmatch(answer)
        assert normalize_domain(answer) == answer


@properties
@given(st.one_of(st.binary(), st.integers(), st.floats(), st.none(), st.booleans(), st.lists(st.text())))
def test_any_object_gives_the_normal_form_or_a_reason(raw):
    answer = normalize_domain(raw)
    assert isinstance(answer, str) or answer.reason in REASONS


@properties
@given(any_text)
def test_utf8_bytes_and_text_have_the_same_answer(text):
    try:
        raw = text.encode("utf-8")
    except UnicodeEncodeError:
        assume(False)
    assert normalize_domain(raw) == normalize_domain(text)


def test_hostile_objects_do_not_raise():
    class Liar:
        @property
        def __class__(self):
            raise RuntimeError

        def __str__(self):
            raise RuntimeError

    class Word(str):
        def __str__(self):
            raise RuntimeError

        def strip(self, *_):
            raise RuntimeError

    assert normalize_domain(Liar()).reason == "not_text"
    assert type(normalize_domain(Word("google.com"))) is str
    assert normalize_domain(Word("WWW.google.com")) == "google.com"


@properties
@given(names)
def test_case_port_path_quotes_and_trailing_dot_do_not_matter(name):
    expected = normalize_domain(name)
    assume(isinstance(expected, str))
    for raw in (
        name.upper(),
        name + ".",
        f"http://{name}",
        f"HTTPS://User:Pa.ss@{name.title()}:8443/a@b/c.html?d=e.f#g",
        f"//{name}/x",
        f"{name}:443/x",
        f' "{name}" ',
        f"<https://{name}/>",
        f"*.{name}",
        f"www.{name}",
    ):
        assert normalize_domain(raw) == expected, raw


@properties
@given(names, st.sampled_from(DOTS))
def test_defanged_names_are_the_names(name, dot):
    expected = normalize_domain(name)
    assume(isinstance(expected, str))
    defanged = name.replace(".", dot)
    assert normalize_domain(defanged) == expected
    for scheme in ("hxxp://", "hXXps://", "https[:]//", "https[://]", "h**ps://"):
        assert normalize_domain(f"{scheme}{defanged}[:]8080/a.b") == expected


@properties
@given(unicode_labels)
@example("bu\u0308cher")
@example("\U0001f468\u200d\U0001f469")
@example("ﷺ" * 12)
def test_unicode_name_and_its_punycode_are_one(label):
    domain = normalize_domain(f"{label}.com")
    assume(isinstance(domain, str))
    assert normalize_domain(to_unicode(domain)) == domain


@properties
@given(unicode_labels)
def test_a_label_of_a_text_that_is_not_in_normal_form_is_the_text_or_stays(label):
    a_label = "xn--" + label.encode("punycode").decode("ascii").lower()
    domain = normalize_domain(f"{a_label}.com")
    assume(isinstance(domain, str))
    assert domain in (normalize_domain(to_unicode(f"{a_label}.com")), f"{a_label}.com")


@properties
@given(unicode_labels)
def test_agrees_with_the_idna_package_where_that_accepts_a_label(label):
    try:
        expected = idna.encode(f"{label}.com", uts46=True).decode("ascii")
    except idna.IDNAError:
        assume(False)
    assert normalize_domain(f"{label}.com") == expected


def test_every_character_that_is_mapped_is_stable():
    mapped = [character for character in map(chr, range(0x80, 0x30000)) if is_mapped(character)]
    assert len(mapped) > 5_000
    for character in mapped:
        domain = normalize_domain(f"a{character}b.com")
        if isinstance(domain, str):
            assert normalize_domain(domain) == domain, hex(ord(character))
            assert normalize_domain(to_unicode(domain)) == domain, hex(ord(character))


@pytest.mark.parametrize("unit", HOSTILE_UNITS)
def test_hostile_lengths_are_quick(unit):
    normalize_domain("ü%20.com:1:1")  # what is imported at the first need does not count
    many = unit * (8_000 // len(unit))
    for text in (many, f"x{many}", f"x.{many}.com", f"https://{unit * 250}x.com", unit * 1_000_000):
        start_s = time.process_time()
        normalize_domain(text)
        assert time.process_time() - start_s < LINEAR_S
