"""A run's folder: its name, what lies in it, and which run is the latest.

runs/2026-03-01_10-00-00-domains/   config.yaml manifest.json metrics.jsonl history.json
                                    best.pt last.pt report.json report.md figures/ tensorboard/
runs/latest                         → the newest run that has finished
"""

import contextlib
import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from utils.config import Config, load_config
from utils.errors import UserError
from utils.file_lock import held
from utils.files import write_text
from utils.processes import Launch

LATEST = "latest"
BEST = "best.pt"
LAST = "last.pt"
LOCK = "run.lock"  # there while a training writes the run, and after one that was killed
REPORT = "report.json"  # written last: what has it has finished


class RunFolder:
    """The files of one run; each appears whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.best = self.path / BEST
        self.last = self.path / LAST
        self.evidence = self.path / "evidence.npz"  # what models/evidence_fit.py found, for --resume
        self.figures = self.path / "figures"
        self.tensorboard = self.path / "tensorboard"
        self.metrics = self.path / "metrics.jsonl"

    @classmethod
    def create(cls, directory: Path, name: str, now: datetime) -> "RunFolder":
        """Make `<directory>/<time>-<name>`, or the same with a number where that exists already.

        Raises
        ------
        UserError
            The folder cannot be made.
        """
        stem = f"{now:%Y-%m-%d_%H-%M-%S}-{name}"
        make_folder(directory)
        try:
            for number in range(1, 1000):
                path = Path(directory) / (stem if number == 1 else f"{stem}-{number}")
                with contextlib.suppress(FileExistsError):  # another training started in the same second
                    path.mkdir()
                    return cls(path)
        except OSError as error:
            raise UserError(f"{directory}: cannot make a run folder: {error.strerror}") from None
        raise UserError(f"{directory}: a thousand runs are named {stem} already")

    def held(self) -> AbstractContextManager[bool]:
        """Keep other trainings from this run for the time of the block; see `utils.file_lock.held`."""
        return held(
            self.path / LOCK,
            lambda holder: (
                f"{self.path}: another training is writing this run ({holder}): "
                "wait until it ends, or stop it, and then --resume again"
            ),
        )

    def require_unfinished(self) -> None:
        """Raise where the run has its report: another training would write over it."""
        if (self.path / REPORT).exists():
            raise UserError(f"{self.path}: has finished: nothing to go on with")

    def write_config(self, config: Config) -> None:
        """Write the resolved configuration; `train.py --config` reads it again."""
        text = yaml.safe_dump(config.to_dict(), sort_keys=False, allow_unicode=True)
        write_text(self.path / "config.yaml", text)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write `content`, builtins only and without NaN, as JSON."""
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(self.path / name, text + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of this run.

        Raises
        ------
        UserError
            It is not there or no JSON.
        """
        try:
            return json.loads((self.path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{self.path / name}: cannot be read: {error}") from None

    def remove_leftovers(self) -> None:
        """Remove the halves of files that `utils.files` was writing when the process was killed."""
        for path in self.path.rglob(".*.tmp"):
            path.unlink(missing_ok=True)

    def mark_latest(self) -> None:
        """Point `latest` at this run; where links are not to be had, `latest` is a file with its name.

        Raises
        ------
        UserError
            `latest` is a real folder, which is not ours to remove, or the file system refuses.
        """
        link = self.path.parent / LATEST
        temporary = link.with_name(f".{LATEST}.{self.path.name}")
        try:
            temporary.unlink(missing_ok=True)
            try:
                temporary.symlink_to(self.path.name, target_is_directory=True)
            except OSError:
                temporary.write_text(self.path.name + "\n", encoding="utf-8")
            os.replace(temporary, link)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise UserError(f"{link}: cannot be pointed at {self.path.name}: {error.strerror}") from None


def make_folder(path: Path) -> None:
    """Make a folder unless it is there.

    Raises
    ------
    UserError
        The file system refuses.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot make this folder: {error.strerror}") from None


def latest_checkpoint(directory: Path) -> Path | None:
    """Return `best.pt` of the newest run that has finished, or None where there is none.

    That is where `latest` points; where that run is gone, the newest other one that has its report.
    """
    link = Path(directory) / LATEST
    folder = link
    if link.is_file():
        folder = link.parent / link.read_text(encoding="utf-8").strip()
    if (folder / BEST).is_file():
        return folder / BEST
    finished = [path for path in Path(directory).glob(f"*/{BEST}") if (path.parent / REPORT).is_file()]
    return max(finished, key=lambda path: (path.parent / REPORT).stat().st_mtime_ns, default=None)


def interrupted_run(directory: Path) -> RunFolder:
    """Return the newest run that has a `last.pt` and no report.

    Raises
    ------
    UserError
        There is none.
    """
    runs = [p.parent for p in Path(directory).glob(f"*/{LAST}") if not (p.parent / REPORT).exists()]
    runs = [path for path in runs if path.name != LATEST]
    if not runs:
        raise UserError(f"{directory}: no interrupted run to go on with")
    return RunFolder(max(runs, key=lambda path: (path / LAST).stat().st_mtime_ns))


def run_of_job(directory: Path, launch: Launch, config: Config) -> RunFolder | None:
    """Return the unfinished run that a torchrun job began before it was started again, or None.

    A job is known by its id; where it has none, only a restart by the same torchrun counts.
    """
    if not (launch.has_id or launch.restarts):
        return None
    for last in sorted(Path(directory).glob(f"*/{LAST}"), reverse=True):
        run = RunFolder(last.parent)
        with contextlib.suppress(UserError):
            if (
                run.path.name != LATEST
                and not (run.path / REPORT).exists()
                and run.read_json("manifest.json").get("job") == launch.job
                and load_config(run.path / "config.yaml") == config
            ):
                return run
    return None


def run_of(path: Path) -> RunFolder:
    """Return the run that a folder or a checkpoint in it belongs to, or a folder of runs' interrupted one.

    Raises
    ------
    UserError
        There is no `last.pt`.
    """
    path = path.resolve()  # `latest` is a link, and its target may be what it will point to next
    folder = RunFolder(path.parent if path.name == LAST else path)
    if not folder.last.is_file():
        if any(path.glob(f"*/{LAST}")):
            return interrupted_run(path)
        raise UserError(f"{folder.last}: no such checkpoint: nothing to go on with")
    return folder
