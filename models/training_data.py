"""The names that training learns from, on the device, and their batches."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.feature_engineering import code_lengths
from models.batching import training_batches


@dataclass(frozen=True, slots=True)
class Batch:
    """The rows of a batch of all processes: on the host, and the same numbers on the device."""

    rows: np.ndarray
    on_device: Tensor


class TrainingData:
    """Codes, labels and class weights as the training loop needs them.

    Parameters
    ----------
    codes
        (N, T) uint8 character codes, padding at the end of each row.
    labels
        (N,) class numbers.
    class_weights
        (K,) weight of each class in the loss, or None.
    device
        Where all of it is held; drawing a batch then moves nothing between host and device.
    folds
        (N,) fold of each name, for a network with n-gram evidence (`models/evidence_fit.py`), or None.
    """

    def __init__(
        self,
        codes: np.ndarray | Tensor,
        labels: np.ndarray | Tensor,
        class_weights: np.ndarray | Tensor | None,
        device: torch.device,
        folds: np.ndarray | None = None,
    ) -> None:
        self.folds = None if folds is None else torch.as_tensor(folds).to(device)
        self.codes = torch.as_tensor(codes).to(device)
        self.labels = class_numbers("y_train", labels).to(device)
        self.weights = None if class_weights is None else torch.as_tensor(class_weights).float().to(device)
        self.lengths = code_lengths(torch.as_tensor(codes).cpu().numpy())

    def __len__(self) -> int:
        return len(self.labels)

    def inputs(self, rows: Tensor | slice, width: int | None = None) -> tuple[Tensor, ...]:
        """Return what the network takes for some rows: their codes, cut to `width`, and their folds."""
        codes = self.codes[rows][:, :width]
        return (codes,) if self.folds is None else (codes, self.folds[rows])

    def batches(self, batch_size: int, rng: np.random.Generator) -> list[Batch]:
        """Return the batches of an epoch, which depend on the state of `rng` only."""
        batches = training_batches(self.lengths, batch_size, rng)
        if not batches:
            return []
        on_device = torch.from_numpy(np.concatenate(batches)).to(self.codes.device)
        return [Batch(*pair) for pair in zip(batches, on_device.split(list(map(len, batches))), strict=True)]

    def weight_sum(self, labels: Tensor) -> Tensor:
        """Return the sum of the weights of some labels, on the device; without weights each counts 1."""
        if self.weights is None:
            return torch.full((), len(labels), dtype=torch.float32, device=labels.device)
        return self.weights[labels].sum()


def class_numbers(name: str, labels: np.ndarray | Tensor) -> Tensor:
    """Return labels as int64, (N,); one-hot rows, as the earlier Keras version took, are an error."""
    labels = torch.as_tensor(labels)
    if labels.dim() != 1:
        raise ValueError(
            f"{name} must be class numbers of shape (N,), not one-hot: use {name}.argmax(axis=1). "
            f"Got shape {tuple(labels.shape)}"
        )
    return labels.long()
