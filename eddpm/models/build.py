"""From settings to networks, and weights into them; the published checkpoints' settings (ADM tables 11 and 12)."""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.errors import ArtifactError
from eddpm.io.files import load_checkpoint
from eddpm.io.names import listed
from eddpm.models.encoder import EncoderClassifier
from eddpm.models.unet import UNet
from eddpm.models.weights import Shapes, find_weights, refuse_unusable, shapes

logger = logging.getLogger(__name__)

NetworkConfig = UNetConfig | EncoderConfig
Network = TypeVar("Network", bound=nn.Module)

_CHANNEL_MULT = {64: (1, 2, 3, 4), 128: (1, 1, 2, 3, 4), 256: (1, 1, 2, 2, 4, 4), 512: (0.5, 1, 1, 2, 2, 4, 4)}


def _settings(image_size: int) -> dict[str, Any]:
    """The settings that all published networks of a size share."""
    return {
        "image_size": image_size,
        "image_channels": 3,
        "channel_mult": _CHANNEL_MULT[image_size],
        "attention_resolutions": (32, 16, 8),
    }


def _denoiser(image_size: int, num_classes: int | None = 1000, **options: Any) -> UNetConfig:
    options = {"num_channels": 256, "num_head_channels": 64} | options
    return UNetConfig(**_settings(image_size), num_classes=num_classes, **options)


def _classifier(image_size: int, **options: Any) -> EncoderConfig:
    return EncoderConfig(**_settings(image_size), classifier_width=128, num_classes=1000, **options)


PUBLISHED: dict[str, NetworkConfig] = {
    "64x64_diffusion": _denoiser(64, num_channels=192, num_res_blocks=3, dropout=0.1, use_new_attention_order=True),
    "128x128_diffusion": _denoiser(128, num_heads=4, num_head_channels=None),
    "256x256_diffusion": _denoiser(256),
    "256x256_diffusion_uncond": _denoiser(256, num_classes=None),
    "512x512_diffusion": _denoiser(512),
    "64x64_classifier": _classifier(64, classifier_depth=4),
    **{f"{size}x{size}_classifier": _classifier(size) for size in (128, 256, 512)},
}

# The beginnings of keys, and the networks that have such keys.
_LABELS = "label_emb.weight"  # a row for each class
_KINDS = {
    "output_blocks.": "a denoiser",
    "input_blocks.": "a classifier",
    "down_blocks.": "a network of the library diffusers, which names its layers otherwise",
    "blocks.": "a transformer",
    "layer1.": "a ResNet",
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

    They may lie in mappings within it, with something before their keys; the choice is logged. Raises ArtifactError
    unless there are weights with exactly the network's keys and shapes, all finite: with `source` (the file, as the
    user knows it), the first keys that differ and, for published weights, the settings to change.
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
    types = sorted({(str(found.tensors[key].dtype), str(own[key].dtype)) for key in own})
    converted = [f"has {before}, computes in {after}" for before, after in types if before != after]
    if notes := [*found.notes, *converted]:
        logger.info(f"{source}: {'; '.join(notes).replace('torch.', '')}")


def load_weights_file(network: UNet | EncoderClassifier, path: Path) -> None:
    """`load_weights` of a checkpoint's file."""
    load_weights(network, load_checkpoint(path), str(path))


def _difference(found: Shapes, wanted: Shapes) -> str:
    shared = found.keys() & wanted.keys()
    kinds = {
        "missing": [key for key in wanted if key not in shared],
        "unexpected": [key for key in found if key not in shared],
        "other shape": [
            f"{key} is {found[key]}, wanted {wanted[key]}"
            for key in wanted
            if key in shared and found[key] != wanted[key]
        ],
    }
    return "; ".join(f"{kind}: {listed(entries, most=3)}" for kind, entries in kinds.items() if entries)


def _remedy(found: Shapes, config: NetworkConfig) -> str:
    """The settings to change, if these are the shapes of published weights; else the kind, if another."""
    name = next((name for name in PUBLISHED if found == published_shapes(name)), None)
    if name and type(PUBLISHED[name]) is type(config):
        pairs = {key: (value, getattr(config, key)) for key, value in PUBLISHED[name]}
        changes = [_as_configured(key, value, now) for key, (value, now) in pairs.items() if value != now]
        return f"; it fits the published {name}: set {', '.join(changes)}"
    if name:
        return f"; it fits the published {name}"
    own = "a denoiser" if isinstance(config, UNetConfig) else "a classifier"
    kind = next((kind for start, kind in _KINDS.items() if any(f".{start}" in f".{key}" for key in found)), own)
    if kind == own and config.num_classes and found.get(_LABELS, (0,))[0] == config.num_classes + 1:
        return "; it has one class more, as label dropout gives it: set label_dropout"
    return f"; these are the weights of {kind}" if kind != own else ""


def _as_configured(key: str, value: object, instead_of: object) -> str:
    """A setting of a network as a project file names and writes it."""
    if key == "num_classes" and None in (value, instead_of):
        return f"class_cond {str(value is not None).lower()}"
    if key == "num_classes" and isinstance(value, int) and instead_of == value + 1:
        return f"label_dropout 0 or dataset.num_classes {value}"
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
