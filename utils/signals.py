"""The first Ctrl-C or termination asks politely; the second ends at once."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

logger = logging.getLogger(__name__)


class Stoppable(Protocol):
    """Something that looks at `stop_requested` now and then; `stop_signal` tells who asked."""

    stop_requested: bool
    stop_signal: int | None


@contextmanager
def stop_on_signal(job: Stoppable, *, once_more_ends: bool = True) -> Iterator[None]:
    """While the block runs, let the first SIGINT or SIGTERM set `job.stop_requested`.

    After it the signal does again what it did before, so a second one ends the process at once; or nothing,
    without `once_more_ends`. Outside the main thread, where Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: object) -> None:
        job.stop_requested, job.stop_signal = True, number
        what_next = "; once more ends at once" if once_more_ends else ""
        logger.warning("%s: finishing this step and saving%s", signal.Signals(number).name, what_next)
        for each, handler in before.items():
            signal.signal(each, handler if once_more_ends else signal.SIG_IGN)

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_held() -> Iterator[None]:
    """While the block runs, keep SIGINT and SIGTERM waiting; they arrive at its end.

    Around a fork: Python ignores what is raised in the handlers that run before and after one (those of
    `logging`, for instance), so a Ctrl-C that came just then would be lost. Copies made inside the block call
    `leave_signals_to_parent`. Where nothing can fork (Windows), nothing is held.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_parent() -> None:
    """In a copy of a process: leave Ctrl-C, which reaches all of them, to the first; end at SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a copy has the first one's handlers
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


class Terminated(KeyboardInterrupt):
    """SIGTERM, for code that can be interrupted anywhere."""


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """While the block runs, let SIGTERM end it as Ctrl-C does, by `Terminated`.

    Outside the main thread, where Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_it(_number: int, _frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, raise_it)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
