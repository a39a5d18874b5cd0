"""CompG, compress guidance (Dinh et al., 2024): few guided steps, each for those that follow it."""

import math

from eddpm.guidance.rule import Positive, PositiveFloat, Rule


class Compress(Rule):
    """Guidance at `guided` of S steps, k_i = floor(S (i / guided)^power), times the steps until the next of them.

    A power above 1 puts most of them near the noise. Steps that fall together are one. The paper's second way to hold a
    gradient, adding it anew in each step between, is not here: it was given up there.
    """

    guided: Positive
    power: PositiveFloat = 1.0

    def _steps(self, num_steps):
        return sorted({math.floor(num_steps * (i / self.guided) ** self.power) for i in range(self.guided)})

    def guides(self, k, num_steps, t):
        return k in self._steps(num_steps) and super().guides(k, num_steps, t)

    def log_boost(self, answer, state):
        following = [k for k in self._steps(state.num_steps) if k > state.k]
        return math.log(min(following, default=state.num_steps) - state.k)
