"""Adaptive projected guidance, APG (Sadat et al., 2024, arXiv 2410.02416)."""

from typing import Annotated

from pydantic import Field

from eddpm.guidance.rule import PositiveFloat, Pull, Rule, Share, as_images, norms


class AdaptiveProjected(Rule):
    """A change of the difference d between the two x0 of a pair, to combine with one.

    First d gains `momentum` times the d of the step before, so changed; then it is shortened to `norm`; then its part
    along the run's own x0 is multiplied by `parallel`. With momentum 0, parallel 1 and no norm nothing changes. A norm
    goes with sqrt(D), D numbers in an image; the paper has 2.5 to 15 for latent images of 4x32x32.
    """

    kind = "pair"

    momentum: Annotated[float, Field(gt=-1, lt=1)] = -0.75
    norm: PositiveFloat | None = None
    parallel: Share = 0.0

    def reshape(self, pull, state):
        d, x0 = pull.gradient, state.x0
        if "apg" in state.memory:
            d = d + self.momentum * state.memory["apg"]
        state.memory["apg"] = d
        if self.norm is not None:
            d = d * as_images((self.norm / norms(d).clamp_min(1e-30)).clamp_max(1), d)
        along = (d * x0).flatten(1).sum(dim=1) / x0.square().flatten(1).sum(dim=1).clamp_min(1e-30)
        return Pull(d - (1 - self.parallel) * as_images(along, x0) * x0, pull.log_size)
