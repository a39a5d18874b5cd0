"""Guidance of a fixed length (GeoGuide, arXiv 2407.12889)."""

import math

from eddpm.guidance.rule import Pull, Rule, as_images, norms


class Normalised(Rule):
    """Each step moves x_{t-1} by scale * sqrt(D) / S along the gradient, D numbers in an image and S steps.

    So at scale 1 the path is as long as the norm of unit noise. The formula is the paper's; that S is the number of the
    sampler's steps, and that no variance multiplies the length, is our reading of it.
    """

    bounded = True

    def reshape(self, pull, state):
        size = pull.gradient[0].numel()
        norm = norms(pull.gradient).clamp_min(1e-30)  # no gradient is no guidance, in float32 too
        unit = pull.gradient / as_images(norm, pull.gradient)
        length = math.log(math.sqrt(size) / state.num_steps)
        return Pull(unit / state.gain, pull.log_size.new_full(norm.shape, length))
