"""Training of denoisers and classifiers: from prepared images to weights and a log. A killed job is resumed.

Under torchrun all processes train together; the first one alone writes, evaluates and logs.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from eddpm.config.schema import TrainClassifierConfig, TrainDenoiserConfig
from eddpm.config.settings import load_settings
from eddpm.data.loader import labelled_batches, training_batches
from eddpm.data.store import open_store
from eddpm.diffusion.noise import draw
from eddpm.diffusion.process import at, q_sample
from eddpm.diffusion.schedule import NoiseSchedule, make_schedule
from eddpm.errors import ConfigError, writing
from eddpm.evaluation.noise_levels import noise_levels
from eddpm.io.files import save_training_state, sha256, write_text
from eddpm.models.build import build_classifier, build_denoiser, load_weights_file
from eddpm.models.device import device_name, note_precision
from eddpm.models.trained import save_trained
from eddpm.training.classification import classification_loss
from eddpm.training.denoising import denoising_loss
from eddpm.training.distributed import World, join_world
from eddpm.training.loop import Hooks, Trainer, run_training
from eddpm.training.unfinished import resume

logger = logging.getLogger(__name__)

VALIDATION_IMAGES = 1000  # watched during training: little time, and a standard error of accuracies of at most 0.016
UNFINISHED = "unfinished.pt"  # beside the weights, until they are done
TERMINATED = 128 + 15  # exit code, as a shell has it after SIGTERM

Config = TrainDenoiserConfig | TrainClassifierConfig
Prepared = Annotated[Path, "dataset.json of prepared data"]
Start = Annotated[Path | None, "a checkpoint to start from; named without a value: none"]
Microbatch = Annotated[int | None, "images that a process computes at once (all of its share)"]
Threads = Annotated[int, "cores of this job: one for each process, the others read data (1)"]

Batches = Iterator[tuple[Tensor, Tensor]]  # x0 (B, C, H, W) in [-1, 1] and y (B,), on the device


def train_denoiser(
    settings: Path,
    dataset: Prepared,
    model: Path,
    log: Path,
    init_from: Start = None,
    microbatch: Microbatch = None,
    threads: Threads = 1,
) -> None:
    """Train a denoiser of eps at uniform t (DDPM alg. 1) and, with `learn_sigma`, of its variance.

    The moving average of the weights is written. `microbatch` None: all of a process' share goes through the network
    at once.
    """
    _train(DenoiserTask, _Job(settings, dataset, model, log, init_from, microbatch, threads))


def train_classifier(
    settings: Path,
    dataset: Prepared,
    model: Path,
    log: Path,
    init_from: Start = None,
    microbatch: Microbatch = None,
    threads: Threads = 1,
) -> None:
    """Train a classifier on noisy images at uniform t, or on clean ones at t = 0; options as for a denoiser."""
    _train(ClassifierTask, _Job(settings, dataset, model, log, init_from, microbatch, threads))


class DenoiserTask:
    """Predict eps at uniform t and, with `learn_sigma`, the variance."""

    settings, build = TrainDenoiserConfig, staticmethod(build_denoiser)

    def __init__(self, config: TrainDenoiserConfig, schedule: NoiseSchedule):
        self.config, self.schedule = config, schedule

    def loss(self, network: nn.Module, x0: Tensor, y: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        x_t = q_sample(self.schedule, x0, t, noise)
        output = network(x_t, t, y if self.config.network.num_classes else None)
        return denoising_loss(self.schedule, x0, t, noise, x_t, output)

    @torch.no_grad()
    def evaluate(self, batches: Batches, network: nn.Module) -> dict:
        """The mean loss, always with the same noise: that of the step after the last."""
        training, losses = self.config.training, torch.empty(0)
        for x0, y in batches:
            rows = range(len(losses), len(losses) + len(y))
            t, noise = draw(training.seed, training.iterations, rows, range(len(self.schedule)), x0)
            losses = torch.cat([losses, self.loss(network, x0, y, t, noise).cpu()])
        return {"validation_loss": losses.mean().item()}


class ClassifierTask:
    """Tell the class from noisy images at uniform t, or from clean ones at t = 0."""

    settings, build = TrainClassifierConfig, staticmethod(build_classifier)

    def __init__(self, config: TrainClassifierConfig, schedule: NoiseSchedule):
        self.config, self.schedule = config, schedule

    def loss(self, network: nn.Module, x0: Tensor, y: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        if self.config.noised:
            logits = network(q_sample(self.schedule, x0, t, noise), t)
            return classification_loss(logits, y, self.config.loss, at(self.schedule.alpha_bar, t, logits[:, 0]))
        logits = network(x0, torch.zeros_like(t))
        return classification_loss(logits, y, self.config.loss, torch.ones_like(logits[:, 0]))

    def evaluate(self, batches: Batches, network: nn.Module) -> dict:
        """Accuracy: of a noise-aware classifier the mean over all noise levels, with a row about each of them."""
        if self.config.noised:
            levels = noise_levels(network, self.schedule, batches, self.config.training.seed)
            return {"accuracy": sum(level["accuracy"] for level in levels) / len(levels), "noise_levels": levels}
        with torch.no_grad():
            right = torch.cat([network(x0, torch.zeros_like(y)).argmax(dim=-1) == y for x0, y in batches])
        return {"accuracy": right.double().mean().item()}


Task = DenoiserTask | ClassifierTask


class _Job(NamedTuple):
    """The files that a training reads and writes, and its layout."""

    settings: Path
    dataset: Path
    model: Path
    log: Path
    init_from: Path | None
    microbatch: int | None
    threads: int

    def identity(self, config: Config) -> dict:
        """All that decides the weights: a state is resumed by a job of the same identity, whatever its layout."""
        return {
            "settings": config.model_dump(mode="json"),
            "dataset": sha256(self.dataset),
            "init_from": self.init_from and sha256(self.init_from),
        }


def _train(task_class: type[Task], job: _Job) -> None:
    config = load_settings(task_class.settings, job.settings)
    _check_options(config, job)
    label_dropout = config.label_dropout if isinstance(config, TrainDenoiserConfig) else 0.0
    spare = int(label_dropout > 0)  # the class for no label
    train, validation = (open_store(job.dataset, part, config.network, spare) for part in ("train", "validation"))
    watched = min(len(validation), VALIDATION_IMAGES)
    watched = np.arange(watched) * len(validation) // watched  # evenly spread over all
    identity, unfinished, events = job.identity(config), job.model.with_name(UNFINISHED), job.model.with_name("events")
    with join_world() as world:
        rows = world.rows(config.training.batch_size)
        trainer = _start(task_class, config, job, world)
        resume(trainer, unfinished, identity, world)
        schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
        # On the device, where coefficients are then looked up without waiting for it.
        schedule = NoiseSchedule(schedule.betas.to(world.device), schedule.timesteps.to(world.device))
        task = task_class(config, schedule)
        if world.leads:
            where = f"{world.size} x " * (world.size > 1) + device_name(world.device)
            logger.info(f"{len(train)} images, steps {trainer.step} to {config.training.iterations}, on {where}")
            note_precision(world.device, config.training.precision)
        workers = max(0, job.threads // world.local_size - 1) if world.device.type == "cuda" else 0
        batches = training_batches(train, config.training, trainer.step, rows, workers, label_dropout)
        with writing(events), _open_events(events, trainer) if world.leads else nullcontext() as writer:
            hooks = Hooks(
                lambda network: task.evaluate(labelled_batches(validation, watched, world.device), network),
                lambda: save_training_state(unfinished, {"identity": identity, "trainer": trainer.state_dict()}),
                partial(_report, writer),
            )
            finished = run_training(trainer, world, task.loss, batches, len(schedule), hooks, job.microbatch)
        if world.leads and finished:
            write_text(job.log, "".join(json.dumps(row) + "\n" for row in trainer.log))
            save_trained(job.model, trainer.result.state_dict(), config)
            unfinished.unlink(missing_ok=True)
    if not finished:
        if world.leads:
            logger.info(
                f"stopped by SIGTERM after step {trainer.step}: {unfinished}; the same command goes on from there"
            )
        raise SystemExit(TERMINATED)


def _check_options(config: Config, job: _Job) -> None:
    if bool(config.training.init_from) != bool(job.init_from):
        raise ConfigError(
            f"{job.settings}: training.init_from: value {config.training.init_from!r}, but --init-from"
            f" {job.init_from or 'has no value'}; give a checkpoint to both or to neither"
        )
    if job.microbatch is not None and job.microbatch < 1:
        raise ConfigError(f"--microbatch: value {job.microbatch}: give at least 1 image, or leave the option out")


def _start(task_class: type[Task], config: Config, job: _Job, world: World) -> Trainer:
    """The trainer at its first step."""
    torch.manual_seed(config.training.seed)
    network = task_class.build(config.network).to(world.device)
    if job.init_from:
        load_weights_file(network, job.init_from)
    return Trainer(network, config.training)


def _open_events(folder: Path, trainer: Trainer) -> SummaryWriter:
    """TensorBoard's events: none of an earlier training, and none twice of this one."""
    if trainer.step == 0:
        shutil.rmtree(folder, ignore_errors=True)
    return SummaryWriter(folder, purge_step=trainer.step)  # whose row is reported again


def _report(events: SummaryWriter, row: dict, measured: dict) -> None:
    values = row | measured
    step, levels = values.pop("step"), values.pop("noise_levels", [])
    logger.info(f"step {step}: " + ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in values.items()))
    for level in levels:
        span = f"t_{level['t_from']}_to_{level['t_to']}"
        values |= {f"{name}/{span}": value for name, value in level.items() if not name.startswith("t_")}
    for name, value in values.items():
        events.add_scalar(name, value, step)
    events.flush()
