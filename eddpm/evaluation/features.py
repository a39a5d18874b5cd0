"""Features of images: what an extractor gives, two extractors, and a pass over a whole set in little memory."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from eddpm.errors import ArtifactError
from eddpm.evaluation.frechet import GaussianStats
from eddpm.runtime import to_float


class Features(NamedTuple):
    """What one batch of N images gives, float32; None where the space has no such features."""

    pooled: np.ndarray  # (N, D) for FID, precision and recall
    spatial: np.ndarray | None = None  # (N, S) for sFID
    probabilities: np.ndarray | None = None  # (N, classes) for the inception score


Extractor = Callable[[np.ndarray], Features]  # images uint8 (N, H, W, C) -> Features


@dataclass(frozen=True)
class FeatureSet:
    """What is kept of a whole set of N images: of the spatial features, which are large, only the statistics."""

    pooled: np.ndarray  # float32 (N, D)
    pooled_stats: GaussianStats
    spatial_stats: GaussianStats | None
    probabilities: np.ndarray | None  # float32 (N, classes)


def pixel_features(images: np.ndarray) -> Features:
    """The pixels themselves: uint8 (N, H, W, C) -> pooled (N, H*W*C) in [-1, 1], the range the models see."""
    _check_images(images)
    return Features(pooled=images.reshape(len(images), -1).astype(np.float32) / np.float32(127.5) - np.float32(1))


def classifier_features(
    features_fn: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]], device: str | torch.device = "cpu"
) -> Extractor:
    """Make an extractor of a network: x float32 (B, C, H, W) in [-1, 1] -> pooled (B, D), spatial (B, c, h, w), logits.

    The caller puts the network on `device` and in evaluation mode. No gradients are recorded.
    """

    def extract(images: np.ndarray) -> Features:
        _check_images(images)
        with torch.no_grad():
            pooled, spatial, logits = features_fn(to_float(images).to(device))
        # NHWC order, as in the published sFID statistics.
        spatial = spatial.permute(0, 2, 3, 1).flatten(1)
        probabilities = logits.double().softmax(dim=1)
        return Features(*(values.float().cpu().numpy() for values in (pooled, spatial, probabilities)))

    return extract


def collect_features(extract: Extractor, image_batches: Iterable[np.ndarray], batch_size: int = 250) -> FeatureSet:
    """Run an extractor over arrays of images, uint8 (N, H, W, C) of any N each, `batch_size` images at a time.

    Spatial features are held for one batch only. ArtifactError for no images at all.
    """
    assert batch_size >= 1
    pooled, probabilities = [], []
    pooled_stats = spatial_stats = None
    for images in image_batches:
        for start in range(0, len(images), batch_size):
            batch = extract(images[start : start + batch_size])
            pooled.append(batch.pooled)
            pooled_stats = _accumulate(pooled_stats, batch.pooled)
            if batch.spatial is not None:
                spatial_stats = _accumulate(spatial_stats, batch.spatial)
            if batch.probabilities is not None:
                probabilities.append(batch.probabilities)
    if not pooled:
        raise ArtifactError("no images to extract features from; check the sample files or the data set")
    return FeatureSet(
        pooled=np.concatenate(pooled),
        pooled_stats=pooled_stats,
        spatial_stats=spatial_stats,
        probabilities=np.concatenate(probabilities) if probabilities else None,
    )


def _accumulate(stats: GaussianStats | None, features: np.ndarray) -> GaussianStats:
    return GaussianStats.of(features) if stats is None else stats.add(features)


def _check_images(images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ArtifactError(f"images are {images.dtype} {images.shape}; give them as uint8 (N, H, W, C)")
