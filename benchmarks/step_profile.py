"""Where the time of a training step goes, for `profile_training.py`: by layer, forward and backward."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
from torch import nn
from torch.autograd.profiler import record_function
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from models.model_trainer import ModelTrainer

OPERATORS = 8
_LAYER, _BACKWARD, _OPTIMIZER = "layer: ", "autograd::engine::evaluate_function: ", "Optimizer.step#"


def profile_steps(trainer: ModelTrainer, codes: np.ndarray, labels: np.ndarray) -> dict:
    """Train an epoch on `codes` (N, T) and `labels` (N,) under the profiler, and return shares of its time.

    The time of a backward node belongs to the layer whose forward operator made it (their sequence numbers
    are the same). What is neither a layer nor the optimiser is "rest": batches, loss, clipping, masks.
    """
    with (
        labelled_layers(trainer.model),
        profile(activities=[ProfilerActivity.CPU]) as profiler,
        record_function("epoch"),
    ):
        trainer.train(codes, labels, codes[:2], labels[:2])
    events = profiler.events()
    steps = sum(event.name.startswith(_OPTIMIZER) for event in events)
    total_us = sum(event.cpu_time_total for event in events if event.name == "epoch")
    shares = layer_shares(events, total_us)
    operators = sorted(profiler.key_averages(), key=lambda row: -row.self_cpu_time_total)
    operators = [row for row in operators if row.key.startswith("aten::")][:OPERATORS]
    return {
        "names": len(labels) // steps,
        "milliseconds": total_us / steps / 1e3,
        "shares": shares,
        "operators": {row.key: round(row.self_cpu_time_total / total_us, 4) for row in operators},
    }


@contextmanager
def labelled_layers(model: nn.Module) -> Iterator[None]:
    """Let the profiler see which layer an operator belongs to."""
    handles, scopes = [], []

    def enter(label: str) -> None:
        scopes.append(record_function(_LAYER + label))
        scopes[-1].__enter__()

    def leave() -> None:
        scopes.pop().__exit__(None, None, None)

    for label, module in layers_of(model):
        handles.append(module.register_forward_pre_hook(lambda *_, label=label: enter(label)))
        handles.append(module.register_forward_hook(lambda *_: leave()))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def layers_of(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield (label, module) of the model's direct children; those of a list have the list's name."""
    for name, child in model.named_children():
        if isinstance(child, nn.ModuleList):
            yield from ((name, layer) for layer in child)
        else:
            yield name, child


def layer_shares(events: Iterable[FunctionEvent], total_us: float) -> dict[str, dict[str, float]]:
    """Return part → share of the time, forward and backward; they sum to 1."""
    times = {"forward": defaultdict(float), "backward": defaultdict(float)}
    layer_of_sequence: dict[int, str] = {}
    backward = []
    for event in events:
        if event.name.startswith(_LAYER):
            times["forward"][event.name.removeprefix(_LAYER)] += event.cpu_time_total
        elif event.name.startswith(_OPTIMIZER):
            times["forward"]["optimiser"] += event.cpu_time_total
        elif event.name.startswith(_BACKWARD):
            backward.append(event)
        elif event.sequence_nr >= 0 and (layer := enclosing_layer(event)) is not None:
            layer_of_sequence[event.sequence_nr] = layer
    for event in backward:
        layer = layer_of_sequence.get(event.sequence_nr, "rest")
        times["backward"][layer] += event.cpu_time_total
    known = sum(sum(part.values()) for part in times.values())
    times["forward"]["rest"] += total_us - known
    parts = sorted(times["forward"].keys() | times["backward"].keys(), key=lambda p: (p == "rest", p))
    return {
        part: {way: round(times[way][part] / total_us, 4) for way in ("forward", "backward")}
        for part in parts
    }


def enclosing_layer(event: FunctionEvent) -> str | None:
    """Return the label of the layer in which an operator ran, or None."""
    while event is not None:
        if event.name.startswith(_LAYER):
            return event.name.removeprefix(_LAYER)
        event = event.cpu_parent
    return None
