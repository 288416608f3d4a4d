"""The numbers of an epoch on the validation names, of which each process judges its share."""

import math
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batching import predict_logits
from models.training_data import class_numbers
from models.training_state import TrainingFailedError
from utils.processes import OneProcess

Metrics = Callable[[np.ndarray, Tensor], Mapping[str, float]]  # labels (N,), logits (N, K) → name: value


class Validation:
    """The validation names, and how a model does on them.

    Parameters
    ----------
    codes, labels
        (N, T) uint8 character codes and (N,) class numbers, the same in every process.
    class_weights
        (K,) weights of the training loss, or None. The validation loss is unweighted.
    metrics
        Called in the first process; None for the loss and the accuracy only.
    """

    def __init__(
        self,
        codes: np.ndarray | Tensor,
        labels: np.ndarray | Tensor,
        class_weights: Tensor | None,
        metrics: Metrics | None,
        processes: OneProcess,
    ) -> None:
        self.codes = torch.as_tensor(codes)[processes.rank :: processes.size]
        self.labels = class_numbers("y_val", labels).cpu()
        self.weights = None if class_weights is None else class_weights.cpu()
        self.metrics = metrics
        self.processes = processes

    def __call__(
        self, model: nn.Module, batch_size: int, device: torch.device, epoch: int
    ) -> dict[str, float]:
        """Return the validation loss, the accuracy and whatever `metrics` adds: in every process the same.

        Raises
        ------
        TrainingFailedError
            The loss after this epoch is NaN or infinite.
        """
        shares = self.processes.collect(predict_logits(model, self.codes, batch_size, device))
        values = self._judge(_interleave(shares, len(self.labels))) if shares else {}
        values = self.processes.from_first(values)
        if not math.isfinite(values["val_loss"]):
            raise TrainingFailedError(f"epoch {epoch}: the validation loss is {values['val_loss']}")
        return values

    def _judge(self, logits: Tensor) -> dict[str, float]:
        """Return the numbers of the logits (N, K)."""
        if self.weights is not None:  # a weighted loss shifts the logits so; judge at the data's class shares
            logits = logits - self.weights.log()
        values = {
            "val_loss": F.cross_entropy(logits, self.labels).item(),
            "val_accuracy": (logits.argmax(1) == self.labels).float().mean().item(),
        }
        if self.metrics is not None:
            found = self.metrics(self.labels.numpy(), logits)
            values |= {f"val_{name}": float(value) for name, value in found.items()}
        return values


def _interleave(shares: list[Tensor], num_rows: int) -> Tensor:
    """Return the rows (N, K) of which share r has r, r + the number of shares, …; a share may be empty."""
    rows = shares[0].new_empty(num_rows, shares[0].size(1))
    for rank, share in enumerate(shares):
        if len(share):
            rows[rank :: len(shares)] = share
    return rows
