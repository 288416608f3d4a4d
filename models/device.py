"""Which device runs the model, and in which precision: as asked for, or an error; never silently less."""

from collections.abc import Iterator
from contextlib import contextmanager

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
    if kind not in ("cpu", "cuda", "mps") or (
        ":" in name and not (kind == "cuda" and index.isascii() and index.isdecimal())
    ):
        raise ConfigError(f"--device must be auto, cpu, cuda, cuda:N or mps. Got '{name}'")
    if kind == "cuda":
        _require_cuda(name, int(index or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ConfigError(
            "--device mps: this machine has no Apple GPU that PyTorch can use; try --device cpu"
        )
    return torch.device(name), "as asked"


def process_device(name: str, local_rank: int) -> torch.device:
    """Return the device of one of several processes of a machine: with CUDA each has a card of its own.

    Raises
    ------
    ConfigError
        The processes would have to share a card.
    """
    if name == "mps" or ":" in name:
        raise ConfigError(
            f"--device {name}: several processes cannot share one GPU; use --device cuda or cpu"
        )
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return resolve_device(f"cuda:{local_rank}" if name == "cuda" else name)[0]


@contextmanager
def tensor_float32(allowed: bool) -> Iterator[None]:
    """Set for the time of the block whether CUDA may round the factors of float32 products to 10 bits (TF32).

    PyTorch by itself allows that to cuDNN, and so to the LSTM, but not to matrix products. On the CPU nothing
    changes.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


def uses_bfloat16(precision: str, device: torch.device) -> bool:
    """Tell whether training computes in bfloat16: where asked for, or where "auto" finds a GPU that has it.

    Raises
    ------
    ConfigError
        "bf16" is asked for, and the device cannot run an LSTM in it.
    """
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.is_bf16_supported()
    else:
        has_bfloat16 = precision == "bf16" and _lstm_runs_in_bfloat16(device)
    if precision == "bf16" and not has_bfloat16:
        raise ConfigError(
            f"training.precision: bf16 does not work on this {device.type.upper()}; use auto or fp32"
        )
    return has_bfloat16 and precision != "fp32"


def _lstm_runs_in_bfloat16(device: torch.device) -> bool:
    """Try it: not every processor has the instructions, and PyTorch has no public way to ask."""
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            torch.nn.LSTM(8, 8).to(device)(torch.zeros(1, 1, 8, device=device))
    except RuntimeError:
        return False
    return True


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
