"""Which networks there are: a class and a line here make `model.architecture: NAME` work everywhere."""

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from data.feature_engineering import NUM_CODES
from models.cnn_lstm_model import CNN_LSTM_Model
from utils.config import Config
from utils.errors import ConfigError

# name → class, called with the number of character codes, the number of classes and the configuration
ARCHITECTURES: dict[str, type[nn.Module]] = {"cnn_lstm": CNN_LSTM_Model}


def build_model(num_classes: int, config: Config) -> nn.Module:
    """Return a new network of the kind that the configuration names.

    Raises
    ------
    ConfigError
        There is no such kind.
    """
    name = config.model.architecture
    if name not in ARCHITECTURES:
        raise ConfigError(f"model.architecture: must be one of {', '.join(ARCHITECTURES)}. Got '{name}'")
    return ARCHITECTURES[name](NUM_CODES, num_classes, config)


def build_without_values(num_classes: int, config: Config) -> nn.Module:
    """Return the network on the "meta" device: shapes only, no memory, whatever sizes `config` claims.

    No random numbers are drawn for it either: on that device, PyTorch loads its compiler for them, which
    takes a second.

    Raises
    ------
    ConfigError
        There is no such kind.
    """
    with torch.device("meta"), _NoInitialValues():
        return build_model(num_classes, config)


class _NoInitialValues(TorchFunctionMode):
    """Skips the functions of `torch.nn.init`, which fill a parameter and return it."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(function, "__module__", None) == "torch.nn.init":
            return args[0] if args else (kwargs or {})["tensor"]
        return function(*args, **(kwargs or {}))
