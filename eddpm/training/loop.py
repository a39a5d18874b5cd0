"""One training loop for denoisers and classifiers, on one device or many.

Row j of the global batch of step k (image, crop, flip, timestep, noise) is a function of (seed, k, j) alone. So neither
the number of processes, nor the size of microbatches, nor a restart changes what is learned, apart from the order of
float sums. Dropout alone depends on the layout: its masks belong to (seed, step, process, microbatch).
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
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
from eddpm.training.state import first_not_finite, refuse_other_form

# (network, x0, y, t, noise) -> the losses (B,) of these images, float32
LossFn = Callable[[nn.Module, Tensor, Tensor, Tensor, Tensor], Tensor]
# Of each step, the rows of this process: images uint8 (n, H, W, C) and labels int64 (n,)
Batches = Iterator[tuple[Tensor, Tensor]]

# What a network answers is sane below this: noise has the variance 1, and float32 no probability below exp(-104). An
# untrained network may be worse than one that always answers 0, but not by that.
LARGEST_ANSWER = 1e4


class Trainer:
    """A network, its optimiser and its moving average, and the step that they have come to."""

    def __init__(self, network: nn.Module, config: TrainingConfig):
        """`network` lies on its device, with the weights to start from."""
        self.network, self.config = network, config
        self._parameters = list(network.parameters())
        self.device = self._parameters[0].device
        self.optimiser = torch.optim.AdamW(
            self._parameters, lr=config.lr, betas=(0.9, 0.999), weight_decay=config.weight_decay, fused=True
        )
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "float16")
        self._parts = {"network": network, "optimiser": self.optimiser, "scaler": self.scaler}
        if config.ema_rate:
            self._parts["average"] = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema_rate))
            if config.init_from:
                self.average.n_averaged += 1  # weights that were trained count, random ones do not
        self.step = 0
        self.kept_step = 0  # of the last state that was saved; 0: none
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
        """Go on from `state`. Raises ValueError, with the trainer as it was, if it is not whole, or not sound."""
        wanted = self.state_dict()
        if isinstance(state, dict) and state.get("step"):  # AdamW has no moments before its first step
            moments = [{"step": torch.tensor(0.0), "exp_avg": each, "exp_avg_sq": each} for each in self._parameters]
            wanted["optimiser"]["state"] = dict(enumerate(moments))
        refuse_other_form(state, wanted, but_for=("losses", "log"))
        if fault := first_not_finite(state):
            raise ValueError(f"{fault} is not finite")
        if not 0 <= state["step"] <= self.config.iterations:
            raise ValueError(f"has step {state['step']} of {self.config.iterations}")
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self.step, self.losses, self.log = state["step"], state["losses"], state["log"]
        self.kept_step = self.step


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
    images at a time (None: all rows of this process). Every `save_interval` steps, and at the end, the network is
    evaluated, the log gains a row, and the state is saved. Raises ConfigError, with the last good state kept, where the
    training has diverged: where a loss, an answer, a measurement or a part of the state is not finite, or absurd.
    """
    config, network = trainer.config, world.parallel(trainer.network)
    losses, pace = [], Pace(config.batch_size)
    if trainer.losses and trainer.at_interval:  # stopped by SIGTERM, which leaves no time to evaluate
        world.lead(lambda: _keep_evaluated(trainer, hooks, {}))
        trainer.losses = []
    elif world.leads and trainer.log and trainer.log[-1]["step"] == trainer.step:  # killed, perhaps before its report
        _report(trainer, hooks, {})
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
        measured, losses = pace.measure(), []
        if terminated:
            part = slice(0, microbatch)
            inputs = _inputs(trainer, world, images[part], labels[part], timesteps, 0)
            world.lead(lambda inputs=inputs: _keep_stopped(trainer, hooks, loss_fn, inputs))
            return False
        world.lead(lambda measured=measured: _keep_evaluated(trainer, hooks, measured))
        trainer.losses = []
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
    mean_loss = torch.zeros((), dtype=torch.float64, device=trainer.device)

    size = microbatch or len(rows)
    for start in range(0, len(rows), size):
        part = slice(start, start + size)
        inputs = _inputs(trainer, world, images[part], labels[part], timesteps, start)
        torch.manual_seed(torch_seed(config.seed, trainer.step, world.rank, start))  # for dropout
        last = start + size >= len(rows)
        with nullcontext() if last else world.local_gradients(network):
            with trainer.autocast():
                loss = loss_fn(network, *inputs).sum() / config.batch_size
            # The losses of all processes add up, while their gradients are averaged.
            trainer.scaler.scale(loss * world.size).backward()
        mean_loss += loss.detach()

    trainer.scaler.step(trainer.optimiser)  # skips gradients that overflow in float16
    trainer.scaler.update()
    trainer.optimiser.zero_grad()
    if trainer.average:
        trainer.average.update_parameters(trainer.network)
    return mean_loss


def _inputs(
    trainer: Trainer, world: World, images: Tensor, labels: Tensor, timesteps: int, start: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x0, y, t and noise of this process' rows of the batch from row `start` on, as many as there are images."""
    images, labels = (each.to(trainer.device, non_blocking=True) for each in (images, labels))
    x0, rows = to_float(images), world.rows(trainer.config.batch_size)[start : start + len(images)]
    return x0, labels, *draw(trainer.config.seed, trainer.step, rows, range(timesteps), x0)


def _keep_evaluated(trainer: Trainer, hooks: Hooks, measured: dict) -> None:
    """Evaluate the network, log the steps since the last row, and save the state."""
    _require_finite_losses(trainer)
    with _answers_watched(trainer):
        mean_loss = sum(trainer.losses) / len(trainer.losses)
        row = {"step": trainer.step, "loss": mean_loss, **hooks.evaluate(trainer.result)}
    trainer.log, trainer.losses = [*trainer.log, row], []
    _require_finite_state(trainer)
    _save(trainer, hooks)
    _report(trainer, hooks, measured)


def _keep_stopped(trainer: Trainer, hooks: Hooks, loss_fn: LossFn, inputs: tuple[Tensor, ...]) -> None:
    """Save the state, in haste: a part of the last batch stands in for the evaluation."""
    _require_finite_losses(trainer)
    with _answers_watched(trainer), torch.no_grad():
        loss_fn(trainer.result, *inputs)
    _require_finite_state(trainer)
    _save(trainer, hooks)


def _save(trainer: Trainer, hooks: Hooks) -> None:
    hooks.save()
    trainer.kept_step = trainer.step


def _report(trainer: Trainer, hooks: Hooks, measured: dict) -> None:
    hooks.report(trainer.log[-1], {"lr": trainer.optimiser.param_groups[0]["lr"], **measured})


@contextmanager
def _answers_watched(trainer: Trainer) -> Iterator[None]:
    """Within the block the network to keep is in evaluation mode, and an absurd answer of it is a ConfigError."""

    def watch(module: nn.Module, inputs: tuple, answer: Tensor) -> None:
        largest = answer.detach().abs().max().item()
        if not largest <= LARGEST_ANSWER:
            raise _diverged(trainer, f"the network answers with numbers up to {largest:.3g} after step {trainer.step}")

    handle = trainer.result.eval().register_forward_hook(watch)
    try:
        yield
    finally:
        handle.remove()
        trainer.network.train()


def _require_finite_losses(trainer: Trainer) -> None:
    for step, loss in enumerate(trainer.losses, trainer.step - len(trainer.losses) + 1):
        if not math.isfinite(loss):
            raise _diverged(trainer, f"the loss of step {step} is {loss}", before_any_change=step == 1)


def _require_finite_state(trainer: Trainer) -> None:
    if place := first_not_finite(trainer.state_dict()):
        raise _diverged(trainer, f"{place} is not finite after step {trainer.step}")


def _diverged(trainer: Trainer, cause: str, before_any_change: bool = False) -> ConfigError:
    config = trainer.config
    remedies = ["take training.precision: bfloat16"] * (config.precision == "float16")
    if before_any_change:
        start = "training.init_from" if config.init_from else "network"
        remedies.append(f"check {start} and loss, as the weights are those of the start")
    else:
        remedies.insert(0, "lower training.lr")
    good = f"the state of step {trainer.kept_step}, the last good one," if trainer.kept_step else "no state"
    return ConfigError(f"training.lr: {config.lr:g}: {cause}; {', or '.join(remedies)}; {good} is kept")


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
