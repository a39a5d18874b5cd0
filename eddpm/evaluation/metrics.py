"""The functions of the metrics (config/metrics.py)."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from eddpm.config.metrics import DEFAULT_METRICS, METRICS
from eddpm.errors import ArtifactError
from eddpm.evaluation.features import FeatureSet
from eddpm.evaluation.frechet import Gaussian, GaussianStats, fid_infinity, frechet_distance, frechet_replicates
from eddpm.evaluation.inception_score import SPLIT_SIZE, inception_score
from eddpm.evaluation.kid import kid, kid_replicates, mmd, mmd_replicates
from eddpm.evaluation.manifold import BALL_METRICS, Radii, manifold_metrics, manifold_replicates
from eddpm.evaluation.vendi import vendi, vendi_per_class

Values = float | np.ndarray | list[float]


class Fitted(float):
    """A metric that is fitted, with its standard error from the fit: it has none from halves."""

    error: float


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
    labels: np.ndarray | None = None  # of the samples
    device: str | torch.device = "cpu"
    judges: bool = True  # the space's probabilities are those by which labels are judged
    metrics: Collection[str] = DEFAULT_METRICS  # that are asked for
    density_k: int = 5  # for density and coverage, as k

    def pooled(self) -> tuple[Tensor, Tensor]:
        """Of the reference's images, and of the samples."""
        return tuple(torch.as_tensor(each.pooled, device=self.device) for each in (self.reference, self.samples))

    def given(self) -> set[str]:
        """The needs of metrics that are met. ArtifactError where the spaces differ."""
        spatial = [each.spatial_stats is not None for each in (self.samples, self.reference)]
        asked = "sfid" in self.metrics and self.reference.pooled is not None
        if asked and any(spatial) and not all(spatial):
            lacking = "the reference" if spatial[0] else "the samples"
            raise ArtifactError(f"sfid: {lacking} have no spatial features; extract both with one extractor")
        given = {
            "pooled": True,
            "spatial": all(spatial),
            "probabilities": self.samples.probabilities is not None,
            "images": self.reference.pooled is not None,
            "labels": self.labels is not None,
            "judge": self.labels is not None and self.judges,
        }
        return {need for need, is_met in given.items() if is_met}


def measure(pair: Pair) -> dict[str, float]:
    """The metrics that are asked for, and that the feature space and the reference support, by name."""
    return {name: value if isinstance(value, Fitted) else float(value) for name, value in _computed(pair, None)}


def measure_halves(pair: Pair, halves: np.ndarray) -> dict[str, np.ndarray]:
    """Each of these metrics on halves of the sampled images, float (replicates,), the reference held fixed.

    `halves` are random halves of the samples (bootstrap.py) of more than k images, bool (replicates, N). The spatial
    features must have been kept. What is `Fitted` is nan.
    """
    return {name: np.asarray(values, dtype=float) for name, values in _computed(pair, halves)}


def _computed(pair: Pair, halves: np.ndarray | None) -> Iterator[tuple[str, Values]]:
    given = pair.given()
    names = [name for name, metric in METRICS.items() if name in pair.metrics and metric.needs <= given]
    of_balls = _of_balls(pair, halves, BALL_METRICS & set(names))
    for name in names:
        yield name, of_balls[name] if name in of_balls else FUNCTIONS[name](pair, halves)


def _of_balls(pair: Pair, halves: np.ndarray | None, names: set[str]) -> dict[str, Values]:
    if not names:
        return {}
    options = names, Radii(pair.k, pair.density_k)
    if halves is None:
        return manifold_metrics(*pair.pooled(), *options)
    return manifold_replicates(*pair.pooled(), halves, *options)


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


def _vendi(pair: Pair, halves: np.ndarray | None) -> Values:
    samples = torch.as_tensor(pair.samples.pooled, device=pair.device)
    return vendi(samples) if halves is None else [vendi(samples[half]) for half in torch.from_numpy(halves)]


def _vendi_per_class(pair: Pair, halves: np.ndarray | None) -> Values:
    samples, labels = torch.as_tensor(pair.samples.pooled, device=pair.device), pair.labels
    if halves is None:
        return vendi_per_class(samples, labels)
    return [vendi_per_class(samples[torch.from_numpy(half)], labels[half]) for half in halves]


def _fid_infinity(pair: Pair, halves: np.ndarray | None) -> Values:
    if halves is not None:
        return np.full(len(halves), np.nan)
    samples, reference = torch.as_tensor(pair.samples.pooled, device=pair.device), pair.reference.pooled_stats
    value, error = fid_infinity(samples, reference.mean, reference.covariance)
    (fitted := Fitted(value)).error = error
    return fitted


def _mmd(pair: Pair, halves: np.ndarray | None) -> Values:
    return mmd(*pair.pooled()) if halves is None else mmd_replicates(*pair.pooled(), halves)


FUNCTIONS = {
    "accuracy": _accuracy,
    "fid": _fid,
    "sfid": _sfid,
    "kid": _kid,
    "inception_score": _inception_score,
    "vendi": _vendi,
    "vendi_per_class": _vendi_per_class,
    "fid_infinity": _fid_infinity,
    "mmd": _mmd,
}
assert FUNCTIONS.keys() | BALL_METRICS == METRICS.keys()


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
