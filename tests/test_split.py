"""Who is in which part: whole registered domains, the same on every machine and whatever is added."""

from dataclasses import replace

import numpy as np
import pytest

from data.file_names import stable_hash
from data.labelled_domains import UNKNOWN_DAY
from data.split import split_dataset, unit_interval
from tests.labelled import labelled_domains
from utils.config import DataConfig

CONFIG = DataConfig(validation_fraction=0.15, test_fraction=0.25, seed=3)
PARTS = ("train", "validation", "test")


def many_names(count=6000, seed=0):
    """Return names of which about three share a registered domain, some on a hosting platform."""
    rng = np.random.default_rng(seed)
    hosts = [f"{'abcdefgh'[i % 8]}{i}" for i in range(count)]
    owners = rng.integers(0, count // 3, count)
    suffixes = ("com", "co.uk", "github.io", "xyz")
    return [f"{host}.owner{owner}.{suffixes[owner % 4]}" for host, owner in zip(hosts, owners, strict=True)]


def make_dataset(count=6000, days=None):
    names = many_names(count)
    return labelled_domains(names, np.arange(count) % 3, days)


def part_of_each(dataset, config):
    """Return the part of each row, and check that each row is in exactly one."""
    split = split_dataset(dataset, config)
    part = np.full(len(dataset), "none", dtype=object)
    for name, rows in split.parts().items():
        assert (part[rows] == "none").all()
        assert (np.diff(rows) > 0).all()
        part[rows] = name
    assert set(part) <= set(PARTS)
    return part


def groups_in_several_parts(dataset, part):
    owners = {}
    for group, name in zip(dataset.groups.tolist(), part, strict=True):
        owners.setdefault(group, set()).add(name)
    return sum(len(names) > 1 for names in owners.values())


def random_days(count, unknown=0.3, seed=1):
    rng = np.random.default_rng(seed)
    days = rng.integers(19_000, 20_000, count)
    return np.where(rng.random(count) < unknown, UNKNOWN_DAY, days)


# ------------------------------------------------------------------ whole registered domains


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", ["registered_domain", "time"])
def test_no_registered_domain_is_in_two_parts(kind, seed):
    dataset = make_dataset(days=random_days(6000))
    part = part_of_each(dataset, replace(CONFIG, split=kind, seed=seed))
    assert set(part) == set(PARTS)
    assert groups_in_several_parts(dataset, part) == 0


def test_the_random_split_leaks():
    """It is the optimistic bound: names of one registered domain are in several parts."""
    dataset = make_dataset()
    part = part_of_each(dataset, replace(CONFIG, split="random"))
    assert groups_in_several_parts(dataset, part) > 500
    assert (part != part_of_each(dataset, CONFIG)).mean() > 0.3


# ------------------------------------------------------------------ shares


@pytest.mark.parametrize("kind", ["registered_domain", "random"])
@pytest.mark.parametrize(("validation", "test"), [(0.15, 0.25), (0.1, 0.1), (0.4, 0.45)])
def test_the_shares_are_about_those_asked_for(kind, validation, test):
    config = replace(CONFIG, split=kind, validation_fraction=validation, test_fraction=test)
    part = part_of_each(make_dataset(), config)
    assert (part == "validation").mean() == pytest.approx(validation, abs=0.03)
    assert (part == "test").mean() == pytest.approx(test, abs=0.03)


def test_another_seed_gives_another_split():
    dataset = make_dataset()
    first, second = part_of_each(dataset, CONFIG), part_of_each(dataset, replace(CONFIG, seed=4))
    assert 0.3 < (first != second).mean() < 0.7


# ------------------------------------------------------------------ the same everywhere


def test_the_hash_of_a_name_is_the_same_on_every_machine():
    # what `printf example.com | b2sum -l 64` prints, read as a little-endian number
    assert stable_hash("example.com").to_bytes(8, "little").hex() == "13c51305c1cf2666"
    assert stable_hash("").to_bytes(8, "little").hex() == "e4a6a0577479b2b4"


def test_the_place_of_a_hash_is_the_same_on_every_machine():
    # the first numbers of SplitMix64 with the seeds 0 and 1234567, as its authors' C code gives them
    published = [0xE220A8397B1DCDAF, 6457827717110365317]
    places = unit_interval(np.array([0, 1234567], dtype=np.uint64), seed=0)
    assert places.tolist() == [number // 2**11 / 2**53 for number in published]
    seeded = unit_interval(np.array([0, 2**64 - 1], dtype=np.uint64), seed=3)
    assert seeded.tolist() == [0.9708819781538285, 0.4262344494451664]


def test_some_names_are_where_they_have_always_been():
    """A split that changes between releases moves test names into training."""
    expected = {
        "made-up-0.example.com": "train",
        "made-up-1.example.com": "train",
        "made-up.co.uk": "test",
        "a.made-up.co.uk": "test",
        "site-0.github.io": "test",
        "site-1.github.io": "validation",
        "site-4.github.io": "train",
    }
    part = part_of_each(labelled_domains(list(expected), [0] * len(expected)), CONFIG)
    assert dict(zip(expected, part, strict=True)) == expected


def test_parts_do_not_depend_on_what_else_is_there_or_on_the_order():
    dataset = make_dataset()
    rows = np.random.default_rng(5).permutation(len(dataset))[:500]
    for kind in ("registered_domain", "random"):
        config = replace(CONFIG, split=kind)
        whole = part_of_each(dataset, config)
        assert (part_of_each(dataset.take(rows), config) == whole[rows]).all()


def test_a_larger_share_only_adds_names_to_the_test_part():
    dataset = make_dataset()
    small = part_of_each(dataset, replace(CONFIG, test_fraction=0.1)) == "test"
    large = part_of_each(dataset, replace(CONFIG, test_fraction=0.3)) == "test"
    assert (small & ~large).sum() == 0
    assert large.sum() > 2 * small.sum()


def test_places_are_spread_evenly_for_every_seed():
    hashes = np.arange(40_000, dtype=np.uint64)  # the worst case: not mixed at all
    for seed in (0, 1, 2**32 - 1):
        places = unit_interval(hashes, seed)
        assert places.min() >= 0
        assert places.max() < 1
        counts = np.histogram(places, bins=20, range=(0, 1))[0]
        assert abs(counts - 2000).max() < 250


# ------------------------------------------------------------------ time


def test_the_time_split_tests_on_each_classs_newest_names():
    count = 3000
    names = [f"owner{i}.com" for i in range(count)]  # each its own registered domain
    days = np.random.default_rng(0).permutation(count) + 19_000
    dataset = labelled_domains(names, np.arange(count) % 3, days)
    part = part_of_each(dataset, replace(CONFIG, split="time"))
    for label in range(3):
        of_class = dataset.labels == label
        newest_first = np.argsort(-days[of_class])
        assert (part[of_class][newest_first[:250]] == "test").all()
        assert (part[of_class][newest_first[250:400]] == "validation").all()
        assert (part[of_class][newest_first[400:]] == "train").all()


def test_in_the_time_split_a_registered_domain_goes_with_its_oldest_name():
    names = [f"n{i}.owner{i}.com" for i in range(100)] + [f"old.owner{i}.com" for i in range(90, 100)]
    days = [*range(19_000, 19_100), *[18_000] * 10]  # the owners of the newest ten had names long ago
    dataset = labelled_domains(names, [0] * 110, days)
    part = part_of_each(dataset, replace(CONFIG, split="time"))
    assert (part[90:] == "train").all()
    assert "test" in part[:90]


def test_in_the_time_split_names_without_a_date_go_by_registered_domain():
    days = random_days(6000, unknown=1.0)
    dataset = make_dataset(days=days)
    by_domain = part_of_each(dataset, CONFIG)
    assert (part_of_each(dataset, replace(CONFIG, split="time")) == by_domain).all()


@pytest.mark.parametrize("kind", ["registered_domain", "random", "time"])
def test_no_names_give_three_empty_parts(kind):
    split = split_dataset(make_dataset(0), replace(CONFIG, split=kind))
    assert [len(rows) for rows in split.parts().values()] == [0, 0, 0]


# ------------------------------------------------------------------ names for training only


def with_extra_names(count=3000, days=None):
    """Return a data set whose last third is `training_only`, and that data set without it."""
    is_extra = np.arange(count) >= 2 * count // 3
    dataset = labelled_domains(many_names(count), np.arange(count) % 3, days, is_extra)
    return dataset, dataset.take(np.flatnonzero(~is_extra))


@pytest.mark.parametrize("kind", ["registered_domain", "random", "time"])
def test_names_for_training_only_change_no_other_name_s_part_and_share_no_registered_domain(kind):
    dataset, without = with_extra_names(days=random_days(3000))
    config = replace(CONFIG, split=kind)
    split, expected = split_dataset(dataset, config), split_dataset(without, config)
    judged = np.concatenate([split.validation, split.test])
    assert np.array_equal(split.validation, expected.validation)
    assert np.array_equal(split.test, expected.test)
    assert np.array_equal(split.train[split.train < len(without)], expected.train)
    extra = split.train[split.train >= len(without)]
    left_out = np.setdiff1d(np.arange(len(without), len(dataset)), extra)
    assert len(extra) > 100
    assert len(left_out) > 100
    assert not np.isin(dataset.groups[extra], dataset.groups[judged]).any()
    assert np.isin(dataset.groups[left_out], dataset.groups[judged]).all()
