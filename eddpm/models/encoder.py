"""The noise-aware classifier: the downsampling half of ADM's U-Net and a pooling head (ADM sec. 4 and table 12)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from eddpm.config.networks import EncoderConfig
from eddpm.models.layers import AttentionPool, GroupNorm, full_precision, trunk_dtype, zeroed
from eddpm.models.unet import HalfUNet, heads

SPATIAL_CHANNELS = 7  # as many as sFID takes from Inception's mixed_6 (ADM's evaluator)


class EncoderFeatures(NamedTuple):
    """The features of a batch of images, all in float32."""

    pooled: Tensor  # (B, C): the input of the last linear layer, as Inception's pool_3 is
    spatial: Tensor  # (B, 7, h, w): the first channels of the middle block's output
    logits: Tensor  # (B, num_classes)


class EncoderClassifier(HalfUNet):
    """Classifies noisy images; the gradient of its log-probabilities at x_t guides the sampler (ADM sec. 4.1).

    With `config.temperatures` L it has two buffers more: `temperatures` (L,), which divide the logits at each noise
    level (Guo et al., 2017), and `temperature_edges` (L - 1,), the first step of each level after the first.
    """

    config: EncoderConfig
    temperatures: Tensor
    temperature_edges: Tensor

    def __init__(self, config: EncoderConfig):
        super().__init__(config, config.classifier_width, config.classifier_depth)
        channels, size = self.widths[-1], self.sizes[-1]
        head: list[nn.Module]
        if config.classifier_pool == "attention":
            head = [AttentionPool(size, channels, heads(config, channels), config.num_classes)]
        else:
            head = [nn.AdaptiveAvgPool2d(1), zeroed(nn.Conv2d(channels, config.num_classes, 1)), nn.Flatten()]
        self.out = nn.Sequential(GroupNorm(channels), nn.SiLU(), *head)
        if config.temperatures:
            self.register_buffer("temperatures", torch.ones(config.temperatures))
            self.register_buffer("temperature_edges", torch.zeros(config.temperatures - 1, dtype=torch.long))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """x_t (B, C, image_size, image_size), t (B,) in original steps -> logits (B, num_classes) in float32."""
        return self._temperature_scaled(full_precision(self.out, self._encode(x_t, t)), t)

    def features(self, x: Tensor, t: Tensor) -> EncoderFeatures:
        """Features of images x (B, C, image_size, image_size) in [-1, 1] at steps t (B,); t = 0 for clean images."""
        middle = self._encode(x, t)
        activated = self.out[:2](middle)
        head = self.out[2]
        pooled = head.pool(activated) if isinstance(head, AttentionPool) else head(activated).flatten(1)
        logits = self._temperature_scaled(self.out[2:](activated), t)
        return EncoderFeatures(pooled, middle[:, :SPATIAL_CHANNELS], logits)

    def _temperature_scaled(self, logits: Tensor, t: Tensor) -> Tensor:
        """The logits, divided by the temperatures of their noise levels where there are any."""
        if not self.config.temperatures:
            return logits
        level = (t[:, None] >= self.temperature_edges).sum(dim=1)
        return logits / self.temperatures[level, None]

    def _encode(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The middle block's output (B, C, h, w), in the precision of the head."""
        emb = self.embed_time(t)
        h = x_t.to(trunk_dtype(self))
        for block in self.input_blocks:
            h = block(h, emb)
        return self.middle_block(h, emb).to(emb.dtype)
