"""The two samplers of the paper, each a loop from x_T to x_0: DDPM ancestral (ADM alg. 1) and DDIM (ADM alg. 2).

The networks reach a sampler as callables of (x_t, t), t (B,) int64 being the original timestep of the full schedule:
`denoise_fn` gives the denoiser's output, `guide_fn` the guidance there, or none (guidance/guide.py). `noise_fn(k)`
gives the noise (B, C, H, W) of the k-th step taken. `on_step` is told of every step and changes nothing. Nothing in the
loops waits for the device.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from eddpm.diffusion.process import at, posterior_x0_gain, predict, predict_eps, predict_x0
from eddpm.diffusion.schedule import NoiseSchedule
from eddpm.guidance.guide import Guidance, GuideFn
from eddpm.guidance.state import State


class Step(NamedTuple):
    """A step, as an observer sees it: its number k from 0, the original timestep t, the state after it."""

    k: int
    t: int
    x_t: Tensor
    x0: Tensor  # the clipped prediction, before guidance
    guidance: Guidance | None
    output: Tensor  # of the denoiser


DenoiseFn = Callable[[Tensor, Tensor], Tensor]
NoiseFn = Callable[[int], Tensor]
OnStep = Callable[[Step], None]


@torch.no_grad()
def sample_ddpm(
    denoise_fn: DenoiseFn,
    schedule: NoiseSchedule,
    x_T: Tensor,
    noise_fn: NoiseFn,
    guide_fn: GuideFn | None = None,
    on_step: OnStep | None = None,
    sigma_small: bool = False,
    guide_at_mean: bool = False,
) -> Tensor:
    """Ancestral sampling from x_T (B, C, H, W): mean + variance * guidance + sigma * noise (ADM alg. 1).

    The guidance is that at x_t, as in ADM's alg. 1; with `guide_at_mean` that at the mean of x_{t-1} and at the
    timestep of x_{t-1}, as ADM derives it (eqs. 5 and 6).
    """
    x_t, memory = x_T, dict[str, Tensor]()
    x0_gains = posterior_x0_gain(schedule)
    for k, step, t, t_prev in _countdown(schedule, x_T):
        output = denoise_fn(x_t, t)
        p = predict(schedule, x_t, step, output, sigma_small)
        guide_at = (p.mean, t_prev) if guide_at_mean else (x_t, t)
        timestep = int(schedule.timesteps[max(step - 1, 0) if guide_at_mean else step])
        state = State(timestep, k, len(schedule), x_t, p.x0, p.variance, x0_gains[step].item(), memory)
        guidance = guide_fn(*guide_at, state) if guide_fn else None
        mean = p.mean + p.variance * guidance.gradient if guidance else p.mean
        x_t = mean + p.variance.sqrt() * noise_fn(k) if step > 0 else mean
        if on_step:
            on_step(Step(k, int(schedule.timesteps[step]), x_t, p.x0, guidance, output))
    return x_t


@torch.no_grad()
def sample_ddim(
    denoise_fn: DenoiseFn,
    schedule: NoiseSchedule,
    x_T: Tensor,
    noise_fn: NoiseFn | None = None,
    guide_fn: GuideFn | None = None,
    on_step: OnStep | None = None,
    eta: float = 0.0,
    guided_x0: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """DDIM sampling from x_T (B, C, H, W): eps - sqrt(1 - alpha_bar) * guidance (ADM alg. 2; DDIM eqs. 12 and 16).

    With eta 0 it is deterministic and needs no `noise_fn`; with eta 1 it adds the posterior's noise. `guided_x0` bounds
    the x0 after guidance, which ADM leaves as it is: `clipped` or `thresholded`.
    """
    abar, abar_prev = schedule.alpha_bar, schedule.alpha_bar_prev
    sigmas = ddim_sigmas(schedule, eta)
    gains, x0_gains = ddim_gains(schedule, eta)
    x_t, memory = x_T, dict[str, Tensor]()
    for k, step, t, _ in _countdown(schedule, x_T):
        output = denoise_fn(x_t, t)
        p = predict(schedule, x_t, step, output)
        eps, x0 = predict_eps(schedule, x_t, step, p.x0), p.x0
        timestep = int(schedule.timesteps[step])
        state = State(timestep, k, len(schedule), x_t, p.x0, gains[step].item(), x0_gains[step].item(), memory)
        guidance = guide_fn(x_t, t, state) if guide_fn else None
        if guidance:
            eps = eps - at((1 - abar).sqrt(), step, x_t) * guidance.gradient
            x0 = predict_x0(schedule, x_t, step, eps)
            if guided_x0:
                x0 = guided_x0(x0)
                eps = predict_eps(schedule, x_t, step, x0)
        x_t = at(abar_prev.sqrt(), step, x_t) * x0 + at((1 - abar_prev - sigmas**2).sqrt(), step, x_t) * eps
        if eta > 0 and step > 0:
            assert noise_fn, "eta above 0 needs noise_fn"
            x_t = x_t + at(sigmas, step, x_t) * noise_fn(k)
        if on_step:
            on_step(Step(k, int(schedule.timesteps[step]), x_t, p.x0, guidance, output))
    return x_t


def ddim_sigmas(schedule: NoiseSchedule, eta: float) -> Tensor:
    """The standard deviation of DDIM's noise at each step, float64 (S,): DDIM eq. 16."""
    abar, abar_prev = schedule.alpha_bar, schedule.alpha_bar_prev
    return eta * ((1 - abar_prev) / (1 - abar) * (1 - abar / abar_prev)).sqrt()


def ddim_gains(schedule: NoiseSchedule, eta: float = 0.0) -> tuple[Tensor, Tensor]:
    """How far DDIM moves x_{t-1}, float64 (S,) each: by the first for each unit of a gradient, by the second for each
    unit of a change of x0."""
    abar, abar_prev = schedule.alpha_bar, schedule.alpha_bar_prev
    of_x0 = abar_prev.sqrt() - (1 - abar_prev - ddim_sigmas(schedule, eta) ** 2).sqrt() * (abar / (1 - abar)).sqrt()
    return of_x0 * (1 - abar) / abar.sqrt(), of_x0


def clipped(x0: Tensor) -> Tensor:
    """x0 (B, C, H, W) within [-1, 1]."""
    return x0.clamp(-1, 1)


def thresholded(x0: Tensor) -> Tensor:
    """x0 (B, C, H, W) within [-1, 1] by dynamic thresholding (Saharia et al., 2022, sec. 2.3): each image is clipped to
    the 99.5th percentile of its absolute values, where that is above 1, and divided by it."""
    bound = x0.flatten(1).abs().float().quantile(0.995, dim=1).clamp_min(1).to(x0.dtype).view(-1, 1, 1, 1)
    return x0.clamp(-bound, bound) / bound


def _countdown(schedule: NoiseSchedule, x_T: Tensor) -> Iterator[tuple[int, int, Tensor, Tensor]]:
    """Yield (k, step, t, t_prev) from the noisiest step to step 0, t and t_prev (B,) on the device of x_T.

    t_prev is the timestep one step cleaner; 0 after step 0, since no network knows a cleaner one.
    """
    timesteps = schedule.timesteps.to(x_T.device)
    previous = torch.cat([torch.zeros_like(timesteps[:1]), timesteps[:-1]])
    for k, step in enumerate(reversed(range(len(schedule)))):
        yield k, step, timesteps[step].expand(len(x_T)), previous[step].expand(len(x_T))
