"""Temperature scaling (Guo et al., 2017, sec. 4.2): the calibration that needs no training, here by noise level."""

import math

from scipy.optimize import brentq
from torch import Tensor

BOUNDS = (0.01, 100.0)


def fit_temperature(logits: Tensor, y: Tensor) -> float:
    """The T within BOUNDS for which softmax(logits / T) has the lowest cross-entropy; logits (N, C), y (N,) int64.

    It ends at the lower bound where no sample is misclassified, and at the upper one where the logits tell nothing.
    The cross-entropy is convex in 1 / T, so that its slope there, the mean of E_p[z - z_y], has one change of sign.
    """
    logits = logits.double()
    z = logits - logits.gather(-1, y[:, None])

    def slope(log_t: float) -> float:
        p = (z / math.exp(log_t)).softmax(dim=-1)
        return (p * z).sum(dim=-1).mean().item()

    low, high = map(math.log, BOUNDS)
    if slope(high) >= 0:
        return BOUNDS[1]
    if slope(low) <= 0:
        return BOUNDS[0]
    return math.exp(brentq(slope, low, high))
