"""Several processes that train one model, as torchrun starts them: DistributedDataParallel does the work.

    torchrun --nproc-per-node=2 train.py --config config.yaml

What is owned here: joining and leaving, a few exchanges beside the gradients, and that a failure of one
process ends all of them with one line. What the processes exchange by themselves goes through gloo on the
CPU; gradients on CUDA go through NCCL. docs/SCALING.md has the rules that follow for batches and files.
"""

import inspect
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.device import process_device
from utils.errors import EXIT_FAILED, EXIT_INTERRUPTED, UserError
from utils.processes import Launch, OneProcess

T = TypeVar("T")

# Longer than any step, save or validation; what may take longer, reading files, waits without a limit.
TIMEOUT = timedelta(minutes=30)
PATIENCE_S = (
    1.0  # for word from a process that ended before it is taken for killed; and to let it have its say
)
POLL_S = 0.1
_BROKEN = re.compile(r"gloo|nccl|connection (?:closed|reset|refused)|broken pipe|socket", re.IGNORECASE)


class ProcessGroup(OneProcess):
    """The other processes, as seen from one of them. Every method is called by all, in the same order."""

    def __init__(self, launch: Launch, device: torch.device) -> None:
        self.launch = launch
        self.rank, self.size = launch.rank, launch.size
        self.device = device
        self._asked: tuple[dist.Work, Tensor] | None = None
        store, _, _ = next(dist.rendezvous("env://", timeout=TIMEOUT))
        store = dist.PrefixStore(agree_on_prefix(store, self.rank, self.size), store)
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=dist.PrefixStore("torch", store),
            rank=self.rank,
            world_size=self.size,
            timeout=TIMEOUT,
        )
        self._store = dist.PrefixStore("training", store)
        self._stage = 0

    def replicate(self, model: nn.Module) -> nn.Module:
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        # Buffers are tables that no step changes: they need not be sent around before each forward pass.
        known = inspect.signature(DistributedDataParallel.__init__).parameters
        name = (
            "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"
        )  # before 2.13
        return DistributedDataParallel(
            model, device_ids=device_ids, gradient_as_bucket_view=True, **{name: False}
        )

    # ------------------------------------------------------------------ exchanges

    def agree(self, wish: int, *, wait: bool = True) -> int:
        before = self._answer()
        answer = torch.tensor(wish)
        self._asked = dist.all_reduce(answer, dist.ReduceOp.MAX, async_op=True), answer
        return max(before, self._answer()) if wait else before

    def _answer(self) -> int:
        """Wait for the answer that is due, which has long arrived, and return it; 0 where nobody asked."""
        if self._asked is None:
            return 0
        work, answer = self._asked
        self._asked = None
        work.wait()
        return int(answer)

    def lowest(self, value: int) -> int:
        answer = torch.tensor(value)
        dist.all_reduce(answer, dist.ReduceOp.MIN)
        return int(answer)

    def total(self, values: list[float]) -> list[float]:
        sums = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(sums)
        return sums.tolist()

    def collect(self, value: T) -> list[T]:
        values = [None] * self.size if self.is_first else None
        dist.gather_object(value, values)
        return values or []

    def from_first(self, value: T) -> T:
        values = [value if self.is_first else None]
        dist.broadcast_object_list(values, device=torch.device("cpu"))
        return values[0]

    def on_first(self, action: Callable[[], T]) -> T:
        self._stage += 1
        if self.is_first:
            value = action()
            self._store.set(f"stage {self._stage}", "done")
        else:
            value = None
            self._wait_for(f"stage {self._stage}")
        return self.from_first(value)

    def machine_by_machine(self, action: Callable[[], T]) -> T:
        self._stage += 1
        key = f"stage {self._stage}, machine {self.launch.machine}"
        if self.launch.local_rank:
            self._wait_for(key)
            return action()
        value = action()
        self._store.set(key, "done")
        return value

    def _wait_for(self, key: str) -> None:
        """Wait until another process has written `key`, however long; end when any process has failed."""
        while not self._store.check([key]):
            if self._store.check(["failure"]):
                self._end_silently(self._failure_of_another())
            time.sleep(POLL_S)

    # ------------------------------------------------------------------ failures

    def claim_failure(self, exit_code: int) -> bool:
        """Tell whether this process is the first to fail: it is the one that says so to the user."""
        try:
            mine = f"{self.rank} {exit_code}"
            return self._store.compare_set("failure", "", mine).decode() == mine
        except RuntimeError:  # the store was with a process that is gone, which therefore was first
            return False

    def _failure_of_another(self, patience_s: float = 0.0) -> int | None:
        """Return the exit code of the process that failed first, waiting a little; None for no word."""
        deadline = time.monotonic() + patience_s
        while True:
            try:
                if self._store.check(["failure"]):
                    return int(self._store.get("failure").split()[1])
            except RuntimeError:
                return EXIT_FAILED
            if time.monotonic() >= deadline:
                return None
            time.sleep(POLL_S)

    def fail(self, error: BaseException) -> NoReturn:
        """Raise what this process ends with: its own error, or silence where another has told the user."""
        if isinstance(error, RuntimeError) and _BROKEN.search(str(error)):
            code = self._failure_of_another(PATIENCE_S)
            error = UserError(
                "another process of this training was killed, or its machine is gone; "
                "torchrun --max-restarts=N goes on by itself, python train.py --resume RUN by hand"
            )
            if code is not None or not self.claim_failure(EXIT_FAILED):
                self._end_silently(code)
            raise error
        code = EXIT_INTERRUPTED if isinstance(error, KeyboardInterrupt) else EXIT_FAILED
        code = getattr(error, "exit_code", code)
        is_first = self.claim_failure(code)
        if isinstance(error, UserError | KeyboardInterrupt) and not is_first:
            self._end_silently(code)
        raise error

    def _end_silently(self, exit_code: int | None) -> NoReturn:
        """End this process after the one that failed: torchrun ends all as soon as one has ended."""
        time.sleep(PATIENCE_S)
        raise SystemExit(exit_code or EXIT_FAILED) from None


def agree_on_prefix(store: dist.Store, rank: int, size: int) -> str:
    """Return a prefix, the same in all processes, under which the store holds nothing of an earlier start.

    torchrun keeps its store when it starts the processes again, and one of them may then take the address of
    another that is gone (pytorch/pytorch issues 135712 and 167288). So the first process makes up a prefix,
    and gives it to whoever asks under a name that nobody had before.
    """
    deadline = time.monotonic() + TIMEOUT.total_seconds()
    name = uuid.uuid4().hex
    unanswered = set(range(1, size)) if rank == 0 else {rank}
    for other in unanswered:  # what an earlier start has left; who is there asks again
        store.delete_key(f"who is {other}")
    while unanswered:
        if time.monotonic() > deadline:
            raise UserError(f"{len(unanswered)} of {size} processes did not appear within {TIMEOUT}")
        if rank == 0:
            for other in [r for r in unanswered if store.check([f"who is {r}"])]:
                store.set(f"prefix for {store.get(f'who is {other}').decode()}", name)
                unanswered.remove(other)
        elif store.check([f"prefix for {name}"]):
            return store.get(f"prefix for {name}").decode()
        else:
            store.set(f"who is {rank}", name)
        if unanswered:
            time.sleep(POLL_S)
    return name


@contextmanager
def joined(launch: Launch, device_name: str) -> Iterator[ProcessGroup]:
    """Join the other processes for the time of the block.

    Where the block fails in several processes, one of them raises its error and the others end silently with
    the same exit code.

    Raises
    ------
    ConfigError
        The device cannot be divided among the processes.
    UserError
        A process was killed.
    """
    device = process_device(device_name, launch.local_rank)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    group = ProcessGroup(launch, device)
    try:
        yield group
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 — `fail` raises it again, or ends silently
        group.fail(error)
    else:
        dist.destroy_process_group()
