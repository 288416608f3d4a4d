"""Which model answers, and on which device: the one asked for, else the latest run's or the shipped one."""

from collections.abc import Callable, Mapping
from pathlib import Path

from models.base_classifier import DEFAULT_BATCH_SIZE, BaseClassifier
from utils.errors import ConfigError
from utils.run_folder import latest_checkpoint

SHIPPED_CHECKPOINT = Path(__file__).parent / "pretrained" / "default.pt"
RUNS = Path("runs")


def default_checkpoint() -> Path:
    """Return the latest run's best weights, else the shipped model.

    Raises
    ------
    ConfigError
        There is neither.
    """
    path = latest_checkpoint(RUNS)
    if path is None and SHIPPED_CHECKPOINT.is_file():
        path = SHIPPED_CHECKPOINT
    if path is None:
        raise ConfigError(
            f"no model: no finished run in {RUNS}/, no models/pretrained/{SHIPPED_CHECKPOINT.name}. "
            "Train one with: python train.py --config config_test.yaml"
        )
    return path


def load_classifier(
    path: Path,
    device_name: str,
    batch_size: int | None,
    prior: Mapping[str, float] | None,
    tell: Callable[[str], None],
) -> BaseClassifier:
    """Load a model, and tell which it is and where it runs.

    Parameters
    ----------
    path
        A checkpoint, or a model in ONNX, which needs no PyTorch.
    device_name
        See `models.device.resolve_device`.
    batch_size
        Names in one forward pass; None for the default.
    prior
        Class shares that the probabilities assume; None for those of the training data.
    tell
        Called with the line for people.

    Raises
    ------
    CheckpointError
        The file is no model, or damaged.
    ConfigError
        The device, the prior, or what is installed does not fit.
    """
    batch_size = batch_size or DEFAULT_BATCH_SIZE
    if path.suffix.lower() == ".onnx":
        from models.onnx_classifier import OnnxClassifier

        classifier = OnnxClassifier.load(path, device_name, batch_size)
        device, reason = classifier.device, "ONNX Runtime"
    else:
        try:
            from models.classifier import DomainClassifier
            from models.device import resolve_device
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ConfigError(
                f"{path}: a .pt model needs PyTorch (pip install -r requirements.txt); "
                "without it, take an .onnx file that export.py made"
            ) from None
        device, reason = resolve_device(device_name)
        classifier = DomainClassifier.load(path, device, batch_size)
    if prior is not None:
        classifier.assume_prior(prior)
    shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    tell(f"model {shown} on {device} ({reason})")
    return classifier
