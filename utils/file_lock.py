"""Locks that the operating system keeps: they end with the process that holds them, even if it is killed."""

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

# What a file system without locks answers.
_NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def lock(descriptor: int) -> bool:
    """Keep other processes from an open file; tell whether this system has locks at all.

    Raises
    ------
    BlockingIOError
        Another process has it.
    OSError
        Its file system has no locks.
    """
    if fcntl is None:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def is_named(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one at `path`: who had the lock may have moved or removed it."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


@contextmanager
def held(path: Path, refusal: Callable[[str], str]) -> Iterator[bool]:
    """Hold the lock file `path` for the time of the block; yield whether there are locks here.

    The file says who holds it, and is removed at the end. One that a killed process left is taken over.

    Parameters
    ----------
    refusal
        What to say where another process holds it: from "process 123 on HOST" to the message.

    Raises
    ------
    UserError
        Another process holds it, or the file cannot be written.
    """
    try:
        descriptor, is_locked = _open_locked(path)
    except BlockingIOError:
        raise UserError(refusal(_holder(path))) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        yield is_locked
    finally:
        with contextlib.suppress(OSError):  # whatever ends the block is told
            if fcntl is None:  # Windows removes no open file
                os.close(descriptor)
            path.unlink(missing_ok=True)
        if fcntl is not None:
            os.close(descriptor)


def _open_locked(path: Path) -> tuple[int, bool]:
    """Return the open file, and whether it could be locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            is_locked = lock(descriptor)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(descriptor)
                raise
            is_locked = False
        if not is_locked or is_named(descriptor, path):
            with contextlib.suppress(OSError):  # a full disk: the lock holds all the same
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor, is_locked
        os.close(descriptor)


def _holder(path: Path) -> str:
    """Return what the lock file says about who holds it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:100] or "a process"
    except OSError:
        return "a process"
