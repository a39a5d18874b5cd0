"""Frechet distance of two Gaussians (Dowson and Landau, 1982), and their statistics over batches: FID and sFID."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from eddpm.errors import ArtifactError

# Variances below this share of the largest, times D, are round-off of a singular covariance (N <= D). Their square
# roots would not be small: without the cut-off the distance comes out too short, by up to 1e-7 of itself.
RANK_TOLERANCE = 1e-13
INFINITY_SIZES = 15


class Gaussian(NamedTuple):
    """Mean (D,) and covariance (D, D) which were computed elsewhere, such as the published reference statistics."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class GaussianStats:
    """Mean and covariance of features seen so far, float64 and exact to round-off in any order (Chan et al., 1979).

    Immutable. `mean` is (D,), `scatter` is (D, D), the sum over the features of (f - mean)(f - mean)^T.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> GaussianStats:
        """Statistics of features (N, D), N > 0; ArtifactError for another shape."""
        if np.ndim(features) != 2:
            raise ArtifactError(f"features have shape {np.shape(features)}; give them as (images, dimensions)")
        features = np.asarray(features, dtype=np.float64)
        mean = features.mean(axis=0)
        centered = features - mean
        return cls(len(features), mean, centered.T @ centered)

    def merge(self, other: GaussianStats) -> GaussianStats:
        """Statistics of both sets together; ArtifactError where the dimensions differ."""
        if self.mean.shape != other.mean.shape:
            raise ArtifactError(
                f"features of {self.mean.size} and of {other.mean.size} dimensions cannot be merged;"
                " extract all of them with one extractor"
            )
        count = self.count + other.count
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.count / count)
        between = np.outer(delta, delta) * (self.count * other.count / count)
        return GaussianStats(count, mean, self.scatter + other.scatter + between)

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance (D, D), divided by count - 1; ArtifactError for fewer than two features."""
        if self.count < 2:
            raise ArtifactError(f"a covariance needs at least 2 images, here are {self.count}; use more images")
        return self.scatter / (self.count - 1)


def frechet_distance(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> float:
    """|mu1 - mu2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), in squared units of the features, never negative.

    Means are (D,), covariances (D, D), symmetric, possibly singular; scalars do for D = 1. ArtifactError where the
    shapes differ or an entry is not finite.
    """
    mu1, mu2 = (np.atleast_1d(np.asarray(mu, dtype=np.float64)) for mu in (mu1, mu2))
    sigma1, sigma2 = (np.atleast_2d(np.asarray(sigma, dtype=np.float64)) for sigma in (sigma1, sigma2))
    _check(mu1, sigma1, mu2, sigma2)
    difference = mu1 - mu2
    distance = difference @ difference + np.trace(sigma1) + np.trace(sigma2) - 2 * _trace_sqrt(sigma1, sigma2)
    return max(float(distance), 0.0)


def frechet_replicates(
    features: np.ndarray | Tensor, mu: np.ndarray, sigma: np.ndarray, subsets: np.ndarray
) -> np.ndarray:
    """Frechet distances (B,) of B subsets of features (N, D) to the Gaussian of mu (D,) and sigma (D, D).

    `subsets` is bool (B, N), each with two members at least. Computed in float64 on the features' device; for standard
    errors, which need no more than a few digits of a distance. ArtifactError as for `frechet_distance`.
    """
    mu, sigma = np.atleast_1d(np.asarray(mu, np.float64)), np.atleast_2d(np.asarray(sigma, np.float64))
    features = torch.as_tensor(features)
    _check(features.double().mean(dim=0).cpu().numpy(), sigma, mu, sigma)
    factor = _cholesky(sigma)
    factor = torch.from_numpy(_eigen_factor(sigma) if factor is None else factor).to(features.device)
    # C of the subset enters as A^T C A only, for sigma = A A^T: the product with A is taken once for all subsets.
    projected = features.double() @ factor
    mu_, trace = torch.from_numpy(mu).to(features.device), float(np.trace(sigma))
    distances = [
        (rows.mean(dim=0) - mu_).square().sum() + rows.var(dim=0).sum() + trace - 2 * _root_sum(projected[subset])
        for subset in torch.as_tensor(subsets, device=features.device)
        for rows in [features[subset].double()]
    ]
    return np.array([float(distance) for distance in distances])


def fid_infinity(features: np.ndarray | Tensor, mu: np.ndarray, sigma: np.ndarray) -> tuple[float, float]:
    """FID of infinitely many images (Chong and Forsyth, 2020), and its standard error from the fit of a line.

    FIDs of seeded random subsets of features (N, D), of INFINITY_SIZES sizes up to N, lie near a line in 1 / size, and
    this is where the line meets 0; below 0, perhaps, for equal sources. Its error is that of a least-squares fit, which
    knows nothing of other samples. The sizes are dgm-eval's. ArtifactError as for `frechet_distance`, and for
    fewer than 3 images.
    """
    count = len(features)
    if count < 3:
        raise ArtifactError(f"FID-infinity needs at least 3 images, samples have {count}; use more")
    sizes = np.linspace(min(5000, max(count // 10, 2)), count, INFINITY_SIZES).astype(int)
    random = np.random.default_rng(0)
    subsets = np.stack([random.permutation(count) < size for size in sizes])
    fids = frechet_replicates(features, mu, sigma, subsets)
    (_, fid), covariance = np.polyfit(1 / sizes, fids, 1, cov=True)
    return float(fid), float(np.sqrt(covariance[1, 1]))


def _root_sum(rows: Tensor) -> Tensor:
    """Sum of the standard deviations along the principal axes of rows (n, r)."""
    rows = rows - rows.mean(dim=0)
    gram = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    return (torch.linalg.eigvalsh(gram).clamp(min=0) / (len(rows) - 1)).sqrt().sum()


def _check(mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray) -> None:
    dim = mu1.size
    if mu1.shape != (dim,) or mu2.shape != (dim,) or sigma1.shape != (dim, dim) or sigma2.shape != (dim, dim):
        raise ArtifactError(
            f"Frechet distance of mean {mu1.shape}, covariance {sigma1.shape} to mean {mu2.shape}, covariance"
            f" {sigma2.shape}: dimensions differ; take both from one extractor"
        )
    for name, values in (("mean 1", mu1), ("covariance 1", sigma1), ("mean 2", mu2), ("covariance 2", sigma2)):
        if not np.isfinite(values).all():
            raise ArtifactError(f"Frechet distance: {name} has NaN or infinite entries; extract the features anew")


def _trace_sqrt(sigma1: np.ndarray, sigma2: np.ndarray) -> float:
    """tr (C1 C2)^(1/2) for C1 = A1 A1^T, C2 = A2 A2^T: the singular values of A1^T A2, summed."""
    factor1, factor2 = _cholesky(sigma1), _cholesky(sigma2)
    if factor1 is not None and factor2 is not None:
        # The squares as eigenvalues: at D = 2048 two thirds of an SVD's time, a seventh of a matrix square root's.
        squares = np.linalg.eigvalsh(factor1.T @ sigma2 @ factor1)
        return float(np.sqrt(squares.clip(min=0)).sum())
    factor1 = _eigen_factor(sigma1) if factor1 is None else factor1
    factor2 = _eigen_factor(sigma2) if factor2 is None else factor2
    return float(np.linalg.svd(factor1.T @ factor2, compute_uv=False).sum())


def _cholesky(sigma: np.ndarray) -> np.ndarray | None:
    """Cholesky factor (D, D), or None where a feature is, to round-off, constant or a combination of the others."""
    try:
        factor = np.linalg.cholesky(sigma)
    except np.linalg.LinAlgError:
        return None
    unexplained = np.diag(factor) ** 2 / np.diag(sigma)
    return factor if unexplained.min() > len(sigma) * RANK_TOLERANCE else None


def _eigen_factor(sigma: np.ndarray) -> np.ndarray:
    """Factor (D, rank) of a singular covariance, without the directions which are only round-off."""
    variances, directions = np.linalg.eigh(sigma)
    kept = variances > max(variances[-1], 0) * len(sigma) * RANK_TOLERANCE
    return directions[:, kept] * np.sqrt(variances[kept])
