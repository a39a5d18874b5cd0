"""Independent condition guidance, ICG (Sadat et al., 2024, arXiv 2407.02687)."""

from eddpm.guidance.rule import Pair


class IndependentCondition(Pair):
    """As `classifier_free`, with the run's own denoiser, asked for a random other class, in the unconditional's place.

    It needs a conditional denoiser, and no label dropout. The class is drawn anew at each step.
    """

    def labels(self, y, num_classes, draws):
        return (y + 1 + draws(num_classes - 1)) % num_classes
