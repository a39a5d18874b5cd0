"""Improved precision and recall from k-nearest-neighbour balls (Kynkaanniemi et al., 2019).

A set's manifold is the union of closed balls around its points, each reaching to the point's k-th nearest neighbour.
Precision is the share of samples in the reference's manifold, recall the share of references in the samples'.
"""

import numpy as np
import torch
from torch import Tensor

from eddpm.errors import ArtifactError


def manifold_radii(features: np.ndarray | Tensor, k: int = 3, chunk: int = 2000) -> Tensor:
    """Squared distance of each feature to its k-th nearest neighbour, itself not counted: (N, D) -> float64 (N,).

    That is the (k+1)-th smallest squared distance of its row, its own zero included; a duplicate counts as a
    neighbour. Runs on the features' device with blocks of (chunk, chunk). ArtifactError for N <= k or NaN.
    """
    features = _checked("features", features, k, chunk)
    origin = _origin(features, chunk)
    starts = range(0, len(features), chunk)
    nearest = [features.new_empty(0, 0, dtype=torch.float64)] * len(starts)  # per block: (rows, up to k + 1)
    for i, start in enumerate(starts):
        rows = features[start : start + chunk].double() - origin
        for j in range(i, len(starts)):
            columns = features[starts[j] : starts[j] + chunk].double() - origin
            distances = _squared_distances(rows, columns)
            nearest[i] = _smallest(nearest[i], distances, k + 1)
            if j > i:  # the block below the diagonal is this one transposed
                nearest[j] = _smallest(nearest[j], distances.T, k + 1)
    return torch.cat([smallest.amax(dim=1) for smallest in nearest])


def precision_recall(
    reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, k: int = 3, chunk: int = 2000
) -> tuple[float, float]:
    """Precision and recall, each in [0, 1], of samples (M, D) against reference (N, D).

    Computed in float64 on the features' device with blocks of (chunk, chunk): exact to the count for integer features
    of squared norms below 2^51 / (D + 4). ArtifactError for sets of k points or fewer, NaN, or different D.
    """
    reference = _checked("reference", reference, k, chunk)
    samples = _checked("samples", samples, k, chunk).to(reference.device)
    if reference.shape[1] != samples.shape[1]:
        raise ArtifactError(
            f"precision and recall: reference has {reference.shape[1]} dimensions, samples {samples.shape[1]};"
            " extract both with one extractor"
        )
    reference_radii, sample_radii = manifold_radii(reference, k, chunk), manifold_radii(samples, k, chunk)
    origin = _origin(reference, chunk)
    covered = torch.zeros(len(reference), dtype=torch.bool, device=reference.device)  # by the samples' manifold
    realistic = torch.zeros(len(samples), dtype=torch.bool, device=reference.device)  # in the reference's manifold
    for i in range(0, len(reference), chunk):
        rows, row_radii = reference[i : i + chunk].double() - origin, reference_radii[i : i + chunk]
        for j in range(0, len(samples), chunk):
            columns, column_radii = samples[j : j + chunk].double() - origin, sample_radii[j : j + chunk]
            distances = _squared_distances(rows, columns)
            realistic[j : j + chunk] |= (distances <= row_radii[:, None]).any(dim=0)
            covered[i : i + chunk] |= (distances <= column_radii).any(dim=1)
    return realistic.double().mean().item(), covered.double().mean().item()


def _checked(name: str, features: np.ndarray | Tensor, k: int, chunk: int) -> Tensor:
    assert k >= 1
    assert chunk >= 1
    features = torch.as_tensor(features)
    if features.ndim != 2:
        raise ArtifactError(f"{name} have shape {tuple(features.shape)}; give them as (images, dimensions)")
    if len(features) <= k:
        raise ArtifactError(
            f"precision and recall with k={k} need at least {k + 1} images, {name} have {len(features)};"
            " use more images or a smaller k"
        )
    if not all(torch.isfinite(block).all() for block in features.split(chunk)):
        raise ArtifactError(f"precision and recall: {name} have NaN or infinite entries; extract the features anew")
    return features


def _origin(features: Tensor, chunk: int) -> Tensor:
    """A point (D,) amid the data, so that squared norms are no larger than squared distances.

    Made of values the data has (not of their mean): integers stay integers, equal features become exactly zero.
    """
    return features[:chunk].double().median(dim=0).values


def _squared_distances(rows: Tensor, columns: Tensor) -> Tensor:
    """|u|^2 - 2uv + |v|^2 for float64 (n, D), (m, D) -> (n, m); what may be round-off alone is zero."""
    row_norms, column_norms = rows.square().sum(dim=1, keepdim=True), columns.square().sum(dim=1)
    distances = torch.addmm(column_norms, rows, columns.T, alpha=-2).add_(row_norms)
    # Without this, two copies of a point are some 1e-16 apart, differently in each block, and ties are left to chance.
    roundoff = (2 * rows.shape[1] + 8) * torch.finfo(torch.float64).eps
    return distances.masked_fill_(distances <= roundoff * row_norms, 0.0)


def _smallest(smallest: Tensor, distances: Tensor, count: int) -> Tensor:
    """The `count` smallest of each row (all, where there are fewer), of those so far and of a new block."""
    candidates = distances.topk(min(count, distances.shape[1]), dim=1, largest=False, sorted=False).values
    if smallest.numel():
        candidates = torch.cat([smallest, candidates], dim=1)
    return candidates.topk(min(count, candidates.shape[1]), dim=1, largest=False, sorted=False).values
