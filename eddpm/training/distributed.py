"""The processes that train one network together, as torchrun starts them; without torchrun, a world of one."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from eddpm.errors import ConfigError, EddpmError, first_line
from eddpm.models.device import pick_device

PATIENCE = timedelta(seconds=30)  # with processes that are not torchrun's


class World:
    """The processes, as this one sees them. Methods about "all" are to be called by each of them."""

    def __init__(self, device: torch.device, rank: int = 0, size: int = 1, local_size: int = 1):
        """This is number `rank` of `size` processes, `local_size` of them on this node."""
        self.device, self.rank, self.size, self.local_size = device, rank, size, local_size
        self._terminated = False

    @property
    def leads(self) -> bool:
        """This is the one process that writes, evaluates and logs."""
        return self.rank == 0

    def rows(self, batch_size: int) -> range:
        """This process' share of a global batch: contiguous, and as equal as can be. ConfigError if one gets none."""
        if batch_size < self.size:
            raise ConfigError(
                f"training.batch_size: {batch_size} images are too few for {self.size} processes; start fewer of them"
            )
        share, rest = divmod(batch_size, self.size)
        start = self.rank * share + min(self.rank, rest)
        return range(start, start + share + (self.rank < rest))

    def parallel(self, network: nn.Module) -> nn.Module:
        """The network, with gradients that backward averages over all processes."""
        return network if self.size == 1 else DistributedDataParallel(network, gradient_as_bucket_view=True)

    def local_gradients(self, network: nn.Module) -> AbstractContextManager:
        """Within it, gradients of a `parallel` network add up on this process, and are not averaged yet."""
        return nullcontext() if self.size == 1 else network.no_sync()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def max(self, value: int) -> int:
        """The largest value of all processes. It goes by way of the hosts, and waits for no GPU."""
        largest = torch.tensor(value)
        if self.size > 1:
            dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def lead(self, work: Callable[[], None]) -> None:
        """Let the first process work, while the others wait. A mistake that it meets with ends them all."""
        fault = None
        if self.leads:
            try:
                work()
            except EddpmError as error:
                fault = error
        if self.max(int(fault is not None)):
            raise fault or EddpmError("stops with the first process, which tells why")

    def terminate(self, *_) -> None:
        """The handler of SIGTERM: only takes note."""
        self._terminated = True

    def terminated(self) -> bool:
        """Any of all processes has got SIGTERM."""
        return bool(self.max(int(self._terminated)))


@contextmanager
def join_world() -> Iterator[World]:
    """Meet the other processes (NCCL between GPUs, gloo between CPUs), with SIGTERM taken note of meanwhile.

    Raises ConfigError if there are more processes than GPUs, or the environment names others that do not come.
    """
    rank, local_rank, size, local_size = _place_in_world()
    device = pick_device()
    if device.type == "cuda":
        if local_size > (gpus := torch.cuda.device_count()):
            raise ConfigError(f"torchrun: {local_size} processes for {gpus} GPUs of this node; lower --nproc-per-node")
        device = torch.device("cuda", local_rank)
        torch.cuda.set_device(device)
    world = World(device, rank, size, local_size)
    previous = signal.signal(signal.SIGTERM, world.terminate)
    try:
        if size > 1:
            _meet(rank, size, "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        yield world
        # Not after an error, when the others may be within an operation that this process has left.
        if size > 1:
            dist.destroy_process_group()
    finally:
        signal.signal(signal.SIGTERM, previous)


def _place_in_world() -> tuple[int, int, int, int]:
    """RANK, LOCAL_RANK, WORLD_SIZE and LOCAL_WORLD_SIZE as a launcher sets them; 0, 0, 1, 1 where they are not set."""
    defaults = {"RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1, "LOCAL_WORLD_SIZE": 1, "MASTER_PORT": 0}
    try:
        rank, local_rank, size, local_size, port = (int(os.environ.get(name) or defaults[name]) for name in defaults)
        complete = size == 1 or (port and os.environ.get("MASTER_ADDR") and os.environ.get("RANK"))
        if complete and 0 <= rank < size and 0 <= local_rank < local_size:
            return rank, local_rank, size, local_size
    except ValueError:
        pass
    raise _not_launched("which are incomplete, or contradict each other")


def _meet(rank: int, size: int, backend: str) -> None:
    """Find the other processes. Those of torchrun have met already; those of other variables may no longer be there."""
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return dist.init_process_group(backend)
    try:
        store, _, _ = next(dist.rendezvous("env://", rank, size, timeout=PATIENCE))
    except RuntimeError as error:
        fault = f"but {size} processes do not meet in {PATIENCE.seconds} s ({first_line(error)})"
        raise _not_launched(fault) from None
    store.set_timeout(timedelta(minutes=30))  # from here on, each is known to work
    return dist.init_process_group(backend, store=store, rank=rank, world_size=size)


def _not_launched(fault: str) -> ConfigError:
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    given = " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)
    return ConfigError(
        f"environment: {given}, {fault}; start the command with torchrun or, for one process, unset these variables"
    )
