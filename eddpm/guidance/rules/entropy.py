"""EDS, entropy-driven sampling (ED-DPM sec. 3.2)."""

import math

from eddpm.guidance.rule import Rule, Timesteps, TwoOrMore


class Entropy(Rule):
    """s = scale * log K / H(p): `scale` for a uniform prediction, more for any other.

    K is the classifier's number of classes, or `entropy_classes`: the published code has 1000 for any classifier.
    Outside `eds_timesteps` s is `scale`.
    """

    entropy_classes: TwoOrMore | None = None
    eds_timesteps: Timesteps | None = None

    def log_boost(self, answer, state):
        if self.eds_timesteps and not self.eds_timesteps[0] <= state.timestep <= self.eds_timesteps[1]:
            return 0.0
        return math.log(math.log(self.entropy_classes or answer.num_classes)) - answer.log_entropy
