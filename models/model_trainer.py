"""The hand-written training loop.

`ModelTrainer` knows tensors, losses and when to stop. Metrics, log lines, TensorBoard and files are passed
in as callables, so the loop can be read from top to bottom and be tested without any of them.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from data.feature_engineering import code_lengths
from models.batching import predict_logits, training_batches
from models.device import uses_bfloat16
from models.optimization import learning_rate, make_optimizer
from models.training_state import BestWeights, EpochSums, random_states, set_random_states
from utils.config import Config, as_config
from utils.errors import EXIT_INTERRUPTED, UserError

# How often the host waits for the device: often enough for a live progress bar, rare enough to cost nothing.
STEPS_BETWEEN_LOOKS = 20

Metrics = Callable[[np.ndarray, Tensor], Mapping[str, float]]  # labels (N,), logits (N, K) → name: value


class TrainingFailedError(UserError):
    """The loss or a gradient is no longer a finite number."""


class TrainingStopped(UserError):
    """A stop was asked for; the state of the training was handed to `on_checkpoint` before."""

    def __init__(self, message: str, signal_number: int | None) -> None:
        super().__init__(message)
        self.exit_code = EXIT_INTERRUPTED if signal_number is None else 128 + signal_number


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What an epoch brought; `values` has the names of the history's columns."""

    epoch: int
    values: dict[str, float]
    improved: bool
    elapsed_s: float
    names_per_s: float


class ModelTrainer:
    """Trains a model on character codes.

    Parameters
    ----------
    model
        Maps codes (B, T) to logits (B, K).
    config
        A `Config`, or a mapping with the sections of the YAML file; `training` is what counts here.
    device
        Where model and data live; the whole data set is held there as uint8.
    metrics
        Called after each epoch with the validation labels (N,) and logits (N, K); its values join the
        history under "val_" names.
    on_epoch_end
        Called with an `EpochResult`.
    on_checkpoint
        Called with `state_dict()` after each epoch, every `training.checkpoint_minutes`, and before a stop.
    show_progress
        Whether to draw a progress bar on stderr; None draws it on a terminal only.
    """

    def __init__(
        self,
        model: nn.Module,
        config: Config,
        device: torch.device | str = "cpu",
        *,
        metrics: Metrics | None = None,
        on_epoch_end: Callable[[EpochResult], None] | None = None,
        on_checkpoint: Callable[[dict[str, Any]], None] | None = None,
        show_progress: bool | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.settings = as_config(config).training
        self.bfloat16 = uses_bfloat16(self.settings.precision, self.device)
        self.metrics = metrics
        self.on_epoch_end = on_epoch_end
        self.on_checkpoint = on_checkpoint
        self.progress_off = (
            None if show_progress is None else not show_progress
        )  # tqdm: None means "not a tty"
        self.optimizer = make_optimizer(self.model, self.settings)
        self.history: dict[str, list[float]] = {}
        self.best = BestWeights(self.settings.early_stopping_metric, self.settings.early_stopping_min_delta)
        self.epoch = 0  # epochs that are complete
        self.step = 0  # steps of the present epoch that are done
        self.steps_per_epoch = 0
        self.sums = EpochSums()
        self.stop_requested = False
        self.stop_signal: int | None = None

    # ------------------------------------------------------------------ the loop

    def train(
        self,
        X_train: np.ndarray | Tensor,
        y_train: np.ndarray | Tensor,
        X_val: np.ndarray | Tensor,
        y_val: np.ndarray | Tensor,
        class_weights: np.ndarray | Tensor | None = None,
    ) -> dict[str, list[float]]:
        """Train until the epochs are done or the watched metric stops improving; restore the best weights.

        Parameters
        ----------
        X_train, X_val
            (N, T) uint8 character codes, padding at the end of each row.
        y_train, y_val
            (N,) integer class numbers; no one-hot.
        class_weights
            (K,) weight of each class in the training loss, or None. The validation loss is unweighted.

        Returns
        -------
        history
            Column name → one number an epoch: loss, accuracy, val_loss, val_accuracy, learning_rate and
            "val_" + each name that `metrics` gives.

        Raises
        ------
        TrainingFailedError
            The loss or a gradient is NaN or infinite.
        TrainingStopped
            `stop_requested` was set; the state went to `on_checkpoint`.
        ValueError
            Labels are no class numbers.
        """
        X, y = torch.as_tensor(X_train).to(self.device), _class_numbers("y_train", y_train).to(self.device)
        X_val, y_val = torch.as_tensor(X_val).to(self.device), _class_numbers("y_val", y_val).cpu()
        weights = None if class_weights is None else torch.as_tensor(class_weights).float().to(self.device)
        lengths = code_lengths(X.cpu().numpy())
        if self.epoch == 0 and self.step == 0:
            torch.manual_seed(self.settings.seed)  # dropout; the batches have a generator of their own
        while (
            self.epoch < self.settings.epochs
            and self.best.epochs_without < self.settings.early_stopping_patience
        ):
            started = time.perf_counter()
            self._train_epoch(X, y, lengths, weights)
            values = (
                self.sums.averages()
                | self._validate(X_val, y_val, weights)
                | {"learning_rate": self._learning_rate(0)}
            )
            self._finish_epoch(values, time.perf_counter() - started, len(y))
        if self.best.state is not None:
            self.model.load_state_dict(self.best.state)
        return self.history

    def _train_epoch(self, X: Tensor, y: Tensor, lengths: np.ndarray, weights: Tensor | None) -> None:
        """Run the steps of the present epoch that are still to do."""
        rng = np.random.default_rng([self.settings.seed, self.epoch])
        batches = training_batches(lengths, self.settings.batch_size, rng)
        self.steps_per_epoch = len(batches)
        self.model.train()
        next_save = time.monotonic() + 60 * self.settings.checkpoint_minutes
        with self._progress_bar(len(y)) as bar:
            bar.update(sum(map(len, batches[: self.step])))
            while self.step < len(batches):
                rows = batches[self.step]
                index = torch.from_numpy(rows).to(self.device)
                width = int(lengths[rows].max(initial=1))
                self._train_step(X.index_select(0, index)[:, :width], y[index], weights)
                self.step += 1
                bar.update(len(rows))
                if self.step % STEPS_BETWEEN_LOOKS == 0 or self.step == len(batches):
                    self._raise_if_not_finite()
                    bar.set_postfix_str(f"loss {self.sums.loss():.4f}", refresh=False)
                if self.stop_requested or time.monotonic() > next_save:
                    self._save_or_stop()
                    next_save = time.monotonic() + 60 * self.settings.checkpoint_minutes

    def _train_step(self, codes: Tensor, targets: Tensor, weights: Tensor | None) -> None:
        """One forward pass, one backward pass, one update."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(self.step)
        with self._autocast():
            logits = self.model(codes)  # (B, K)
        loss_sum = F.cross_entropy(
            logits.float(), targets, weights, label_smoothing=self.settings.label_smoothing, reduction="sum"
        )
        weight_sum = targets.new_tensor(len(targets)).float() if weights is None else weights[targets].sum()
        self.optimizer.zero_grad(set_to_none=True)
        (loss_sum / weight_sum).backward()
        limit = self.settings.gradient_clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit, foreach=True)
        self.optimizer.step()
        self.sums.add(
            loss_sum.detach(), weight_sum, (logits.detach().argmax(1) == targets).sum(), len(targets)
        )
        self.sums.note_bad_step(self.step, torch.isfinite(loss_sum.detach()) & torch.isfinite(norm))

    def _validate(self, X_val: Tensor, y_val: Tensor, weights: Tensor | None) -> dict[str, float]:
        """Return the unweighted validation loss, the accuracy and whatever `metrics` adds."""
        with self._autocast():
            logits = predict_logits(self.model, X_val, self.settings.batch_size, self.device)
        if weights is not None:  # a weighted loss shifts the logits so; judge them at the data's class shares
            logits = logits - weights.log().cpu()
        values = {
            "val_loss": F.cross_entropy(logits, y_val).item(),
            "val_accuracy": (logits.argmax(1) == y_val).float().mean().item(),
        }
        if self.metrics is not None:
            values |= {
                f"val_{name}": float(value) for name, value in self.metrics(y_val.numpy(), logits).items()
            }
        if not math.isfinite(values["val_loss"]):
            raise TrainingFailedError(f"epoch {self.epoch + 1}: the validation loss is {values['val_loss']}")
        return values

    def _finish_epoch(self, values: dict[str, float], elapsed_s: float, num_names: int) -> None:
        """Write the history, remember the best weights, report, save."""
        if self.best.metric not in values:
            raise UserError(
                f"training.early_stopping_metric: no {self.best.metric} here; there are {', '.join(values)}"
            )
        self.epoch += 1
        self.step = 0
        self.sums = EpochSums()
        for name, value in values.items():
            self.history.setdefault(name, []).append(value)
        improved = self.best.update(values[self.best.metric], self.epoch, self.model)
        if self.on_epoch_end is not None:
            self.on_epoch_end(EpochResult(self.epoch, values, improved, elapsed_s, num_names / elapsed_s))
        if self.on_checkpoint is not None:
            self.on_checkpoint(self.state_dict())
        if self.stop_requested:
            raise TrainingStopped(f"stopped after epoch {self.epoch}", self.stop_signal)

    # ------------------------------------------------------------------ resume

    def state_dict(self) -> dict[str, Any]:
        """Return everything that an exact continuation needs: builtins and tensors only."""
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "best": self.best.state_dict(),
            "history": {name: list(column) for name, column in self.history.items()},
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums.state_dict(),
            "random": random_states(self.device),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict()` was taken; call before `train` with the same data and settings."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best.load_state_dict(state["best"])
        self.history = {name: list(column) for name, column in state["history"].items()}
        self.epoch, self.step = state["epoch"], state["step"]
        self.sums = EpochSums.from_state(state["sums"], self.device)
        set_random_states(state["random"], self.device)

    def _save_or_stop(self) -> None:
        """Hand the state out in mid-epoch; raise when a stop was asked for."""
        self._raise_if_not_finite()
        if self.on_checkpoint is not None:
            self.on_checkpoint(self.state_dict())
        if self.stop_requested:
            raise TrainingStopped(
                f"stopped in epoch {self.epoch + 1} after step {self.step}", self.stop_signal
            )

    # ------------------------------------------------------------------ parts

    def _learning_rate(self, step: int) -> float:
        """Return the learning rate of a step of the present epoch."""
        return learning_rate(self.epoch * self.steps_per_epoch + step, self.steps_per_epoch, self.settings)

    def _autocast(self) -> torch.autocast:
        """Compute in bfloat16 where `training.precision` says so; else in plain float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16)

    def _raise_if_not_finite(self) -> None:
        """Wait for the device and raise where a loss or gradient of this epoch was not finite."""
        step = self.sums.first_bad_step()
        if step is not None:
            raise TrainingFailedError(
                f"the loss or a gradient is not a finite number in epoch {self.epoch + 1}, step {step + 1}, "
                f"learning rate {self._learning_rate(step):.3g}, batch size {self.settings.batch_size}; "
                "the last checkpoint is from before. A lower training.learning_rate may help"
            )

    def _progress_bar(self, num_names: int) -> tqdm:
        title = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        return tqdm(
            total=num_names,
            desc=title,
            unit=" names",
            unit_scale=True,
            leave=False,
            disable=self.progress_off,
            dynamic_ncols=True,
        )


def _class_numbers(name: str, labels: np.ndarray | Tensor) -> Tensor:
    """Return labels as int64, (N,); one-hot rows, as the earlier Keras version took, are an error."""
    labels = torch.as_tensor(labels)
    if labels.dim() != 1:
        raise ValueError(
            f"{name} must be class numbers of shape (N,), not one-hot: use {name}.argmax(axis=1). "
            f"Got shape {tuple(labels.shape)}"
        )
    return labels.long()
