"""All metrics of samples against a reference, by their names in the results: those of OpenAI's evaluator."""

from typing import NamedTuple

import numpy as np
import torch

from eddpm.errors import ArtifactError
from eddpm.evaluation.bootstrap import standard_error
from eddpm.evaluation.features import FeatureSet
from eddpm.evaluation.frechet import Gaussian, GaussianStats, frechet_distance, frechet_replicates
from eddpm.evaluation.inception_score import SPLIT_SIZE, inception_score
from eddpm.evaluation.kid import kid, kid_replicates
from eddpm.evaluation.manifold import precision_recall, precision_recall_replicates


class Reference(NamedTuple):
    """What samples are compared with; a FeatureSet serves as well.

    The statistics may be those of more images than `pooled` holds: the published files have them of the whole data
    set, and 10 000 images for precision and recall. Without any images they serve FID and sFID alone.
    """

    pooled: np.ndarray | None  # (N, D)
    pooled_stats: Gaussian | GaussianStats
    spatial_stats: Gaussian | GaussianStats | None = None


def measure(
    samples: FeatureSet, reference: FeatureSet | Reference, k: int, device: str | torch.device = "cpu"
) -> dict[str, float]:
    """The metrics that the feature space supports: fid, sfid, kid, inception_score, precision, recall.

    sfid and inception_score come where the space has spatial features and class probabilities; sfid, kid, precision and
    recall where the reference has what they need. `k` is the neighbour whose distance is the radius for precision and
    recall. Lower is better for fid, sfid (>= 0) and kid (about 0 for equal distributions), higher for inception_score
    (>= 1), precision and recall (in [0, 1]). ArtifactError where the spaces differ.
    """
    spatial = [each.spatial_stats is not None for each in (samples, reference)]
    if any(spatial) and not all(spatial) and reference.pooled is not None:
        lacking = "the reference" if spatial[0] else "the samples"
        raise ArtifactError(f"sfid: {lacking} have no spatial features; extract both with one extractor")
    metrics = {"fid": _distance(samples.pooled_stats, reference.pooled_stats)}
    if all(spatial):
        metrics["sfid"] = _distance(samples.spatial_stats, reference.spatial_stats)
    if reference.pooled is not None:
        pooled, reference_pooled = (torch.as_tensor(each.pooled, device=device) for each in (samples, reference))
        metrics["kid"] = kid(reference_pooled, pooled)
    if samples.probabilities is not None:
        metrics["inception_score"] = inception_score(samples.probabilities)
    if reference.pooled is not None:
        metrics["precision"], metrics["recall"] = precision_recall(reference_pooled, pooled, k)
    return metrics


def standard_errors(
    samples: FeatureSet,
    reference: FeatureSet | Reference,
    k: int,
    halves: np.ndarray,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """The standard error of each of `measure`'s metrics over the choice of sampled images, the reference held fixed.

    `halves` are random halves of the samples (bootstrap.py) of more than k images, bool (replicates, N). The spatial
    features must have been kept.
    """
    count, pooled = len(samples.pooled), torch.as_tensor(samples.pooled, device=device)
    stats = reference.pooled_stats
    values = {"fid": frechet_replicates(pooled, stats.mean, stats.covariance, halves)}
    if samples.spatial is not None and reference.spatial_stats is not None:
        stats, spatial = reference.spatial_stats, torch.as_tensor(samples.spatial, device=device)
        values["sfid"] = frechet_replicates(spatial, stats.mean, stats.covariance, halves)
    if reference.pooled is not None:
        reference_pooled = torch.as_tensor(reference.pooled, device=device)
        values["kid"] = kid_replicates(reference_pooled, pooled, halves)
    if samples.probabilities is not None:
        values["inception_score"] = [inception_score(samples.probabilities[half], SPLIT_SIZE // 2) for half in halves]
    if reference.pooled is not None:
        values["precision"], values["recall"] = precision_recall_replicates(reference_pooled, pooled, halves, k).T
    return {name: standard_error(of_halves, count) for name, of_halves in values.items()}


def correct(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each image's likeliest class is its label, bool (N,): their mean is the accuracy.

    Probabilities (N, C), labels (N,) in [0, C). ArtifactError where there are no images, not one label for each, or a
    label that is no class.
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


def _distance(samples: Gaussian | GaussianStats, reference: Gaussian | GaussianStats) -> float:
    return frechet_distance(samples.mean, samples.covariance, reference.mean, reference.covariance)
