"""Which of several processes this one is: torchrun tells by environment variables. No torch here.

`OneProcess` is the answer where there is one process only. `models.distributed.ProcessGroup` has the same
methods for several, so that nobody else asks how many there are.
"""

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from utils.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Launch:
    """The place of this process among those that torchrun started.

    Attributes
    ----------
    rank, size
        Number of this process, from 0, and how many there are on all machines.
    local_rank, machine
        Number of this process on its machine, and number of the machine.
    restarts
        How often torchrun has started the processes again.
    job
        The same name in every process of the job and after every restart; of no other job.
    has_id
        Whether the job has an id of its own: by --rdzv-id or --standalone.
    """

    rank: int
    size: int
    local_rank: int = 0
    machine: int = 0
    restarts: int = 0
    job: str = ""
    has_id: bool = False


def launched() -> Launch | None:
    """Return the place of this process, or None where it was started by itself.

    Raises
    ------
    ConfigError
        The environment variables contradict each other.
    """
    if not _is_launched():
        return None
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    if rank >= size:
        raise ConfigError(f"the environment says process {rank} of {size}, counted from 0")
    job = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    has_id = job != "none"
    if not has_id:  # then torchrun runs on one machine, and is the parent of all its processes
        job = f"{socket.gethostname()}-{os.getppid()}"
    return Launch(
        rank,
        size,
        _number("LOCAL_RANK", rank),
        _number("GROUP_RANK", 0),
        _number("TORCHELASTIC_RESTART_COUNT", 0),
        job,
        has_id,
    )


def _number(name: str, default: int = 0) -> int:
    """Return an environment variable as a whole number."""
    text = os.environ.get(name, str(default))
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"the environment variable {name} must be a whole number. Got '{text}'")
    return int(text)


def leave(code: int) -> NoReturn:
    """End this process with an exit code, once `run_script` has returned.

    Among several processes it ends at once. PyTorch's threads that carried the last word between them may
    have to let go of it yet, for which they want Python's lock: while Python shuts down, that aborts all.
    """
    if _is_launched():
        os._exit(code)
    sys.exit(code)


def _is_launched() -> bool:
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


class OneProcess:
    """A training of one process: it is the first, it has everything, and it agrees with itself."""

    rank = 0
    size = 1
    launch: Launch | None = None
    device: Any = None  # that it has to take, where it shares a machine

    @property
    def is_first(self) -> bool:
        """Tell whether this is the process that writes."""
        return self.rank == 0

    def replicate(self, model: Any) -> Any:
        """Return what computes like `model` and shares gradients with the other processes."""
        return model

    def agree(self, wish: int, *, wait: bool = True) -> int:
        """Return the highest wish of all processes.

        Without `wait` it is that of the previous call, so that no process waits for another.
        """
        return wish

    def lowest(self, value: int) -> int:
        """Return the lowest value of all processes."""
        return value

    def total(self, values: list[float]) -> list[float]:
        """Return the sums over all processes."""
        return values

    def collect(self, value: T) -> list[T]:
        """Return what the processes gave, in their order: to the first; an empty list to the others."""
        return [value]

    def from_first(self, value: T) -> T:
        """Return what the first process gave."""
        return value

    def on_first(self, action: Callable[[], T]) -> T:
        """Let the first process do something, and return its result everywhere."""
        return action()

    def machine_by_machine(self, action: Callable[[], T]) -> T:
        """Do something in the first process of each machine and only then in the others: to cache files."""
        return action()
