"""Denoiser losses: the error of the predicted noise and, of a learned variance, the variational bound (Improved DDPM
sec. 3.1)."""

import math

import torch
from torch import Tensor

from eddpm.diffusion.process import at, learned_log_variance, posterior_mean, predict_x0
from eddpm.diffusion.schedule import NoiseSchedule

HALF_BIN = 1 / 255  # of 8-bit pixel values in [-1, 1]


def denoising_loss(
    schedule: NoiseSchedule, x0: Tensor, t: Tensor, noise: Tensor, x_t: Tensor, output: Tensor
) -> Tensor:
    """The loss (B,) of a denoiser's output (B, C or 2C, H, W) for x_t (B, C, H, W), which is x0 with noise at t (B,).

    With C channels it is the squared error of eps, the mean over an image (DDPM eq. 14). With 2C, a learned variance,
    it is the hybrid loss (Improved DDPM eq. 16) as ADM trains: plus 1/1000 of the bound's T terms, of which the one
    at t stands for all; the bound teaches the variance alone.
    """
    eps, learned = output[:, : x0.shape[1]], output[:, x0.shape[1] :]
    loss = (eps - noise).square().flatten(1).mean(dim=1)
    if learned.shape[1]:
        loss = loss + len(schedule) / 1000 * bound_term(schedule, x0, t, x_t, eps.detach(), learned)
    return loss


def bound_term(schedule: NoiseSchedule, x0: Tensor, t: Tensor, x_t: Tensor, eps: Tensor, learned: Tensor) -> Tensor:
    """The variational bound's term at t (B,), in bits per dimension (B,): L_{t-1} or, at t = 0, L_0 (DDPM eq. 5).

    eps and learned (B, C, H, W) are the two halves of the denoiser's output. x0 is not clipped where it is predicted.
    """
    mean = posterior_mean(schedule, predict_x0(schedule, x_t, t, eps), x_t, t)
    log_variance = learned_log_variance(schedule, x_t, t, learned)
    divergence = gaussian_kl(
        posterior_mean(schedule, x0, x_t, t), at(schedule.posterior_log_variance, t, x_t), mean, log_variance
    )
    first = (t == 0).view(-1, 1, 1, 1)
    nats = torch.where(first, -pixel_log_likelihood(x0, mean, log_variance), divergence)
    return nats.flatten(1).mean(dim=1) / math.log(2)


def gaussian_kl(mean1: Tensor, log_variance1: Tensor, mean2: Tensor, log_variance2: Tensor) -> Tensor:
    """KL(N(mean1, exp(log_variance1)) || N(mean2, exp(log_variance2))) in nats, elementwise."""
    log_ratio = log_variance1 - log_variance2
    return 0.5 * (log_ratio.exp() - 1 - log_ratio + (mean1 - mean2).square() * (-log_variance2).exp())


def pixel_log_likelihood(x0: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log of the mass that N(mean, exp(log_variance)) has within x0's bin, one of 256 in [-1, 1] (DDPM eq. 13).

    The outermost bins are open-ended. Elementwise; a mass below 1e-12 counts as that, as in ADM.
    """
    scale = (-0.5 * log_variance.double()).exp()  # float64: a difference of nearly equal numbers, far from the mean
    lower = torch.where(x0 < HALF_BIN - 1, -math.inf, (x0 - mean - HALF_BIN) * scale)
    upper = torch.where(x0 > 1 - HALF_BIN, math.inf, (x0 - mean + HALF_BIN) * scale)
    mass = torch.special.ndtr(upper) - torch.special.ndtr(lower)
    return mass.clamp_min(1e-12).log().to(mean.dtype)
