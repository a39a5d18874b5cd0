"""Improved precision and recall from k-nearest-neighbour balls (Kynkaanniemi et al., 2019).

A set's manifold is the union of closed balls around its points, each reaching to the point's k-th nearest neighbour.
Precision is the share of samples in the reference's manifold, recall the share of references in the samples'.

Distances are computed in float32 with a bound of their error. The few pairs of point and ball that this leaves open are
computed once more in float64, as the sum of squared differences: ties are ties, and copies lie at distance zero.
"""

import math

import numpy as np
import torch
from torch import Tensor

from eddpm.errors import ArtifactError

SLICE = 512  # dimensions per float32 product: shorter ones round less, and below this they take longer
TINY = 2.0**-100  # more than float32 loses by underflow, for coordinates of up to about 1
PAIRS = 2**20  # numbers that a step of the float64 part holds


def precision_recall(
    reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, k: int = 3, chunk: int = 2000
) -> tuple[float, float]:
    """Precision and recall, each in [0, 1], of samples (M, D) against reference (N, D).

    Decided as in float64, on the reference's device, with blocks of (chunk, chunk). Slower, by up to 100 times, where
    float32 cannot tell the points of far clusters apart. ArtifactError for k points or fewer, NaN, or different D.
    """
    reference, samples = _points(reference, samples, k, chunk)
    realistic, covered = _Cover(reference, samples, k), _Cover(samples, reference, k)
    for i in reference.blocks():
        for j in samples.blocks():
            lower = _lower_bounds(reference, i, samples, j)
            realistic.see(i, j, lower)
            covered.see(j, i, lower.T)
    return realistic.share(), covered.share()


def precision_recall_replicates(
    reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, subsets: np.ndarray, k: int = 3, chunk: int = 2000
) -> np.ndarray:
    """Precision and recall (B, 2) of B subsets of the samples, for standard errors; `subsets` is bool (B, M).

    In float32, in about twice the time of `precision_recall` for any number of subsets. A subset has more than k
    members; a ball reaches to the k-th nearest of them. It is among the 4k + 12 nearest samples but in one case of 10^5
    for halves; then the ball ends at the last of these samples.
    """
    reference, samples = _points(reference, samples, k, chunk)
    members = torch.as_tensor(subsets, device=samples.device)
    near, index = _nearest(samples, min(4 * k + 13, len(samples)), exact=False)
    other = index != torch.arange(len(index), device=index.device)[:, None]
    radii = torch.stack([_member_radii(near, index, other, subset, k) for subset in members])  # (B, M)
    reference_radii = _nearest(reference, k + 1, exact=False)[0][:, k]
    realistic = torch.zeros(len(samples), dtype=torch.bool, device=samples.device)
    covered = torch.zeros(len(members), len(reference), dtype=torch.bool, device=samples.device)
    for i in reference.blocks():
        for j in samples.blocks():
            distances = _lower_bounds(reference, i, samples, j, slack=0.0)
            realistic[j] |= (distances <= reference_radii[i, None]).any(dim=0)
            for b, of_subset in enumerate(radii[:, j]):
                covered[b, i] |= (distances <= of_subset).any(dim=1)
    precision = (members & realistic).sum(dim=1).double() / members.sum(dim=1)
    return torch.stack([precision, covered.double().mean(dim=1)], dim=1).cpu().numpy()


def _member_radii(near: Tensor, index: Tensor, other: Tensor, subset: Tensor, k: int) -> Tensor:
    """Squared radii (M,) of a subset's balls, -inf where a sample is no member; `near` (M, K) rises along each row."""
    found = (subset[index] & other).cumsum(dim=1) >= k
    kth = torch.where(found[:, -1], found.int().argmax(dim=1), near.shape[1] - 1)
    return torch.where(subset, near.gather(1, kth[:, None])[:, 0], -torch.inf)


class _Points:
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


class _Cover:
    """The points inside the manifold of others, found block by block of their distances."""

    def __init__(self, balls: _Points, points: _Points, k: int):
        self.balls, self.points, self.k = balls, points, k
        self.step = max(1, PAIRS // balls.features.shape[1])
        self.inside = torch.zeros(len(points), dtype=torch.bool, device=points.device)
        count = min(2 * k + 6, len(balls))
        self.near, self.candidates = _nearest(balls, count, exact=True)
        upper = self.near + 2 * balls.slack * (balls.norms[:, None] + balls.norms[self.candidates])
        self.most = upper.sort(dim=1).values[:, k]  # squared radii are no more than this
        self.least = self.near[:, k]
        self.complete = (self.near[:, -1] > self.most) | (count == len(balls))  # no other point can be the k-th
        self.radii = torch.full((len(balls),), torch.nan, dtype=torch.float64, device=balls.device)

    def see(self, balls: slice, points: slice, lower: Tensor) -> None:
        """Take a block of distances' lower bounds (balls, points)."""
        error = 2 * self.balls.slack
        least = self.least[balls] - error * self.balls.norms[balls]
        self.inside[points] |= (lower <= least[:, None] - error * self.points.norms[points]).any(dim=0)
        ball, point = ((lower <= self.most[balls, None]) & ~self.inside[points]).nonzero(as_tuple=True)
        ball, point = ball + balls.start, point + points.start
        step = self.step
        while len(ball):
            hit = self._distances(ball[:step], point[:step]) <= self._exact_radii(ball[:step])
            self.inside[point[:step][hit]] = True
            ball, point = ball[step:], point[step:]
            still_open = ~self.inside[point]
            ball, point = ball[still_open], point[still_open]

    def share(self) -> float:
        return self.inside.double().mean().item()

    def _distances(self, ball: Tensor, point: Tensor) -> Tensor:
        """Squared distances of pairs, float64 (n,)."""
        return (self.balls.rows(ball, torch.float64) - self.points.rows(point, torch.float64)).square().sum(dim=1)

    def _exact_radii(self, ball: Tensor) -> Tensor:
        """Squared radii of some balls, float64 (n,)."""
        wanted = ball.unique()
        for i in wanted[self.radii[wanted].isnan()].tolist():
            others = self.candidates[i] if self.complete[i] else torch.arange(len(self.balls), device=ball.device)
            center = self.balls.rows(slice(i, i + 1), torch.float64)
            distances = [
                (self.balls.rows(part, torch.float64) - center).square().sum(dim=1) for part in others.split(self.step)
            ]
            self.radii[i] = torch.cat(distances).kthvalue(self.k + 1).values
        return self.radii[ball]


def _nearest(points: _Points, count: int, exact: bool) -> tuple[Tensor, Tensor]:
    """The `count` nearest points of each, itself among them: squared distances (N, count), rising, and indices.

    The distances are float32, and lower bounds of the exact ones where `exact`.
    """
    blocks, slack = points.blocks(), points.slack if exact else 0.0
    found: list[tuple[Tensor, Tensor] | None] = [None] * len(blocks)
    for a, i in enumerate(blocks):
        for b, j in enumerate(blocks[a:], start=a):
            lower = _lower_bounds(points, i, points, j, slack)
            found[a] = _smallest(found[a], lower, j.start, count)
            if b > a:  # the block below the diagonal is this one transposed
                found[b] = _smallest(found[b], lower.T, i.start, count)
    return tuple(torch.cat(part) for part in zip(*found, strict=True))


def _smallest(found: tuple[Tensor, Tensor] | None, block: Tensor, start: int, count: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest of each row, of those found so far and of a block whose first column is number `start`."""
    values, index = block.topk(min(count, block.shape[1]), dim=1, largest=False)
    index = index + start
    if found is None:
        return values, index
    values, index = torch.cat([found[0], values], dim=1), torch.cat([found[1], index], dim=1)
    values, order = values.topk(min(count, values.shape[1]), dim=1, largest=False)
    return values, index.gather(1, order)


def _lower_bounds(a: _Points, i: slice, b: _Points, j: slice, slack: float | None = None) -> Tensor:
    """Lower bounds of squared distances, float32 (n, m): (1 - slack)(|u|^2 + |v|^2) - 2uv."""
    kept = 1 - (a.slack if slack is None else slack)
    bounds = kept * a.norms[i, None] + kept * b.norms[j]
    for u, v in zip(a.rows(i).split(SLICE, dim=1), b.rows(j).split(SLICE, dim=1), strict=True):
        bounds.sub_(u @ v.T, alpha=2)  # not addmm_, which may add to the sum, and round it, at every dimension
    return bounds


def _points(
    reference: np.ndarray | Tensor, samples: np.ndarray | Tensor, k: int, chunk: int
) -> tuple[_Points, _Points]:
    """Both sets, checked, from one origin and in one unit."""
    reference = _checked("reference", torch.as_tensor(reference), k, chunk)
    samples = _checked("samples", torch.as_tensor(samples), k, chunk).to(reference.device)
    if reference.shape[1] != samples.shape[1]:
        raise ArtifactError(
            f"precision and recall: reference has {reference.shape[1]} dimensions, samples {samples.shape[1]};"
            " extract both with one extractor"
        )
    # Amid the data, so that squared norms are no larger than squared distances, and made of values that the data has:
    # integers stay integers.
    origin = reference[:chunk].double().median(dim=0).values
    both = (*reference.split(chunk), *samples.split(chunk))
    furthest = max((block.double() - origin).abs().max().item() for block in both)
    scale = 2.0 ** -np.ceil(np.log2(furthest)) if furthest else 1.0
    return _Points(reference, origin, scale, chunk), _Points(samples, origin, scale, chunk)


def _checked(name: str, features: Tensor, k: int, chunk: int) -> Tensor:
    assert k >= 1
    assert chunk >= 1
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
