"""Classifier losses: cross-entropy, the paper's entropy constraint (ECT), and the constraint's rivals.

All are (B, C) logits and (B,) int64 classes -> (B,), in nats.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from eddpm.config.schema import ClassifierLossConfig


def classification_loss(logits: Tensor, y: Tensor, config: ClassifierLossConfig, alpha_bar: Tensor) -> Tensor:
    """The loss of each sample; alpha_bar (B,) is the share of the signal's variance left in it (1: a clean image)."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # as they may come from half precision
    if config.focal_gamma:
        loss = focal_loss(logits, y, config.focal_gamma)
    else:
        loss = F.cross_entropy(logits, y, reduction="none", label_smoothing=config.label_smoothing)
    if config.ect_weight:
        # SNR / (1 + SNR) follows the SNR in noise, and is bounded without noise.
        weight = config.ect_weight * (alpha_bar if config.ect_weighting == "snr" else torch.ones_like(alpha_bar))
        loss = loss + weight.to(logits.dtype) * entropy_constraint(logits)
    return loss


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits)."""
    log_p = logits.log_softmax(dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)


def entropy_constraint(logits: Tensor) -> Tensor:
    """log C - H, the divergence of the prediction from the uniform one: 0 there, log C at certainty (ED-DPM, ECT)."""
    return math.log(logits.shape[-1]) - entropy(logits)


def focal_loss(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    """(1 - p_y)^gamma * -log p_y (Lin et al., 2017, eq. 4).

    With d = log((1 - p_y) / p_y), the factors are sigmoid(d)^gamma and softplus(d): precise, and with a finite
    gradient for any gamma, where 1 - p_y itself would round to 0.
    """
    target = y[:, None]
    others = logits.scatter(-1, target, -math.inf).logsumexp(dim=-1)
    d = others - logits.gather(-1, target).squeeze(-1)
    return (gamma * F.logsigmoid(d)).exp() * F.softplus(d)
