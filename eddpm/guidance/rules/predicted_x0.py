"""A classifier of clean images on the predicted x0 (EluCD, 2024)."""

from eddpm.guidance.rule import Rule


class PredictedX0(Rule):
    """The classifier is asked about the denoiser's x0, clipped, at timestep 0; the gradient is that at x0.

    For a classifier that was not trained on noise, such as one with `noised: false`. Nothing is propagated through the
    denoiser, as in the published code. That adds a share of the largest variance so far, of one pixel of a batch's
    first image; it is left out here, since images would depend on their batch.
    """

    def point(self, x_t, t, state):
        return state.x0, t.new_zeros(t.shape)
