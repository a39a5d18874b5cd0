"""Unequal temperatures, after EluCD (Elucidating the design space of classifier-guided diffusion generation, 2024)."""

from eddpm.guidance.rule import NonNegativeFloat, PositiveFloat, Rule


class Margin(Rule):
    """The gradient of tau1 z_y - logsumexp(tau2 z), z being the logits: tau1 onehot(y) - tau2 softmax(tau2 z).

    With both at 1 it is `constant`. With tau1 above tau2 a pull of tau1 - tau2 on z_y remains, however certain the
    classifier is. EluCD asks a classifier of clean images: combine it with `predicted_x0`.
    """

    tau1: PositiveFloat = 1.0
    tau2: NonNegativeFloat = 0.5

    def cotangent(self, answer, state):
        other = answer.at_temperature(self.tau2).residual.times(self.tau2)
        return other.plus((self.tau1 - self.tau2) * answer.target)
