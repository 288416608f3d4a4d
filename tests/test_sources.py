"""Which files a configuration names, and which day a date is on."""

import datetime
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from data.data_loader import SourceFile, resolve_sources
from data.record import _DAYS, day_of
from utils.errors import ConfigError, DataError

EPOCH = datetime.date(1970, 1, 1).toordinal()


class TestDays:
    @pytest.mark.parametrize(
        ("value", "day"),
        [
            ({"$date": "1970-01-01T00:00:00Z"}, 0),
            ({"$date": "2024-02-29T23:59:59.999Z"}, 19_782),
            ({"$date": "2024-02-29T23:30:00-01:00"}, 19_783),
            ({"$date": {"$numberLong": "-1"}}, -1),
            ({"$date": {"$numberLong": "-62135596800000"}}, -719_162),
            ({"$date": {"$numberLong": "253402300800000"}}, 2_932_897),
            ({"$date": 86_400_000}, 1),
            ("2024-02-29", 19_782),
            ("2024-02-29T23:59:59", 19_782),
            ("2024-02-29 23:59:59+00:00", 19_782),
            # No dates, or none that a calendar knows.
            ({"$date": {"$numberLong": "9223372036854775807"}}, None),
            ({"$date": {"$numberLong": "1e3"}}, None),
            ({"$date": {"$numberLong": 5}}, None),
            ({"$date": {"$numberLong": "²"}}, None),
            ({"$date": "2024-02-30T00:00:00Z"}, None),
            ({"$date": "9999-12-31T23:59:59-23:00"}, None),
            ({"$date": True}, None),
            ({}, None),
            (5, None),
            ("", None),
            ("yesterday", None),
            (None, None),
        ],
    )
    def test_day_of(self, value, day):
        assert day_of(value) == day

    def test_more_dates_than_are_remembered(self):
        for _ in range(2):
            for day in range(0, 30_000, 3):
                date = datetime.date.fromordinal(EPOCH + day).isoformat()
                assert day_of({"$date": f"{date}T12:00:00Z"}) == day
                assert day_of({"$date": f"{day:011}Z"}) is None
        assert len(_DAYS) <= 8192


@dataclass
class Source:
    """What a configuration says of a source."""

    path: str
    label: str
    format: str = "auto"
    training_only: bool = False


class TestSources:
    @pytest.fixture
    def root(self, tmp_path):
        names = ["b.json", "a.json", "c.txt", ".a.json.tmp", ".hidden.json", "deep/er/d.json", "odd[1].json"]
        random.Random(0).shuffle(names)
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "folder.json").mkdir()
        return tmp_path

    def test_a_path_a_pattern_and_their_order(self, root):
        sources = [
            Source("c.txt", "benign", "text"),
            Source("[ab].json", "phishing"),
            Source("**/d*.json", "malware"),
        ]
        assert resolve_sources(root, sources) == [
            SourceFile(root / "c.txt", "benign", "text"),
            SourceFile(root / "a.json", "phishing", "auto"),
            SourceFile(root / "b.json", "phishing", "auto"),
            SourceFile(root / "deep/er/d.json", "malware", "auto"),
        ]

    def test_folders_and_hidden_files_are_not_matched(self, root):
        found = resolve_sources(root, [Source("*.json*", "x")])
        assert [file.path.name for file in found] == ["a.json", "b.json", "odd[1].json"]

    def test_a_name_that_looks_like_a_pattern(self, root):
        assert [file.path.name for file in resolve_sources(root, [Source("odd[1].json", "x")])] == [
            "odd[1].json"
        ]

    def test_absolute_paths_and_patterns(self, root):
        sources = [Source(f"{root}/c.txt", "x"), Source(f"{root}/*/*/d.json", "x")]
        found = resolve_sources(Path("elsewhere"), sources)
        assert [file.path for file in found] == [root / "c.txt", root / "deep/er/d.json"]

    def test_all_that_is_missing_is_named(self, root):
        sources = [Source("none.json", "a"), Source("c.txt", "b"), Source("*.csv", "c"), Source("deep", "d")]
        with pytest.raises(DataError) as caught:
            resolve_sources(root, sources)
        assert str(caught.value) == (
            f"{root}: source 'none.json' (a) matches no file; source '*.csv' (c) matches no file; "
            "source 'deep' (d) is a folder: name its files, for example deep/*.json"
        )

    @pytest.mark.parametrize("second", ["a.json", "*.json", "./deep/../a.json"])
    def test_a_file_in_two_sources(self, second, root):
        with pytest.raises(
            ConfigError, match=r"a\.json is in two sources: source 'a\.json' \(x\) and source"
        ):
            resolve_sources(root, [Source("a.json", "x"), Source(second, "x")])
