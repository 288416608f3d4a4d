"""Which rows go into one batch of a prediction. NumPy only: every runtime batches alike.

A name has 16 to 24 characters on average and 64 at most, so batches padded to their own longest row cost
a quarter of batches padded to the maximum. The models' logits do not depend on padding (see
`models/cnn_lstm_model.py`), so this changes the cost only.
"""

from collections.abc import Iterator

import numpy as np

# A batch of longer names has fewer of them: its intermediate results take memory by the character, and those
# of the few longest names would be most of what a process needs.
CHARACTERS_A_ROW = 24


def length_sorted_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yield row numbers from the shortest name to the longest; `lengths` is (N,).

    At most `batch_size` at once, and no more than `CHARACTERS_A_ROW` times as many characters with padding.
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = int(lengths[order[start : start + batch_size][-1]])
        size = min(batch_size, max(1, batch_size * CHARACTERS_A_ROW // max(longest, 1)))
        yield order[start : start + size]
        start += size
