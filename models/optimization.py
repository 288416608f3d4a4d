"""The optimiser and the learning rate of each step."""

import math

import torch
from torch import nn

from utils.config import TrainingConfig

# Of the peak learning rate: at the end of the cosine; and while weights are averaged, which have to move.
FINAL_FRACTION, AVERAGING_FRACTION = 0.01, 0.5


def make_optimizer(model: nn.Module, settings: TrainingConfig) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov, Hutter 2019, arXiv:1711.05101) in which only weight matrices decay.

    Biases and the rows of embedding tables, most of which a batch does not touch, stay out of it.
    """
    embedded = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    decay, plain = [], []
    for parameter in model.parameters():
        (decay if parameter.dim() > 1 and id(parameter) not in embedded else plain).append(parameter)
    groups = [
        {"params": decay, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    # The fused update is one kernel instead of a dozen small ones for each tensor.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in model.parameters())
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=settings.learning_rate, fused=fused)


def learning_rate(step: int, steps_per_epoch: int, settings: TrainingConfig) -> float:
    """Return the learning rate of a step, counted from the start of the training.

    Linear warm-up, then constant or half a cosine (Loshchilov, Hutter 2017, arXiv:1608.03983) over all epochs
    but `averaged_epochs`, which follow at half of the peak.
    """
    total = steps_per_epoch * (settings.epochs - settings.averaged_epochs)
    warmup = int(settings.warmup_fraction * total)
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    if settings.schedule == "constant":
        return settings.learning_rate
    if settings.averaged_epochs and step >= total:
        return settings.learning_rate * AVERAGING_FRACTION
    progress = (step - warmup) / max(total - warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * progress))
    return settings.learning_rate * (FINAL_FRACTION + (1 - FINAL_FRACTION) * cosine)
