"""One step of training: the loss of a batch, or of this process's share of it, the gradient, the update."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from models.compilation import compile_or_explain
from models.device import uses_bfloat16
from models.optimization import make_optimizer
from models.training_data import Batch, TrainingData
from models.training_state import EpochSums
from utils.config import TrainingConfig
from utils.errors import ConfigError
from utils.processes import OneProcess


class TrainingStep:
    """What a batch does to the weights.

    Each process takes every so-manieth row of a batch, so that all have short and long names alike, and all
    divide by the same number: the weights then move as they would with the whole batch in one process.
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
        self.share = slice(processes.rank, None, processes.size)
        self._network: nn.Module | None = None

    def autocast(self) -> torch.autocast:
        """Compute in bfloat16 where `training.precision` says so; else in plain float32."""
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.bfloat16)

    def prepare(self, data: TrainingData) -> None:
        """Compile the model if asked for, and let it share gradients with the other processes."""
        network = self.model.train()
        if self.settings.compile:
            inputs = data.inputs(slice(2))
            network = compile_or_explain(network, inputs, self.autocast(), self.processes)
        self._network = self.processes.replicate(network)

    def __call__(
        self, data: TrainingData, batch: Batch, number: int, learning_rate: float, sums: EpochSums
    ) -> None:
        """Forward, backward, update; what came out is added to `sums`. Nothing waits for the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        rows, width = batch.on_device[self.share], int(data.lengths[batch.rows[self.share]].max(initial=1))
        # Fewer names than processes: go through the motions, which the others wait for, and count nothing.
        is_idle = len(rows) == 0
        rows = batch.on_device[:1] if is_idle else rows
        targets = data.labels[rows]
        with self.autocast():
            logits = self._network(*data.inputs(rows, width))  # (B, K)
        smoothing = self.settings.label_smoothing
        loss_sum = F.cross_entropy(
            logits.float(), targets, data.weights, label_smoothing=smoothing, reduction="sum"
        )
        loss_sum = loss_sum * 0 if is_idle else loss_sum
        # The mean over the whole batch; DistributedDataParallel averages gradients over the processes.
        loss = loss_sum * self.processes.size / data.weight_sum(data.labels[batch.on_device])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        limit = self.settings.gradient_clip or math.inf
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit, foreach=True)
        self.optimizer.step()
        loss_sum = loss_sum.detach()
        sums.note_bad_step(number, torch.isfinite(loss_sum) & torch.isfinite(norm))
        if not is_idle:
            hits = (logits.detach().argmax(1) == targets).sum()
            sums.add(loss_sum, data.weight_sum(targets), hits, len(targets))
