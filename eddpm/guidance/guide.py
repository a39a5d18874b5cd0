"""Classifier guidance and its entropy-driven scaling (EDS): THE METHOD (ED-DPM sec. 3; ADM sec. 4), for any rule.

A classifier p(y | x_t) pulls the sampler along grad log p(y | x_t). As it grows certain, that gradient vanishes; EDS
multiplies it by log C / H(p), so that it recovers. One factor goes to 0 while the other goes to infinity, hence:

1. both are formed in float64 as logarithms, from the logits: log(1 - p_y) and log H keep full precision however
   certain the classifier is, and their sum is finite where the factors underflow and overflow;
2. the residual, or another vector of a rule, is back-propagated to x_t scaled to a largest entry of 1: half precision
   cannot flush it to 0, and the rest of the scale multiplies the gradient afterwards.

The rules are in rules/, their form in rule.py.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor

from eddpm.guidance.logits import Answer
from eddpm.guidance.rule import Pull, Rule, as_images, combined, norms
from eddpm.guidance.state import State

_NEEDS_STATE = "needs the state of the sampler; give it as the third argument of the guide_fn, an eddpm.State"


class Guidance(NamedTuple):
    """The guidance of one step, and the quantities behind it: (B,) float64 where nothing else is said.

    Without a classifier, entropy and target probability are none.
    """

    gradient: Tensor  # (B, C, H, W): what the sampler adds, s * grad log p_y where the rule has no vector of its own
    entropy: Tensor | None  # H / log C: 1 for a uniform prediction, 0 for a certain one
    target_probability: Tensor | None  # p_y
    gradient_norm: Tensor  # |grad log p_y|, or that of the rule's vector
    scale: Tensor  # s
    guidance_norm: Tensor  # |gradient|
    limited: Tensor | None = None  # (B,) bool: the product left the range of the gradient's type, and was cut


# guide_fn(x_t, t[, state]); none at a step that the rule leaves unguided.
GuideFn = Callable[..., Guidance | None]


def log_limit(dtype: torch.dtype) -> float:
    """The largest log s for this type: EDS grows like exp(gap) where the classifier is certain of a class other than y.

    The margin of exp(20) keeps the products with gradients and with sampler coefficients finite, too.
    """
    return math.log(torch.finfo(dtype).max) - 20


def classifier_guidance(
    classifier_fn: Callable[[Tensor, Tensor], Tensor], y: Tensor, rule: Rule | Sequence[Rule], scale: float
) -> GuideFn:
    """A `guide_fn(x_t, t)` for the samplers that guides each sample to its class y (B,) int64.

    `classifier_fn(x_t, t)` gives logits (B, C). The gradient is taken at that noisy state and its own timestep, as the
    classifier was trained; which state it is, the sampler decides. No gradient flows through s. Raises ValueError where
    there are fewer than two classes, or where a rule needs the state of the sampler and has none.
    """
    rules = combined(rule)
    cotangent = next((each for each in rules if type(each).cotangent is not Rule.cotangent), rules[0]).cotangent

    def guide_fn(x_t: Tensor, t: Tensor, state: State | None = None) -> Guidance | None:
        if not _guides(rules, state):
            return None
        at = state or _Unknown()
        point, its_t = x_t, t
        for each in rules:
            point, its_t = each.point(point, its_t, at)
        with torch.enable_grad():
            x_in = point.detach().requires_grad_()
            logits = classifier_fn(x_in, its_t)
        if logits.shape[-1] < 2:
            raise ValueError(f"logits {tuple(logits.shape)}: a classifier of fewer than two classes cannot guide")
        answer = Answer(logits.detach().double(), y)
        signs, log_magnitudes = cotangent(answer, at)
        # Of a vector of zeros, the largest logarithm is -inf, and the difference below not a number.
        log_largest = log_magnitudes.amax(dim=-1, keepdim=True).clamp_min(-torch.finfo(torch.float64).max)
        direction = signs * (log_magnitudes - log_largest).exp()
        (gradient,) = torch.autograd.grad(logits, x_in, direction.to(logits.dtype))

        log_largest = log_largest.squeeze(-1)
        log_scale = torch.full_like(log_largest, scale).log()
        for each in rules:
            log_scale = each.log_boost(answer, at) + log_scale
        norm = norms(gradient)
        pull = Pull(gradient, log_largest)
        for each in rules:
            pull = each.reshape(pull, at)
        return Guidance(
            **_scaled(pull, log_scale),
            entropy=answer.log_entropy.exp() / math.log(answer.num_classes),
            target_probability=answer.log_p_y.exp(),
            gradient_norm=norm * log_largest.exp(),
        )

    return guide_fn


def pair_guidance(
    other_fn: Callable[[Tensor, Tensor, State], Tensor], rule: Rule | Sequence[Rule], scale: float
) -> GuideFn:
    """A `guide_fn(x_t, t, state)` for the samplers that moves x0 away from the other denoiser's, as `Pair` says.

    `other_fn(x_t, t, state)` gives the x0 (B, C, H, W) that the other denoiser predicts, clipped.
    """
    rules = combined(rule)

    def guide_fn(x_t: Tensor, t: Tensor, state: State) -> Guidance | None:
        if not _guides(rules, state):
            return None
        difference = state.x0 - other_fn(x_t, t, state)
        pull = Pull(difference, torch.zeros(len(x_t), dtype=torch.float64, device=x_t.device))
        for each in rules:
            pull = each.reshape(pull, state)
        # The sampler moves x_{t-1} by gain * gradient, and is to move it as if x0 moved by the difference.
        unit = pull.gradient * (state.x0_gain / state.gain) * as_images(pull.log_size.exp(), pull.gradient)
        gradient = (scale - 1) * unit
        return Guidance(
            gradient=gradient,
            entropy=None,
            target_probability=None,
            gradient_norm=norms(unit),
            scale=torch.full_like(pull.log_size, scale),
            guidance_norm=norms(gradient),
        )

    return guide_fn


def _guides(rules: Sequence[Rule], state: State | None) -> bool:
    """The gates of all rules."""
    if state is not None:
        return all(each.guides(state.k, state.num_steps, state.timestep) for each in rules)
    for each in rules:
        if each.timesteps or type(each).guides is not Rule.guides:
            raise ValueError(f"rule {each.rule()} {_NEEDS_STATE}")
    return True


class _Unknown(State):
    """The state in a loop that gives none: any question is an error."""

    def __init__(self) -> None:
        pass

    def __getattribute__(self, name: str) -> NoReturn:
        raise ValueError(f"a rule {_NEEDS_STATE} ({name})")


def _scaled(pull: Pull, log_scale: Tensor) -> dict[str, Tensor]:
    """The parts of `Guidance` that the scale decides."""
    log_pull, limit = pull.log_size + log_scale, log_limit(pull.gradient.dtype)
    size = log_pull.clamp_max(limit).exp()
    return {
        "gradient": pull.gradient * as_images(size, pull.gradient),
        "scale": log_scale.clamp_max(log_limit(log_scale.dtype)).exp(),
        "guidance_norm": norms(pull.gradient) * size,
        "limited": log_pull > limit,
    }
