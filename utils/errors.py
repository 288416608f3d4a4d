"""The errors that are the user's to mend, and the exit codes of every script.

A `UserError` ends a script as one line on stderr; anything else is a bug and keeps its traceback.
"""

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
