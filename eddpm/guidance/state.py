"""The sampler's state at one step, for rules that need more than the logits."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class State:
    """One step of a sampler, k = 0 the noisiest, and the effect of a gradient there.

    A gradient G moves x_{t-1} by `gain` G, a change d of the predicted x0 by `x0_gain` d.
    """

    timestep: int  # in the full schedule, where the networks are asked
    k: int
    num_steps: int
    x_t: Tensor  # (B, C, H, W)
    x0: Tensor  # the denoiser's prediction, clipped
    gain: Tensor | float  # a tensor (B, C, H, W) where the variance is learned
    x0_gain: float
    memory: dict[str, Tensor] = field(default_factory=dict)  # of earlier steps: (B, ...) each
