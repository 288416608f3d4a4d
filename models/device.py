"""Which device runs the model: what is asked for, or an error; never a silent CPU."""

import torch

from utils.errors import ConfigError


def resolve_device(name: str) -> tuple[torch.device, str]:
    """Turn `--device` into a device.

    Parameters
    ----------
    name
        "auto" (CUDA, else MPS, else CPU), "cpu", "cuda", "cuda:N" or "mps".

    Returns
    -------
    device, reason
        The device and, for the log, why it was taken.

    Raises
    ------
    ConfigError
        The device is unknown, or is not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda"), f"auto: CUDA found ({torch.cuda.get_device_name()})"
        if torch.backends.mps.is_available():
            return torch.device("mps"), "auto: Apple GPU found"
        return torch.device("cpu"), f"auto: no GPU found, {torch.get_num_threads()} CPU threads"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (":" in name and not (kind == "cuda" and index.isdigit())):
        raise ConfigError(f"--device must be auto, cpu, cuda, cuda:N or mps. Got '{name}'")
    if kind == "cuda":
        _require_cuda(name, int(index or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(
            "--device mps: this machine has no Apple GPU that PyTorch can use; try --device cpu"
        )
    return torch.device(name), "as asked"


def _require_cuda(name: str, index: int) -> None:
    """Raise unless CUDA works and has the card."""
    if not torch.cuda.is_available():
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "a CPU-only build"
        raise ConfigError(
            f"--device {name}: PyTorch {torch.__version__} ({build}) finds no CUDA GPU; "
            "try --device cpu, or see docs/SETUP_GUIDE.md"
        )
    if index >= torch.cuda.device_count():
        raise ConfigError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA GPU(s), numbered from 0"
        )
