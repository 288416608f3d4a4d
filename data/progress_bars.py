"""A progress bar for each file that is read: bytes, time left, records/s; on a terminal only."""

import time
from collections.abc import Callable, Sequence

from tqdm import tqdm

from utils.terminal_text import drawing_stream, printable_line

NOT_BEGUN = -1  # the number of records of a file that still waits for its turn

Progress = Callable[[int, int], None]  # bytes of the file consumed, records read


class ProgressBars:
    """The bars of several files, as a context manager.

    Parameters
    ----------
    titles, sizes
        What each bar is called, and the bytes of its file.
    show
        Whether to draw on stderr; None draws on a terminal only.
    """

    def __init__(self, titles: Sequence[str], sizes: Sequence[int], show: bool | None) -> None:
        self._titles = titles
        self._sizes = sizes
        self._show = drawing_stream().isatty() if show is None else show
        self._bars: list[tqdm] = []
        self._started: dict[int, float] = {}  # number of a file → time of its first report
        self._reported: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> "ProgressBars":
        if self._show:
            self._bars = [
                tqdm(
                    total=size,
                    desc=printable_line(title),
                    unit="B",
                    unit_scale=True,
                    position=number,
                    leave=False,
                    dynamic_ncols=True,
                    file=drawing_stream(),
                )
                for number, (title, size) in enumerate(zip(self._titles, self._sizes, strict=True))
            ]
        return self

    def __exit__(self, *_: object) -> None:
        for bar in reversed(self._bars):
            bar.close()

    def reporter(self, number: int) -> Progress:
        """Return the `progress` of one file."""
        return lambda consumed, records: self._set(number, consumed, records)

    def update(self, counters: Sequence[int]) -> None:
        """Take bytes and records of all files, one after the other; `NOT_BEGUN` records: not yet."""
        for number in range(len(self._titles)):
            consumed, records = counters[2 * number : 2 * number + 2]
            if records != NOT_BEGUN:
                self._set(number, consumed, records)

    def _set(self, number: int, consumed: int, records: int) -> None:
        # A file that is done reports no more; its speed must not go on falling.
        if not self._bars or self._reported.get(number) == (consumed, records):
            return
        bar = self._bars[number]
        if number not in self._started:
            self._started[number] = time.monotonic()
            bar.reset()  # its clock too has run since the bar was made
        self._reported[number] = consumed, records
        speed = records / max(time.monotonic() - self._started[number], 1e-9)
        bar.set_postfix_str(f"{speed:,.0f} records/s", refresh=False)
        bar.update(consumed - bar.n)
        if consumed >= bar.total:  # tqdm may hold back what comes soon after the last drawing
            bar.refresh()
