"""Invented generators to train on: the same everywhere, of many styles, names in normal form."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from data.domain_name import normalize_domain, registered_domain
from data.sample.dga_styles import STYLES, generate, invent_family, main
from data.sample.random_numbers import numbers


@pytest.fixture(scope="module")
def found():
    return generate(200, 20, seed=0)


def test_the_names_depend_on_the_numbers_given_and_on_nothing_else(found):
    assert generate(200, 20, seed=0) == found
    few = generate(20, 20, seed=0)
    assert list(found.items())[: len(few)] == list(few.items())
    assert not set(generate(200, 20, seed=1)) & set(found)
    code = "from data.sample.dga_styles import generate; print(sorted(generate(3, 4, 7).items()))"
    environment = os.environ | {"PYTHONHASHSEED": "123"}
    root = Path(__file__).parents[1]
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    assert output.stdout.strip() == str(sorted(generate(3, 4, 7).items()))


def test_every_name_is_a_registrable_domain_name_in_normal_form(found):
    assert len(found) > 0.99 * 200 * 20
    for name in found:
        assert normalize_domain(name) == name
        assert registered_domain(name) == name


def test_names_of_a_family_share_suffixes_and_families_differ(found):
    suffixes = {}
    for name, family in found.items():
        suffixes.setdefault(family, set()).add(name.partition(".")[2])
    assert len(suffixes) == 200
    assert max(map(len, suffixes.values())) <= 6
    assert len(set().union(*suffixes.values())) > 30
    assert len({frozenset(each) for each in suffixes.values()}) > 150
    sizes = Counter(found.values())
    assert set(sizes.values()) <= set(range(10, 21))


@pytest.mark.parametrize("style", dict.fromkeys(STYLES), ids=lambda style: style.__name__)
def test_every_style_writes_labels_of_its_kind(style):
    for seed in range(30):
        draw = numbers(seed)
        write = style(draw, 8, 12)
        labels = [write(draw) for _ in range(30)]
        assert all(re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", label) for label in labels), labels
        assert all(4 <= len(label) <= 63 for label in labels), labels
        assert len(set(labels)) > 15, labels


def test_a_family_can_be_any_style():
    used = {invent_family(numbers(seed)).write_label.__qualname__.split(".")[0] for seed in range(300)}
    assert used == {style.__name__ for style in STYLES}


def test_the_file_is_a_list_of_records_that_the_readers_know(tmp_path, capsys):
    path = tmp_path / "generated.json"
    assert main(["--output", str(path), "--families", "5", "--names", "4", "--seed", "3"]) == 0
    assert "names of 5 kinds" in capsys.readouterr().out
    records = json.loads(path.read_text())
    assert {r["domain_name"]: r["malware"] for r in records} == generate(5, 4, 3)
    assert {r["source"] for r in records} == {"generated"}


def test_a_folder_that_cannot_be_written_is_one_line_and_exit_code_1(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["--output", str(tmp_path / "file" / "x.json"), "--families", "1", "--names", "1"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("dga_styles.py: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("number", ["0", "-3"])
def test_no_names_are_no_list(tmp_path, capsys, number):
    path = tmp_path / "x.json"
    assert main(["--output", str(path), "--families", "2", "--names", number]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not path.exists()
