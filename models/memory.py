"""What a training says where the device has no memory left: which batch size to try."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.training_state import TrainingFailedError

# The CPU's allocator raises a plain RuntimeError.
_CPU_ALLOCATOR = "DefaultCPUAllocator"


@contextmanager
def explain_out_of_memory(device: torch.device, batch_size: int) -> Iterator[None]:
    """Turn PyTorch's out-of-memory errors into one line that names a smaller batch.

    Training does not go on with smaller batches by itself, as prediction does: it would be another training.

    Raises
    ------
    TrainingFailedError
        The block ran out of memory on `device` with batches of `batch_size` names.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        is_memory = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not is_memory and _CPU_ALLOCATOR not in str(error):
            raise
        advice = (
            f"try --set training.batch_size={batch_size // 2}"
            if batch_size > 1
            else "not even one fits: use another device or a smaller model"
        )
        raise TrainingFailedError(
            f"out of memory on {device} with batches of {batch_size:,} names: {advice}; what was saved stays"
        ) from error
