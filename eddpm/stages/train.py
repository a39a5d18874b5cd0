"""Training of denoisers and classifiers: from a data set to weights and a log, resuming what a killed job left."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from eddpm.artifacts import load_checkpoint, read_samples, save_model, save_training_state, write_text
from eddpm.config import TrainClassifierConfig, TrainDenoiserConfig, load_settings
from eddpm.diffusion.process import q_sample
from eddpm.diffusion.schedule import make_schedule
from eddpm.errors import ArtifactError
from eddpm.models.build import build_classifier, build_denoiser
from eddpm.runtime import device_name, pick_device, progress, say, to_float
from eddpm.training.loop import LossFn, Trainer, run_training
from eddpm.training.losses import accuracy_by_noise, classification_loss, denoising_loss

NOISE_LEVELS = 10  # equal ranges of t by which validation is reported


def train_denoiser(settings: Path, train: Path, validation: Path, model: Path, log: Path) -> None:
    """Train a denoiser to predict eps at uniform t (DDPM alg. 1); the weights kept are the moving average."""
    config = load_settings(TrainDenoiserConfig, settings)
    device = pick_device()
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    x0, y = _read_images(train, config.network, device)
    validation_x0, validation_y = _read_images(validation, config.network, device)

    def loss_fn(network: nn.Module, x0: Tensor, y: Tensor) -> Tensor:
        t, noise = _draw(len(schedule), x0)
        eps = network(q_sample(schedule, x0, t, noise), t, y if config.network.num_classes else None)
        return denoising_loss(eps, noise)

    @torch.no_grad()
    def evaluate(network: nn.Module) -> dict:
        torch.manual_seed(config.training.seed)
        return {"validation_loss": loss_fn(network, validation_x0, validation_y).mean().item()}

    _train(build_denoiser, config, loss_fn, (x0, y), evaluate, model, log)


def train_classifier(settings: Path, train: Path, validation: Path, model: Path, log: Path) -> None:
    """Train a classifier on noisy images at uniform t, or on clean ones at t = 0, with or without ECT."""
    config = load_settings(TrainClassifierConfig, settings)
    device = pick_device()
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    x0, y = _read_images(train, config.network, device)
    validation_x0, validation_y = _read_images(validation, config.network, device)

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
        t = torch.cat([torch.randint(a, b, validation_y.shape, device=device) for a, b in pairwise(edges)])
        x0, y = validation_x0.repeat(NOISE_LEVELS, 1, 1, 1), validation_y.repeat(NOISE_LEVELS)
        noise = torch.randn_like(x0)
        logits = network(q_sample(schedule, x0, t, noise), t)
        by_noise = accuracy_by_noise(logits, y, t, edges)
        return {"accuracy": sum(by_noise) / NOISE_LEVELS, "accuracy_by_noise": dict(zip(edges, by_noise, strict=False))}

    _train(build_classifier, config, loss_fn, (x0, y), evaluate, model, log)


def _draw(steps: int, x0: Tensor) -> tuple[Tensor, Tensor]:
    return torch.randint(steps, (len(x0),), device=x0.device), torch.randn_like(x0)


def _train(
    build: Callable[..., nn.Module],
    config: TrainDenoiserConfig | TrainClassifierConfig,
    loss_fn: LossFn,
    data: tuple[Tensor, Tensor],
    evaluate: Callable[[nn.Module], dict],
    model: Path,
    log: Path,
) -> None:
    torch.manual_seed(config.training.seed)
    trainer = Trainer(build(config.network).to(data[0].device), config.training)
    settings = config.model_dump(mode="json")
    unfinished = model.with_name("unfinished.pt")
    if unfinished.exists() and (state := load_checkpoint(unfinished))["settings"] == settings:
        trainer.load_state_dict(state["trainer"])
        say(f"goes on from step {trainer.step} of {config.training.iterations} ({unfinished})")

    def save() -> None:
        save_training_state(unfinished, {"settings": settings, "trainer": trainer.state_dict()})
        say(json.dumps(trainer.log[-1]))

    say(f"{len(data[0])} images, {config.training.iterations} steps, on {device_name(data[0].device)}")
    run_training(trainer, loss_fn, *data, evaluate, save, progress)
    write_text(log, "".join(json.dumps(row) + "\n" for row in trainer.log))
    save_model(model, trainer.result.state_dict())
    unfinished.unlink(missing_ok=True)


def _read_images(path: Path, network, device: torch.device) -> tuple[Tensor, Tensor]:
    samples = read_samples(path)
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
