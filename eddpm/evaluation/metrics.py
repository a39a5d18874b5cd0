"""The functions of the metrics (config/metrics.py): those of OpenAI's evaluator, KID and accuracy."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from eddpm.config.metrics import METRICS
from eddpm.errors import ArtifactError
from eddpm.evaluation.features import FeatureSet
from eddpm.evaluation.frechet import Gaussian, GaussianStats, frechet_distance, frechet_replicates
from eddpm.evaluation.inception_score import SPLIT_SIZE, inception_score
from eddpm.evaluation.kid import kid, kid_replicates
from eddpm.evaluation.manifold import precision_recall, precision_recall_replicates

Values = float | np.ndarray | list[float] | tuple[float, ...]


class Reference(NamedTuple):
    """The reference of samples; a FeatureSet serves as well.

    The statistics may be of more images than `pooled` holds, as in published files. Without images they serve FID and
    sFID alone.
    """

    pooled: np.ndarray | None  # (N, D)
    pooled_stats: Gaussian | GaussianStats
    spatial_stats: Gaussian | GaussianStats | None = None


@dataclass(frozen=True)
class Pair:
    """Samples and a reference in one feature space."""

    samples: FeatureSet
    reference: FeatureSet | Reference
    k: int  # the neighbour whose distance is the radius for precision and recall
    labels: np.ndarray | None = None  # of the samples, where their accuracy is asked for
    device: str | torch.device = "cpu"

    def pooled(self) -> tuple[Tensor, Tensor]:
        """Of the reference's images, and of the samples."""
        return tuple(torch.as_tensor(each.pooled, device=self.device) for each in (self.reference, self.samples))

    def given(self) -> set[str]:
        """The needs of metrics that are met. ArtifactError where the spaces differ."""
        spatial = [each.spatial_stats is not None for each in (self.samples, self.reference)]
        if any(spatial) and not all(spatial) and self.reference.pooled is not None:
            lacking = "the reference" if spatial[0] else "the samples"
            raise ArtifactError(f"sfid: {lacking} have no spatial features; extract both with one extractor")
        given = {
            "pooled": True,
            "spatial": all(spatial),
            "probabilities": self.samples.probabilities is not None,
            "images": self.reference.pooled is not None,
            "labels": self.labels is not None,
        }
        return {need for need, is_met in given.items() if is_met}


def measure(pair: Pair) -> dict[str, float]:
    """The metrics that the feature space and the reference support, by name."""
    return {name: float(value) for name, value in _computed(pair, None)}


def measure_halves(pair: Pair, halves: np.ndarray) -> dict[str, np.ndarray]:
    """Each of these metrics on halves of the sampled images, float (replicates,), the reference held fixed.

    `halves` are random halves of the samples (bootstrap.py) of more than k images, bool (replicates, N). The spatial
    features must have been kept.
    """
    return {name: np.asarray(values, dtype=float) for name, values in _computed(pair, halves)}


def _computed(pair: Pair, halves: np.ndarray | None) -> Iterator[tuple[str, Values]]:
    given = pair.given()
    for names, function in FUNCTIONS.items():
        if all(METRICS[name].needs <= given for name in names):
            values = function(pair, halves)
            yield from zip(names, [values] if len(names) == 1 else values, strict=True)


# A function gives the metric of all samples (halves: None), or its values (replicates,) on halves of them -----------


def _accuracy(pair: Pair, halves: np.ndarray | None) -> Values:
    right = correct(pair.samples.probabilities, pair.labels)
    return right.mean() if halves is None else [right[half].mean() for half in halves]


def _fid(pair: Pair, halves: np.ndarray | None) -> Values:
    return _frechet(pair, "pooled", halves)


def _sfid(pair: Pair, halves: np.ndarray | None) -> Values:
    return _frechet(pair, "spatial", halves)


def _frechet(pair: Pair, features: str, halves: np.ndarray | None) -> Values:
    samples, reference = (getattr(each, f"{features}_stats") for each in (pair.samples, pair.reference))
    if halves is None:
        return frechet_distance(samples.mean, samples.covariance, reference.mean, reference.covariance)
    points = torch.as_tensor(getattr(pair.samples, features), device=pair.device)
    return frechet_replicates(points, reference.mean, reference.covariance, halves)


def _kid(pair: Pair, halves: np.ndarray | None) -> Values:
    return kid(*pair.pooled()) if halves is None else kid_replicates(*pair.pooled(), halves)


def _inception_score(pair: Pair, halves: np.ndarray | None) -> Values:
    probabilities = pair.samples.probabilities
    if halves is None:
        return inception_score(probabilities)
    return [inception_score(probabilities[half], SPLIT_SIZE // 2) for half in halves]


def _precision_recall(pair: Pair, halves: np.ndarray | None) -> Values:
    if halves is None:
        return precision_recall(*pair.pooled(), pair.k)
    return precision_recall_replicates(*pair.pooled(), halves, pair.k).T


FUNCTIONS = {
    ("accuracy",): _accuracy,
    ("fid",): _fid,
    ("sfid",): _sfid,
    ("kid",): _kid,
    ("inception_score",): _inception_score,
    ("precision", "recall"): _precision_recall,
}
assert [name for names in FUNCTIONS for name in names] == list(METRICS)


def correct(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The agreement of each image's likeliest class with its label, bool (N,), from probabilities (N, C), labels (N,).

    ArtifactError unless there is one label in [0, C) for each image.
    """
    if np.ndim(probabilities) != 2 or np.shape(labels) != np.shape(probabilities)[:1] or len(labels) == 0:
        raise ArtifactError(
            f"accuracy: probabilities {np.shape(probabilities)} and labels {np.shape(labels)} do not go together;"
            " give one row and one label for each image"
        )
    if np.asarray(labels).dtype.kind not in "iu":
        raise ArtifactError(f"accuracy: labels are {np.asarray(labels).dtype}, not integers; write them as numbers")
    num_classes = np.shape(probabilities)[1]
    if np.min(labels) < 0 or np.max(labels) >= num_classes:
        raise ArtifactError(
            f"accuracy: labels from {np.min(labels)} to {np.max(labels)}, but the classifier has {num_classes} classes;"
            " use a classifier of this data set"
        )
    return np.argmax(probabilities, axis=1) == labels
