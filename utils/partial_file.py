"""A long job's output file: FILE.partial until it is complete, held by one job at a time, and resumable.

Beside it stands FILE.partial.state, written every few seconds: how many bytes are whole, and of which job. So
a job that was killed goes on from there; what was written after it, a torn row perhaps, is cut off.
"""

import contextlib
import errno
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from utils.errors import UserError
from utils.file_lock import is_named, lock
from utils.files import write_text

SAVE_EVERY_S = 2.0


class Whole(NamedTuple):
    """What is certainly in the file: so many bytes, and what the job noted about them."""

    size: int
    notes: Mapping[str, object]


class PartialFile:
    """A file that grows under the name FILE.partial and gets its own when it is complete.

    Parameters
    ----------
    path
        The file to be.
    job
        What decides the file's content, as JSON holds it: input, model, settings. None where the job cannot
        be resumed: then no state is kept.

    Attributes
    ----------
    partial
        The name meanwhile.
    """

    def __init__(self, path: Path, job: Mapping[str, object] | None) -> None:
        self.path = path
        self.partial = path.with_name(f"{path.name}.partial")
        self._state = path.with_name(f"{path.name}.partial.state")
        self._job = job
        self._file: int | None = None
        self._whole = Whole(0, {})
        self._saved_at = 0.0

    @property
    def notes(self) -> Mapping[str, object]:
        """Return the notes that go with what is certainly in the file."""
        return self._whole.notes

    def open(self, *, resume: bool) -> Mapping[str, object] | None:
        """Take the file for this job; return the notes of the job to go on with, None where it begins.

        Raises
        ------
        UserError
            The file cannot be written, another job writes it, or what is there is of another job.
        """
        if self.path.is_dir():
            raise self._failure(OSError(errno.EISDIR, os.strerror(errno.EISDIR)))
        try:
            self._file = self._open_locked()
            whole = self._read_state() if resume else None
            if whole is None:
                self._state.unlink(missing_ok=True)
            self._whole = whole or Whole(0, {})
            self._cut()
        except OSError as error:
            self._close()
            raise self._failure(error) from None
        except BaseException:
            self._close()
            raise
        self._saved_at = time.monotonic()
        return None if whole is None else whole.notes

    def write(self, data: bytes, notes: Mapping[str, object] | None = None) -> None:
        """Add `data`; with `notes`, say that all so far is whole and that these go with it.

        Raises
        ------
        UserError
            The file system refuses: disk full.
        """
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if notes is not None:
                # One assignment: a signal between two would leave a size and notes that do not fit.
                self._whole = Whole(self._whole.size + len(data), notes)
                if time.monotonic() - self._saved_at >= SAVE_EVERY_S:
                    self._save()
        except OSError as error:
            raise self._failure(error) from None

    def complete(self, ending: bytes) -> None:
        """Add the ending, and give the file its name.

        Raises
        ------
        UserError
            The file system refuses.
        """
        try:
            self.write(ending)
            os.fsync(self._file)
            if os.name == "nt":
                self._close()  # Windows renames no open file
            os.replace(self.partial, self.path)
            self._state.unlink(missing_ok=True)
        except OSError as error:
            raise self._failure(error) from None
        finally:
            self._close()

    def abandon(self, ending: bytes, *, keep: bool) -> None:
        """Keep what is whole, with the ending behind it, for people to read and for a job to go on with.

        Without `keep` the file is removed. Whatever the file system refuses now is not told: the reason why
        the job ends is.
        """
        with contextlib.suppress(OSError, UserError):
            self._cut()
            if not keep:
                self.partial.unlink()
                self._state.unlink(missing_ok=True)
            else:
                self._save()
                self.write(ending)
                os.fsync(self._file)
        self._close()

    def _open_locked(self) -> int:
        """Open the file, whatever it holds, and keep other jobs from it; return its descriptor."""
        while True:
            file = os.open(self.partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            try:
                # Without locks, on Windows, a second job fails when it renames the file.
                if not lock(file) or is_named(file, self.partial):
                    return file
                # Another job has just completed this file: it has its own name now. Begin a new one.
                os.close(file)
            except BlockingIOError:
                os.close(file)
                raise UserError(
                    f"{self.partial}: another job is writing this file; choose another --output"
                ) from None

    def _read_state(self) -> Whole | None:
        """Return what an earlier job of the same kind left, None where there is none."""
        try:
            state = json.loads(self._state.read_text(encoding="utf-8"))
            job, whole = dict(state["job"]), Whole(state["bytes"], state["notes"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self._state}: damaged; begin again without --resume") from None
        ours = json.loads(json.dumps(self._job))
        different = [key for key in ours if job.get(key) != ours[key]]
        if different:
            raise UserError(
                f"{self.partial}: cannot go on, since it was begun with other {', '.join(different)}; "
                "begin again without --resume"
            )
        if os.fstat(self._file).st_size < whole.size:
            raise UserError(f"{self.partial}: shorter than it was; begin again without --resume")
        return whole

    def _cut(self) -> None:
        if os.fstat(self._file).st_size != self._whole.size:
            os.ftruncate(self._file, self._whole.size)
        os.lseek(self._file, 0, os.SEEK_END)

    def _save(self) -> None:
        """Write the state; the bytes that it speaks of reach the disk before it does."""
        if self._job is None:
            return
        size, notes = self._whole
        os.fsync(self._file)
        state = {"job": self._job, "bytes": size, "notes": notes}
        write_text(self._state, json.dumps(state))
        self._saved_at = time.monotonic()

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _failure(self, error: OSError) -> UserError:
        return UserError(f"{self.path}: cannot be written: {error.strerror}")
