"""Invented infrastructure names to train on: of every pattern, in normal form, none that tests judge by."""

import re
from collections import Counter
from pathlib import Path

import pytest

from data.domain_name import normalize_domain
from data.sample.infrastructure_styles import PATTERNS, fill, generate, main
from data.sample.random_numbers import numbers

JUDGED = Path(__file__).parent / "data" / "infrastructure_names.txt"
FIELD = re.compile(r"\{(w|s|r|z|p|cc|l|ip|[dxa]\d+)\}")


@pytest.fixture(scope="module")
def found():
    return generate(20_000, seed=0)


def test_the_names_depend_on_the_seed_alone(found):
    assert generate(500, seed=0) == dict(list(found.items())[:500])
    others = set(generate(500, seed=1)) & set(generate(500, seed=0))
    assert len(others) < 50  # patterns of a letter or two digits soon repeat themselves


def test_every_name_is_a_domain_name_in_normal_form(found):
    assert len(found) == 20_000
    assert [name for name in found if normalize_domain(name) != name] == []


def test_no_name_is_one_that_the_shipped_model_is_judged_on(found):
    judged = {line.strip() for line in JUDGED.read_text(encoding="utf-8").splitlines()}
    assert len(judged) > 700
    assert not judged & set(found)


def test_no_pattern_stands_twice_and_every_field_is_known():
    assert [pattern for pattern, count in Counter(PATTERNS).items() if count > 1] == []
    assert [pattern for pattern in PATTERNS if set("{} |") & set(FIELD.sub("", pattern))] == []


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_gives_names_that_differ(pattern):
    draw = numbers(5)
    names = {fill(pattern, draw) for _ in range(30)}
    assert len(names) >= 8
    assert {name.rsplit(".", 1)[1] for name in names} == {pattern.rsplit(".", 1)[1]}


def test_a_field_of_n_digits_has_n():
    assert re.fullmatch(r"\d{4}-[0-9a-f]{32}-[a-z0-9]{5}", fill("{d4}-{x32}-{a5}", numbers(1)))
    assert re.fullmatch(r"c-\d{1,3}-\d{1,3}-\d{1,3}-\d{1,3}\.net", fill("c-{ip}.net", numbers(1)))


def test_no_operator_outweighs_the_others(found):
    sizes = Counter(found.values())
    assert len(sizes) > 120
    assert max(sizes.values()) < 0.12 * len(found)


def test_the_script_writes_so_many_records(tmp_path, capsys):
    path = tmp_path / "infrastructure.json"
    assert main(["--output", str(path), "--names", "50"]) == 0
    assert path.read_text(encoding="utf-8").count('"source": "generated"') == 50
    assert "50 names" in capsys.readouterr().out
