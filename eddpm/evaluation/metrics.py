"""All metrics of samples against a reference, by their names in the results: those of OpenAI's evaluator."""

from typing import NamedTuple

import numpy as np

from eddpm.errors import ArtifactError
from eddpm.evaluation.features import FeatureSet
from eddpm.evaluation.frechet import Gaussian, GaussianStats, frechet_distance
from eddpm.evaluation.inception_score import inception_score
from eddpm.evaluation.manifold import precision_recall


class Reference(NamedTuple):
    """What samples are compared with; a FeatureSet serves as well.

    The statistics may be those of more images than `pooled` holds: the published files have them of the whole data
    set, and 10 000 images for precision and recall.
    """

    pooled: np.ndarray  # (N, D)
    pooled_stats: Gaussian | GaussianStats
    spatial_stats: Gaussian | GaussianStats | None = None


def measure(samples: FeatureSet, reference: FeatureSet | Reference, k: int) -> dict[str, float]:
    """The metrics that the feature space supports: fid, precision, recall, and sfid, inception_score where it has them.

    `k` is the neighbour whose distance is the radius for precision and recall. Lower is better for fid and sfid (>= 0),
    higher for inception_score (>= 1), precision and recall (in [0, 1]). ArtifactError where the spaces differ.
    """
    if (samples.spatial_stats is None) != (reference.spatial_stats is None):
        lacking = "the samples" if samples.spatial_stats is None else "the reference"
        raise ArtifactError(f"sfid: {lacking} have no spatial features; extract both with one extractor")
    metrics = {"fid": _distance(samples.pooled_stats, reference.pooled_stats)}
    if samples.spatial_stats is not None:
        metrics["sfid"] = _distance(samples.spatial_stats, reference.spatial_stats)
    if samples.probabilities is not None:
        metrics["inception_score"] = inception_score(samples.probabilities)
    metrics["precision"], metrics["recall"] = precision_recall(reference.pooled, samples.pooled, k)
    return metrics


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share, in [0, 1], of images whose likeliest class is their label: probabilities (N, C), labels (N,) in [0, C).

    ArtifactError where there are no images, not one label for each, or a label that is no class.
    """
    if np.ndim(probabilities) != 2 or np.shape(labels) != np.shape(probabilities)[:1] or len(labels) == 0:
        raise ArtifactError(
            f"accuracy: probabilities {np.shape(probabilities)} and labels {np.shape(labels)} do not go together;"
            " give one row and one label for each image"
        )
    num_classes = np.shape(probabilities)[1]
    if np.min(labels) < 0 or np.max(labels) >= num_classes:
        raise ArtifactError(
            f"accuracy: labels from {np.min(labels)} to {np.max(labels)}, but the classifier has {num_classes} classes;"
            " use a classifier of this data set"
        )
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))


def _distance(samples: Gaussian | GaussianStats, reference: Gaussian | GaussianStats) -> float:
    return frechet_distance(samples.mean, samples.covariance, reference.mean, reference.covariance)
