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


def predict_x0(schedule: NoiseSchedule, x_t: Tensor, step: Tensor | int, eps: Tensor) -> Tensor:
    """The x0 which makes x_t with this eps."""
    alpha_bar = schedule.alpha_bar
    return at((1 / alpha_bar).sqrt(), step, x_t) * x_t - at((1 / alpha_bar - 1).sqrt(), step, x_t) * eps


def predict_eps(schedule: NoiseSchedule, x_t: Tensor, step: Tensor | int, x0: Tensor) -> Tensor:
    """The eps which makes x_t from this x0; the inverse of `predict_x0`."""
    alpha_bar = schedule.alpha_bar
    return (at((1 / alpha_bar).sqrt(), step, x_t) * x_t - x0) / at((1 / alpha_bar - 1).sqrt(), step, x_t)


def posterior_x0_gain(schedule: NoiseSchedule) -> Tensor:
    """The factor (S,) of x0 in the mean of q(x_{t-1} | x_t, x0), DDPM eq. 7."""
    return schedule.betas * schedule.alpha_bar_prev.sqrt() / (1 - schedule.alpha_bar)


def posterior_mean(schedule: NoiseSchedule, x0: Tensor, x_t: Tensor, step: Tensor | int) -> Tensor:
    """Mean of q(x_{t-1} | x_t, x0), DDPM eq. 7."""
    return (
        at(posterior_x0_gain(schedule), step, x_t) * x0
        + at((1 - schedule.alpha_bar_prev) * (1 - schedule.betas).sqrt() / (1 - schedule.alpha_bar), step, x_t) * x_t
    )


def learned_log_variance(schedule: NoiseSchedule, x_t: Tensor, step: Tensor | int, learned: Tensor) -> Tensor:
    """A denoiser's `learned` half (B, C, H, W), -1 to 1, interpolates the logarithm of the variance of
    p(x_{t-1} | x_t) between the posterior's and beta (Improved DDPM eq. 15)."""
    smallest, largest = at(schedule.posterior_log_variance, step, x_t), at(schedule.betas.log(), step, x_t)
    fraction = (learned + 1) / 2
    return fraction * largest + (1 - fraction) * smallest


class Prediction(NamedTuple):
    """The denoiser's output at one step, read: x0 (clipped to [-1, 1]), and mean and variance of p(x_{t-1} | x_t)."""

    x0: Tensor
    mean: Tensor
    variance: Tensor  # (B, C, H, W) where it is learned, else a scalar tensor


def predict(schedule: NoiseSchedule, x_t: Tensor, step: int, output: Tensor, sigma_small: bool = False) -> Prediction:
    """Read the denoiser's output (B, C, H, W) or, with a learned variance, (B, 2C, H, W) for x_t (B, C, H, W).

    A variance that is not learned is beta, or the posterior's where `sigma_small` (DDPM sec. 3.2).
    """
    eps, learned = output[:, : x_t.shape[1]], output[:, x_t.shape[1] :]
    x0 = predict_x0(schedule, x_t, step, eps).clamp(-1, 1)
    if learned.shape[1]:
        log_variance = learned_log_variance(schedule, x_t, step, learned)
    elif sigma_small or step == 0:
        log_variance = at(schedule.posterior_log_variance, step, x_t)
    else:
        log_variance = at(schedule.betas.log(), step, x_t)
    return Prediction(x0, posterior_mean(schedule, x0, x_t, step), log_variance.exp())
