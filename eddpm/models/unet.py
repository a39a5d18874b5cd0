"""ADM's U-Net: the denoiser (ADM sec. 3 and table 11), and the downsampling half that the classifier shares with it."""

import torch
from torch import Tensor, nn

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.config.schema import DiffusionConfig
from eddpm.models.layers import (
    AttentionBlock,
    ConditionedSequential,
    Downsample,
    GroupNorm,
    Resampling,
    ResidualBlock,
    Upsample,
    full_precision,
    timestep_embedding,
    trunk_dtype,
    zeroed,
)


def heads(config: UNetConfig | EncoderConfig, channels: int) -> int:
    """Number of heads of an attention over `channels`: so many, or so wide, as the settings say."""
    return channels // config.num_head_channels if config.num_head_channels else config.num_heads


class HalfUNet(nn.Module):
    """Time embedding, downsampling blocks and middle block: the parts that denoiser and classifier share.

    Level k has maps of image_size / 2**k pixels with `widths[k]` channels.
    """

    diffusion: DiffusionConfig | None = None  # the noise that it was trained with, where that is known

    def __init__(self, config: UNetConfig | EncoderConfig, width: int, depth: int, dropout: float = 0.0):
        super().__init__()
        self.config, self.width, self.dropout = config, width, dropout
        self.widths = [int(mult * width) for mult in config.channel_mult]
        self.sizes = [config.image_size // 2**level for level in range(len(self.widths))]

        self.time_embed = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))
        channels = self.widths[0]
        steps: list[list[nn.Module]] = [[nn.Conv2d(config.image_channels, channels, 3, padding=1)]]
        for level, (level_width, size) in enumerate(zip(self.widths, self.sizes, strict=True)):
            if level > 0:
                steps.append([self.resampling(channels, "down")])
            for _ in range(depth):
                steps.append(self.step(channels, level_width, size))
                channels = level_width
        self.input_blocks = nn.ModuleList(ConditionedSequential(*layers) for layers in steps)
        self.middle_block = ConditionedSequential(
            self.residual(channels, channels), self.attention(channels), self.residual(channels, channels)
        )

    def residual(self, in_channels: int, out_channels: int, direction: Resampling | None = None) -> ResidualBlock:
        scale_shift, dropout = self.config.use_scale_shift_norm, self.dropout
        return ResidualBlock(
            in_channels, out_channels, 4 * self.width, scale_shift=scale_shift, dropout=dropout, direction=direction
        )

    def attention(self, channels: int) -> AttentionBlock:
        return AttentionBlock(channels, heads(self.config, channels), new_order=self.config.use_new_attention_order)

    def step(self, in_channels: int, out_channels: int, size: int) -> list[nn.Module]:
        """A residual block, and attention after it where maps of `size` pixels are to have it."""
        attends = size in self.config.attention_resolutions
        return [self.residual(in_channels, out_channels), *([self.attention(out_channels)] if attends else [])]

    def resampling(self, channels: int, direction: Resampling) -> nn.Module:
        if self.config.resblock_updown:
            return self.residual(channels, channels, direction)
        return Upsample(channels) if direction == "up" else Downsample(channels)

    def embed_time(self, t: Tensor) -> Tensor:
        """Timesteps t (B,), 0 to diffusion_steps - 1 -> (B, 4 * width), in the full precision of the network."""
        sinusoids = timestep_embedding(t, self.width).to(self.get_parameter("time_embed.0.weight").dtype)
        return full_precision(self.time_embed, sinusoids)


class UNet(HalfUNet):
    """The denoiser (ADM sec. 3): predicts the noise in x_t and, with learn_sigma, where its variance lies in its range.

    The final convolution, the last one of each residual branch and the attentions' projections start at zero.
    """

    config: UNetConfig

    def __init__(self, config: UNetConfig):
        depth = config.num_res_blocks
        super().__init__(config, config.num_channels, depth, config.dropout)
        if config.num_classes is not None:
            self.label_emb = nn.Embedding(config.num_classes, 4 * self.width)

        # Each level leaves `depth` maps and, above the last one, the halved map; the first convolution leaves another.
        skips = [self.widths[0], *(width for width in self.widths for _ in range(depth + 1))][:-1]
        channels = self.widths[-1]
        steps: list[list[nn.Module]] = []
        for level in reversed(range(len(self.widths))):
            for _ in range(depth + 1):
                steps.append(self.step(channels + skips.pop(), self.widths[level], self.sizes[level]))
                channels = self.widths[level]
            if level > 0:
                steps[-1].append(self.resampling(channels, "up"))
        self.output_blocks = nn.ModuleList(ConditionedSequential(*layers) for layers in steps)

        outputs = config.image_channels * (2 if config.learn_sigma else 1)
        self.out = nn.Sequential(GroupNorm(channels), nn.SiLU(), zeroed(nn.Conv2d(channels, outputs, 3, padding=1)))

    def forward(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """x_t (B, C, H, W), t (B,) in original steps, y (B,) if class-conditional -> (B, C or 2C, H, W) in float32."""
        assert (y is not None) == (self.config.num_classes is not None), "y goes with num_classes: both or neither"
        emb = self.embed_time(t)
        if y is not None:
            emb = emb + self.label_emb(y)

        h = x_t.to(trunk_dtype(self))
        skips = []
        for block in self.input_blocks:
            h = block(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        return full_precision(self.out, h.to(emb.dtype))
