"""Measuring a run's samples against the training images, in every feature space of the experiment."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from eddpm.artifacts import (
    atomic,
    load_checkpoint,
    provenance,
    read_npz,
    read_samples,
    sha256,
    write_json,
    write_npz,
    write_text,
)
from eddpm.config import MeasureConfig, SampleConfig, SpaceConfig, load_settings
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.features import Extractor, classifier_features, collect_features, pixel_features
from eddpm.evaluation.frechet import Gaussian
from eddpm.evaluation.metrics import Reference, accuracy, measure
from eddpm.models.build import build_classifier, load_weights
from eddpm.runtime import device_name, pick_device, say
from eddpm.stages.sample import TRACED

GRID_IMAGES = 100


def extract_references(settings: Path, dataset: Path, classifiers: list[Path], references: list[Path]) -> None:
    """Write one reference per space, in the order of the settings: ADM's mu, sigma, mu_s, sigma_s, and the features.

    `classifiers` are the weights behind the classifier spaces, in the same order.
    """
    config = load_settings(MeasureConfig, settings)
    images = read_samples(dataset).images
    for space, weights, path in _spaces(config, classifiers, references):
        found = collect_features(_extractor(space, weights), [images])
        arrays = {"mu": found.pooled_stats.mean, "sigma": found.pooled_stats.covariance}
        if found.spatial_stats:
            arrays |= {"mu_s": found.spatial_stats.mean, "sigma_s": found.spatial_stats.covariance}
        write_npz(path, features=found.pooled, **arrays)
        say(f"{space.name}: {len(images)} images, {found.pooled.shape[1]} dimensions -> {path}")


def compute_metrics(
    settings: Path,
    run: Path,
    samples: list[Path],
    classifiers: list[Path],
    references: list[Path],
    metrics: Path,
    trace: Path,
    grid: Path,
) -> None:
    """Write a run's metrics, its trace along the steps, and a grid of its first images.

    `run` holds its settings, `samples` are its shards; `classifiers` and `references` go with the spaces in order.
    """
    config, run_config = load_settings(MeasureConfig, settings), load_settings(SampleConfig, run)
    labels = np.concatenate([read_samples(path).labels for path in samples])
    values, features = {}, {}
    for space, weights, path in _spaces(config, classifiers, references):
        found = collect_features(_extractor(space, weights), (read_samples(shard).images for shard in samples))
        if found.probabilities is not None:
            values.setdefault("accuracy", accuracy(found.probabilities, labels))
        try:
            measured = measure(found, _read_reference(path), config.nearest_neighbours)
        except ArtifactError as error:
            raise ArtifactError(f"{run_config.name} against {path}: {error}") from None
        values |= {f"{space.name}/{name}": value for name, value in measured.items()}
        features[space.name] = {
            "extractor": sha256(weights) if weights else "pixels in [-1, 1]",
            "reference": {"name": str(path), "sha256": sha256(path)},
        }
    _write_trace(trace, samples, len(labels))
    _write_grid(grid, read_samples(samples[0]).images[:GRID_IMAGES])
    row = run_config.model_dump(mode="json", include={"name", "sampler", "steps", "guidance", "scale", "seed"})
    write_json(
        metrics,
        {
            "run": row,
            "num_images": len(labels),
            "metrics": values,
            "features": features,
            "provenance": {**provenance(), "device": device_name(pick_device())},
        },
    )
    say(f"{run_config.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))


def _spaces(
    config: MeasureConfig, classifiers: list[Path], references: list[Path]
) -> Iterator[tuple[SpaceConfig, Path | None, Path]]:
    """Each space with the weights behind it, one of `classifiers` or None for pixels, and its reference."""
    networks = sum(space.classifier is not None for space in config.spaces)
    for option, given, wanted in (
        ("--classifiers", len(classifiers), networks),
        ("--references", len(references), len(config.spaces)),
    ):
        if given != wanted:
            raise ConfigError(f"{option}: {given} given, the settings have {wanted} such spaces; name one for each")
    remaining = iter(classifiers)
    weights = [next(remaining) if space.classifier else None for space in config.spaces]
    return zip(config.spaces, weights, references, strict=True)


def _extractor(space: SpaceConfig, weights: Path | None) -> Extractor:
    if weights is None:
        return pixel_features
    network, device = build_classifier(space.classifier, frozen=True), pick_device()
    load_weights(network, load_checkpoint(weights), str(weights))
    network.to(device)
    return classifier_features(lambda x: network.features(x, torch.zeros(len(x), device=device)), device)


def _read_reference(path: Path) -> Reference:
    arrays = read_npz(path, "mu", "sigma", "features")
    spatial = Gaussian(arrays["mu_s"], arrays["sigma_s"]) if "mu_s" in arrays else None
    return Reference(arrays["features"], Gaussian(arrays["mu"], arrays["sigma"]), spatial)


def _write_trace(path: Path, samples: list[Path], num_images: int) -> None:
    """One row per step: t, then mean and standard deviation over the images of each traced quantity."""
    shards = [read_npz(shard, "trace", "timesteps") for shard in samples]
    mean, mean_square = np.moveaxis(sum(shard["trace"] for shard in shards) / num_images, -1, 0)
    deviation = np.sqrt(np.maximum(mean_square - mean**2, 0))
    columns = {"t": shards[0]["timesteps"][: len(mean)]}
    for k, name in enumerate(TRACED):
        columns |= {name: mean[:, k], f"{name}_std": deviation[:, k]}
    text = io.StringIO()
    np.savetxt(text, np.column_stack(list(columns.values())), "%.6g", ",", header=",".join(columns), comments="")
    write_text(path, text.getvalue())


def _write_grid(path: Path, images: np.ndarray, columns: int = 10) -> None:
    """Images side by side, enlarged to at least 32 pixels each without smoothing."""
    if len(images) == 0:
        raise ArtifactError(f"{path}: no images to show; sample some first")
    blank = np.zeros((-len(images) % columns, *images.shape[1:]), dtype=np.uint8)
    n, h, w, c = (images := np.concatenate([images, blank])).shape
    sheet = images.reshape(n // columns, columns, h, w, c).transpose(0, 2, 1, 3, 4).reshape(n // columns * h, -1, c)
    zoom = -(-32 // h)
    picture = Image.fromarray(sheet.squeeze(-1) if c == 1 else sheet)
    with atomic(path) as temporary:
        picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(temporary, "PNG")
