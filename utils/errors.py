"""The errors that are the user's to mend, the exit codes of every script, and how a script ends with one.

A `UserError` ends a script as one line on stderr; anything else is a bug and keeps its traceback.
"""

import sys
from collections.abc import Callable
from pathlib import Path

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


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
    """Run what a script does and return its exit code; the user's errors become one line on stderr."""
    try:
        return action()
    except UserError as error:
        message, code = "; ".join([str(error), *getattr(error, "__notes__", [])]), error.exit_code
    except KeyboardInterrupt:
        message, code = "interrupted", EXIT_INTERRUPTED
    sys.stderr.write(f"{program}: {message}\n")
    return code
