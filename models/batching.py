"""Batches of names of similar length for training, and the one loop that turns codes into logits."""

import numpy as np
import torch
from torch import Tensor, nn

from data.feature_engineering import code_lengths
from models.length_batches import length_sorted_batches

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


@torch.inference_mode()
def predict_logits(
    model: nn.Module, codes: np.ndarray | Tensor, batch_size: int, device: torch.device
) -> Tensor:
    """Return the logits (N, K), float32 on the CPU, of `codes` (N, T) uint8, in the order of the rows.

    The model is set to evaluation mode and left in the mode in which it was.
    """
    codes = torch.as_tensor(codes)
    lengths = code_lengths(codes.cpu().numpy())
    was_training = model.training
    model.eval()
    logits = []
    order = []
    for rows in length_sorted_batches(lengths, batch_size):
        width = max(int(lengths[rows[-1]]), 1)
        index = torch.from_numpy(rows).to(codes.device)
        batch = codes.index_select(0, index)[:, :width].to(device, non_blocking=True)
        logits.append(model(batch).float())
        order.append(rows)
    model.train(was_training)
    if not logits:
        return torch.empty(0, 0)
    sorted_logits = torch.cat(logits).cpu()
    result = torch.empty_like(sorted_logits)
    result[torch.from_numpy(np.concatenate(order))] = sorted_logits
    return result
