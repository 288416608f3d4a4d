"""Batches of names of similar length for training, and the one loop that turns codes into logits."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor, nn

from data.feature_engineering import code_lengths
from models.length_batches import length_sorted_batches
from utils.errors import UserError

logger = logging.getLogger(__name__)

# Batches sorted together in training. Sorting the whole set would put the same neighbours into a batch in
# every epoch; a pool of 64 shuffled batches wastes about 3 % on padding and stays random.
BATCHES_PER_POOL = 64


def training_batches(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Shuffle all rows, sort them by length within pools, and return the batches' row numbers, shuffled.

    Parameters
    ----------
    lengths
        (N,) length of each name in characters.
    rng
        The only source of randomness: the same state gives the same batches.
    """
    order = rng.permutation(len(lengths))
    pool_size = batch_size * BATCHES_PER_POOL
    batches = []
    for start in range(0, len(order), pool_size):
        pool = order[start : start + pool_size]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += [pool[i : i + batch_size] for i in range(0, len(pool), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def predict_logits(
    model: nn.Module,
    codes: np.ndarray | Tensor,
    batch_size: int,
    device: torch.device,
    on_fewer: Callable[[int], None] | None = None,
    threads: ThreadPoolExecutor | None = None,
) -> Tensor:
    """Return the logits (N, K), float32 on the CPU, of `codes` (N, T) uint8, in the order of the rows.

    The model is set to evaluation mode and left in the mode in which it was. Where the device has too little
    memory for a batch, this batch and all after it are halved until they fit; `on_fewer` is called with the
    number of names that did. With `threads` (see `batch_threads`) batches are computed side by side.

    Raises
    ------
    UserError
        Not even one name fits.
    """
    codes = torch.as_tensor(codes)
    lengths = code_lengths(codes.cpu().numpy())
    order = list(length_sorted_batches(lengths, batch_size))
    limit = batch_size

    def answer(rows: np.ndarray) -> Tensor:
        nonlocal limit
        width = max(int(lengths[rows[-1]]), 1)
        index = torch.from_numpy(rows).to(codes.device)
        with torch.inference_mode():  # of this thread
            batch = _to_device(codes.index_select(0, index)[:, :width], device)
            logits, fitting = _forward(model, batch, limit)
        if fitting < limit:
            limit = fitting
            if on_fewer is not None:
                on_fewer(fitting)
        return logits

    was_training = model.training
    model.eval()
    logits = list((threads.map if threads else map)(answer, order))
    model.train(was_training)
    if not logits:
        return torch.empty(0, 0)
    sorted_logits = torch.cat(logits).cpu()
    result = torch.empty_like(sorted_logits)
    result[torch.from_numpy(np.concatenate(order))] = sorted_logits
    return result


def batch_threads(device: torch.device, most: int | None = None) -> tuple[ThreadPoolExecutor | None, int]:
    """Return threads, `most` at most, that each compute a batch by themselves, and how many they are.

    None and 1 where one is enough. On a CPU a batch of names is too little work to be shared: threads that
    each compute a batch, or a part of one, wait for each other less. PyTorch lets Python's other threads run
    meanwhile. Measured by `bench_prediction.py` and, for training, by hand (benchmarks/README.md).
    """
    available = torch.get_num_threads()
    upper = available if most is None else min(available, most)
    if device.type != "cpu" or upper <= 1:
        return None, 1
    # All cores at work, by threads of PyTorch's own in each; then as many as possible.
    count = max(range(2, upper + 1), key=lambda n: (available // n * n, n))
    each = available // count
    return ThreadPoolExecutor(count, "batch", initializer=lambda: torch.set_num_threads(each)), count


def _to_device(batch: Tensor, device: torch.device) -> Tensor:
    """Copy a batch; to CUDA from page-locked memory, so that the host goes on meanwhile."""
    if device.type == "cuda" and batch.device.type == "cpu":
        batch = batch.contiguous().pin_memory()
    return batch.to(device, non_blocking=True)


def _forward(model: nn.Module, batch: Tensor, limit: int) -> tuple[Tensor, int]:
    """Return the logits of a batch of at most `limit` rows at once, and the limit that the memory allowed."""
    while True:
        try:
            return torch.cat([model(part).float() for part in batch.split(limit)]), limit
        except torch.OutOfMemoryError as error:
            if limit == 1:
                raise UserError(f"{batch.device}: too little memory for a single name: {error}") from None
        # Here, not above: the error holds on to what the failed attempt allocated.
        limit = (limit + 1) // 2
        logger.warning("%s: out of memory, going on with %d names at once", batch.device, limit)
        if batch.device.type == "cuda":
            torch.cuda.empty_cache()
