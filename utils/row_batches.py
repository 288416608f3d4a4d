"""A stream of rows to batches: full ones from a file, whatever is there from a pipe.

A file is read as far as a batch goes. From a pipe (`tail -f log | …`) nobody knows when the next row comes,
so a thread waits for rows, and a batch is what has arrived.
"""

import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Row = TypeVar("Row")


def file_batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield lists of `size` rows, the last one shorter.

    When `rows` raises, the rows before come first, then the error.
    """
    rows = iter(rows)
    failure: Exception | None = None
    while failure is None:
        batch: list[Row] = []
        try:
            batch.extend(islice(rows, size))  # keeps what came before an error
        except Exception as error:  # noqa: BLE001 - raised again below
            failure = error
        if batch:
            yield batch
        elif failure is None:
            return
    raise failure


def live_batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Yield lists of at most `size` rows as soon as there is at least one.

    When `rows` raises, the rows before come first, then the error.
    """
    waiting: list[Row] = []
    changed = threading.Condition()
    ended = False
    failure: Exception | None = None

    def read() -> None:
        nonlocal ended, failure
        try:
            for row in rows:
                with changed:
                    while len(waiting) >= size:
                        changed.wait()
                    waiting.append(row)
                    if len(waiting) == 1:
                        changed.notify()
        except Exception as error:  # noqa: BLE001 - handed to the thread that asked
            failure = error
        with changed:
            ended = True
            changed.notify()

    threading.Thread(target=read, name="row reader", daemon=True).start()
    while True:
        with changed:
            while not waiting and not ended:
                changed.wait()
            batch = waiting.copy()
            waiting.clear()
            changed.notify()
        if not batch:
            break
        yield batch
    if failure is not None:
        raise failure
