"""Guidance of a fixed length (GeoGuide, arXiv 2407.12889)."""

import math

from eddpm.guidance.rule import Pull, Rule


class Normalised(Rule):
    """Each step moves x_{t-1} by scale * sqrt(D) / S along the gradient, D numbers in an image and S steps.

    So at scale 1 the path is as long as the norm of unit noise. The formula is the paper's; that S is the number of the
    sampler's steps, and that no variance multiplies the length, is our reading of it.
    """

    bounded = True

    def reshape(self, pull, state):
        size = pull.gradient[0].numel()
        norm = pull.gradient.flatten(1).double().norm(dim=1)
        shape = (-1, *[1] * (pull.gradient.ndim - 1))
        unit = pull.gradient / norm.clamp_min(1e-300).to(pull.gradient.dtype).view(shape)
        length = math.log(math.sqrt(size) / state.num_steps)
        return Pull(unit / state.gain, pull.log_size.new_full(norm.shape, length))
