"""Noise-aware classifiers by noise level: their measures, and temperatures that calibrate them without training.

Temperatures are fitted on every other validation image, from the first. Every classifier is measured on the rest, so
that none is measured on what it was fitted to, and all are compared on the same images with the same noise.
"""

import json
import logging
from pathlib import Path

import numpy as np
import torch

from eddpm.config.networks import EncoderConfig
from eddpm.config.schema import MeasureClassifierConfig
from eddpm.config.settings import load_settings
from eddpm.data.loader import labelled_batches
from eddpm.data.store import Store, open_store
from eddpm.diffusion.schedule import make_schedule
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.noise_levels import level_edges, level_logits, noise_levels
from eddpm.evaluation.temperature import BOUNDS
from eddpm.evaluation.temperature import fit_temperature as fit_level
from eddpm.io.files import write_text
from eddpm.io.log import progress
from eddpm.models.build import build_classifier, load_weights_file
from eddpm.models.device import device_name, pick_device
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.trained import save_trained

logger = logging.getLogger(__name__)


def measure_classifier(settings: Path, dataset: Path, classifier: Path, levels: Path) -> None:
    """Write the measures at each noise level (evaluation/noise_levels.py), a row per level, as JSON lines."""
    config, device = load_settings(MeasureClassifierConfig, settings), pick_device()
    network = _load(config.network, classifier, device)
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    images = labelled_batches(*_half(dataset, 1, config.network), device)
    rows = noise_levels(network, schedule, progress(images, unit="batch"), config.seed)
    write_text(levels, "".join(json.dumps(row) + "\n" for row in rows))
    accuracy, ece = (np.mean([row[name] for row in rows]) for name in ("accuracy", "ece"))
    logger.info(f"accuracy {accuracy:.3f}, expected calibration error {ece:.3f} over all noise levels -> {levels}")


def fit_temperature(settings: Path, dataset: Path, classifier: Path, model: Path) -> None:
    """Write the weights of a trained classifier with the temperature that calibrates it best at each noise level.

    The settings are those of the classifier with temperatures. Raises ConfigError if it has more than there are steps.
    """
    config, device = load_settings(MeasureClassifierConfig, settings), pick_device()
    edges = _temperature_edges(settings, config)
    network = _load(config.network.model_copy(update={"temperatures": None}), classifier, device)
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    half = _half(dataset, 0, config.network)
    temperatures = []
    for level in progress(range(len(edges) - 1), unit="level"):
        # Level by level, so that the logits of one are held at a time.
        images = labelled_batches(*half, device)
        temperatures.append(fit_level(*level_logits(network, schedule, images, edges, level, config.seed)))
        if temperatures[-1] in BOUNDS:
            logger.info(
                f"t {edges[level]} to {edges[level + 1]}: no best temperature within {BOUNDS}; takes the nearer bound"
            )
    buffers = {"temperatures": torch.tensor(temperatures), "temperature_edges": torch.tensor(edges)[1:-1]}
    save_trained(model, network.state_dict() | buffers, config)
    logger.info(f"temperatures from t = 0 up: {' '.join(f'{value:.3g}' for value in temperatures)} -> {model}")


def _temperature_edges(settings: Path, config: MeasureClassifierConfig) -> list[int]:
    wanted, steps = config.network.temperatures, config.diffusion.diffusion_steps
    if wanted is None or wanted > steps:
        raise ConfigError(
            f"{settings}: network.temperatures: value {wanted}: not a number of noise levels from 1 to {steps}, the"
            " diffusion_steps; set how many have a temperature"
        )
    return level_edges(steps, wanted)


def _load(config: EncoderConfig, weights: Path, device: torch.device) -> EncoderClassifier:
    network = build_classifier(config, frozen=True)
    load_weights_file(network, weights)
    return network.to(device)


def _half(dataset: Path, first: int, network: EncoderConfig) -> tuple[Store, np.ndarray]:
    """The validation images, and the numbers of every other one from `first`.

    Raises ArtifactError if the images or their classes are not those of the network, or too few.
    """
    store = open_store(dataset, "validation", network)
    if len(store) < 2:
        raise ArtifactError(f"{dataset}: one validation image is too few; prepare at least two")
    numbers = np.arange(first, len(store), 2)
    logger.info(f"{len(numbers)} of {len(store)} validation images, on {device_name(pick_device())}")
    return store, numbers
