"""Kernel distance (KID; Binkowski et al., 2018): the unbiased squared MMD with the kernel (x.y / D + 1)^3."""

import numpy as np
import torch
from torch import Tensor

from eddpm.errors import ArtifactError


def kid(reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, chunk: int = 2000) -> float:
    """KID of samples (M, D) and reference (N, D), over all points; about 0, and as often below, for equal sources.

    Estimates from random subsets have the same mean with more noise. Runs on the reference's device. Products of
    float32 features are float32, which moves the result by about 1e-9; sums are float64. ArtifactError for fewer than
    two points, NaN, or different D.
    """
    return float(kid_replicates(reference, samples, np.ones((1, len(samples)), dtype=bool), chunk)[0])


def kid_replicates(
    reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, subsets: np.ndarray, chunk: int = 2000
) -> np.ndarray:
    """KID (B,) of B subsets of the samples in one pass; `subsets` is bool (B, M), each of two members at least."""
    reference, samples = _checked("reference", reference, chunk), _checked("samples", samples, chunk)
    dtype = torch.promote_types(reference.dtype, samples.dtype)
    reference, samples = reference.to(dtype), samples.to(reference.device, dtype)
    if reference.shape[1] != samples.shape[1]:
        raise ArtifactError(
            f"KID: reference has {reference.shape[1]} dimensions, samples {samples.shape[1]};"
            " extract both with one extractor"
        )
    weights = torch.as_tensor(subsets, device=samples.device).T.double()  # (M, B)
    everyone = weights.new_ones(len(reference), 1)
    count, total = weights.sum(dim=0), len(reference)
    within_samples = _within(samples, weights, chunk) / (count * (count - 1))
    within_reference = _within(reference, everyone, chunk) / (total * (total - 1))
    across = sum(
        everyone[i].T @ _kernel(reference[i], samples[j]) @ weights[j]
        for i in _blocks(total, chunk)
        for j in _blocks(len(samples), chunk)
    )[0] / (total * count)
    return (within_samples + within_reference - 2 * across).cpu().numpy()


def _within(points: Tensor, weights: Tensor, chunk: int) -> Tensor:
    """Sum of the kernel over pairs of different members, for each column of 0/1 weights (N, B) -> (B,)."""
    sums = weights.new_zeros(weights.shape[1])
    for i in _blocks(len(points), chunk):
        for j in _blocks(i.stop, chunk):
            kernel = _kernel(points[i], points[j])
            if j.start == i.start:
                kernel.fill_diagonal_(0)
            twice = 1 if j.start == i.start else 2  # for the block on the other side of the diagonal
            sums += twice * (weights[i] * (kernel @ weights[j])).sum(dim=0)
    return sums


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1).double() ** 3


def _blocks(total: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, total)) for start in range(0, total, chunk)]


def _checked(name: str, features: np.ndarray | Tensor, chunk: int) -> Tensor:
    """The features, float64 unless they are float32: products of integers would wrap around, of halves overflow."""
    features = torch.as_tensor(features)
    if features.ndim != 2:
        raise ArtifactError(f"KID: {name} have shape {tuple(features.shape)}; give them as (images, dimensions)")
    if len(features) < 2:
        raise ArtifactError(f"KID needs at least 2 images, {name} have {len(features)}; use more")
    if not all(torch.isfinite(block).all() for block in features.split(chunk)):
        raise ArtifactError(f"KID: {name} have NaN or infinite entries; extract the features anew")
    return features if features.dtype == torch.float32 else features.double()
