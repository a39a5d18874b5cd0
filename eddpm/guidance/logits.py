"""The answer of a classifier for noisy images, in float64 and in logarithms: exact however certain it is."""

import math
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Signed(NamedTuple):
    """Numbers as signs and logarithms of magnitudes, (B, C) each: digits of a residual survive that floats lose."""

    signs: Tensor
    logs: Tensor

    def times(self, factor: float) -> "Signed":
        """Multiplied by a factor of at least 0."""
        return Signed(self.signs, self.logs + (math.log(factor) if factor else -math.inf))

    def plus(self, values: Tensor) -> "Signed":
        """With plain numbers (B, C) added; entries that gain 0 keep all of their digits."""
        sums, kept = self.signs * self.logs.exp() + values, values == 0
        return Signed(self.signs.where(kept, sums.sign()), self.logs.where(kept, sums.abs().log()))


class Answer:
    """The classifier's answer for a batch, as rules read it: float64, no gradient."""

    def __init__(self, logits: Tensor, y: Tensor):
        """`logits` (B, C), float64; `y` (B,) int64, the class that each image is to have."""
        self.logits, self.y = logits, y

    def smoothed(self, smoothing: float) -> Tensor:
        """The target with this share of it given to all classes alike, (B, C)."""
        return (1 - smoothing) * self.target + smoothing / self.num_classes

    def at_temperature(self, temperature: float) -> "Answer":
        """The answer of logits that are multiplied by this."""
        return Answer(self.logits * temperature, self.y)

    @property
    def num_classes(self) -> int:
        return self.logits.shape[-1]

    @cached_property
    def target(self) -> Tensor:
        """One-hot of y, (B, C)."""
        return F.one_hot(self.y, self.num_classes).to(self.logits.dtype)

    @cached_property
    def log_p(self) -> Tensor:
        """log softmax(logits), (B, C)."""
        return self.logits.log_softmax(dim=-1)

    @cached_property
    def log_p_y(self) -> Tensor:
        """log p(y | x_t), (B,)."""
        return self.log_p.gather(-1, self.y[:, None]).squeeze(-1)

    @cached_property
    def p(self) -> Tensor:
        """softmax(logits), (B, C)."""
        return self.log_p.exp()

    @cached_property
    def log_entropy(self) -> Tensor:
        """log H(p), H in nats, (B,)."""
        return log_entropy(self.logits)

    @cached_property
    def residual(self) -> Signed:
        """onehot(y) - p, the gradient of log p_y with respect to the logits."""
        return log_residual(self.logits, self.y)


def log_entropy(logits: Tensor) -> Tensor:
    """log H(softmax(logits)), H in nats, (B, C) -> (B,), precise even where H underflows.

    Let q = 1 - max p, r = q / max p, and H_w be the entropy of the distribution among the other classes. Then
    H = q * ((1 + r) log(1 + r) / r + H_w - log r), where only q is ever small.
    """
    top = logits.argmax(dim=-1, keepdim=True)
    others = logits.scatter(-1, top, -torch.inf)
    log_r = others.logsumexp(dim=-1) - logits.gather(-1, top).squeeze(-1)
    log_q = F.logsigmoid(log_r)
    # (1 + r) log(1 + r) / r is log(1 + r) / q, and 1 to float64's last digit once r < 1e-17.
    of_top = torch.where(log_r < -40, 1.0, F.softplus(log_r) / log_q.clamp_min(-40).exp())
    of_others = torch.special.entr(others.softmax(dim=-1)).sum(dim=-1)
    return log_q + (of_top + of_others - log_r).log()


def log_residual(logits: Tensor, y: Tensor) -> Signed:
    """The gradient of log p_y with respect to the logits, onehot(y) - p, as signs and log magnitudes, each (B, C).

    1 - p_y is summed over the other classes, since the difference rounds to 0 for a certain classifier.
    """
    target = y[:, None]
    log_p = logits.log_softmax(dim=-1)
    log_not_y = log_p.scatter(-1, target, -torch.inf).logsumexp(dim=-1, keepdim=True)
    signs = torch.full_like(logits, -1.0).scatter(-1, target, 1.0)
    return Signed(signs, log_p.scatter(-1, target, log_not_y))
