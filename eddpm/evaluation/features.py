"""Features of images: what a feature space gives, and a pass over a whole set in little memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eddpm.errors import ArtifactError
from eddpm.evaluation.frechet import GaussianStats


class Features(NamedTuple):
    """The features of a batch of N images, float32; None where the space has no such features."""

    pooled: np.ndarray  # (N, D) for FID, precision and recall
    spatial: np.ndarray | None = None  # (N, S) for sFID
    probabilities: np.ndarray | None = None  # (N, classes) for the inception score


@dataclass(frozen=True)
class Extractor:
    """A feature space: its name in the tables, what its features depend on, and how to get them."""

    name: str  # "pixels", "inception", "efficientnet-lite0", "classifier:clean"
    identity: dict[str, str]  # such as the weights' SHA-256; written beside the metrics
    extract: Callable[[np.ndarray], Features]  # images uint8 (N, H, W, C) -> Features

    def __call__(self, images: np.ndarray) -> Features:
        """Features of one batch, uint8 (N, H, W, C); ArtifactError for other images, and for NaN or infinities."""
        if images.dtype != np.uint8 or images.ndim != 4:
            raise ArtifactError(f"{self.name}: images are {images.dtype} {images.shape}, not uint8 (N, H, W, C)")
        features = self.extract(images)
        finite = np.all([np.isfinite(values).all(axis=1) for values in features if values is not None], axis=0)
        if not finite.all():
            raise ArtifactError(
                f"{self.name}: features of image {finite.argmin()} of a batch of {len(images)} (counted from 0) are NaN"
                " or infinite; check the weights"
            )
        return features


@dataclass(frozen=True)
class FeatureSet:
    """The features of N images, or of some of them; the statistics are of all."""

    pooled: np.ndarray  # float32 (N, D)
    pooled_stats: GaussianStats
    spatial_stats: GaussianStats | None = None
    probabilities: np.ndarray | None = None  # float32 (N, classes)
    spatial: np.ndarray | None = None  # float32 (N, S), where standard errors are wanted


class FeatureCollector:
    """Gathers the features of N images, batch by batch."""

    def __init__(self, num_images: int, keep_spatial: bool = False, rows: np.ndarray | None = None):
        """`rows` are the numbers, rising, of the images whose features are kept (None: all); statistics are of all."""
        self._total, self._count = num_images, 0
        self._kept = ("pooled", "probabilities", "spatial") if keep_spatial else ("pooled", "probabilities")
        self._rows = np.arange(num_images) if rows is None else rows
        self._arrays: dict[str, np.ndarray] = {}
        self._stats: dict[str, GaussianStats] = {}

    def add(self, batch: Features) -> None:
        """Take the next batch; ArtifactError where its dimensions are not those of the batches before."""
        first, last = np.searchsorted(self._rows, (self._count, self._count + len(batch.pooled)))
        for name, values in batch._asdict().items():
            if values is None:
                continue
            if name != "probabilities":
                stats = GaussianStats.of(values)
                self._stats[name] = self._stats[name].merge(stats) if name in self._stats else stats
            if name in self._kept:
                if name not in self._arrays:
                    self._arrays[name] = np.empty((len(self._rows), values.shape[1]), np.float32)
                if self._arrays[name].shape[1] != values.shape[1]:
                    raise ArtifactError(f"{name} have {values.shape[1]} columns, unlike those before; extract all anew")
                self._arrays[name][first:last] = values[self._rows[first:last] - self._count]
        self._count += len(batch.pooled)

    def finish(self) -> FeatureSet:
        """The whole set, once every image has come."""
        assert self._count == self._total
        return FeatureSet(**self._arrays, **{f"{name}_stats": stats for name, stats in self._stats.items()})
