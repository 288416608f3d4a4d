"""Run folders, the pointer to the latest run, and files that appear whole or not at all."""

import os
import stat
from datetime import datetime
from pathlib import Path

import pytest

from tests.toy_domains import toy_config
from utils.config import load_config
from utils.errors import UserError
from utils.files import atomic_path, write_text
from utils.run_folder import RunFolder, interrupted_run, latest_checkpoint, run_of

NOW = datetime(2026, 3, 1, 10, 0, 0)


def make_run(directory, name="domains", *, files=()):
    run = RunFolder.create(directory, name, NOW)
    for file in files:
        (run.path / file).write_text("{}")
    return run


# ------------------------------------------------------------------ the folder


def test_the_name_is_time_and_name_and_missing_parents_are_made(tmp_path):
    run = make_run(tmp_path / "deep" / "runs")
    assert run.path == tmp_path / "deep" / "runs" / "2026-03-01_10-00-00-domains"
    assert run.path.is_dir()


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path):
    names = [make_run(tmp_path).path.name for _ in range(3)]
    assert names == [f"2026-03-01_10-00-00-domains{suffix}" for suffix in ("", "-2", "-3")]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: cannot make this folder: File exists$"):
        make_run(tmp_path / "file")


@pytest.mark.parametrize("rate", [0.001, 1e-5, 1e-7, 0.1 + 0.2])
def test_the_written_configuration_loads_as_the_same(tmp_path, rate):
    config = toy_config(learning_rate=rate, class_weights={"benign": 1, "phishing": 2.5, "malware": 3})
    run = make_run(tmp_path)
    run.write_config(config)
    assert load_config(run.path / "config.yaml") == config


def test_json_comes_back_and_nan_is_refused(tmp_path):
    run = make_run(tmp_path)
    run.write_json("report.json", {"name": "bücher", "values": [1, 0.1 + 0.2, None]})
    assert run.read_json("report.json") == {"name": "bücher", "values": [1, 0.1 + 0.2, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("report.json", {"value": float("nan")})
    assert run.read_json("report.json")["name"] == "bücher", "the old file stays"


def test_a_json_file_that_is_not_there_or_damaged_is_one_line(tmp_path):
    run = make_run(tmp_path, files=["manifest.json"])
    with pytest.raises(UserError, match=r"absent\.json: cannot be read"):
        run.read_json("absent.json")
    (run.path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json: cannot be read"):
        run.read_json("manifest.json")


# ------------------------------------------------------------------ latest


def test_latest_points_at_the_run_that_was_marked_last(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    first, second = (make_run(tmp_path, files=["best.pt"]) for _ in range(2))
    assert latest_checkpoint(tmp_path) is None, "neither has finished"
    for run in (first, second, first):
        run.mark_latest()
        assert latest_checkpoint(tmp_path).resolve() == run.best.resolve()
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
            [first.path.name, second.path.name, "latest"]
        )


def test_latest_survives_a_move_of_the_runs(tmp_path):
    run = make_run(tmp_path / "runs", files=["best.pt"])
    run.mark_latest()
    (tmp_path / "runs").rename(tmp_path / "moved")
    assert latest_checkpoint(tmp_path / "moved").is_file()


def test_latest_is_a_file_where_links_are_not_to_be_had(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run = make_run(tmp_path, files=["best.pt"])
    run.mark_latest()
    assert (tmp_path / "latest").read_text() == run.path.name + "\n"
    assert latest_checkpoint(tmp_path) == run.best


def test_a_latest_that_leads_nowhere_is_none(tmp_path):
    (tmp_path / "latest").symlink_to("gone")
    assert latest_checkpoint(tmp_path) is None
    run = make_run(tmp_path)  # finished, but without best.pt
    run.mark_latest()
    assert latest_checkpoint(tmp_path) is None


# ------------------------------------------------------------------ going on


def test_the_interrupted_run_is_the_newest_without_a_report(tmp_path):
    with pytest.raises(UserError, match="no interrupted run to go on with"):
        interrupted_run(tmp_path)
    old = make_run(tmp_path, "old", files=["last.pt"])
    new = make_run(tmp_path, "new", files=["last.pt"])
    done = make_run(tmp_path, "done", files=["last.pt", "report.json"])
    make_run(tmp_path, "unstarted")
    for seconds, run in enumerate([old, new, done]):
        os.utime(run.last, (1_000_000 + seconds, 1_000_000 + seconds))
    assert interrupted_run(tmp_path).path == new.path
    new.mark_latest()
    assert interrupted_run(tmp_path).path == new.path, "not by its other name"
    os.utime(old.last, (2_000_000, 2_000_000))
    assert interrupted_run(tmp_path).path == old.path


def test_a_run_is_named_by_its_folder_or_its_checkpoint(tmp_path):
    run = make_run(tmp_path, files=["last.pt"])
    assert run_of(run.path).path == run.path
    assert run_of(run.last).path == run.path
    with pytest.raises(UserError, match=r"last\.pt: no such checkpoint: nothing to go on with"):
        run_of(make_run(tmp_path).path)


def test_a_folder_of_runs_stands_for_its_interrupted_run(tmp_path):
    """Where `output.directory` is not the usual one."""
    make_run(tmp_path, name="done", files=["last.pt", "report.json"])
    with pytest.raises(UserError, match="no interrupted run to go on with"):
        run_of(tmp_path)
    run = make_run(tmp_path, name="open", files=["last.pt"])
    assert run_of(tmp_path).path == run.path


def test_halves_of_files_are_removed_and_nothing_else(tmp_path):
    run = make_run(tmp_path, files=["last.pt", ".last.pt.x1.tmp", "mine.tmp", ".mine"])
    run.figures.mkdir()
    (run.figures / ".roc.png.x1.tmp").write_bytes(b"")
    run.remove_leftovers()
    assert sorted(path.name for path in run.path.rglob("*")) == [".mine", "figures", "last.pt", "mine.tmp"]


# ------------------------------------------------------------------ whole files


def test_a_file_is_the_old_one_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_a_failure_the_old_file_stays_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_written_file_has_the_usual_permissions_and_line_ends(tmp_path):
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "ü\nb\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640
    assert (tmp_path / "a.txt").read_bytes() == "ü\nb\n".encode()
    assert os.umask(before) == before, "the mask is as it was"


def test_resuming_through_the_latest_link_keeps_the_link_whole(tmp_path):
    """`--resume runs/latest` on a finished run once made `latest` a link to itself."""
    folder = RunFolder.create(tmp_path, "a", NOW)
    folder.best.write_bytes(b"")
    folder.last.write_bytes(b"")
    folder.mark_latest()
    again = run_of(tmp_path / "latest")
    again.mark_latest()
    assert again.path == folder.path.resolve()
    assert latest_checkpoint(tmp_path) is not None
