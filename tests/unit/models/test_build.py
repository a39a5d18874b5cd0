"""Networks from settings: the published checkpoints' parameters, and what loading the wrong ones says."""

import json
import re
from pathlib import Path

import pytest
import torch
from golden_cases import GOLDEN
from tiny import REPO

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.config.projectfile import load_project
from eddpm.config.settings import read_yaml
from eddpm.errors import ArtifactError
from eddpm.models.build import PUBLISHED, build_classifier, build_denoiser, load_weights
from eddpm.models.layers import set_trunk_dtype, trunk_dtype

STORED = json.loads((GOLDEN / "published_state_dicts.json").read_text())
SMALL = {"image_size": 8, "image_channels": 1, "channel_mult": (1, 2)}
SMALL_UNET = UNetConfig(**SMALL, num_channels=32, num_res_blocks=1)
SMALL_ENCODER = EncoderConfig(**SMALL, classifier_width=32, num_head_channels=32, num_classes=10)


def on_meta(config):
    """A network of these settings that takes no memory."""
    with torch.device("meta"):
        return build_denoiser(config) if isinstance(config, UNetConfig) else build_classifier(config)


def published_weights(name):
    return {key: torch.empty(shape, device="meta") for key, shape in STORED[name].items()}


def imagenet(size, monkeypatch):
    """The project of ImageNet at so many pixels."""
    monkeypatch.chdir(REPO)
    return load_project(read_yaml(f"config/imagenet{size}/config.yaml"), "config.yaml")


def refusal(network, state_dict) -> str:
    with pytest.raises(ArtifactError) as caught:
        load_weights(network, state_dict, "resources/some.pt")
    message = str(caught.value)
    assert message.startswith("resources/some.pt: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", STORED | PUBLISHED)
def test_parameters_are_those_of_the_published_checkpoint(name):
    shapes = {key: list(value.shape) for key, value in on_meta(PUBLISHED[name]).state_dict().items()}
    assert shapes == STORED[name]


@pytest.mark.parametrize("size", [128, 256, 512])
def test_imagenet_configurations_name_the_published_checkpoints_of_their_very_networks(size, monkeypatch):
    project = imagenet(size, monkeypatch)
    entries, networks = project.denoisers | project.classifiers, {}
    networks |= {name: project.unet(name) for name in project.denoisers}
    networks |= {name: project.encoder(name) for name in project.classifiers}
    for name, network in networks.items():
        checkpoint = entries[name].checkpoint
        published = Path(checkpoint.source).stem if checkpoint else f"{size}x{size}_classifier"  # ours train like ADM's
        assert network == PUBLISHED[published], name
    assert sum(entry.checkpoint is not None for entry in entries.values()) == (3 if size == 256 else 2)


def test_weights_are_copied_into_the_precision_of_the_network():
    source, network = build_classifier(SMALL_ENCODER), build_classifier(SMALL_ENCODER)
    set_trunk_dtype(network, torch.bfloat16)
    load_weights(network, source.state_dict(), "memory")
    assert trunk_dtype(network) == torch.bfloat16
    for key, value in network.state_dict().items():
        assert torch.equal(value, source.state_dict()[key].to(value.dtype)), key


def test_what_differs_is_named_where_the_checkpoint_wraps_it_and_nothing_is_loaded():
    network = build_denoiser(SMALL_UNET)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    ones = {key: torch.ones_like(value) for key, value in before.items()}
    wrapped = {f"module.{key}": value for key, value in (ones | {"out.2.bias": torch.ones(6)}).items()}
    assert refusal(network, {"step": 7, "ema": wrapped}).removeprefix("resources/some.pt: ") == (
        "under 'ema.module': not the weights of this network: other shape: out.2.bias is (6,), wanted (2,)"
    )
    ones["time_embedding.0.weight"] = ones.pop("time_embed.0.weight")
    message = refusal(network, ones)
    assert message.endswith("missing: time_embed.0.weight; unexpected: time_embedding.0.weight")  # and no remedy
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("kind", "name", "found", "remedy"),
    [
        ("unet", "uadm", "256x256_diffusion", "class_cond true"),
        ("encoder", "ect", "512x512_classifier", "dataset.image_size 512, channel_mult [0.5, 1, 1, 2, 2, 4, 4]"),
    ],
)
def test_another_published_checkpoint_is_refused_with_what_to_change_in_the_project(
    kind, name, found, remedy, monkeypatch
):
    network = on_meta(getattr(imagenet(256, monkeypatch), kind)(name))
    _, _, told = refusal(network, published_weights(found)).partition(f"; it fits the published {found}: set ")
    assert sorted(re.split(r", (?=[a-z])", told)) == sorted(re.split(r", (?=[a-z])", remedy))


def test_a_published_checkpoint_in_place_of_one_with_label_dropout_is_told_by_that_setting(monkeypatch):
    config = imagenet(256, monkeypatch).unet("cadm")
    network = on_meta(config.model_copy(update={"num_classes": 1001}))
    told = "; it fits the published 256x256_diffusion: set label_dropout 0 or dataset.num_classes 1000"
    assert refusal(network, published_weights("256x256_diffusion")).endswith(told)


def test_published_weights_of_the_other_kind_are_recognised():
    message = refusal(build_classifier(SMALL_ENCODER), published_weights("256x256_diffusion_uncond"))
    assert message.endswith("; it fits the published 256x256_diffusion_uncond")
