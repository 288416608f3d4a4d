"""The mean of the weights over the steps of the last epochs (Izmailov et al. 2018, arXiv:1803.05407).

While the learning rate stays high, the weights walk about in a valley of the loss; their mean lies in its
middle, where new names do better. It costs an addition a step, and nothing in prediction.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from models.training_state import require_same_shapes, whole_number


class WeightAverage:
    """Running means of the trainable weights of `model`.

    Attributes
    ----------
    count
        How many steps the means are of.
    """

    def __init__(self, model: nn.Module) -> None:
        self._weights = {name: weight.detach() for name, weight in model.named_parameters()}
        self._means: dict[str, Tensor] = {}
        self.count = 0

    def add(self) -> None:
        """Take in the weights as they are now."""
        self.count += 1
        if self.count == 1:
            self._means = _copies(self._weights)
        else:
            torch._foreach_lerp_(list(self._means.values()), list(self._weights.values()), 1 / self.count)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the means for a while, where there are any, and its own weights again afterwards."""
        own = _copies(self._weights)
        _copy_into(self._weights, self._means)
        try:
            yield
        finally:
            _copy_into(self._weights, own)

    def state_dict(self) -> dict[str, Any]:
        """Return the means and what they are of."""
        return {"count": self.count, "means": self._means}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict()` returned.

        Raises
        ------
        Exception
            ValueError, or whatever a lookup raises, where it is none of this model.
        """
        self.count = whole_number(state["count"])
        if self.count:
            require_same_shapes(state["means"], self._weights)
        means = state["means"] if self.count else {}
        self._means = {name: means[name].to(self._weights[name]) for name in means}


def _copies(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.clone() for name, weight in weights.items()}


@torch.no_grad()
def _copy_into(weights: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        weights[name].copy_(value)
