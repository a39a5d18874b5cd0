"""One step of the diffusion, forward and back: q(x_t | x0), its inversion, p(x_{t-1} | x_t) (DDPM secs. 2 and 3)."""

from typing import NamedTuple

import torch
from torch import Tensor

from eddpm.diffusion.schedule import NoiseSchedule


def at(coefficients: Tensor, step: Tensor | int, like: Tensor) -> Tensor:
    """Coefficients (S,) at `step` (an int or (B,)), in the type and on the device of `like`, shaped to multiply it."""
    if isinstance(step, int):
        # A Python number is an operand without a copy to the device.
        return torch.tensor(coefficients[step].item(), dtype=like.dtype)
    values = coefficients.to(like.device)[step].to(like.dtype)
    return values.view(-1, *[1] * (like.ndim - 1))


def q_sample(schedule: NoiseSchedule, x0: Tensor, step: Tensor | int, noise: Tensor) -> Tensor:
    """Draw x_t given x0 (B, C, H, W), DDPM eq. 4: sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise."""
    alpha_bar = schedule.alpha_bar
    return at(alpha_bar.sqrt(), step, x0) * x0 + at((1 - alpha_bar).sqrt(), step, x0) * noise


def predict_x0(schedule: NoiseSchedule, x_t: Tensor, step: int, eps: Tensor) -> Tensor:
    """The x0 which makes x_t with this eps."""
    alpha_bar = schedule.alpha_bar
    return at((1 / alpha_bar).sqrt(), step, x_t) * x_t - at((1 / alpha_bar - 1).sqrt(), step, x_t) * eps


def predict_eps(schedule: NoiseSchedule, x_t: Tensor, step: int, x0: Tensor) -> Tensor:
    """The eps which makes x_t from this x0; the inverse of `predict_x0`."""
    alpha_bar = schedule.alpha_bar
    return (at((1 / alpha_bar).sqrt(), step, x_t) * x_t - x0) / at((1 / alpha_bar - 1).sqrt(), step, x_t)


class Prediction(NamedTuple):
    """What the denoiser says at one step: x0 (clipped to [-1, 1]), and mean and variance of p(x_{t-1} | x_t)."""

    x0: Tensor
    mean: Tensor
    variance: Tensor  # (B, C, H, W) where it is learned, else a scalar tensor


def predict(schedule: NoiseSchedule, x_t: Tensor, step: int, output: Tensor, sigma_small: bool = False) -> Prediction:
    """Read the denoiser's output (B, C, H, W) or, with a learned variance, (B, 2C, H, W) for x_t (B, C, H, W).

    The learned variance interpolates its logarithm between the posterior's and beta (Improved DDPM eq. 15); the fixed
    ones are beta, or the posterior's where `sigma_small` (DDPM sec. 3.2).
    """
    channels = x_t.shape[1]
    eps = output[:, :channels]
    x0 = predict_x0(schedule, x_t, step, eps).clamp(-1, 1)
    mean = (
        at(schedule.betas * schedule.alpha_bar_prev.sqrt() / (1 - schedule.alpha_bar), step, x_t) * x0
        + at((1 - schedule.alpha_bar_prev) * (1 - schedule.betas).sqrt() / (1 - schedule.alpha_bar), step, x_t) * x_t
    )
    return Prediction(x0, mean, _log_variance(schedule, x_t, step, output[:, channels:], sigma_small).exp())


def _log_variance(schedule: NoiseSchedule, x_t: Tensor, step: int, learned: Tensor, sigma_small: bool) -> Tensor:
    smallest = at(schedule.posterior_log_variance, step, x_t)
    if learned.shape[1]:
        largest = at(schedule.betas.log(), step, x_t)
        fraction = (learned + 1) / 2
        return fraction * largest + (1 - fraction) * smallest
    if sigma_small or step == 0:
        return smallest
    return at(schedule.betas.log(), step, x_t)
