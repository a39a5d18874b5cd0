"""Processes that train together, as torchrun starts them, but forked from one that has imported torch already."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from eddpm.config.schema import TrainingConfig
from eddpm.errors import EddpmError
from eddpm.io.log import show_log
from eddpm.stages import train
from eddpm.training.distributed import join_world
from eddpm.training.loop import Hooks, Trainer, run_training


def run_ranks(size: int, function: Callable, *arguments) -> list[int]:
    """Call function(*arguments) in `size` processes of one world, on the CPU; their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["eddpm.stages.train", "torch._dynamo"])  # which optimisers import when first used
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = []
    for rank in range(size):
        environment = world | {"RANK": rank, "LOCAL_RANK": rank, "CUDA_VISIBLE_DEVICES": ""}
        processes.append(context.Process(target=_run, args=(environment, function, *arguments)))
        processes[-1].start()
    for process in processes:
        process.join(60)
        process.kill()
    return [process.exitcode for process in processes]


def _run(environment: dict, function: Callable, *arguments) -> None:
    train.VALIDATION_IMAGES = 10  # for time
    os.environ.update({name: str(value) for name, value in environment.items()})
    function(*arguments)


def train_until(signal_at: tuple[int, int] | None, verb: str, options: dict) -> None:
    """Call a stage of training, in which a signal comes with the batch of a step: (signal, step)."""
    original = train.training_batches

    def batches(store, config, first_step, *rest):
        steps = range(first_step, config.iterations)
        for step, batch in zip(steps, original(store, config, first_step, *rest), strict=True):
            if signal_at and step == signal_at[1]:
                os.kill(os.getpid(), signal_at[0])
            yield batch

    train.training_batches = batches
    getattr(train, verb)(**options)


def train_under_torchrun(step: int, verb: str, options: dict) -> None:
    """Call a stage of training, in which torchrun gets SIGTERM in the given step."""
    show_log()
    original = train.training_batches

    def batches(store, config, first_step, rows, *rest):
        for k, batch in enumerate(original(store, config, first_step, rows, *rest), first_step):
            if k == step and rows.start == 0:
                os.kill(os.getppid(), signal.SIGTERM)
            if k >= step:
                time.sleep(0.5)  # until torchrun has passed it on
            yield batch

    train.training_batches = batches
    getattr(train, verb)(**options)


def tell_what_is_seen(folder: Path) -> None:
    """Write what this process sees of a world of two, the second of which gets SIGTERM."""
    with join_world() as world:
        network = world.parallel(nn.Linear(1, 1, bias=False))
        with world.local_gradients(network):
            network(torch.full((1, 1), 1.0 + world.rank)).sum().backward()
        local = network.module.weight.grad.item()
        network(torch.full((1, 1), 2.0 * world.rank)).sum().backward()
        before = world.terminated()
        if world.rank == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        seen = {
            "leads": world.leads,
            "rows": list(world.rows(3)),
            "local gradient": local,
            "gradient": network.module.weight.grad.item(),
            "sum": world.sum(torch.tensor([1.0, world.rank])).tolist(),
            "max": world.max(world.rank),
            "terminated": (before, world.terminated()),
        }
    torch.save(seen, folder / f"{world.rank}.pt")


def train_linear(folder: Path, microbatch: int | None) -> None:
    """Write what plain gradient descent makes of a linear map with the loop: a world's share of 7 rows for 6 steps."""
    torch.manual_seed(0)
    images, labels = torch.randint(256, (6, 7, 2, 2, 1), dtype=torch.uint8), torch.arange(7)
    config = TrainingConfig(iterations=6, batch_size=7, lr=0.1, save_interval=2)
    trainer = Trainer(nn.Linear(4, 1), config)
    trainer.optimiser = torch.optim.SGD(trainer.network.parameters(), lr=0.1)  # unlike Adam, sees a gradient's length

    def loss_fn(network: nn.Module, x0: Tensor, y: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return (network((x0 + noise).flatten(1)).squeeze(1) - y).square()

    with join_world() as world:
        rows = world.rows(7)
        batches = ((each[rows.start : rows.stop], labels[rows.start : rows.stop]) for each in images)
        hooks = Hooks(lambda network: {}, lambda: None, lambda row, measured: None)
        assert run_training(trainer, world, loss_fn, batches, 10, hooks, microbatch)
    torch.save({"weights": trainer.network.state_dict(), "log": trainer.log}, folder / f"{world.rank}of{world.size}.pt")


def diverge_together(folder: Path) -> None:
    """Write what each process says of a training whose evaluation meets a nan, and exit with 2."""
    trainer = Trainer(nn.Linear(4, 1), TrainingConfig(iterations=9, batch_size=2, lr=0.1, save_interval=1))

    def evaluate(network: nn.Module) -> dict:
        network(torch.full((1, 4), float("nan")))
        return {}

    def loss_fn(network: nn.Module, x0: Tensor, y: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return network(x0.flatten(1)).squeeze(1).square()

    batch = torch.ones(1, 2, 2, 1, dtype=torch.uint8), torch.zeros(1, dtype=torch.int64)
    hooks = Hooks(evaluate, lambda: None, lambda row, measured: None)
    with join_world() as world:
        try:
            run_training(trainer, world, loss_fn, iter([batch] * 9), 10, hooks)
        except EddpmError as error:
            (folder / f"{world.rank}.txt").write_text(str(error))
            raise SystemExit(2) from None
