"""Distances between many points, block by block, in float32 with a bound of their error."""

import math

import numpy as np
import torch
from torch import Tensor

from eddpm.errors import ArtifactError

SLICE = 512  # dimensions per float32 product: shorter ones round less, and below this they take longer
TINY = 2.0**-100  # more than float32 loses by underflow, for coordinates of up to about 1


class Points:
    """Features (N, D) as seen from an origin, in units of a power of two in which no coordinate is above 1."""

    def __init__(self, features: Tensor, origin: Tensor, scale: float, chunk: int):
        self.features, self.origin, self.scale, self.chunk = features, origin, scale, chunk
        self.device = features.device
        norms = [self.rows(block, torch.float64).square().sum(dim=1) for block in self.blocks()]
        self.norms = torch.cat(norms).float() + TINY  # squared
        # Relative to |u|^2 + |v|^2, in whatever order a product sums: SLICE roundings for a product, two for adding it
        # to a sum of up to 2 (|u|^2 + |v|^2), and what is left for u, v, their norms and the bounds made of them.
        dim = features.shape[1]
        self.slack = (min(SLICE, dim) + 2 * math.ceil(dim / SLICE) + 32) * 2.0**-24

    def __len__(self) -> int:
        return len(self.features)

    def blocks(self) -> list[slice]:
        return [slice(start, start + self.chunk) for start in range(0, len(self), self.chunk)]

    def rows(self, which: slice | Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        rows = self.features[which].to(torch.float64, copy=True)
        return rows.sub_(self.origin).mul_(self.scale).to(dtype)


def nearest(points: Points, count: int, exact: bool) -> tuple[Tensor, Tensor]:
    """The `count` nearest points of each, itself among them: squared distances (N, count), rising, and indices.

    The distances are float32, and lower bounds of the exact ones where `exact`.
    """
    blocks, slack = points.blocks(), points.slack if exact else 0.0
    found: list[tuple[Tensor, Tensor] | None] = [None] * len(blocks)
    for a, i in enumerate(blocks):
        for b, j in enumerate(blocks[a:], start=a):
            lower = lower_bounds(points, i, points, j, slack)
            found[a] = smallest(found[a], lower, j.start, count)
            if b > a:  # the block below the diagonal is this one transposed
                found[b] = smallest(found[b], lower.T, i.start, count)
    return tuple(torch.cat(part) for part in zip(*found, strict=True))


def smallest(found: tuple[Tensor, Tensor] | None, block: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest of each row, of those found so far and of a block whose first column is number `start`."""
    values, index = block.topk(min(count, block.shape[1]), dim=1, largest=False)
    index = index + start
    if found is None:
        return values, index
    values, index = torch.cat([found[0], values], dim=1), torch.cat([found[1], index], dim=1)
    values, order = values.topk(min(count, values.shape[1]), dim=1, largest=False)
    return values, index.gather(1, order)


def lower_bounds(a: Points, i: slice, b: Points, j: slice, slack: float | None = None) -> Tensor:
    """Lower bounds of squared distances, float32 (n, m): (1 - slack)(|u|^2 + |v|^2) - 2uv."""
    kept = 1 - (a.slack if slack is None else slack)
    bounds = kept * a.norms[i, None] + kept * b.norms[j]
    for u, v in zip(a.rows(i).split(SLICE, dim=1), b.rows(j).split(SLICE, dim=1), strict=True):
        bounds.sub_(u @ v.T, alpha=2)  # not addmm_, which may add to the sum, and round it, at every dimension
    return bounds


def point_sets(
    reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, least: tuple[int, int], chunk: int
) -> tuple[Points, Points]:
    """Both sets, checked, from one origin and in one unit; `least` are the neighbours that a point of each has to have.

    ArtifactError for fewer points, for NaN or infinities, and where the dimensions differ.
    """
    reference = _checked("reference", torch.as_tensor(reference), least[0], chunk)
    samples = _checked("samples", torch.as_tensor(samples), least[1], chunk).to(reference.device)
    if reference.shape[1] != samples.shape[1]:
        raise ArtifactError(
            f"nearest neighbours: reference has {reference.shape[1]} dimensions, samples {samples.shape[1]};"
            " extract both with one extractor"
        )
    # Amid the data, so that squared norms are no larger than squared distances, and made of values that the data has:
    # integers stay integers.
    some = reference[:chunk].double().sort(dim=0).values
    origin = some[(len(some) - 1) // 2]  # their median
    both = (*reference.split(chunk), *samples.split(chunk))
    furthest = max((block.double() - origin).abs().max().item() for block in both)
    scale = 2.0 ** -np.ceil(np.log2(furthest)) if furthest else 1.0
    return Points(reference, origin, scale, chunk), Points(samples, origin, scale, chunk)


def _checked(name: str, features: Tensor, k: int, chunk: int) -> Tensor:
    assert chunk >= 1
    if features.ndim != 2:
        raise ArtifactError(f"{name} have shape {tuple(features.shape)}; give them as (images, dimensions)")
    if len(features) <= k:
        raise ArtifactError(
            f"nearest neighbours: k={k} need at least {k + 1} images, {name} have {len(features)};"
            " use more images or a smaller k"
        )
    if not all(torch.isfinite(block).all() for block in features.split(chunk)):
        raise ArtifactError(f"nearest neighbours: {name} have NaN or infinite entries; extract the features anew")
    return features
