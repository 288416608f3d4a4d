"""`torch.compile` as an option: tried before the training, and left out with one message where it fails."""

import logging
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from models.training_state import random_states, set_random_states
from utils.processes import OneProcess

logger = logging.getLogger(__name__)


def compile_or_explain(
    model: nn.Module, inputs: tuple[Tensor, ...], precision: AbstractContextManager, processes: OneProcess
) -> nn.Module:
    """Return what computes like `model`, compiled; or `model` itself where that fails in any process.

    The model's own state dictionary keeps its keys, and neither weights nor random numbers change.

    Parameters
    ----------
    inputs
        What the model takes, a few rows of it: other sizes come without compiling again.
    precision
        The context that the training computes in.
    """
    compiled = torch.compile(model, dynamic=True)
    states = random_states(inputs[0].device)
    failed = 0
    try:  # it compiles when it is first called
        with precision:
            logits = compiled(*inputs)
        logits.float().sum().backward()
    except Exception as error:  # noqa: BLE001 — every part of the compiler has errors of its own
        failed = 1
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        logger.warning("training.compile: not compiled, going on without: %s", reason)
    model.zero_grad(set_to_none=True)
    set_random_states(states, inputs[0].device)
    return model if processes.agree(failed) else compiled
