"""Which rows go into one batch of a prediction. NumPy only: every runtime batches alike.

A name has 16 to 24 characters on average and 64 at most, so batches padded to their own longest row cost
a quarter of batches padded to the maximum. The models' logits do not depend on padding (see
`models/cnn_lstm_model.py`), so this changes the cost only.
"""

from collections.abc import Iterator

import numpy as np


def length_sorted_batches(lengths: np.ndarray, batch_size: int) -> Iterator[np.ndarray]:
    """Yield row numbers (at most `batch_size`) from the shortest name to the longest; `lengths` is (N,)."""
    order = np.argsort(lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]
