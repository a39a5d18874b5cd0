"""The losses: eps prediction for denoisers, cross-entropy with the entropy constraint (ECT) for classifiers."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def denoising_loss(eps: Tensor, noise: Tensor) -> Tensor:
    """Mean squared error of the predicted noise, (B, C, H, W) twice -> (B,) (DDPM eq. 14)."""
    return (eps - noise).square().flatten(1).mean(dim=1)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of softmax(logits) in nats, (B, C) -> (B,)."""
    log_p = F.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(dim=-1)


def classification_loss(logits: Tensor, y: Tensor, ect_weight: float = 0.0) -> Tensor:
    """Cross-entropy plus ect_weight * (log C - H), (B, C) and (B,) int64 -> (B,) (ED-DPM, entropy-constraint training).

    log C - H is the divergence of the prediction from the uniform one: it is 0 there and log C at certainty.
    """
    loss = F.cross_entropy(logits, y, reduction="none")
    if ect_weight:
        loss = loss + ect_weight * (math.log(logits.shape[-1]) - entropy(logits))
    return loss


def accuracy_by_noise(logits: Tensor, y: Tensor, t: Tensor, edges: list[int]) -> list[float]:
    """Share of correct predictions among timesteps in [edges[k], edges[k + 1]), for each k."""
    correct = (logits.argmax(dim=-1) == y).double()
    bins = torch.bucketize(t, torch.tensor(edges[1:-1], device=t.device), right=True)
    return [correct[bins == k].mean().item() for k in range(len(edges) - 1)]
