"""The least that each class of settings needs, and what is said of values that cannot be."""

import copy

import pytest

from eddpm.config.settings import Settings, parse_settings
from eddpm.errors import ConfigError

UNET = {
    "image_size": 16,
    "image_channels": 1,
    "num_channels": 32,
    "channel_mult": [1, 2],
    "attention_resolutions": [8],
    "num_head_channels": 32,
}
ENCODER = {**UNET, "classifier_width": 32, "num_classes": 10}
del ENCODER["num_channels"]
TRAINING = {"iterations": 10, "batch_size": 4, "lr": 1e-3}
DIFFUSION = {"noise_schedule": "cosine"}
DENOISER = {"network": {**UNET, "learn_sigma": False}, "diffusion": DIFFUSION, "training": TRAINING}
CLASSIFIER = {"network": ENCODER, "diffusion": DIFFUSION, "training": TRAINING}
DATASET = {"source": "digits", "image_size": 8, "image_channels": 1, "num_classes": 10}
SAMPLE = {
    "name": "UADM(25)-G",
    "denoiser": UNET,
    "classifier": ENCODER,
    "num_classes": 10,
    "diffusion": DIFFUSION,
    "sampler": "ddim",
    "steps": "ddim25",
    "guidance": {"rule": "constant"},
    "scale": 4,
    "seed": 0,
}


def changed(values: dict, path: str, value) -> dict:
    """A copy of `values` with the value at the dotted `path` set."""
    values = copy.deepcopy(values)
    *parents, key = path.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    place[key] = value
    return values


def refusal(cls: type[Settings], values) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_settings(cls, values, "some.yaml")
    message = str(caught.value)
    assert message.startswith("some.yaml: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix("some.yaml: ")
