"""A stream of rows to batches: full ones from a file, whatever is there from a pipe.

A file is read as far as a batch goes. From a pipe (`tail -f log | …`) nobody knows when the next row comes,
so a thread waits for rows, and a batch is what has arrived.
"""

import queue
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Row = TypeVar("Row")
_END = object()


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
    waiting: queue.Queue = queue.Queue(maxsize=2 * size)

    def read() -> None:
        try:
            for row in rows:
                waiting.put(row)
            waiting.put(_END)
        except Exception as error:  # noqa: BLE001 - handed to the thread that asked
            waiting.put(_Failure(error))

    threading.Thread(target=read, name="row reader", daemon=True).start()
    last: object = None
    while last is None:
        batch: list[Row] = []
        item = waiting.get()
        while True:
            if item is _END or isinstance(item, _Failure):
                last = item
                break
            batch.append(item)
            if len(batch) == size:
                break
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                break
        if batch:
            yield batch
    if isinstance(last, _Failure):
        raise last.error


class _Failure:
    """An error on its way from the reading thread."""

    def __init__(self, error: Exception) -> None:
        self.error = error
