"""Noise schedules and ADM's respacing: which betas, and at which original timesteps the networks are asked.

Linear schedule: DDPM sec. 4; cosine schedule: Improved DDPM eq. 17; respacing: Improved DDPM sec. 4.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from eddpm.diffusion.respacing import kept_timesteps, noise_betas


@dataclass(frozen=True)
class NoiseSchedule:
    """S steps of a diffusion, step 0 the cleanest. Coefficients are float64 tensors of shape (S,)."""

    betas: Tensor
    timesteps: Tensor  # (S,) int64: the original timestep of each step, which is what the networks see

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Share of the signal's variance left at each step, prod(1 - beta)."""
        return torch.cumprod(1 - self.betas, dim=0)

    @cached_property
    def alpha_bar_prev(self) -> Tensor:
        """`alpha_bar` one step cleaner; 1 before step 0."""
        return torch.cat([torch.ones_like(self.alpha_bar[:1]), self.alpha_bar[:-1]])

    @cached_property
    def posterior_variance(self) -> Tensor:
        """Variance of q(x_{t-1} | x_t, x0), DDPM eq. 7. It is 0 at step 0."""
        return self.betas * (1 - self.alpha_bar_prev) / (1 - self.alpha_bar)

    @cached_property
    def posterior_log_variance(self) -> Tensor:
        """Its logarithm; in place of the log of 0, the value of step 1, or beta's where there is but one step."""
        first = self.posterior_variance[1:2] if len(self) > 1 else self.betas
        return torch.cat([first, self.posterior_variance[1:]]).log()


def make_schedule(noise_schedule: str, diffusion_steps: int = 1000) -> NoiseSchedule:
    """The full schedule, "linear" or "cosine", over `diffusion_steps` timesteps."""
    betas = torch.tensor(noise_betas(noise_schedule, diffusion_steps), dtype=torch.float64)
    return NoiseSchedule(betas, torch.arange(diffusion_steps))


def respace(schedule: NoiseSchedule, steps: str) -> NoiseSchedule:
    """Keep some of the timesteps, as `kept_timesteps` reads `steps`: "250", "ddim25", "10,5,5".

    The betas are recomputed so that the kept steps have the alpha_bar which they had in the full schedule.
    Raises ValueError where the schedule has no such subset.
    """
    kept = kept_timesteps(len(schedule), steps)
    alpha_bar = schedule.alpha_bar[kept]
    previous = torch.cat([torch.ones(1, dtype=torch.float64), alpha_bar[:-1]])
    return NoiseSchedule(1 - alpha_bar / previous, schedule.timesteps[kept])
