"""The processes that train one network together, as torchrun starts them; without torchrun, a world of one."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from eddpm.errors import ConfigError
from eddpm.runtime import pick_device


class World:
    """The processes, as this one sees them. Whatever says "all" is to be called by each of them."""

    def __init__(self, device: torch.device, rank: int = 0, size: int = 1, local_size: int = 1):
        """This is number `rank` of `size` processes, `local_size` of them on this node."""
        self.device, self.rank, self.size, self.local_size = device, rank, size, local_size
        self._terminated = False

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes, evaluates and speaks."""
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
        if self.size == 1:
            return network
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

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
        if self.size == 1:
            return value
        largest = torch.tensor(value)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def terminate(self, *_) -> None:
        """The handler of SIGTERM: only takes note."""
        self._terminated = True

    def terminated(self) -> bool:
        """Whether any of all processes has got SIGTERM."""
        return bool(self.max(int(self._terminated)))


@contextmanager
def join_world() -> Iterator[World]:
    """Meet the other processes (NCCL between GPUs, gloo between CPUs), with SIGTERM taken note of meanwhile.

    Raises ConfigError if there are more processes than GPUs.
    """
    rank, local_rank = (int(os.environ.get(name, 0)) for name in ("RANK", "LOCAL_RANK"))
    size, local_size = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
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
            dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
        yield world
        # Not after an error, when the others may be within an operation that this process has left.
        if size > 1:
            dist.destroy_process_group()
    finally:
        signal.signal(signal.SIGTERM, previous)
