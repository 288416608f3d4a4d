"""One step of training: the loss of a batch, or of this process's share of it, the gradient, the update."""

import copy
import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.batching import batch_threads
from models.compilation import compile_or_explain
from models.device import uses_bfloat16
from models.optimization import make_optimizer
from models.training_data import Batch, TrainingData
from models.training_state import EpochSums
from utils.config import TrainingConfig
from utils.errors import ConfigError
from utils.processes import OneProcess

# Names of a batch for each thread. With fewer, dividing it gains nothing (batches of 128) or costs time (64).
NAMES_WORTH_A_THREAD = 128


class TrainingStep:
    """What a batch does to the weights.

    Each process takes every so-manieth row of a batch, so that all have short and long names alike, and all
    divide by the same number: the weights then move as they would with the whole batch in one process.

    A process alone on a CPU divides a batch among its threads in the same way. Each computes its part from
    end to end, so they wait for each other once a step and not in every operator. Each has a copy of the
    model, hooks included: a hook sees a part of the batch at a time.

    Attributes
    ----------
    generators
        What the threads after the first draw random numbers from. The first has PyTorch's own generator.
    """

    def __init__(
        self, model: nn.Module, settings: TrainingConfig, device: torch.device, processes: OneProcess
    ) -> None:
        if settings.batch_size < processes.size:
            raise ConfigError(
                f"training.batch_size: {settings.batch_size} names cannot be divided among "
                f"{processes.size} processes"
            )
        self.model = model
        self.settings = settings
        self.device = device
        self.processes = processes
        self.bfloat16 = uses_bfloat16(settings.precision, device)
        self.optimizer = make_optimizer(model, settings)
        # Threads that draw from one generator would do so in any order.
        can_be_divided = hasattr(model, "draw_from") and not settings.compile and processes.size == 1
        most = settings.batch_size // NAMES_WORTH_A_THREAD if can_be_divided else 1
        self._threads, parts = batch_threads(device, most)
        self.generators = [torch.Generator() for _ in range(1, parts)]
        self._networks: list[nn.Module] = []

    def autocast(self) -> torch.autocast:
        """Compute in bfloat16 where `training.precision` says so; else in plain float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16)

    def prepare(self, data: TrainingData) -> None:
        """Compile the model if asked for, and let it share gradients with the other processes or threads."""
        network = self.model.train()
        if self.settings.compile:
            inputs = data.inputs(slice(2))
            network = compile_or_explain(network, inputs, self.autocast(), self.processes)
        self._networks = [self.processes.replicate(network)]
        for generator in self.generators:
            self._networks.append(with_own_gradients(self.model))
            self._networks[-1].draw_from(generator)

    def __call__(
        self, data: TrainingData, batch: Batch, number: int, learning_rate: float, sums: EpochSums
    ) -> None:
        """Forward, backward, update; what came out is added to `sums`. Nothing waits for the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.zero_grad(set_to_none=True)
        parts = range(len(self._networks))
        work = partial(self._add_gradients, data, batch)
        if self._threads is None:
            results = list(map(work, parts))
            norm = self._update()
        else:
            results = list(self._threads.map(work, parts))
            # There too: here PyTorch would start threads of its own, which spin beside those for a while.
            norm = self._threads.submit(self._update).result()
        for loss_sum, weight_sum, hits, count in results:
            sums.note_bad_step(number, torch.isfinite(loss_sum) & torch.isfinite(norm))
            if count:
                sums.add(loss_sum, weight_sum, hits, count)

    def _add_gradients(
        self, data: TrainingData, batch: Batch, part: int
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        """Compute the gradients of a part of this process's share of the batch.

        Returns
        -------
        loss_sum, weight_sum, hits
            The loss, the class weights and the right answers of its names, each summed up, on the device.
        count
            How many names there were.
        """
        parts = len(self._networks)
        share = slice(self.processes.rank * parts + part, None, self.processes.size * parts)
        rows, width = batch.on_device[share], int(data.lengths[batch.rows[share]].max(initial=1))
        count = len(rows)
        # No name left for it: go through the motions, which other processes wait for, and count nothing.
        rows = rows if count else batch.on_device[:1]
        targets = data.labels[rows]
        with self.autocast():
            logits = self._networks[part](*data.inputs(rows, width))  # (B, K)
        smoothing = self.settings.label_smoothing
        loss_sum = F.cross_entropy(
            logits.float(), targets, data.weights, label_smoothing=smoothing, reduction="sum"
        )
        loss_sum = loss_sum if count else loss_sum * 0
        # The mean over the whole batch; DistributedDataParallel averages gradients over the processes.
        loss = loss_sum * self.processes.size / data.weight_sum(data.labels[batch.on_device])
        loss.backward()
        hits = (logits.detach().argmax(1) == targets).sum()
        return loss_sum.detach(), data.weight_sum(targets), hits, count

    def _update(self) -> Tensor:
        """Move the weights by the gradients of all parts, and return their norm before it was limited."""
        for network in self._networks[1:]:
            for parameter, copied in zip(self.model.parameters(), network.parameters(), strict=True):
                if parameter.grad is None:
                    parameter.grad = copied.grad
                elif copied.grad is not None:
                    parameter.grad += copied.grad
                copied.grad = None
        limit = self.settings.gradient_clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit, foreach=True)
        self.optimizer.step()
        return norm


def with_own_gradients(model: nn.Module) -> nn.Module:
    """Return a copy of a model with the same weights and buffers, in place, and gradients of its own."""
    shared = {id(p): nn.Parameter(p.detach(), p.requires_grad) for p in model.parameters()}
    shared |= {id(buffer): buffer for buffer in model.buffers()}
    return copy.deepcopy(model, shared)
