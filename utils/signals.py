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
def stop_on_signal(job: Stoppable) -> Iterator[None]:
    """While the block runs, let the first SIGINT or SIGTERM set `job.stop_requested`.

    After it the signal does again what it did before, so a second one ends the process at once. Outside the
    main thread, where Python allows no handlers, nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, _frame: object) -> None:
        job.stop_requested, job.stop_signal = True, number
        logger.warning(
            "%s: finishing this step and saving; once more ends at once", signal.Signals(number).name
        )
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
