"""What a training remembers besides the weights, sums, best weights, random states; and how it ends."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils.config import STOPPING_METRICS
from utils.errors import EXIT_INTERRUPTED, UserError
from utils.processes import OneProcess

_NO_BAD_STEP = 2**62


class TrainingFailedError(UserError):
    """The loss or a gradient is no longer a finite number."""


class TrainingStopped(UserError):
    """A stop was asked for; the state of the training was handed to `on_checkpoint` before."""

    def __init__(self, message: str, signal_number: int | None) -> None:
        super().__init__(message)
        self.exit_code = EXIT_INTERRUPTED if signal_number is None else 128 + signal_number


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What an epoch brought.

    Attributes
    ----------
    values
        The numbers, by the names of the history's columns.
    averaged
        Whether they are of the mean of the weights, and so are the weights that are kept.
    """

    epoch: int
    values: dict[str, float]
    improved: bool
    averaged: bool
    elapsed_s: float
    names_per_s: float


class EpochSums:
    """Running sums over the samples of an epoch.

    They stay on the device, so that no step waits for the host, and they are sums over names, not
    averages over batches: a smaller last batch counts for what it is.
    """

    def __init__(self) -> None:
        self.loss_sum: Tensor | float = 0.0
        self.weight_sum: Tensor | float = 0.0
        self.correct: Tensor | int = 0
        self.count = 0
        self.bad_step: Tensor | int = _NO_BAD_STEP

    def add(self, loss_sum: Tensor, weight_sum: Tensor, correct: Tensor, count: int) -> None:
        """Add a batch: its summed loss, its summed class weights, its hits and its size."""
        dtype = _sum_dtype(loss_sum.device)
        self.loss_sum = self.loss_sum + loss_sum.to(dtype)
        self.weight_sum = self.weight_sum + weight_sum.to(dtype)
        self.correct = self.correct + correct
        self.count += count

    def note_bad_step(self, step: int, is_finite: Tensor) -> None:
        """Remember the first step whose loss or gradient was not finite, without waiting for the device."""
        if not isinstance(self.bad_step, Tensor):
            self.bad_step = torch.tensor(self.bad_step, device=is_finite.device)
        self.bad_step = torch.where(is_finite, self.bad_step, self.bad_step.clamp(max=step))

    def first_bad_step(self, processes: OneProcess) -> int | None:
        """Return the first such step of any process, or None; this waits for the device."""
        step = processes.lowest(int(self.bad_step))
        return None if step == _NO_BAD_STEP else step

    def loss(self) -> float:
        """Return the weighted mean loss so far; this waits for the device."""
        return float(self.loss_sum) / max(float(self.weight_sum), 1e-12)

    def totals(self, processes: OneProcess) -> "EpochSums":
        """Return the sums over all processes, as numbers; this waits for the device."""
        totals = EpochSums()
        own = [float(self.loss_sum), float(self.weight_sum), float(self.correct), float(self.count)]
        totals.loss_sum, totals.weight_sum, correct, count = processes.total(own)
        totals.correct, totals.count = int(correct), int(count)
        return totals

    def averages(self) -> dict[str, float]:
        """Return the epoch's columns of the history."""
        return {"loss": self.loss(), "accuracy": int(self.correct) / max(self.count, 1)}

    def state_dict(self) -> dict[str, float | int]:
        """Return the sums as numbers."""
        return {
            "loss_sum": float(self.loss_sum),
            "weight_sum": float(self.weight_sum),
            "correct": int(self.correct),
            "count": self.count,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], device: torch.device) -> "EpochSums":
        """Rebuild the sums on `device`."""
        sums = cls()
        if state["count"]:
            dtype = _sum_dtype(device)
            sums.loss_sum = torch.tensor(state["loss_sum"], dtype=dtype, device=device)
            sums.weight_sum = torch.tensor(state["weight_sum"], dtype=dtype, device=device)
            sums.correct = torch.tensor(state["correct"], device=device)
            sums.count = state["count"]
        return sums


def _sum_dtype(device: torch.device) -> torch.dtype:
    """Double precision wherever the device has it; Apple GPUs do not."""
    return torch.float32 if device.type == "mps" else torch.float64


class BestWeights:
    """The weights of the best epoch, and how long ago it was."""

    def __init__(self, metric: str, min_delta: float) -> None:
        self.metric = metric
        self.min_delta = min_delta
        self.value: float | None = None
        self.epoch: int | None = None
        self.epochs_without = 0
        self.state: dict[str, Tensor] | None = None

    def update(self, value: float, epoch: int, model: nn.Module) -> bool:
        """Take the weights when `value` is better than the best by more than `min_delta`."""
        gain = 0.0 if self.value is None else value - self.value
        if STOPPING_METRICS[self.metric] == "min":
            gain = -gain
        if self.value is not None and not gain > self.min_delta:
            self.epochs_without += 1
            return False
        self.value, self.epoch, self.epochs_without = value, epoch, 0
        self.state = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights and their circumstances."""
        return {
            "value": self.value,
            "epoch": self.epoch,
            "epochs_without": self.epochs_without,
            "state": self.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict()` returned."""
        self.value, self.epoch = state["value"], state["epoch"]
        self.epochs_without, self.state = state["epochs_without"], state["state"]


def load_optimizer(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Take an optimiser's state, but keep its settings, which are the configuration's.

    Raises
    ------
    Exception
        Whatever PyTorch raises, or ValueError, where the state is not one of these parameters.
    """
    settings = [dict(group) for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, before in zip(optimizer.param_groups, settings, strict=True):
        group.update(before)
    for parameter, values in optimizer.state.items():
        tensors = {name: value for name, value in values.items() if name != "step"}
        require_same_shapes(tensors, dict.fromkeys(("exp_avg", "exp_avg_sq"), parameter))  # AdamW's


def require_same_shapes(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless both have tensors of the same names and shapes."""
    if found.keys() != expected.keys() or any(found[name].shape != expected[name].shape for name in found):
        raise ValueError("other tensors than the model's")


def whole_number(value: object) -> int:
    """Return `value` if it is a whole number from 0 on; raise ValueError for anything else."""
    if type(value) is not int or value < 0:
        raise ValueError("the place in the training is no number")
    return value


def random_states(
    device: torch.device, generators: Iterable[torch.Generator] = ()
) -> list[dict[str, Tensor]]:
    """Return the states that dropout draws from: of PyTorch's own generators, and of further ones."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return [states, *({"cpu": generator.get_state()} for generator in generators)]


def set_random_states(
    states: Sequence[Mapping[str, Tensor]], device: torch.device, generators: Sequence[torch.Generator] = ()
) -> None:
    """Put the generators back into the states of `random_states`."""
    torch.set_rng_state(states[0]["cpu"].cpu())
    if device.type == "cuda" and "cuda" in states[0]:
        torch.cuda.set_rng_state(states[0]["cuda"].cpu(), device)
    for generator, state in zip(generators, states[1:], strict=True):
        generator.set_state(state["cpu"].cpu())


def seed_of(seed: int, rank: int) -> int:
    """Return the seed for what a process or thread draws: `seed` for the first, others for the others.

    PyTorch's generator on the CPU looks at the lower 32 bits only.
    """
    return int(np.random.SeedSequence([seed, rank]).generate_state(1)[0]) if rank else seed
