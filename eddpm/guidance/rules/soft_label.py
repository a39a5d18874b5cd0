"""Soft labels: ProG (Dinh et al., 2023), and the reverse KL regularisation of arXiv 2511.05844."""

from eddpm.guidance.rule import Rule, Share


class SoftLabel(Rule):
    """The gradient of the cross-entropy with a smoothed label, q - p, with q = (1 - e) onehot(y) + e / C.

    e is `smoothing` at first and falls along the sampling, by the factor `decay` at each step of 250, and as far in all
    with other numbers of steps. With e = 0 the rule is `constant`. Once p_y exceeds q_y, the pull reverses.

    ProG begins with similarities of the classes in place of 1 / C. A weight a on KL(q||p) beside the cross-entropy is
    this rule with smoothing a e / (1 + a) at 1 + a times the scale.
    """

    smoothing: Share = 0.1
    decay: Share = 1.0

    def cotangent(self, answer, state):
        smoothing = self.smoothing
        if self.decay < 1:
            smoothing *= self.decay ** (250 * state.k / state.num_steps)
        return answer.residual.plus(answer.smoothed(smoothing) - answer.target)
