"""The errors that are the user's to mend, the exit codes of every script, and how a script ends with one.

A `UserError` ends a script as one line on stderr; anything else is a bug and keeps its traceback.
"""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

from utils.terminal_text import guard_stderr, printable
from utils.waiting_threads import wait_briefly

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143


class UserError(Exception):
    """Something the user can mend; `str(error)` is the whole message."""

    exit_code = EXIT_FAILED


class ConfigError(UserError):
    """The configuration or the command line is wrong."""

    exit_code = EXIT_USAGE


class DataError(UserError):
    """A data file cannot be read as what it should be.

    Parameters
    ----------
    path
        The file, or "<stdin>".
    message
        What was expected and what was found.
    position
        Where in the file: "line 7", "record 12", "byte 4096"; None where it concerns the whole file.
    """

    def __init__(self, path: Path | str, message: str, position: str | None = None) -> None:
        self.path = str(path)
        self.message = message
        self.position = position
        where = f"{path}, {position}" if position else str(path)
        super().__init__(f"{where}: {message}")

    def __reduce__(self) -> tuple:  # it may come from another process
        return DataError, (self.path, self.message, self.position)


class CheckpointError(UserError):
    """A checkpoint cannot be loaded."""


def run_script(program: str, action: Callable[[], int]) -> int:
    """Run what a script does and return its exit code; what the user can mend becomes one line on stderr."""
    _replace_closed_streams()
    guard_stderr()
    wait_briefly()
    try:
        code = action()
        _flush_results()
        return code
    except UserError as error:
        message, code = "; ".join([str(error), *getattr(error, "__notes__", [])]), error.exit_code
    except KeyboardInterrupt:
        message, code = "interrupted", EXIT_INTERRUPTED
    except BrokenPipeError:
        sys.stdout = None  # whoever read our results has had enough: nothing more to say, not even at exit
        return EXIT_DONE
    except OSError as error:  # a disk, a permission: nobody's bug
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
        code = EXIT_FAILED
    sys.stderr.write(f"{program}: {printable(message)}\n")
    return code


def _flush_results() -> None:
    """Write what `print` still holds: else a full disk shows only when Python ends, and not as one line."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        sys.stdout = None  # Python would try again at its end
        raise UserError(f"stdout: cannot be written: {error.strerror}") from None


def _replace_closed_streams() -> None:
    """Put something in the place of standard streams that are closed (`2>&-`, a service without a console).

    Python sets them to None. Then `print(…, file=sys.stderr)` would write messages among the results, and the
    next file that is opened would get the stream's number. Input then is empty, messages are dropped, and
    results are an error as soon as there are any.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - until the process ends
    if sys.stdout is None:
        os.open(os.devnull, os.O_RDONLY)  # holds the number
        sys.stdout = io.TextIOWrapper(_ClosedStdout(), encoding="utf-8", write_through=True)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


class _ClosedStdout(io.RawIOBase):
    """Takes no results."""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        raise UserError("stdout: cannot be written: it is closed")
