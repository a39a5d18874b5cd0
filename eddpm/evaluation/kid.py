"""Kernel distances, squared MMDs, of two sets of features.

KID (Binkowski et al., 2018) is the unbiased one with the kernel (x.y / D + 1)^3. The MMD of CMMD (Jayasumana et al.,
2024) is 1000 times the biased one of features of length 1, with the kernel exp(-|x - y|^2 / (2 * 10^2)).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from eddpm.errors import ArtifactError
from eddpm.evaluation.vendi import unit_rows

Kernel = Callable[[Tensor, Tensor], Tensor]
Sets = tuple[Tensor, Tensor]  # reference, samples


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
    return _mmd_replicates(_cubic, _checked(reference, samples, chunk), subsets, chunk, of_twins=0)


def mmd(reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, chunk: int = 2000) -> float:
    """CMMD's MMD of samples (M, D) and reference (N, D) in any space, in float64; as `kid` otherwise."""
    return float(mmd_replicates(reference, samples, np.ones((1, len(samples)), dtype=bool), chunk)[0])


def mmd_replicates(
    reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, subsets: np.ndarray, chunk: int = 2000
) -> np.ndarray:
    """This MMD (B,) of B subsets of the samples in one pass."""
    sets = tuple(map(unit_rows, _checked(reference, samples, chunk)))
    return 1000 * _mmd_replicates(_gaussian, sets, subsets, chunk, of_twins=1)


def _mmd_replicates(kernel: Kernel, sets: Sets, subsets: np.ndarray, chunk: int, of_twins: int) -> np.ndarray:
    """Squared MMDs; the kernel of a point and itself counts as given, and the pair only where that is not 0."""
    reference, samples = sets
    weights = torch.as_tensor(subsets, device=samples.device).T.double()  # (M, B)
    everyone = weights.new_ones(len(reference), 1)
    count, total = weights.sum(dim=0), len(reference)
    within_samples, within_reference = (
        (_within(kernel, points, of_points, chunk) + of_twins * n) / (n * (n - 1 + of_twins))
        for points, of_points, n in ((samples, weights, count), (reference, everyone, total))
    )
    across = sum(
        everyone[i].T @ kernel(reference[i], samples[j]) @ weights[j]
        for i in _blocks(total, chunk)
        for j in _blocks(len(samples), chunk)
    )[0] / (total * count)
    return (within_samples + within_reference - 2 * across).cpu().numpy()


def _within(kernel: Kernel, points: Tensor, weights: Tensor, chunk: int) -> Tensor:
    """Sum of the kernel over pairs of different members, for each column of 0/1 weights (N, B) -> (B,)."""
    sums = weights.new_zeros(weights.shape[1])
    for i in _blocks(len(points), chunk):
        for j in _blocks(i.stop, chunk):
            block = kernel(points[i], points[j])
            if j.start == i.start:
                block.fill_diagonal_(0)
            twice = 1 if j.start == i.start else 2  # for the block on the other side of the diagonal
            sums += twice * (weights[i] * (block @ weights[j])).sum(dim=0)
    return sums


def _cubic(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1).double() ** 3


def _gaussian(x: Tensor, y: Tensor) -> Tensor:
    squares = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1) - 2 * (x @ y.T)
    return torch.exp(squares / -200)


def _blocks(total: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, total)) for start in range(0, total, chunk)]


def _checked(reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, chunk: int) -> Sets:
    """Both sets, of one type, on the reference's device."""
    reference, samples = _finite("reference", reference, chunk), _finite("samples", samples, chunk)
    if reference.shape[1] != samples.shape[1]:
        raise ArtifactError(
            f"KID: reference has {reference.shape[1]} dimensions, samples {samples.shape[1]};"
            " extract both with one extractor"
        )
    dtype = torch.promote_types(reference.dtype, samples.dtype)
    return reference.to(dtype), samples.to(reference.device, dtype)


def _finite(name: str, features: np.ndarray | Tensor, chunk: int) -> Tensor:
    """The features, float64 unless they are float32: products of integers would wrap around, of halves overflow."""
    features = torch.as_tensor(features)
    if features.ndim != 2:
        raise ArtifactError(f"KID: {name} have shape {tuple(features.shape)}; give them as (images, dimensions)")
    if len(features) < 2:
        raise ArtifactError(f"KID needs at least 2 images, {name} have {len(features)}; use more")
    if not all(torch.isfinite(block).all() for block in features.split(chunk)):
        raise ArtifactError(f"KID: {name} have NaN or infinite entries; extract the features anew")
    return features if features.dtype == torch.float32 else features.double()
