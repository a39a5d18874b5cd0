"""Metrics of k-nearest-neighbour balls, all from one pass over the distances of samples to the reference.

The ball around a point reaches to the k-th nearest of the other points of its set.
- precision, recall (Kynkaanniemi et al., 2019): the share of samples in some closed ball of the reference, and of
  references in some closed ball of the samples.
- density, coverage (Naeem et al., 2020), with open balls of their own k: the number of the reference's balls that a
  sample lies in, over k, on average; and the share of these balls that hold a sample.
- authpct (Alaa et al., 2022): the percentage of samples outside the closed ball, of k = 1, of their nearest reference.
- nearer: the share of samples in some such ball, which are no further from a reference than any other reference.

Distances are computed in float32 with a bound of their error. The few pairs of point and ball that this leaves open are
computed once more in float64, as the sum of squared differences: ties are ties, and copies lie at distance zero.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from eddpm.evaluation.balls import Balls, NearestBall, Neighbours
from eddpm.evaluation.distances import Points, lower_bounds, nearest, point_sets

Features = np.ndarray | Tensor  # (images, dimensions)
BALL_METRICS = {"precision", "recall", "density", "coverage", "authpct", "nearer"}


class Radii(NamedTuple):
    """The neighbours that balls reach to."""

    k: int = 3  # for precision and recall
    density: int = 5  # for density and coverage
    memorised: int = 1  # for authpct and nearer

    def of_reference(self, names: Collection[str]) -> int:
        """The furthest neighbour in the reference that these metrics ask for."""
        return max(
            self.k * ("precision" in names),
            self.density * bool({"density", "coverage"} & set(names)),
            self.memorised * bool({"authpct", "nearer"} & set(names)),
        )


RADII = Radii()


def precision_recall(reference: Features, samples: Features, k: int = 3, chunk: int = 2000) -> tuple[float, float]:
    """Precision and recall, each in [0, 1], of samples (M, D) against reference (N, D), as `manifold_metrics`."""
    found = manifold_metrics(reference, samples, ("precision", "recall"), Radii(k), chunk)
    return found["precision"], found["recall"]


def manifold_metrics(
    reference: Features, samples: Features, names: Collection[str], radii: Radii = RADII, chunk: int = 2000
) -> dict[str, float]:
    """Those of the metrics that are named, by name, of samples (M, D) against reference (N, D).

    Decided as in float64, on the reference's device, with blocks of (chunk, chunk). Slower, by up to 100 times, where
    float32 cannot tell the points of far clusters apart. ArtifactError for k points or fewer, NaN, or different D.
    """
    least = radii.of_reference(names), radii.k * ("recall" in names)
    reference, samples = point_sets(reference, samples, least, chunk)
    around = Neighbours(reference, least[0]) if least[0] else None
    realistic = Balls(around, samples, radii.k) if "precision" in names else None
    dense = Balls(around, samples, radii.density, closed=False) if {"density", "coverage"} & set(names) else None
    nearer = Balls(around, samples, radii.memorised) if "nearer" in names else None
    closest = NearestBall(around, samples, radii.memorised) if "authpct" in names else None
    covered = Balls(Neighbours(samples, radii.k), reference, radii.k) if "recall" in names else None
    for i in reference.blocks():
        for j in samples.blocks():
            lower = lower_bounds(reference, i, samples, j)
            for seen in filter(None, (realistic, dense, nearer, closest)):
                seen.see(i, j, lower)
            if covered:
                covered.see(j, i, lower.T)
    found = {
        "precision": realistic and _mean(realistic.inside),
        "recall": covered and _mean(covered.inside),
        "density": dense and _mean(dense.counts) / radii.density,
        "coverage": dense and _mean(dense.filled),
        "authpct": closest and 100 * _mean(closest.outside()),
        "nearer": nearer and _mean(nearer.inside),
    }
    return {name: found[name] for name in found if name in names}


def _mean(counts: Tensor) -> float:
    """Of integers or truths (N,), with the same bits on every device."""
    return counts.sum().item() / len(counts)


class Closest(NamedTuple):
    """The nearest reference of each sample."""

    index: np.ndarray  # (M,)
    distance: np.ndarray  # (M,), to that reference
    radius: np.ndarray  # (M,), the distance of that reference to the nearest other one


def closest(reference: Features, samples: Features, chunk: int = 2000) -> Closest:
    """The nearest reference of each sample, as in float64; of several at one distance, the first."""
    reference, samples = point_sets(reference, samples, (1, 0), chunk)
    found = NearestBall(Neighbours(reference, 1), samples, 1)
    for i in reference.blocks():
        for j in samples.blocks():
            found.see(i, j, lower_bounds(reference, i, samples, j))
    index, distances = found.nearest()
    lengths = [squares.sqrt() / reference.scale for squares in (distances, found.balls.exact_radii(index))]
    return Closest(*(each.cpu().numpy() for each in (index, *lengths)))


# Standard errors ------------------------------------------------------------------------------------------------------


def manifold_replicates(
    reference: Features,
    samples: Features,
    subsets: np.ndarray,
    names: Collection[str],
    radii: Radii = RADII,
    chunk: int = 2000,
) -> dict[str, np.ndarray]:
    """Those of the metrics that are named, (B,) each, of B subsets of the samples, for standard errors; `subsets` is
    bool (B, M).

    In float32, in about twice the time of `manifold_metrics` for any number of subsets. A subset has more than k
    members; a ball reaches to the k-th nearest of them. It is among the 4k + 12 nearest samples but in one case of 10^5
    for halves; then the ball ends at the last of these samples.
    """
    least = radii.of_reference(names), radii.k * ("recall" in names)
    reference, samples = point_sets(reference, samples, least, chunk)
    members = torch.as_tensor(subsets, device=samples.device)
    squares = nearest(reference, least[0] + 1, exact=False)[0]
    of_samples = _member_radii(samples, members, radii.k) if "recall" in names else []
    inside = {"precision": radii.k, "nearer": radii.memorised}  # the balls of each
    inside = {name: (k, members.new_zeros(len(samples))) for name, k in inside.items() if name in names}
    counts = torch.zeros(len(samples), dtype=torch.float64, device=samples.device)
    near, owner = torch.full_like(counts, torch.inf), torch.zeros_like(counts, dtype=torch.long)
    filled, covered = (members.new_zeros(len(members), len(reference)) for _ in range(2))
    for i in reference.blocks():
        for j in samples.blocks():
            distances = lower_bounds(reference, i, samples, j, slack=0.0)
            for k, found in inside.values():
                found[j] |= (distances <= squares[i, k, None]).any(dim=0)
            if {"density", "coverage"} & set(names):
                held = (distances < squares[i, radii.density, None]).float()
                counts[j] += held.sum(dim=0)
                filled[:, i] |= members[:, j].float() @ held.T > 0
            if "authpct" in names:
                least_of_block, first = distances.min(dim=0)
                closer = least_of_block < near[j]
                near[j][closer], owner[j][closer] = least_of_block[closer].double(), first[closer] + i.start
            for b, of_subset in enumerate(of_samples):
                covered[b, i] |= (distances <= of_subset[j]).any(dim=1)
    of_each = {name: found.double() for name, (_, found) in inside.items()}
    of_each["density"] = counts / radii.density
    of_each["authpct"] = 100 * (near > squares[owner, radii.memorised]).double()
    return _of_subsets(members, of_each, {"recall": covered, "coverage": filled}, names)


def _of_subsets(
    members: Tensor, of_samples: dict[str, Tensor], of_reference: dict[str, Tensor], names: Collection[str]
) -> dict[str, np.ndarray]:
    """Means by subset: of a number of each sample (M,), and of one of each reference for each subset (B, N)."""
    means = {name: (members.double() @ values) / members.sum(dim=1) for name, values in of_samples.items()}
    means |= {name: values.double().mean(dim=1) for name, values in of_reference.items()}
    return {name: values.cpu().numpy() for name, values in means.items() if name in names}


def _member_radii(samples: Points, members: Tensor, k: int) -> Tensor:
    """Squared radii (B, M) of the balls of each subset, -inf where a sample is no member."""
    near, index = nearest(samples, min(4 * k + 13, len(samples)), exact=False)
    other = index != torch.arange(len(index), device=index.device)[:, None]
    return torch.stack([_radii_within(near, index, other, subset, k) for subset in members])


def _radii_within(near: Tensor, index: Tensor, other: Tensor, subset: Tensor, k: int) -> Tensor:
    """Those of one subset (M,); `near` (M, K) rises along each row."""
    found = (subset[index] & other).cumsum(dim=1) >= k
    kth = torch.where(found[:, -1], found.int().argmax(dim=1), near.shape[1] - 1)
    return torch.where(subset, near.gather(1, kth[:, None])[:, 0], -torch.inf)
