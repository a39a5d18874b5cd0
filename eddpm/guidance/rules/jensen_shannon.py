"""Jensen-Shannon regularisation of the classifier's prediction (arXiv 2511.05844)."""

from typing import Annotated

from pydantic import Field

from eddpm.guidance.rule import NonNegativeFloat
from eddpm.guidance.rules.margin import Margin


class JensenShannon(Margin):
    """The gradient of tau1 z_y - logsumexp(tau2 z) - weight * JS(p, q), q being the label smoothed by `smoothing`.

    With m = (p + q) / 2 the last part is -weight / 2 * p (log(p / m) - KL(p||m)). With weight 0 the rule is `margin`,
    here with equal temperatures by default.
    """

    tau2: NonNegativeFloat = 1.0
    weight: NonNegativeFloat = 1.0
    smoothing: Annotated[float, Field(gt=0, le=1)] = 0.1

    def cotangent(self, answer, state):
        middle = (answer.p + answer.smoothed(self.smoothing)) / 2
        log_ratio = answer.log_p - middle.log()
        divergence = (answer.p * log_ratio).sum(dim=-1, keepdim=True)
        return super().cotangent(answer, state).plus(-self.weight / 2 * answer.p * (log_ratio - divergence))
