"""Balls around points, each reaching to the k-th nearest of the others, and the points of another set that they hold.

Decided as in float64, from bounds of float32 distances: what these leave open is computed as the sum of squared
differences, for the few pairs that it concerns.
"""

import torch
from torch import Tensor

from eddpm.evaluation.distances import TINY, Points, nearest, smallest

PAIRS = 2**20  # numbers that a step of the float64 part holds
CANDIDATES = 6  # for the nearest center, which float32 may not tell from others


class Neighbours:
    """The neighbours of points among themselves, up to the k-th: candidates, and bounds of squared distances."""

    def __init__(self, points: Points, k: int):
        self.points, count = points, min(2 * k + 6, len(points))
        self.near, self.candidates = nearest(points, count, exact=True)
        upper = self.near + 2 * points.slack * (points.norms[:, None] + points.norms[self.candidates])
        self.upper = upper.sort(dim=1).values
        self.are_all = count == len(points)


class Balls:
    """Balls around points, and the others that they hold, found block by block of their distances.

    `inside` (others,) tells which are in some ball. Open balls are counted, too: `counts` (others,) is the number of
    balls that hold each, `filled` (balls,) tells which hold some.
    """

    def __init__(self, around: Neighbours, others: Points, k: int, closed: bool = True):
        self.around, self.points, self.others, self.k, self.closed = around, around.points, others, k, closed
        self.step = max(1, PAIRS // others.features.shape[1])
        self.inside = torch.zeros(len(others), dtype=torch.bool, device=others.device)
        self.counts = torch.zeros(len(others), dtype=torch.long, device=others.device)
        self.filled = torch.zeros(len(self.points), dtype=torch.bool, device=others.device)
        self.least, self.most = around.near[:, k], around.upper[:, k]  # of the squared radii
        self.complete = (around.near[:, -1] > self.most) | around.are_all  # no other point can be the k-th
        self.radii = torch.full((len(self.points),), torch.nan, dtype=torch.float64, device=others.device)

    def see(self, balls: slice, others: slice, lower: Tensor) -> None:
        """Take a block of distances' lower bounds (balls, others)."""
        error = 2 * self.points.slack
        least = self.least[balls] - error * self.points.norms[balls]
        sure = self._holds(lower, least[:, None] - error * self.others.norms[others])
        self.inside[others] |= sure.any(dim=0)
        unsure = lower <= self.most[balls, None]
        if self.closed:
            unsure &= ~self.inside[others]
        else:
            unsure &= ~sure
            self.counts[others] += sure.sum(dim=0)
            self.filled[balls] |= sure.any(dim=1)
        ball, other = unsure.nonzero(as_tuple=True)
        self._settle(ball + balls.start, other + others.start)

    def _settle(self, ball: Tensor, other: Tensor) -> None:
        """Take pairs that float32 leaves open; of closed balls, those of others that are in none so far."""
        step = self.step
        while len(ball):
            hit = self.hold(ball[:step], self.distances(ball[:step], other[:step]))
            self.inside[other[:step][hit]] = True
            if not self.closed:
                self.counts += other[:step][hit].bincount(minlength=len(self.others))
                self.filled[ball[:step][hit]] = True
            ball, other = ball[step:], other[step:]
            if self.closed:
                still_open = ~self.inside[other]
                ball, other = ball[still_open], other[still_open]

    def distances(self, ball: Tensor, other: Tensor) -> Tensor:
        """Squared distances of pairs, float64 (n,)."""
        parts = zip(ball.split(self.step), other.split(self.step), strict=True)
        rows = ((self.points.rows(a, torch.float64), self.others.rows(b, torch.float64)) for a, b in parts)
        return torch.cat([(a - b).square().sum(dim=1) for a, b in rows])

    def hold(self, ball: Tensor, distances: Tensor) -> Tensor:
        """True where a squared distance (n,), float64, lies within its ball."""
        held = self._holds(distances, self.least[ball] - 4 * TINY)
        unsure = (distances <= self.most[ball]) & ~held
        held[unsure] = self._holds(distances[unsure], self.exact_radii(ball[unsure]))
        return held

    def _holds(self, distances: Tensor, radii: Tensor) -> Tensor:
        return distances <= radii if self.closed else distances < radii

    def exact_radii(self, ball: Tensor) -> Tensor:
        """Squared radii of some balls, float64 (n,)."""
        wanted = ball.unique()
        for i in wanted[self.radii[wanted].isnan()].tolist():
            others = self.around.candidates[i] if self.complete[i] else torch.arange(len(self.points)).to(ball.device)
            center = self.points.rows(slice(i, i + 1), torch.float64)
            distances = [
                (self.points.rows(part, torch.float64) - center).square().sum(dim=1) for part in others.split(self.step)
            ]
            self.radii[i] = torch.cat(distances).topk(self.k + 1, largest=False).values[-1]
        return self.radii[ball]


class NearestBall:
    """The nearest ball's center of each of other points, found block by block of their distances."""

    def __init__(self, around: Neighbours, others: Points, k: int):
        self.balls = Balls(around, others, k)
        self.found: dict[int, tuple[Tensor, Tensor]] = {}

    def see(self, balls: slice, others: slice, lower: Tensor) -> None:
        """Take a block of distances' lower bounds (balls, others)."""
        seen = self.found.get(others.start)
        self.found[others.start] = smallest(seen, lower.T, balls.start, CANDIDATES)

    def nearest(self) -> tuple[Tensor, Tensor]:
        """The number of that center (others,), the first of several, and its squared distance, float64."""
        near, index = (torch.cat(part) for part in zip(*self.found.values(), strict=True))
        index, order = index.sort(dim=1)
        near, points = near.gather(1, order), self.balls.points
        other = torch.arange(len(index), device=index.device)[:, None].expand_as(index)
        distances = self.balls.distances(index.flatten(), other.flatten()).view(index.shape)
        first = distances.argmin(dim=1, keepdim=True)
        index, distances = index.gather(1, first)[:, 0], distances.gather(1, first)[:, 0]
        # The others are no nearer than the last candidate's bound.
        beyond = near.max(dim=1).values - 4 * TINY if near.shape[1] < len(points) else torch.inf
        everyone = torch.arange(len(points), device=index.device)
        for i in (beyond <= distances).nonzero()[:, 0].tolist():
            of_all = self.balls.distances(everyone, everyone.new_full((len(points),), i))
            index[i], distances[i] = of_all.argmin(), of_all.min()
        return index, distances

    def outside(self) -> Tensor:
        """True for points outside the ball of their nearest center, bool (others,)."""
        return ~self.balls.hold(*self.nearest())
