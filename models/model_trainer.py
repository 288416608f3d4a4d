"""The hand-written training loop.

`ModelTrainer` knows epochs, when to save and when to stop; a step is in `models/training_step.py`. Metrics,
log lines, TensorBoard and files are passed in as callables, so the loop can be read from top to bottom and be
tested without any of them.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from models.device import tensor_float32
from models.memory import explain_out_of_memory
from models.optimization import learning_rate
from models.training_bar import names_bar
from models.training_data import TrainingData
from models.training_state import (
    BestWeights,
    EpochResult,
    EpochSums,
    TrainingFailedError,
    TrainingStopped,
    load_optimizer,
    random_states,
    require_same_shapes,
    seed_of,
    set_random_states,
    whole_number,
)
from models.training_step import TrainingStep
from models.validation import Metrics, Validation
from models.weight_average import WeightAverage
from utils.config import Config, as_config
from utils.errors import CheckpointError, UserError
from utils.processes import OneProcess

logger = logging.getLogger(__name__)

# How often the host waits for the device: often enough for a live progress bar, rare enough to cost nothing.
STEPS_BETWEEN_LOOKS = 20

# What a process wishes after a step. The highest wish of all comes true in all; STOP + n stands for signal n.
NOTHING, SAVE, STOP = range(3)


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
    processes
        Those that train together. Each has the whole data set and takes its share of each batch and of the
        validation set. The first one alone calls the three functions above; the others need not have them.
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
        processes: OneProcess | None = None,
    ) -> None:
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.settings = as_config(config).training
        self.processes = processes or OneProcess()
        self.metrics = metrics
        self.on_epoch_end = on_epoch_end
        self.on_checkpoint = on_checkpoint
        shown = show_progress if self.processes.is_first else False
        self.progress_off = None if shown is None else not shown  # tqdm: None means "not a tty"
        self.train_step = TrainingStep(self.model, self.settings, self.device, self.processes)
        self.optimizer = self.train_step.optimizer
        self.average = WeightAverage(self.model)  # of `training.averaged_epochs`
        self.history: dict[str, list[float]] = {}
        self.best = BestWeights(self.settings.early_stopping_metric, self.settings.early_stopping_min_delta)
        self.epoch = 0  # epochs that are complete
        self.step = 0  # steps of the present epoch that are done
        self.steps_per_epoch = 0
        self.sums = EpochSums()  # of this process
        self.next_save = math.inf
        self.stop_requested = False
        self.stop_signal: int | None = None

    def train(
        self,
        X_train: np.ndarray | Tensor,
        y_train: np.ndarray | Tensor,
        X_val: np.ndarray | Tensor,
        y_val: np.ndarray | Tensor,
        class_weights: np.ndarray | Tensor | None = None,
        folds: np.ndarray | None = None,
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
        folds
            (N,) fold of each training name, where the network has n-gram evidence, or None.

        Returns
        -------
        history
            Column name → one number an epoch: loss, accuracy, val_loss, val_accuracy, learning_rate and
            "val_" + each name that `metrics` gives.

        Raises
        ------
        TrainingFailedError
            The loss or a gradient is NaN or infinite, or the device has no memory left.
        TrainingStopped
            `stop_requested` was set; the state went to `on_checkpoint`.
        ValueError
            Labels are no class numbers.
        """
        data = TrainingData(X_train, y_train, class_weights, self.device, folds)
        validation = Validation(X_val, y_val, data.weights, self.metrics, self.processes)
        if self.epoch == 0 and self.step == 0:
            self._seed_dropout()
        with (
            tensor_float32(allowed=self.settings.precision != "fp32"),
            explain_out_of_memory(self.device, self.settings.batch_size),
        ):
            self.train_step.prepare(data)
            while (
                self.epoch < self.settings.epochs
                and self.best.epochs_without < self.settings.early_stopping_patience
            ):
                started = time.perf_counter()
                self._train_epoch(data)
                values = self.sums.totals(self.processes).averages()
                with self.train_step.autocast(), self.average.applied():
                    values |= validation(self.model, self.settings.batch_size, self.device, self.epoch + 1)
                values["learning_rate"] = self._learning_rate(0)
                self._finish_epoch(values, time.perf_counter() - started, len(data))
        if self.best.state is not None:
            self.model.load_state_dict(self.best.state)
        return self.history

    def _train_epoch(self, data: TrainingData) -> None:
        """Run the steps of the present epoch that are still to do."""
        rng = np.random.default_rng([self.settings.seed, self.epoch])  # the same batches in every process
        batches = data.batches(self.settings.batch_size, rng)
        self.steps_per_epoch = len(batches)
        self.model.train()
        self.next_save = time.monotonic() + 60 * self.settings.checkpoint_minutes
        title = f"epoch {self.epoch + 1}/{self.settings.epochs}"
        with names_bar(title, len(data), self.progress_off) as bar:
            bar.update(sum(len(batch.rows) for batch in batches[: self.step]))
            while self.step < len(batches):
                batch = batches[self.step]
                self.train_step(data, batch, self.step, self._learning_rate(self.step), self.sums)
                self.step += 1
                if self.epoch >= self.settings.epochs - self.settings.averaged_epochs:
                    self.average.add()
                bar.update(len(batch.rows))
                if self.step % STEPS_BETWEEN_LOOKS == 0 or self.step == len(batches):
                    self._raise_if_not_finite()
                    bar.set_postfix_str(f"loss {self.sums.loss():.4f}", refresh=False)
                wish = self.processes.agree(self._wish(), wait=False)
                if wish != NOTHING:
                    self._save_or_stop(wish)

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
        with self.average.applied():
            improved = self.best.update(values[self.best.metric], self.epoch, self.model)
        if self.on_epoch_end is not None and self.processes.is_first:
            averaged, speed = self.average.count > 0, num_names / elapsed_s
            self.on_epoch_end(EpochResult(self.epoch, values, improved, averaged, elapsed_s, speed))
        self.save()
        wish = self.processes.agree(self._wish())
        if wish >= STOP:
            raise TrainingStopped(f"stopped after epoch {self.epoch}", wish - STOP or None)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that an exact continuation needs: builtins and tensors only.

        Every process has to call it; what the first one gets is of all.
        """
        collected = self.processes.collect(random_states(self.device, self.train_step.generators))
        states = list(chain.from_iterable(collected))
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best.state_dict(),
            "history": {name: list(column) for name, column in self.history.items()},
            "epoch": self.epoch,
            "step": self.step,
            "sums": self.sums.totals(self.processes).state_dict(),
            "random": states[0] if states else {},
            "random_of_others": states[1:],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict()` was taken; call before `train` with the same data and settings.

        The number of processes may be another: the place in the epoch is counted in batches of all.

        Raises
        ------
        CheckpointError
            The state is not one of this model, or is none.
        """
        try:
            self._load(state)
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise CheckpointError(f"its state of a training does not fit this model: {error!r}") from None

    def _load(self, state: Mapping[str, Any]) -> None:
        """Take a state that may come from a damaged or hostile file."""
        self.model.load_state_dict(state["model"])
        load_optimizer(self.optimizer, state["optimizer"])
        self.average.load_state_dict(state.get("average", {"count": 0}))  # earlier versions had none
        self.best.load_state_dict(state["best"])
        if self.best.state is not None:
            require_same_shapes(self.best.state, self.model.state_dict())
        self.history = {name: list(column) for name, column in state["history"].items()}
        self.epoch, self.step = whole_number(state["epoch"]), whole_number(state["step"])
        if self.processes.is_first:
            self.sums = EpochSums.from_state(state["sums"], self.device)
        random = [state["random"], *state.get("random_of_others", ())]
        self._seed_dropout()  # then what is there of an earlier process or thread in this one's place
        generators = self.train_step.generators
        needed = self.processes.size * (1 + len(generators))
        if len(random) != needed and self.processes.is_first:
            logger.warning(
                "the training ran on %d processes or threads so far, now on %d: it goes on, but dropout "
                "hides other numbers than it would have",
                len(random),
                needed,
            )
        if mine := random[self.processes.rank :][: 1 + len(generators)]:
            set_random_states(mine, self.device, generators[: len(mine) - 1])

    def _wish(self) -> int:
        """Return what this process would do after this step; the first one's clock is the one that counts."""
        if self.stop_requested:
            return STOP + (self.stop_signal or 0)
        if self.processes.is_first and time.monotonic() > self.next_save:
            self.next_save = time.monotonic() + 60 * self.settings.checkpoint_minutes
            return SAVE
        return NOTHING

    def _save_or_stop(self, wish: int) -> None:
        """Hand the state out in mid-epoch; raise when a stop was asked for."""
        self._raise_if_not_finite()
        self.save()
        if wish >= STOP:
            raise TrainingStopped(
                f"stopped in epoch {self.epoch + 1} after step {self.step}", wish - STOP or None
            )

    def save(self) -> None:
        """Hand the state to `on_checkpoint`; every process has to call it."""
        state = self.state_dict()
        if self.on_checkpoint is not None and self.processes.is_first:
            self.on_checkpoint(state)

    def _learning_rate(self, step: int) -> float:
        """Return the learning rate of a step of the present epoch."""
        return learning_rate(self.epoch * self.steps_per_epoch + step, self.steps_per_epoch, self.settings)

    def _seed_dropout(self) -> None:
        """Let each process and thread hide other numbers; the batches have a generator of their own."""
        torch.manual_seed(seed_of(self.settings.seed, self.processes.rank))
        for number, generator in enumerate(self.train_step.generators, 1):
            generator.manual_seed(seed_of(self.settings.seed, number))

    def _raise_if_not_finite(self) -> None:
        """Wait for the device and raise where a loss or gradient was not finite, in any process."""
        step = self.sums.first_bad_step(self.processes)
        if step is not None:
            raise TrainingFailedError(
                f"the loss or a gradient is not a finite number in epoch {self.epoch + 1}, step {step + 1}, "
                f"learning rate {self._learning_rate(step):.3g}, batch size {self.settings.batch_size}; "
                "the last checkpoint is from before. A lower training.learning_rate may help"
            )
