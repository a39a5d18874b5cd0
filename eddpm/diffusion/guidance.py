"""Classifier guidance and its entropy-driven scaling (EDS): THE METHOD (ED-DPM sec. 3; ADM sec. 4).

A classifier p(y | x_t) pulls the sampler along grad log p(y | x_t). As it grows certain, that gradient vanishes; EDS
multiplies it by log C / H(p), so that it recovers. One factor goes to 0 while the other goes to infinity, hence:

1. both are formed in float64 as logarithms, from the logits: log(1 - p_y) and log H keep full precision however
   certain the classifier is, and their sum is finite where the factors underflow and overflow;
2. the residual is back-propagated to x_t scaled to a largest entry of 1: half precision cannot flush it to 0, and the
   rest of the scale multiplies the gradient afterwards.

A rule gives log s, the logarithm of each sample's guidance scale, from that sample's logits and timestep alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# The rules: logits (B, C) float64, t (B,) and the run's guidance scale -> log s (B,) ------------------------------

Rule = Callable[[Tensor, Tensor, float], Tensor]


def none(logits: Tensor, t: Tensor, scale: float) -> Tensor:
    """s = 0: the classifier is only watched."""
    return torch.full_like(logits[:, 0], -math.inf)


def constant(logits: Tensor, t: Tensor, scale: float) -> Tensor:
    """s = scale (ADM alg. 1 and 2)."""
    return torch.full_like(logits[:, 0], scale).log()


def entropy(
    logits: Tensor,
    t: Tensor,
    scale: float,
    num_classes: int | None = None,
    timesteps: tuple[int, int] | None = None,
) -> Tensor:
    """s = scale * log K / H(p), EDS, within `timesteps` (lowest and highest, both included); s = scale outside them.

    K is `num_classes`, by default the logits' own C: then s is `scale` for a uniform prediction, more for any other.
    """
    log_boost = math.log(math.log(num_classes or logits.shape[-1])) - log_entropy(logits)
    if timesteps:
        lowest, highest = timesteps
        log_boost = torch.where((lowest <= t) & (t <= highest), log_boost, 0.0)
    return log_boost + constant(logits, t, scale)


RULES: dict[str, Rule] = {"none": none, "constant": constant, "entropy": entropy}


# Their parts ------------------------------------------------------------------------------------------------------


def log_entropy(logits: Tensor) -> Tensor:
    """log H(softmax(logits)), H in nats, (B, C) -> (B,), precise even where H underflows.

    Let q = 1 - max p, r = q / max p, and H_w be the entropy of the distribution among the other classes. Then
    H = q * ((1 + r) log(1 + r) / r + H_w - log r), where only q is ever small.
    """
    top = logits.argmax(dim=-1, keepdim=True)
    others = logits.scatter(-1, top, -math.inf)
    log_r = others.logsumexp(dim=-1) - logits.gather(-1, top).squeeze(-1)
    log_q = F.logsigmoid(log_r)
    # (1 + r) log(1 + r) / r is log(1 + r) / q, and 1 to float64's last digit once r < 1e-17.
    of_top = torch.where(log_r < -40, 1.0, F.softplus(log_r) / log_q.clamp_min(-40).exp())
    of_others = torch.special.entr(others.softmax(dim=-1)).sum(dim=-1)
    return log_q + (of_top + of_others - log_r).log()


def log_residual(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of log p_y with respect to the logits, onehot(y) - p, as signs and log magnitudes, each (B, C).

    1 - p_y is summed over the other classes, since the difference rounds to 0 for a certain classifier.
    """
    target = y[:, None]
    log_p = logits.log_softmax(dim=-1)
    log_not_y = log_p.scatter(-1, target, -math.inf).logsumexp(dim=-1, keepdim=True)
    signs = torch.full_like(logits, -1.0).scatter(-1, target, 1.0)
    return signs, log_p.scatter(-1, target, log_not_y)


# For the samplers -------------------------------------------------------------------------------------------------


class Guidance(NamedTuple):
    """The guidance of one step, and the quantities behind it: (B,) float64 where nothing else is said."""

    gradient: Tensor  # (B, C, H, W): s * grad log p_y, which the sampler adds
    entropy: Tensor  # H / log C: 1 for a uniform prediction, 0 for a certain one
    target_probability: Tensor  # p_y
    gradient_norm: Tensor  # |grad log p_y|
    scale: Tensor  # s
    guidance_norm: Tensor  # |s * grad log p_y|
    limited: Tensor | None = None  # (B,) bool: the product left the range of the gradient's type, and was cut


GuideFn = Callable[[Tensor, Tensor], Guidance]


def log_limit(dtype: torch.dtype) -> float:
    """The largest log s for this type: EDS grows like exp(gap) where the classifier is certain of a class other than y.

    The margin of exp(20) keeps the products with gradients and with sampler coefficients finite, too.
    """
    return math.log(torch.finfo(dtype).max) - 20


def classifier_guidance(
    classifier_fn: Callable[[Tensor, Tensor], Tensor], y: Tensor, rule: Rule, scale: float
) -> GuideFn:
    """A `guide_fn(x_t, t)` for the samplers that guides each sample to its class y (B,) int64.

    `classifier_fn(x_t, t)` gives logits (B, C). The gradient is taken at that noisy state and its own timestep, as the
    classifier was trained; which state it is, the sampler decides. No gradient flows through s. Raises ValueError where
    there are fewer than two classes.
    """

    def guide_fn(x_t: Tensor, t: Tensor) -> Guidance:
        with torch.enable_grad():
            x_in = x_t.detach().requires_grad_()
            logits = classifier_fn(x_in, t)
        if logits.shape[-1] < 2:
            raise ValueError(f"logits {tuple(logits.shape)}: a classifier of fewer than two classes cannot guide")
        z = logits.detach().double()
        signs, log_magnitudes = log_residual(z, y)
        log_largest = log_magnitudes.amax(dim=-1, keepdim=True)
        direction = signs * (log_magnitudes - log_largest).exp()
        (gradient,) = torch.autograd.grad(logits, x_in, direction.to(logits.dtype))

        log_largest = log_largest.squeeze(-1)
        log_scale = rule(z, t, scale)
        log_pull, limit = log_largest + log_scale, log_limit(gradient.dtype)
        pull = log_pull.clamp_max(limit).exp()
        norm = gradient.flatten(1).double().norm(dim=1)
        return Guidance(
            gradient=gradient * pull.to(gradient.dtype).view(-1, *[1] * (gradient.ndim - 1)),
            entropy=log_entropy(z).exp() / math.log(z.shape[-1]),
            target_probability=z.log_softmax(dim=-1).gather(-1, y[:, None]).squeeze(-1).exp(),
            gradient_norm=norm * log_largest.exp(),
            scale=log_scale.clamp_max(log_limit(z.dtype)).exp(),
            guidance_norm=norm * pull,
            limited=log_pull > limit,
        )

    return guide_fn
