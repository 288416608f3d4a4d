"""Which networks there are: a class and a line here make `model.architecture: NAME` work everywhere."""

from torch import nn

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
