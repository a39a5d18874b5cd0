"""Feedback guidance (Koulischer et al., 2025) by the posterior of the classifier: the opposite of EDS."""

from typing import Annotated

from pydantic import Field

from eddpm.guidance.rule import PositiveFloat, Rule


class Feedback(Rule):
    """s = scale * r / (r - (1 - pi)) with r = C p_y, `most` times the scale where that is more or r is too small.

    1 / pi for a uniform prediction, towards 1 for one that is certain of y: guidance where the class is in doubt. The
    paper tracks r along the sampling from two denoisers; here the classifier's own p_y takes its place.
    """

    pi: Annotated[float, Field(gt=0, lt=1)] = 0.5
    most: Annotated[PositiveFloat, Field(gt=1)] = 10.0

    def log_boost(self, answer, state):
        r, doubt = answer.num_classes * answer.log_p_y.exp(), 1 - self.pi
        is_bounded = r > doubt * self.most / (self.most - 1)
        return (r / (r - doubt)).where(is_bounded, self.most).log()
