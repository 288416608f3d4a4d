"""Files to a data set: what is dropped and why, the caps, the words, and the class weights."""

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data import rejection
from data.file_names import MISSING_NAME
from data.labelled_domains import UNKNOWN_DAY, join_datasets
from data.preprocessor import add_counts, class_weights, clean, drop_trained_on, load_parts, read_rows
from data.split import split_dataset
from tests.labelled import CLASSES, labelled_domains
from utils.config import DataConfig, SourceConfig
from utils.errors import DataError

CONFIG = DataConfig(classes=CLASSES, validation_fraction=0.2, test_fraction=0.2, cache_dir=None)


@pytest.fixture
def load(tmp_path):
    """Write a file of each (label, rows) pair and load them all; a row is a name or a record."""

    def write_and_load(*files, **settings):
        sources = []
        for number, (label, rows) in enumerate(files):
            path = tmp_path / f"{number}.jsonl"
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            sources.append(SourceConfig(path=path.name, label=label))
        config = replace(CONFIG, root=str(tmp_path), sources=tuple(sources), **settings)
        read, unusable, _ = read_rows(config)
        dataset, dropped = clean(read, config)
        return dataset, add_counts(unusable, dropped)

    return write_and_load


def joined(names, labels, training_only):
    """Return a data set that may have names twice, as files give it."""
    return join_datasets(
        [
            labelled_domains([n], [k], training_only=[x])
            for n, k, x in zip(names, labels, training_only, strict=True)
        ]
    )


def by_class(dataset):
    """Return class name → names, in the order of the data set."""
    found = {name: [] for name in dataset.classes}
    for name, label in zip(dataset.domains, dataset.labels, strict=True):
        found[dataset.classes[label]].append(name)
    return found


# ------------------------------------------------------------------ duplicates and conflicts


def test_a_repeated_name_stays_once_at_its_first_place(load):
    dataset, drops = load(
        ("benign", ["b.com", "a.com", "b.com"]),
        ("benign", ["c.com", "a.com", "b.com"]),
        ("phishing", ["p.com", "p.com"]),
        ("malware", ["m.com"]),
    )
    assert list(dataset.domains) == ["b.com", "a.com", "c.com", "p.com", "m.com"]
    assert drops == {"duplicate": 4}


def test_a_name_in_two_classes_goes_altogether(load):
    dataset, drops = load(
        ("benign", ["a.com", "x.com", "x.com"]),
        ("phishing", ["p.com", "x.com", "y.com"]),
        ("malware", ["y.com", "m.com", "m.com"]),
    )
    assert by_class(dataset) == {"benign": ["a.com"], "phishing": ["p.com"], "malware": ["m.com"]}
    assert drops == {"in_two_classes": 5, "duplicate": 1}


def test_every_row_is_kept_or_counted_under_a_reason(load):
    rng = np.random.default_rng(0)
    names = [f"n{i}.com" for i in rng.integers(0, 400, 3000)]
    files = [(CLASSES[k % 3], names[k::9] + ["localhost"] * k) for k in range(9)]
    dataset, drops = load(*files, max_per_class=20)
    owners = {}
    for label, rows in files:
        for name in rows:
            owners.setdefault(name, []).append(label)
    del owners["localhost"]
    clean = {name: labels for name, labels in owners.items() if len(set(labels)) == 1}
    assert set(dataset.domains) <= set(clean)
    assert drops["in_two_classes"] == sum(len(v) for n, v in owners.items() if n not in clean)
    assert drops["duplicate"] == sum(len(labels) - 1 for labels in clean.values())
    assert drops["single_label"] == sum(range(9))
    assert len(dataset) + sum(drops.values()) == sum(len(rows) for _, rows in files)


def test_sources_families_and_days_stay_with_their_names(load):
    def record(name, source, family=None, day=None):
        date = None if day is None else {"$date": f"1970-01-{day:02}T00:00:00Z"}
        return {"domain_name": name, "source": source, "malware": family, "sourced_on": date}

    dataset, _ = load(
        ("benign", [record("a.com", "cesnet", day=11), record("b.com", "umbrella", day=21)]),
        ("malware", [record("m.com", "urlhaus", "y"), "n.com", record("o.com", "urlhaus", "x")]),
        ("phishing", [record("p.com", "umbrella", "x", day=31)]),
    )
    rows = {
        name: (dataset.words[source] or None, family, day)
        for name, source, family, day in zip(
            dataset.domains, dataset.sources, dataset.family_names(), dataset.days.tolist(), strict=True
        )
    }
    assert rows == {
        "a.com": ("cesnet", None, 10),
        "b.com": ("umbrella", None, 20),
        "m.com": ("urlhaus", "y", UNKNOWN_DAY),
        "n.com": (None, None, UNKNOWN_DAY),
        "o.com": ("urlhaus", "x", UNKNOWN_DAY),
        "p.com": ("umbrella", "x", 30),
    }


def test_files_may_have_more_distinct_words_together_than_each_may_have_alone(load):
    half = 2**15 + 10
    files = [
        (label, [{"domain_name": f"{label[0]}{i}.com", "malware": f"{label}-{i}"} for i in range(half)])
        for label in CLASSES
    ]
    dataset, _ = load(*files)
    assert len(set(dataset.family_names())) == len(dataset) == 3 * half


# ------------------------------------------------------------------ data sets put together


def test_the_rule_of_loading_holds_for_data_sets_that_are_joined():
    old = labelled_domains(["a.com", "b.com", "c.com"], [0, 0, 0])
    new = labelled_domains(["b.com", "p.top", "c.com", "q.top"], [0, 1, 1, 1])
    dataset, drops = clean(join_datasets([old, new]), CONFIG)
    assert by_class(dataset) == {"benign": ["a.com", "b.com"], "phishing": ["p.top", "q.top"], "malware": []}
    assert drops == {"duplicate": 1, "in_two_classes": 2}


def test_names_of_registered_domains_that_were_trained_on_are_dropped():
    parts = {
        "train": labelled_domains(["www.a.com", "x.co.uk"], [0, 0]),
        "validation": labelled_domains(["v.org"], [1]),
        "test": labelled_domains(["t.org"], [1]),
    }
    names = ["t.org", "a.com", "y.co.uk", "mail.v.org", "deep.x.co.uk", "new.com"]
    dataset, drops = drop_trained_on(labelled_domains(names, [1] * 6), parts)
    assert list(dataset.domains) == ["t.org", "y.co.uk", "new.com"]
    assert drops == {"registered_domain_in_training": 3}


def test_every_reason_for_a_drop_has_its_meaning_in_one_table():
    own = {
        rejection.DUPLICATE,
        rejection.CONFLICT,
        rejection.OVER_CAP,
        rejection.TRAINING_ONLY,
        rejection.IN_TRAINING,
    }
    assert set(rejection.DROP_REASONS) == set(rejection.REASONS) | own | {MISSING_NAME}
    assert all(meaning.strip() for meaning in rejection.DROP_REASONS.values())


# ------------------------------------------------------------------ caps


MANY = [(label, [f"{label[0]}{i}.com" for i in range(3000)]) for label in CLASSES]


def test_a_cap_keeps_so_many_of_each_class_and_counts_the_others(load):
    files = [("benign", [f"b{i}.com" for i in range(50)]), ("phishing", [f"p{i}.com" for i in range(7)])]
    dataset, drops = load(*files, ("malware", [f"m{i}.com" for i in range(10)]), max_per_class=10)
    assert dataset.counts() == {"benign": 10, "phishing": 7, "malware": 10}
    assert drops == {"over_class_cap": 40}


def test_a_cap_samples_the_whole_file_uniformly(load):
    """The order of the real files is by source and time: their first names are a biased sample."""
    dataset, _ = load(*MANY, max_per_class=1000)
    for names in by_class(dataset).values():
        places = np.array([int(name[1:-4]) for name in names])
        thirds = np.histogram(places, bins=3, range=(0, 3000))[0]
        assert abs(thirds - 1000 / 3).max() < 60


def test_a_cap_takes_the_same_names_in_whatever_order_and_files_they_come(load):
    names = {label: [f"{label[0]}{i}.com" for i in range(300)] for label in CLASSES}
    whole, _ = load(*names.items(), max_per_class=100)
    halves = [(label, names[label][::-1][k::2]) for label in reversed(CLASSES) for k in (1, 0)]
    split, _ = load(*halves, max_per_class=100)
    assert {k: set(v) for k, v in by_class(whole).items()} == {k: set(v) for k, v in by_class(split).items()}


def test_a_larger_cap_only_adds_names_and_another_seed_takes_others(load):
    small, large = (set(load(*MANY, max_per_class=cap)[0].domains) for cap in (100, 200))
    assert small < large
    assert small != set(load(*MANY, max_per_class=100, seed=1)[0].domains)


@pytest.mark.parametrize("kind", ["registered_domain", "random"])
def test_the_cap_and_the_split_are_independent(load, kind):
    """Were both by the same number of each name, a capped data set would be all test part."""
    dataset, _ = load(*MANY, max_per_class=600)
    split = split_dataset(dataset, replace(CONFIG, split=kind))
    assert len(split.test) / len(dataset) == pytest.approx(0.2, abs=0.04)


# ------------------------------------------------------------------ class weights


def test_class_weights_by_hand():
    labels = np.array([0] * 6 + [1] * 3 + [2])
    balanced = [10 / 18, 10 / 9, 10 / 3]
    assert class_weights(labels, CLASSES, "balanced") == pytest.approx(balanced)
    assert class_weights(labels, CLASSES, "sqrt") == pytest.approx(np.sqrt(balanced))
    assert class_weights(labels, CLASSES, "none").tolist() == [1, 1, 1]
    given = class_weights(labels, CLASSES, {"malware": 3, "benign": 0.5, "phishing": 2})
    assert given.tolist() == [0.5, 2, 3]
    assert given.dtype == np.float32


def test_balanced_weights_give_each_class_the_same_sum():
    labels = np.random.default_rng(0).choice(3, 1000, p=[0.8, 0.15, 0.05])
    weights = class_weights(labels, CLASSES, "balanced")
    assert np.bincount(labels) * weights == pytest.approx([1000 / 3] * 3, rel=1e-5)


# ------------------------------------------------------------------ from real files


@pytest.fixture
def data_folder(tmp_path):
    """Write three small files of three formats, with some dirt, and return their configuration."""
    benign = [{"domain_name": f"Site{i}.COM.", "source": "cesnet"} for i in range(60)]
    benign += [{"domain_name": "192.0.2.7"}, {"domain_name": "localhost"}, {"url": "no name here"}]
    benign += [{"domain_name": "www.site1.com"}, {"domain_name": "shared.com"}]
    (tmp_path / "benign.json").write_text(json.dumps(benign), encoding="utf-8")
    phishing = [f"hxxps://login-{i}[.]top/path" for i in range(60)] + ["shared.com"]
    (tmp_path / "phishing.txt").write_text("\n".join(phishing), encoding="utf-8")
    lines = [json.dumps({"domain_name": f"x{i}z.xyz", "malware": "mirai"}) + "\n" for i in range(60)]
    (tmp_path / "malware.jsonl.gz").write_bytes(gzip.compress("".join(lines).encode()))
    paths = ("benign.json", "phishing.txt", "malware.jsonl.gz")
    sources = tuple(SourceConfig(path=p, label=c) for p, c in zip(paths, CLASSES, strict=True))
    return replace(CONFIG, root=str(tmp_path), sources=sources)


def test_the_configuration_says_which_keys_may_stand_twice(data_folder):
    path = Path(data_folder.root, "benign.json")
    path.write_text(path.read_text().replace("{", '{"x":1,"x":2,'), encoding="utf-8")
    with pytest.raises(DataError, match="record 1: expected each key once in its object, found 'x' twice"):
        load_parts(data_folder)
    load_parts(replace(data_folder, check_all_keys=False))


def test_files_become_three_parts_with_every_name_once(data_folder):
    data = load_parts(data_folder)
    names = [name for part in data.parts.values() for name in part.domains]
    assert Counter(names) == Counter(
        [f"site{i}.com" for i in range(60)]
        + [f"login-{i}.top" for i in range(60)]
        + [f"x{i}z.xyz" for i in range(60)]
    )
    assert data.drops == {
        "duplicate": 1,
        "in_two_classes": 2,
        "ip_address": 1,
        "missing_name": 1,
        "single_label": 1,
    }
    totals = sum((Counter(counts) for counts in data.counts().values()), Counter())
    assert totals == dict.fromkeys(CLASSES, 60)
    assert [file["name"] for file in data.fingerprints] == ["benign.json", "phishing.txt", "malware.jsonl.gz"]
    assert set(data.parts["train"].family_names()[data.parts["train"].labels == 2]) == {"mirai"}


def test_a_part_without_a_class_is_an_error(data_folder):
    Path(data_folder.root, "phishing.txt").write_text("only-one.top\n", encoding="utf-8")
    expected = r"the (train|validation|test) part has no phishing names \(of 122 in all\)"
    with pytest.raises(DataError, match=expected):
        load_parts(data_folder)


def test_a_time_split_of_names_of_too_few_days_says_that_the_dates_are_the_cause(data_folder):
    rows = [{"domain_name": f"x{i}z.xyz", "sourced_on": "2024-05-05"} for i in range(60)]
    rows += [{"domain_name": "undated.xyz"}]
    Path(data_folder.root, "malware.jsonl.gz").write_bytes(
        gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    )
    expected = (
        "of 61 malware names 60 have one, on 1 day: give names of more days, or take another data.split"
    )
    with pytest.raises(DataError, match=f"{expected}$"):
        load_parts(replace(data_folder, split="time"))


def test_a_class_that_has_nothing_left_is_an_error_with_the_reasons(data_folder):
    Path(data_folder.root, "phishing.txt").write_text("site1.com\nlocalhost\n", encoding="utf-8")
    expected = (
        r"phishing\.txt: no usable name of the class 'phishing' is left; dropped: 3 in_two_classes, 1 ip_"
    )
    with pytest.raises(DataError, match=expected):
        load_parts(data_folder)


@pytest.mark.parametrize("cached", [False, True])
def test_a_labelled_csv_file_as_a_source_of_one_class_is_warned_about(data_folder, caplog, cached):
    rows = "".join(f"a-{i}.com,{'good' if i % 2 else 'bad'}\n" for i in range(60))
    Path(data_folder.root, "benign.csv").write_text(f"Domain, Label\n{rows}", encoding="utf-8")
    sources = (SourceConfig(path="benign.csv", label="benign"), *data_folder.sources[1:])
    folder = str(Path(data_folder.root, "cache")) if cached else None
    for _ in range(2):
        caplog.clear()
        load_parts(replace(data_folder, sources=sources, cache_dir=folder))
        (message,) = [record.getMessage() for record in caplog.records]
        assert "benign.csv: the column 'Label' is not read: every row counts as benign" in message


def test_other_columns_are_not_warned_about(data_folder, caplog):
    Path(data_folder.root, "benign.csv").write_text(
        "domain,rank\n" + "".join(f"a-{i}.com,{i}\n" for i in range(60)), encoding="utf-8"
    )
    load_parts(
        replace(
            data_folder, sources=(SourceConfig(path="benign.csv", label="benign"), *data_folder.sources[1:])
        )
    )
    assert not caplog.records


def test_half_a_file_is_not_trained_on(data_folder):
    path = Path(data_folder.root, "benign.json")
    path.write_bytes(path.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"benign\.json"):
        load_parts(data_folder)
    gz = Path(data_folder.root, "malware.jsonl.gz")
    gz.write_bytes(gz.read_bytes()[:-20])
    with pytest.raises(DataError):
        load_parts(data_folder)


# ------------------------------------------------------------------ names for training only


def test_a_training_only_name_never_drops_another_name():
    names = ["a.com", "b.com", "b.com", "c.com", "d.com", "d.com"]
    labels = [0, 1, 0, 2, 0, 1]
    dataset = joined(names, labels, training_only=[False, False, True, True, True, True])
    kept, drops = clean(dataset, CONFIG)
    assert by_class(kept) == {"benign": ["a.com"], "phishing": ["b.com"], "malware": ["c.com"]}
    assert drops == {rejection.TRAINING_ONLY: 1, rejection.CONFLICT: 2}


def test_a_cap_counts_and_drops_no_training_only_name():
    names = [f"n{i}.com" for i in range(60)]
    extra = np.arange(60) >= 40
    kept, drops = clean(joined(names, [0] * 60, training_only=extra), replace(CONFIG, max_per_class=10))
    assert kept.training_only.sum() == 20
    assert len(kept) == 30
    assert drops == {rejection.OVER_CAP: 30}


def test_a_training_only_source_adds_to_the_training_part_and_to_no_other(tmp_path):
    for label in CLASSES:
        (tmp_path / f"{label}.txt").write_text("".join(f"{label}{i}.com\n" for i in range(200)))
    (tmp_path / "extra.txt").write_text("".join(f"x{i}.com\nw{i}.malware{i}.com\n" for i in range(100)))
    sources = tuple(SourceConfig(path=f"{label}.txt", label=label) for label in CLASSES)
    config = replace(CONFIG, root=str(tmp_path), sources=sources)
    without = load_parts(config)
    extra = SourceConfig(path="extra.txt", label="malware", training_only=True)
    data = load_parts(replace(config, sources=(*sources, extra)))
    for part in ("validation", "test"):
        assert list(data.parts[part].domains) == list(without.parts[part].domains)
    added = len(data.parts["train"]) - len(without.parts["train"])
    assert data.drops == {rejection.TRAINING_ONLY: 200 - added}
    assert data.class_shares() == without.class_shares()
    assert sum(data.class_shares().values()) == pytest.approx(1)
    assert 150 < added < 190  # all x…, and of w… those whose registered domain is in training
