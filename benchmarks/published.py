"""The guided step in the order of operations of the published code (ED-DPM's, on ADM's), for comparison alone.

It takes networks of this package and computes with their weights. It differs from eddpm as the published code does:
attention by two products and a softmax in float32, recomputed in the backward pass together with the gradients of its
weights; attention pooling that answers every position; a classifier whose weights want gradients; the gradient first,
then its scale; coefficients that are copied to the device at each step; noise that is drawn even where it is not used.
"""

import types

import numpy as np
import torch
from torch import Tensor, nn

from eddpm.diffusion.schedule import NoiseSchedule
from eddpm.models.layers import AttentionBlock, AttentionPool

CLASSES_OF_SCALE = 1000  # of the published EDS, for any classifier


def as_published(network: nn.Module) -> nn.Module:
    """The network, in place, with the published attention, and weights that want gradients."""
    for module in network.modules():
        if isinstance(module, AttentionBlock):
            module.forward = types.MethodType(_attention_block, module)
        elif isinstance(module, AttentionPool):
            module.forward = types.MethodType(_attention_pool, module)
    return network.requires_grad_()


def attention(qkv: Tensor, num_heads: int, new_order: bool) -> Tensor:
    """Attention of (B, 3C, T) -> (B, C, T)."""
    batch, width, length = qkv.shape
    channels = width // (3 * num_heads)
    if new_order:
        query, key, value = (part.reshape(batch * num_heads, channels, length) for part in qkv.chunk(3, dim=1))
    else:
        query, key, value = qkv.reshape(batch * num_heads, 3 * channels, length).split(channels, dim=1)
    quarter = channels**-0.25
    weights = torch.einsum("bct,bcs->bts", query * quarter, key * quarter)
    weights = weights.float().softmax(dim=-1).to(weights.dtype)
    return torch.einsum("bts,bcs->bct", weights, value).reshape(batch, -1, length)


class _Recomputed(torch.autograd.Function):
    """function(x) that keeps x alone, and computes it and all gradients, those of the weights too, going backward."""

    @staticmethod
    def forward(ctx, function, x, *weights):
        ctx.function, ctx.weights = function, weights
        ctx.save_for_backward(x)
        return function(x)

    @staticmethod
    def backward(ctx, gradient):
        with torch.enable_grad():
            x = ctx.saved_tensors[0].detach().requires_grad_()
            output = ctx.function(x)
        return None, *torch.autograd.grad(output, (x, *ctx.weights), gradient)


def _attention_block(self: AttentionBlock, x: Tensor) -> Tensor:
    def compute(x: Tensor) -> Tensor:
        flat = x.flatten(2)
        attended = attention(self.qkv(self.norm(flat)), self.num_heads, self.new_order)
        return (flat + self.proj_out(attended)).view_as(x)

    return _Recomputed.apply(compute, x, *self.parameters())


def _attention_pool(self: AttentionPool, x: Tensor) -> Tensor:
    x = x.flatten(2)
    x = torch.cat([x.mean(dim=2, keepdim=True), x], dim=2) + self.positional_embedding
    return self.c_proj(attention(self.qkv_proj(x), self.num_heads, new_order=True))[:, :, 0]


def guidance(classifier: nn.Module, x_t: Tensor, t: Tensor, y: Tensor, scale: float) -> Tensor:
    """The gradient of log p(y | x_t), scaled by EDS."""
    with torch.enable_grad():
        x_in = x_t.detach().requires_grad_()
        log_p = classifier(x_in, t).log_softmax(dim=-1)
        gradient = torch.autograd.grad(log_p[range(len(y)), y].sum(), x_in)[0]
    entropy = -(log_p.exp() * log_p).sum(dim=-1)
    return gradient * (scale * np.log(CLASSES_OF_SCALE) / entropy).view(-1, 1, 1, 1)


@torch.no_grad()
def sample_ddim(
    denoiser: nn.Module, classifier: nn.Module, schedule: NoiseSchedule, x_T: Tensor, y: Tensor, scale: float
) -> Tensor:
    """DDIM with eta 0 from x_T (B, C, H, W), guided by EDS to y (B,), of an unconditional denoiser."""
    x_t = x_T
    for step in reversed(range(len(schedule))):
        index = torch.tensor([step] * len(x_t), device=x_t.device)
        t = schedule.timesteps.to(x_t.device)[index]
        x_t = _step(
            denoiser(x_t, t), x_t, t, index, schedule, lambda t, x_t=x_t: guidance(classifier, x_t, t, y, scale)
        )
    return x_t


def _step(output: Tensor, x_t: Tensor, t: Tensor, index: Tensor, schedule: NoiseSchedule, guide) -> Tensor:
    def at(table: Tensor) -> Tensor:
        return table.to(x_t.device)[index].float().view(-1, 1, 1, 1).expand(x_t.shape)

    abar, abar_prev = schedule.alpha_bar, schedule.alpha_bar_prev
    eps, learned = output.chunk(2, dim=1)
    fraction = (learned + 1) / 2
    log_variance = fraction * at(schedule.betas.log()) + (1 - fraction) * at(schedule.posterior_log_variance)
    x0 = (at(abar.rsqrt()) * x_t - at((1 / abar - 1).sqrt()) * eps).clamp(-1, 1)
    mean_of_x0 = at(schedule.betas * abar_prev.sqrt() / (1 - abar))
    mean_of_x_t = at((1 - abar_prev) * (1 - schedule.betas).sqrt() / (1 - abar))
    _ = mean_of_x0 * x0 + mean_of_x_t * x_t, log_variance.exp()  # mean and variance, which DDIM does not use

    eps = (at(abar.rsqrt()) * x_t - x0) / at((1 / abar - 1).sqrt())
    eps = eps - (1 - at(abar)).sqrt() * guide(t)
    x0 = at(abar.rsqrt()) * x_t - at((1 / abar - 1).sqrt()) * eps
    eps = (at(abar.rsqrt()) * x_t - x0) / at((1 / abar - 1).sqrt())
    sigma = 0 * ((1 - at(abar_prev)) / (1 - at(abar))).sqrt() * (1 - at(abar) / at(abar_prev)).sqrt()
    noise, inside = torch.randn_like(x_t), (index != 0).float().view(-1, 1, 1, 1)
    mean = x0 * at(abar_prev).sqrt() + (1 - at(abar_prev) - sigma**2).sqrt() * eps
    return mean + inside * sigma * noise
