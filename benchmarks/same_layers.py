"""The network that every system of `bench_training.py` trains, and how it gets and returns its figures.

Embedding 64, two convolutions of 128 over 3 characters with ReLU, bidirectional LSTM of 128, additive
attention of 64, one dense layer to the classes; cross-entropy; Adam. Every system starts from the same
weights and sees the same batches in the same order. NumPy only: the systems run in environments of their own.
"""

import json
import time
from pathlib import Path

import numpy as np

EMBEDDING_DIM = 64
CONV_FILTERS = (128, 128)
KERNEL_SIZE = 3
LSTM_UNITS = 128
ATTENTION_UNITS = 64
MAX_LENGTH = 64
LEARNING_RATE = 0.001
ADAM_EPSILON = 1e-8  # of PyTorch; the default of Keras is 1e-7
WARM_UP_STEPS = 3  # graphs are traced and memory is taken in the first ones: they do not count


class Job:
    """A training set in the order of the batches, and the weights to start from.

    Attributes
    ----------
    codes
        (N, 64) uint8, where N is a multiple of `batch_size`.
    labels
        (N,) int64.
    order
        (N,) the row of the shuffled names that each row is: our trainer orders them itself.
    weights
        Parameter name of `CNN_LSTM_Model` → array.
    """

    def __init__(self, path: Path) -> None:
        with np.load(path) as file:
            arrays = dict(file)
        self.codes = arrays.pop("codes")
        self.labels = arrays.pop("labels")
        self.order = arrays.pop("order")
        self.batch_size = int(arrays.pop("batch_size"))
        self.num_codes = int(arrays.pop("num_codes"))
        self.num_classes = int(arrays.pop("num_classes"))
        self.weights = arrays

    def convolution(self, number: int) -> np.ndarray:
        """Return the kernel (K, C_in, C_out) of a convolution, which ours holds as one matrix."""
        matrix = self.weights[f"convolutions.{number}.linear.weight"]  # (C_out, K · C_in)
        return matrix.reshape(matrix.shape[0], KERNEL_SIZE, -1).transpose(1, 2, 0)


def save_job(
    path: Path, codes: np.ndarray, labels: np.ndarray, order: np.ndarray, weights: dict, **numbers: int
) -> None:
    """Write a job from the shuffled names; `numbers` are batch_size, num_codes and num_classes."""
    np.savez(path, codes=codes[order], labels=labels[order], order=order, **numbers, **weights)


class Stopwatch:
    """Notes the clock and the processor time at the end of each step."""

    def __init__(self) -> None:
        self.clock_s: list[float] = []
        self.cpu_s: list[float] = []

    def note(self) -> None:
        """Call at the end of each step."""
        self.clock_s.append(time.perf_counter())
        self.cpu_s.append(time.process_time())

    def report(self, batch_size: int, losses: list[float]) -> None:
        """Print speed, after `WARM_UP_STEPS`, and losses as one line of JSON."""
        names = batch_size * (len(self.clock_s) - WARM_UP_STEPS)
        first = WARM_UP_STEPS - 1
        figures = {
            "names_per_s": names / (self.clock_s[-1] - self.clock_s[first]),
            "names_per_cpu_s": names / (self.cpu_s[-1] - self.cpu_s[first]),
            "losses": [round(float(loss), 6) for loss in losses],
        }
        print(json.dumps(figures))
