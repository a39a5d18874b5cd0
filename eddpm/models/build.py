"""From settings to networks, and weights into them; the published checkpoints' settings (ADM tables 11 and 12)."""

import functools
import logging
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from eddpm.config.schema import EncoderConfig, UNetConfig
from eddpm.errors import ArtifactError
from eddpm.io.names import listed
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.unet import UNet
from eddpm.models.weights import Shapes, find_weights, refuse_unusable, shapes

logger = logging.getLogger(__name__)

NetworkConfig = UNetConfig | EncoderConfig
Network = TypeVar("Network", bound=nn.Module)

_CHANNEL_MULT = {64: (1, 2, 3, 4), 128: (1, 1, 2, 3, 4), 256: (1, 1, 2, 2, 4, 4), 512: (0.5, 1, 1, 2, 2, 4, 4)}


def _settings(image_size: int) -> dict:
    """What all published networks of a size have in common."""
    return {
        "image_size": image_size,
        "image_channels": 3,
        "channel_mult": _CHANNEL_MULT[image_size],
        "attention_resolutions": (32, 16, 8),
    }


# How keys begin, and what network they are of.
_KINDS = {
    "output_blocks.": "a denoiser",
    "input_blocks.": "a classifier",
    "down_blocks.": "a network of the library diffusers, which names its layers otherwise",
    "blocks.": "a transformer",
    "layer1.": "a ResNet",
}

PUBLISHED: dict[str, NetworkConfig] = {
    "64x64_diffusion": UNetConfig(
        **_settings(64),
        num_channels=192,
        num_head_channels=64,
        num_res_blocks=3,
        num_classes=1000,
        dropout=0.1,
        use_new_attention_order=True,
    ),
    "128x128_diffusion": UNetConfig(**_settings(128), num_channels=256, num_heads=4, num_classes=1000),
    "256x256_diffusion": UNetConfig(**_settings(256), num_channels=256, num_head_channels=64, num_classes=1000),
    "256x256_diffusion_uncond": UNetConfig(**_settings(256), num_channels=256, num_head_channels=64),
    "512x512_diffusion": UNetConfig(**_settings(512), num_channels=256, num_head_channels=64, num_classes=1000),
    "64x64_classifier": EncoderConfig(**_settings(64), classifier_width=128, classifier_depth=4, num_classes=1000),
    "128x128_classifier": EncoderConfig(**_settings(128), classifier_width=128, num_classes=1000),
    "256x256_classifier": EncoderConfig(**_settings(256), classifier_width=128, num_classes=1000),
    "512x512_classifier": EncoderConfig(**_settings(512), classifier_width=128, num_classes=1000),
}


def build_denoiser(config: UNetConfig, *, frozen: bool = False) -> UNet:
    """The denoiser of these settings, newly initialised, in training mode; frozen: as `freeze` leaves it."""
    return freeze(UNet(config)) if frozen else UNet(config)


def build_classifier(config: EncoderConfig, *, frozen: bool = False) -> EncoderClassifier:
    """The classifier of these settings, newly initialised, in training mode; frozen: as `freeze` leaves it."""
    return freeze(EncoderClassifier(config)) if frozen else EncoderClassifier(config)


def freeze(network: Network) -> Network:
    """Make ready for use, in place: eval mode, no gradients for the parameters, so those at x_t stay cheap."""
    return network.eval().requires_grad_(False)


def load_weights(network: UNet | EncoderClassifier, state_dict: Mapping, source: str) -> None:
    """Copy the weights within `state_dict` into the network, in place, keeping its device and precision.

    They may lie in mappings within it, with something before their keys; which were taken is said. Raises
    ArtifactError, in one line, unless there are weights with exactly the network's keys and shapes, all finite. It
    names `source` (the file, as the user knows it), the first keys that differ and, for published weights, the
    settings to change.
    """
    own = network.state_dict()
    wanted = shapes(own)
    found = find_weights(state_dict, wanted, source)
    if not found.fit:
        there, under = shapes(found.tensors), f"under '{found.place.rstrip('.')}': " if found.place else ""
        raise ArtifactError(
            f"{source}: {under}not the weights of this network: {_difference(there, wanted)}"
            f"{_remedy(there, network.config)}"
        )
    refuse_unusable(found.tensors, own, source)
    network.load_state_dict(found.tensors)
    notes = found.notes + _converted(found.tensors, own)
    if notes:
        logger.info(f"{source}: {'; '.join(notes)}")


def _converted(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    pairs = {(tensors[key].dtype, own[key].dtype) for key in own if tensors[key].dtype != own[key].dtype}
    return [f"has {before}, computes in {after}".replace("torch.", "") for before, after in sorted(pairs, key=str)]


def _difference(found: Shapes, wanted: Shapes) -> str:
    reshaped = [
        f"{key} is {found[key]}, wanted {wanted[key]}" for key in wanted if found.get(key, wanted[key]) != wanted[key]
    ]
    kinds = {
        "missing": [key for key in wanted if key not in found],
        "unexpected": [key for key in found if key not in wanted],
        "other shape": reshaped,
    }
    return "; ".join(f"{kind}: {listed(entries, most=3)}" for kind, entries in kinds.items() if entries)


def _remedy(found: Shapes, config: NetworkConfig) -> str:
    """The settings to change, if these are the shapes of published weights; else the kind, if another."""
    for name, published in PUBLISHED.items():
        if found != published_shapes(name):
            continue
        if type(published) is not type(config):
            return f"; it fits the published {name}"
        keys = [key for key in type(config).model_fields if getattr(published, key) != getattr(config, key)]
        changes = [_as_configured(key, getattr(published, key), getattr(config, key)) for key in keys]
        return f"; it fits the published {name}: set {', '.join(changes)}"
    own = "a denoiser" if isinstance(config, UNetConfig) else "a classifier"
    kinds = (kind for start, kind in _KINDS.items() if any(f".{start}" in f".{key}" for key in found))
    return f"; these are the weights of {kind}" if (kind := next(kinds, own)) != own else ""


def _as_configured(key: str, value: object, instead_of: object) -> str:
    """A setting of a network as a project file names and writes it."""
    if key == "num_classes" and None in (value, instead_of):
        return f"class_cond {str(value is not None).lower()}"
    if key in ("image_size", "image_channels", "num_classes"):
        return f"dataset.{key} {value}"
    return f"{key} [{', '.join(f'{x:g}' for x in value)}]" if isinstance(value, tuple) else f"{key} {value}"


@functools.cache
def published_shapes(name: str) -> Shapes:
    """Shapes of all parameters of a published network, by key; takes no memory for the weights."""
    config = PUBLISHED[name]
    with torch.device("meta"):
        network = UNet(config) if isinstance(config, UNetConfig) else EncoderClassifier(config)
    return shapes(network.state_dict())
