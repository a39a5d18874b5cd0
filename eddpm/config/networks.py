"""Networks, by ADM's flag names: what a project says of one, and the whole of it for given images."""

from typing import Literal

from pydantic import Field, model_validator

from eddpm.config.settings import Fraction, Positive, PositiveFloat, Settings, TwoOrMore


class _Architecture(Settings):
    channel_mult: tuple[PositiveFloat, ...] = Field(min_length=1)
    attention_resolutions: tuple[Positive, ...] = ()  # in pixels, as in ADM's flags
    num_heads: Positive = 4  # used where num_head_channels is null
    num_head_channels: Positive | None = None
    use_scale_shift_norm: bool = True
    resblock_updown: bool = True
    use_new_attention_order: bool = False


class _OnImages(Settings):
    image_size: Positive
    image_channels: Positive

    @model_validator(mode="after")
    def _sizes_divide(self):
        halvings = len(self.channel_mult) - 1
        if self.image_size % 2**halvings:
            raise ValueError(f"image_size {self.image_size} cannot be halved {halvings} times; shorten channel_mult")
        for level, channels in enumerate(self.level_channels):
            if channels == 0 or channels % 32:
                raise ValueError(
                    f"level {level} has {channels} channels, not a multiple of 32; change its channel_mult"
                )
            heads = self.num_head_channels or self.num_heads
            attends = self.image_size // 2**level in self.attention_resolutions or level == halvings
            if attends and channels % heads:
                raise ValueError(
                    f"level {level} has {channels} channels, which num_head(_channel)s {heads} do not divide"
                )
        return self


class UNetArchitecture(_Architecture):
    """ADM's U-Net denoiser (ADM sec. 3 and table 11)."""

    num_channels: Positive
    num_res_blocks: Positive = 2
    learn_sigma: bool = True
    dropout: Fraction = 0.0


class UNetConfig(UNetArchitecture, _OnImages):
    """A U-Net for given images; num_classes is null where it is unconditional."""

    num_classes: Positive | None = None

    @property
    def level_channels(self) -> tuple[int, ...]:
        return tuple(int(mult * self.num_channels) for mult in self.channel_mult)


class EncoderArchitecture(_Architecture):
    """ADM's encoder classifier (ADM table 12): half a U-Net and a pooling head."""

    classifier_width: Positive
    classifier_depth: Positive = 2
    classifier_pool: Literal["attention", "adaptive"] = "attention"
    num_head_channels: Positive | None = 64


class EncoderConfig(EncoderArchitecture, _OnImages):
    """An encoder classifier for given images and classes."""

    num_classes: TwoOrMore
    temperatures: Positive | None = None  # noise levels that each divide the logits by a temperature; null: none

    @property
    def level_channels(self) -> tuple[int, ...]:
        return tuple(int(mult * self.classifier_width) for mult in self.channel_mult)
