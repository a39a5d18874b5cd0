"""Weights of a small classifier, and what training keeps beside them."""

import torch
from torch import nn

from eddpm.config.networks import EncoderConfig
from eddpm.models.build import build_classifier

ENCODER = EncoderConfig(
    image_size=8, image_channels=1, channel_mult=(1,), classifier_width=32, num_head_channels=32, num_classes=2
)


def random_weights(seed: int) -> dict[str, torch.Tensor]:
    """Weights of the small classifier, none of them zero."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {key: value.shape for key, value in build_classifier(ENCODER).state_dict().items()}
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


RIGHT, OTHER = random_weights(0), random_weights(1)


def renamed(before: str, weights: dict[str, torch.Tensor] = RIGHT) -> dict[str, torch.Tensor]:
    return {f"{before}{key}": value for key, value in weights.items()}


def optimiser() -> dict:
    """The state of an optimiser after a step."""
    network = nn.Linear(2, 2)
    adam = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 2)).sum().backward()
    adam.step()
    return adam.state_dict()
