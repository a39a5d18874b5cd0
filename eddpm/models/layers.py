"""Layers of ADM's networks: norm, time embedding, residual and attention blocks, up/down, pooling (ADM sec. 3).

Attribute names follow the published checkpoints, so that these load key by key.
"""

import math
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_PERIOD = 10_000  # of the time embedding, in timesteps
TRUNK = ("input_blocks", "middle_block", "output_blocks")

Resampling = Literal["up", "down"]
Layer = TypeVar("Layer", bound=nn.Module)


class GroupNorm(nn.GroupNorm):
    """Group normalisation with ADM's 32 groups, computed in the precision of its own weights and returned in x's.

    `set_trunk_dtype` leaves the weights in float32, so sums of squares cannot overflow in a half-precision trunk.
    """

    def __init__(self, channels: int):
        super().__init__(32, channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype)).to(x.dtype)


def zeroed(module: Layer) -> Layer:
    """Zero all parameters: the last layer of a branch starts as nothing, so a block starts as its skip connection."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def timestep_embedding(t: Tensor, dim: int) -> Tensor:
    """Sinusoids of the timestep (DDPM, as in ADM): t (B,) -> (B, dim) in float32, cosines first; dim is even."""
    # float32 throughout, as in ADM: at t = 999 the rounding of the frequencies shows in the fourth digit.
    exponents = torch.arange(dim // 2, dtype=torch.float32, device=t.device) / (dim // 2)
    phases = t[:, None].float() * torch.exp(-math.log(MAX_PERIOD) * exponents)
    return torch.cat([phases.cos(), phases.sin()], dim=1)


def resample(x: Tensor, direction: Resampling | None) -> Tensor:
    """Double x (B, C, H, W) by repeating pixels, halve it by averaging 2x2, or (None) leave it."""
    if direction == "up":
        return F.interpolate(x, scale_factor=2, mode="nearest")
    return F.avg_pool2d(x, 2) if direction == "down" else x


class Upsample(nn.Module):
    """Doubles the resolution, then convolves (ADM with resblock_updown off)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(resample(x, "up"))


class Downsample(nn.Module):
    """Halves the resolution by a strided convolution (ADM with resblock_updown off)."""

    def __init__(self, channels: int):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class ResidualBlock(nn.Module):
    """BigGAN's residual block, conditioned on the embedding: AdaGN (ADM sec. 3.1) or, without it, addition.

    x (B, in_channels, H, W), emb (B, emb_channels) -> (B, out_channels, H', W'), where H' = 2H, H/2 or H.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        emb_channels: int,
        *,
        scale_shift: bool,
        dropout: float = 0.0,
        direction: Resampling | None = None,
    ):
        super().__init__()
        self.scale_shift, self.direction = scale_shift, direction
        self.in_layers = nn.Sequential(
            GroupNorm(in_channels), nn.SiLU(), nn.Conv2d(in_channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb_channels, (1 + scale_shift) * out_channels))
        self.out_layers = nn.Sequential(
            GroupNorm(out_channels),
            nn.SiLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )
        same = in_channels == out_channels
        self.skip_connection = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        norm, activation, conv = self.in_layers
        h = conv(resample(activation(norm(x)), self.direction))

        condition = full_precision(self.emb_layers, emb).to(h.dtype)[:, :, None, None]
        norm, activation, dropout, conv = self.out_layers
        if self.scale_shift:
            scale, shift = condition.chunk(2, dim=1)
            h = norm(h) * (1 + scale) + shift
        else:
            h = norm(h + condition)
        h = conv(dropout(activation(h)))

        return self.skip_connection(resample(x, self.direction)) + h


def split_heads(qkv: Tensor, num_heads: int, new_order: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of each head: (B, T, 3C) -> three of (B, num_heads, T, C / num_heads).

    ADM has two orders of the 3C channels: (q, k, v) x heads, the new one, or heads x (q, k, v).
    """
    if new_order:
        parts = qkv.unflatten(2, (3, num_heads, -1)).unbind(2)
    else:
        parts = qkv.unflatten(2, (num_heads, 3, -1)).unbind(3)
    query, key, value = (part.transpose(1, 2) for part in parts)
    return query, key, value


def pointwise(conv: nn.Conv1d, tokens: Tensor) -> Tensor:
    """conv, of one position at a time, as the matrix product that it is: tokens (B, T, C) -> (B, T, C')."""
    return F.linear(tokens, conv.weight.squeeze(2), conv.bias)


class AttentionBlock(nn.Module):
    """Self-attention over all positions, added to its input (ADM sec. 3): (B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int, num_heads: int, *, new_order: bool):
        super().__init__()
        self.num_heads, self.new_order = num_heads, new_order
        self.norm = GroupNorm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x).flatten(2).transpose(1, 2)
        query, key, value = split_heads(pointwise(self.qkv, tokens), self.num_heads, self.new_order)
        attended = F.scaled_dot_product_attention(query, key, value)  # (B, heads, T, C / heads)
        answer = pointwise(self.proj_out, attended.transpose(1, 2).flatten(2))
        return x + answer.transpose(1, 2).unflatten(2, x.shape[2:])


class AttentionPool(nn.Module):
    """CLIP's attention pooling: the mean position attends to itself and to all others, then is projected.

    x (B, channels, size, size) -> (B, num_outputs).
    """

    def __init__(self, size: int, channels: int, num_heads: int, num_outputs: int):
        super().__init__()
        self.num_heads = num_heads
        self.positional_embedding = nn.Parameter(torch.randn(channels, size**2 + 1) / channels**0.5)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, num_outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(self.pool(x)[:, :, None]).squeeze(2)

    def pool(self, x: Tensor) -> Tensor:
        """The input of the projection: (B, channels)."""
        x = x.flatten(2)
        x = torch.cat([x.mean(dim=2, keepdim=True), x], dim=2) + self.positional_embedding
        qkv = self.qkv_proj(x).transpose(1, 2).contiguous()  # the fused kernels need a head's channels side by side
        query, key, value = split_heads(qkv, self.num_heads, new_order=True)
        # The answers to the other positions would be dropped.
        return F.scaled_dot_product_attention(query[:, :, :1], key, value).flatten(1)


class ConditionedSequential(nn.Sequential):
    """A sequence of layers, in which the residual blocks are given the embedding too."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, emb) if isinstance(layer, ResidualBlock) else layer(x)
        return x


def full_precision(module: nn.Module, x: Tensor) -> Tensor:
    """module(x) in the precision of its weights, even where autocast is on."""
    with torch.autocast(x.device.type, enabled=False):
        return module(x)


def set_trunk_dtype(network: nn.Module, dtype: torch.dtype) -> None:
    """Cast the convolutions of a UNet's or EncoderClassifier's blocks, in place, as ADM's convert_to_fp16 does.

    Norms, embeddings, the blocks' linear layers and the head keep their precision. Inputs and outputs stay float32.
    Within torch.autocast the same parts compute in half precision, of weights that stay float32 and can be trained.
    """
    for name, module in network.named_modules():
        if name.startswith(TRUNK) and isinstance(module, nn.Conv1d | nn.Conv2d):
            module.to(dtype)


def trunk_dtype(network: nn.Module) -> torch.dtype:
    """The precision in which the blocks of a UNet or EncoderClassifier compute."""
    return network.get_parameter("input_blocks.0.0.weight").dtype
