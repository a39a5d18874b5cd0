"""Training of denoisers and classifiers: from a data set to weights and a log, resuming what a killed job left."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from eddpm.artifacts import load_checkpoint, read_samples, save_model, save_training_state, sha256, write_text
from eddpm.config import EncoderConfig, TrainClassifierConfig, TrainDenoiserConfig, UNetConfig, load_settings
from eddpm.diffusion.process import q_sample
from eddpm.diffusion.schedule import NoiseSchedule, make_schedule
from eddpm.errors import ArtifactError
from eddpm.models.build import build_classifier, build_denoiser
from eddpm.runtime import device_name, pick_device, progress, say, to_float
from eddpm.training.loop import LossFn, Trainer, run_training
from eddpm.training.losses import accuracy_by_noise, classification_loss, denoising_loss

Data = tuple[Tensor, Tensor]  # images (N, C, H, W) in [-1, 1], labels (N,)

NOISE_LEVELS = 10  # equal ranges of t by which validation is reported


def train_denoiser(settings: Path, train: Path, validation: Path, model: Path, log: Path) -> None:
    """Train a denoiser to predict eps at uniform t (DDPM alg. 1); the weights kept are the moving average."""
    config = load_settings(TrainDenoiserConfig, settings)
    schedule, data, (validation_x0, validation_y) = _open(config, train, validation)

    def loss_fn(network: nn.Module, x0: Tensor, y: Tensor) -> Tensor:
        t, noise = _draw(len(schedule), x0)
        eps = network(q_sample(schedule, x0, t, noise), t, y if config.network.num_classes else None)
        return denoising_loss(eps, noise)

    @torch.no_grad()
    def evaluate(network: nn.Module) -> dict:
        torch.manual_seed(config.training.seed)
        return {"validation_loss": loss_fn(network, validation_x0, validation_y).mean().item()}

    _train(build_denoiser, config, loss_fn, train, data, evaluate, model, log)


def train_classifier(settings: Path, train: Path, validation: Path, model: Path, log: Path) -> None:
    """Train a classifier on noisy images at uniform t, or on clean ones at t = 0, with or without ECT."""
    config = load_settings(TrainClassifierConfig, settings)
    schedule, data, (validation_x0, validation_y) = _open(config, train, validation)

    def loss_fn(network: nn.Module, x0: Tensor, y: Tensor) -> Tensor:
        t, noise = _draw(len(schedule), x0)
        if config.noised:
            x0 = q_sample(schedule, x0, t, noise)
        return classification_loss(network(x0, t if config.noised else torch.zeros_like(t)), y, config.ect_weight)

    @torch.no_grad()
    def evaluate(network: nn.Module) -> dict:
        if not config.noised:
            logits = network(validation_x0, torch.zeros_like(validation_y))
            return {"accuracy": (logits.argmax(-1) == validation_y).double().mean().item()}
        # Every validation image at one t of each range, always with the same noise.
        torch.manual_seed(config.training.seed)
        edges = [len(schedule) * k // NOISE_LEVELS for k in range(NOISE_LEVELS + 1)]
        t = torch.cat([torch.randint_like(validation_y, a, b) for a, b in pairwise(edges)])
        x0, y = validation_x0.repeat(NOISE_LEVELS, 1, 1, 1), validation_y.repeat(NOISE_LEVELS)
        noise = torch.randn_like(x0)
        logits = network(q_sample(schedule, x0, t, noise), t)
        by_noise = accuracy_by_noise(logits, y, t, edges)
        return {"accuracy": sum(by_noise) / NOISE_LEVELS, "accuracy_by_noise": dict(zip(edges, by_noise, strict=False))}

    _train(build_classifier, config, loss_fn, train, data, evaluate, model, log)


def _open(
    config: TrainDenoiserConfig | TrainClassifierConfig, train: Path, validation: Path
) -> tuple[NoiseSchedule, Data, Data]:
    """The schedule, and training and validation images with their labels on the device."""
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    return schedule, _read_images(train, config.network), _read_images(validation, config.network)


def _draw(steps: int, x0: Tensor) -> tuple[Tensor, Tensor]:
    return torch.randint(steps, (len(x0),), device=x0.device), torch.randn_like(x0)


def _train(
    build: Callable[..., nn.Module],
    config: TrainDenoiserConfig | TrainClassifierConfig,
    loss_fn: LossFn,
    train: Path,
    data: Data,
    evaluate: Callable[[nn.Module], dict],
    model: Path,
    log: Path,
) -> None:
    torch.manual_seed(config.training.seed)
    trainer = Trainer(build(config.network).to(data[0].device), config.training)
    identity = {"settings": config.model_dump(mode="json"), "train": sha256(train)}
    unfinished = model.with_name("unfinished.pt")
    if unfinished.exists() and (state := load_checkpoint(unfinished))["identity"] == identity:
        trainer.load_state_dict(state["trainer"])
        say(f"goes on from step {trainer.step} of {config.training.iterations} ({unfinished})")

    def save() -> None:
        save_training_state(unfinished, {"identity": identity, "trainer": trainer.state_dict()})
        say(json.dumps(trainer.log[-1]))

    say(f"{len(data[0])} images, {config.training.iterations} steps, on {device_name(data[0].device)}")
    run_training(trainer, loss_fn, *data, evaluate, save, progress)
    write_text(log, "".join(json.dumps(row) + "\n" for row in trainer.log))
    save_model(model, trainer.result.state_dict())
    unfinished.unlink(missing_ok=True)


def _read_images(path: Path, network: UNetConfig | EncoderConfig) -> Data:
    samples, device = read_samples(path), pick_device()
    wanted = (network.image_size, network.image_size, network.image_channels)
    if samples.images.shape[1:] != wanted:
        raise ArtifactError(
            f"{path}: images are {samples.images.shape[1:]}, the network takes {wanted}; prepare them again"
        )
    classes = network.num_classes or len(samples.extras.get("classes", ())) or 1 + samples.labels.max()
    if samples.labels.min() < 0 or samples.labels.max() >= classes:
        raise ArtifactError(
            f"{path}: labels reach {samples.labels.max()}, the network has {classes} classes; prepare again"
        )
    return to_float(samples.images).to(device), torch.from_numpy(samples.labels).to(device)
