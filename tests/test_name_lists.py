"""Allow and block lists: what a line means, which one decides, and that a long list loads in no time."""

import time

import pytest

from data.name_lists import NameLists
from data.record import Record
from models.answering import Answerer
from tests.fake_classifier import THRESHOLDS, FakeClassifier
from utils.decision import choose_rule
from utils.errors import DataError


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """Make lists of the given texts: `lists(allow="…", block="…")`."""
    monkeypatch.chdir(tmp_path)

    def make(**texts):
        files = {}
        for kind, text in texts.items():
            path = tmp_path / f"{kind}.txt"
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
            files[kind] = [path.relative_to(tmp_path)]
        return NameLists(**files)

    return make


def test_every_form_of_a_line(lists):
    found = lists(
        block=b"\xef\xbb\xbf# a comment\n\nexample.com\n  HXXPS://Evil[.]example[.]org/  # why\n"
        b"*.wide.net\r\n.dotted.net\nb\xc3\xbccher.de\n*.top\n*.co.uk#no comment without a space before it"[
            :-37
        ]
    )
    assert len(found) == 7
    for name, line in [
        ("example.com", 3),
        ("evil.example.org", 4),
        ("wide.net", 5),
        ("a.b.wide.net", 5),
        ("dotted.net", 6),
        ("x.dotted.net", 6),
        ("xn--bcher-kva.de", 7),
        ("anything.top", 8),
        ("shop.co.uk", 9),
    ]:
        assert found.find(name) == ("block", f"block.txt:{line}"), name
    for name in ("sub.example.com", "notwide.net", "org", "example.org", "stop.com", "uk.com"):
        assert found.find(name) is None, name


def test_the_most_specific_entry_decides(lists):
    found = lists(
        allow="*.example.com\nbad.good.example.com\ngithub.io\n",
        block="*.bad.example.com\n*.good.example.com\n.github.io\n",
    )
    assert found.find("example.com") == ("allow", "allow.txt:1")
    assert found.find("x.example.com") == ("allow", "allow.txt:1")
    assert found.find("x.bad.example.com") == ("block", "block.txt:1"), "a longer suffix beats a shorter one"
    assert found.find("bad.good.example.com") == ("allow", "allow.txt:2"), "a name beats a suffix"
    assert found.find("x.bad.good.example.com") == ("block", "block.txt:2"), "a name is no suffix"
    assert found.find("github.io") == ("allow", "allow.txt:3")
    assert found.find("tenant.github.io") == ("block", "block.txt:3")


def test_the_first_of_equal_lines_is_named(lists):
    assert lists(block="a.com\nWWW.a.com\n").find("a.com") == ("block", "block.txt:1")


@pytest.mark.parametrize("entry", ["a.com", "*.a.com"])
def test_a_name_in_both_lists_is_an_error_that_names_both_lines(lists, entry):
    with pytest.raises(DataError, match=r"^block\.txt, line 2: the (name|suffix) a\.com is blocked here and "
                                        r"allowed in allow\.txt, line 1$"):  # fmt: skip
        lists(allow=f"{entry}\n", block=f"#\n{entry}\n")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no-dot", "has no dot"),
        ("192.0.2.1", "IP"),
        ("a.com b.com", "holds ' '"),
        ("*.", "expected a name, \\*.suffix or a comment"),
        ("a.*.com", "holds '\\*'"),
        (b"\xff.com", "expected UTF-8 text"),
        ("0.0.0.0 evil.com", "expected a name"),
    ],
)
def test_a_line_that_is_no_entry_is_one_line(lists, line, said):
    line = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(DataError, match=rf"^allow\.txt, line 3: .*{said}"):
        lists(allow=b"# fine\na.com\n" + line + b"\nb.com\n")


@pytest.mark.parametrize(
    "line",
    [
        "https://pages.example.org/a",
        "hxxps[://]pages[.]example[.]org/a?b",
        "pages.example.org?q",
        "pages.example.org/#top",
        "*.pages.example.org/a",
        "https://pages.example.org\\.google.com",
    ],
)
def test_a_page_is_no_entry_since_its_whole_host_would_be_decided(lists, line):
    with pytest.raises(DataError, match=r"^block\.txt, line 2: expected a name, found a path behind "
                                        r"pages\.example\.org: an entry covers a whole host$"):  # fmt: skip
        lists(block=f"a.com\n{line}\n")


@pytest.mark.parametrize("line", ["http://a.com", "http://a.com:80//", "a.com/", r"a\.com", "//a.com\\"])
def test_a_slash_behind_a_host_is_no_page(lists, line):
    assert lists(block=f"{line}\n").find("a.com") == ("block", "block.txt:1")


def test_a_list_of_comments_decides_nothing(lists):
    assert len(lists(allow="# nobody yet\n")) == 0


def test_a_listed_name_keeps_what_the_model_says(lists):
    records = [Record(name, None, None, None, "") for name in ("a.com", "b.com", "WWW.A.com", "no-dot")]
    rule = choose_rule(THRESHOLDS, threshold=0.5)
    plain = Answerer(FakeClassifier(), rule).answer(records)
    listed = Answerer(FakeClassifier(), rule, lists(allow="a.com\n", block="# x\n*.com\n")).answer(records)
    assert [p.decision for p in listed] == ["allow", "block", "allow", None]
    assert [p.decided_by for p in listed] == ["allow.txt:1", "block.txt:2", "allow.txt:1", None]
    for before, after in zip(plain, listed, strict=True):
        assert (after.score, after.label, after.error) == (before.score, before.label, before.error)


@pytest.mark.slow
def test_a_million_lines_load_in_seconds(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("".join(f"name-{number}.example.com\n" for number in range(500_000)) * 2)
    started = time.process_time()
    found = NameLists(block=[path])
    assert time.process_time() - started < 15, "3 s on a quiet machine"
    assert len(found) == 500_000
    assert found.find("name-499999.example.com") == ("block", f"{path}:500000")
