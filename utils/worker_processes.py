"""Work that several processes share: forked copies of this one, each with all that it has loaded.

A copy costs a few milliseconds and shares memory with this process until one of them changes it. It closes
the files that this one has open, so that no lock outlives it, and ends when this one does, however that ends.
"""

import gc
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from utils.errors import UserError
from utils.signals import leave_signals_to_parent, signals_held

Task = TypeVar("Task")
Result = TypeVar("Result")


def can_fork() -> bool:
    """Tell whether this process may be copied: on macOS its libraries forbid it, Windows cannot."""
    return hasattr(os, "fork") and os.uname().sysname == "Linux"


def map_in_processes(
    work: Callable[[Task], Result], tasks: Iterable[Task], count: int, prepare: Callable[[], None]
) -> Iterator[Result]:
    """Yield `work(task)` for each task, in order, computed in at most `count` copies of this process.

    The copies are made as tasks come, and ended when the iterator is exhausted or closed. Tasks and results
    are pickled; `work` and what it refers to are not. When `tasks` raises, the results before come first.

    Parameters
    ----------
    prepare
        Called first in each copy.

    Raises
    ------
    UserError
        A copy was ended from outside.
    """
    busy: deque[_Worker] = deque()
    started = 0
    failure: Exception | None = None
    source = iter(tasks)
    try:
        while True:
            try:
                task = next(source)  # meanwhile the copies compute
            except StopIteration:
                break
            except Exception as error:  # noqa: BLE001 - raised again below
                failure = error
                break
            if started < count:
                started += 1
                busy.append(_Worker(work, prepare))
                busy[-1].send(task)
                continue
            result = busy[0].receive()
            busy[0].send(task)  # at once: it need not wait until the result is used
            busy.rotate(-1)
            yield result
        for worker in busy:
            yield worker.receive()
    finally:
        for worker in busy:
            worker.end()
    if failure is not None:
        raise failure


class _Worker:
    """One copy; it gets a task at a time."""

    def __init__(self, work: Callable[[Any], Any], prepare: Callable[[], None]) -> None:
        self._work = work
        self._task: Any = None
        self._connection, its_end = Pipe()
        with signals_held():
            self._process = os.fork()
            if self._process == 0:
                try:
                    _serve(its_end, work, prepare)
                finally:  # also from errors: no handler of this process may run twice
                    os._exit(0)
        its_end.close()

    def send(self, task: Any) -> None:
        self._task = task
        try:
            self._connection.send(task)
        except OSError:
            raise self._ended() from None

    def receive(self) -> Any:
        try:
            is_done, result = self._connection.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        # What the copy could not do, this process does itself: so the error is its own, traceback and all.
        return result if is_done else self._work(self._task)

    def end(self) -> None:
        self._connection.close()
        os.kill(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)

    @staticmethod
    def _ended() -> UserError:
        return UserError("a process that answered a part of the names was ended; is there too little memory?")


def _serve(connection: Connection, work: Callable[[Any], Any], prepare: Callable[[], None]) -> None:
    """Do what comes, until nothing can come any more."""
    leave_signals_to_parent()
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    gc.freeze()  # looking through old objects would copy the memory that they lie in
    prepare()
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        try:
            answer = True, work(task)
        except Exception:  # noqa: BLE001 - the first process meets it again
            answer = False, None
        connection.send(answer)
