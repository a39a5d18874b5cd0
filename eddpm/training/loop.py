"""One training loop for denoisers and classifiers, on one device or many.

Row j of the global batch of step k (image, crop, flip, timestep, noise) is a function of (seed, k, j) alone. So neither
the number of processes, nor the size of microbatches, nor a restart changes what is learned, apart from the order of
float sums. Dropout alone depends on the layout: its masks belong to (seed, step, process, microbatch).
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from eddpm.config.schema import TrainingConfig
from eddpm.diffusion.images import to_float
from eddpm.diffusion.noise import draw, torch_seed
from eddpm.errors import ConfigError
from eddpm.io.log import progress
from eddpm.training.distributed import World

# (network, x0, y, t, noise) -> the losses (B,) of these images, float32
LossFn = Callable[[nn.Module, Tensor, Tensor, Tensor, Tensor], Tensor]
# Of each step, the rows of this process: images uint8 (n, H, W, C) and labels int64 (n,)
Batches = Iterator[tuple[Tensor, Tensor]]


class Trainer:
    """A network, its optimiser and its moving average, and the step that they have come to."""

    def __init__(self, network: nn.Module, config: TrainingConfig):
        """`network` lies on its device, with the weights to start from."""
        self.network, self.config = network, config
        self.device = next(network.parameters()).device
        self.optimiser = torch.optim.AdamW(
            network.parameters(), lr=config.lr, betas=(0.9, 0.999), weight_decay=config.weight_decay, fused=True
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")
        self._parts = {"network": network, "optimiser": self.optimiser, "scaler": self.scaler}
        if config.ema_rate:
            self._parts["average"] = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_rate))
            if config.init_from:
                self.average.n_averaged += 1  # weights that were trained count, random ones do not
        self.step = 0
        self.losses: list[float] = []  # of each step since the last row of the log
        self.log: list[dict] = []

    @property
    def average(self) -> AveragedModel | None:
        return self._parts.get("average")

    @property
    def result(self) -> nn.Module:
        """The network to keep: the moving average where there is one."""
        return self.average.module if self.average else self.network

    @property
    def at_interval(self) -> bool:
        return self.step % self.config.save_interval == 0 or self.step == self.config.iterations

    def autocast(self) -> torch.autocast:
        precision = getattr(torch, self.config.precision)
        return torch.autocast(self.device.type, dtype=precision, enabled=precision != torch.float32)

    def state_dict(self) -> dict:
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        return parts | {"step": self.step, "losses": self.losses, "log": self.log}

    def load_state_dict(self, state: dict) -> None:
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self.step, self.losses, self.log = state["step"], state["losses"], state["log"]


class Hooks(NamedTuple):
    """The tasks of the leading process."""

    evaluate: Callable[[nn.Module], dict]  # numbers for the log about the network to keep, in evaluation mode
    save: Callable[[], None]  # keep the trainer's state
    report: Callable[[dict, dict], None]  # of a new row of the log, and the pace since the last one


def run_training(
    trainer: Trainer,
    world: World,
    loss_fn: LossFn,
    batches: Batches,
    timesteps: int,
    hooks: Hooks,
    microbatch: int | None = None,
) -> bool:
    """Train to the end (True), or until one of all processes has got SIGTERM (False, the state saved).

    `batches` begin with step `trainer.step`; t is uniform over `timesteps`. Forward and backward take `microbatch`
    images at a time (None: all rows of this process). Every `save_interval` steps, and at the end, the state is saved,
    then the log gains the mean loss and an evaluation. Raises ConfigError where a loss is not finite.
    """
    config, network = trainer.config, world.parallel(trainer.network)
    losses, pace = [], Pace(config.batch_size)
    if trainer.losses and trainer.at_interval:  # killed between saving and logging
        _log_row(trainer, world, hooks, {})
    steps = range(trainer.step, config.iterations)
    for _ in progress(steps) if world.leads else steps:
        images, labels = pace.wait_for(batches)
        losses.append(train_step(trainer, world, network, loss_fn, images, labels, timesteps, microbatch))
        trainer.step += 1
        terminated = world.terminated()
        if not (terminated or trainer.at_interval):
            continue

        # Only now does the host wait for the device.
        trainer.losses += world.sum(torch.stack(losses)).tolist()
        _require_finite(trainer)
        measured, losses = pace.measure(), []
        if world.leads:
            hooks.save()
        if terminated:
            world.max(0)  # all leave together: torchrun would kill the one that is still saving
            return False
        _log_row(trainer, world, hooks, measured)
        pace.restart()
    return not world.terminated()  # during the last evaluation


def train_step(
    trainer: Trainer,
    world: World,
    network: nn.Module,
    loss_fn: LossFn,
    images: Tensor,
    labels: Tensor,
    timesteps: int,
    microbatch: int | None,
) -> Tensor:
    """One step of the optimiser; returns this process' part of the mean loss of the global batch, float64 ().

    `network` is the trainer's as `world.parallel` gives it; images and labels are this process' rows of the batch.
    """
    config, rows = trainer.config, world.rows(trainer.config.batch_size)
    for group in trainer.optimiser.param_groups:
        group["lr"] = config.lr * (1 - trainer.step / config.iterations)
    images, labels = (each.to(trainer.device, non_blocking=True) for each in (images, labels))
    mean_loss = torch.zeros((), dtype=torch.float64, device=trainer.device)

    size = microbatch or len(rows)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        x0, y = to_float(images[part]), labels[part]
        t, noise = draw(config.seed, trainer.step, rows[part], range(timesteps), x0)
        torch.manual_seed(torch_seed(config.seed, trainer.step, world.rank, start))  # for dropout
        last = start + size >= len(rows)
        with nullcontext() if last else world.local_gradients(network):
            with trainer.autocast():
                loss = loss_fn(network, x0, y, t, noise).sum() / config.batch_size
            # The losses of all processes add up, while their gradients are averaged.
            trainer.scaler.scale(loss * world.size).backward()
        mean_loss += loss.detach()

    trainer.scaler.step(trainer.optimiser)  # skips gradients that overflow in float16
    trainer.scaler.update()
    trainer.optimiser.zero_grad()
    if trainer.average:
        trainer.average.update_parameters(trainer.network)
    return mean_loss


def _log_row(trainer: Trainer, world: World, hooks: Hooks, measured: dict) -> None:
    """Log the steps since the last row."""
    if world.leads:
        trainer.result.eval()
        mean_loss = sum(trainer.losses) / len(trainer.losses)
        trainer.log.append({"step": trainer.step, "loss": mean_loss, **hooks.evaluate(trainer.result)})
        trainer.network.train()
        hooks.report(trainer.log[-1], {"lr": trainer.optimiser.param_groups[0]["lr"], **measured})
    trainer.losses = []


def _require_finite(trainer: Trainer) -> None:
    first = trainer.step - len(trainer.losses) + 1
    for step, loss in enumerate(trainer.losses, first):
        if not math.isfinite(loss):
            remedy = "" if trainer.config.precision != "float16" else ", or take training.precision: bfloat16"
            raise ConfigError(f"the loss of step {step} is {loss}; lower training.lr{remedy}")


class Pace:
    """Images per second over all processes, and the share of time that this process waits for data."""

    def __init__(self, batch_size: int):
        self.batch_size = batch_size
        self.restart()

    def restart(self) -> None:
        self._steps, self._waited, self._start = 0, 0.0, time.perf_counter()

    def wait_for(self, batches: Batches) -> tuple[Tensor, Tensor]:
        start = time.perf_counter()
        batch = next(batches)
        self._waited += time.perf_counter() - start
        self._steps += 1
        return batch

    def measure(self) -> dict[str, float]:
        elapsed = time.perf_counter() - self._start
        images = self._steps * self.batch_size
        return {"images_per_second": images / elapsed, "waiting_for_data": self._waited / elapsed}
