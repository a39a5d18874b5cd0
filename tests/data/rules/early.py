"""Guidance of the noisy steps alone: a rule that a user adds."""

from eddpm.guidance.rule import Rule


class Early(Rule):
    """s = scale at the first `share` of the steps."""

    share: float = 0.5

    def guides(self, k, num_steps, t):
        return k < self.share * num_steps
