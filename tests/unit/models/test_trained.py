"""Trained networks come back from their file alone."""

import pytest
import torch
from tiny import tiny_project, write_settings
from zoo.weights import ENCODER, RIGHT

import eddpm
from eddpm.config.schema import DiffusionConfig, MeasureClassifierConfig
from eddpm.errors import ArtifactError
from eddpm.io.files import save_model
from eddpm.models.build import build_denoiser
from eddpm.models.trained import save_trained

COSINE = DiffusionConfig(noise_schedule="cosine", diffusion_steps=50)


@pytest.fixture
def classifier(tmp_path):
    """The folder of a classifier with temperatures, and its weights."""
    config = MeasureClassifierConfig(network=ENCODER.model_copy(update={"temperatures": 2}), diffusion=COSINE)
    weights = RIGHT | {"temperatures": torch.tensor([1.0, 2.0]), "temperature_edges": torch.tensor([25])}
    save_trained(tmp_path / "model.safetensors", weights, config)
    return tmp_path, weights


def test_a_classifier_is_loaded_from_its_file_alone_ready_for_use(classifier, tmp_path):
    folder, weights = classifier
    alone = (folder / "model.safetensors").rename(tmp_path / "ect.safetensors")
    network = eddpm.load(str(alone))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert (network.config.temperatures, network.diffusion) == (2, COSINE)
    for key, value in network.state_dict().items():
        assert torch.equal(value, weights[key]), key


def test_a_denoiser_without_metadata_is_loaded_from_its_folder_by_the_settings_beside_it(tmp_path):
    config = tiny_project().train_denoiser("uadm")
    weights = build_denoiser(config.network).state_dict()
    save_model(tmp_path / "model.safetensors", weights)
    write_settings(tmp_path / "settings.yaml", config)
    network = eddpm.load(tmp_path)
    assert (network.config, network.diffusion) == (config.network, config.diffusion)
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())


def test_weights_without_settings_are_refused(tmp_path):
    torch.save(RIGHT, tmp_path / "256x256_classifier.pt")
    with pytest.raises(ArtifactError, match=r"classifier\.pt: has no settings of a network, .*; name such a file, or"):
        eddpm.load(tmp_path / "256x256_classifier.pt")
    with pytest.raises(ArtifactError, match=r"model\.safetensors: does not exist"):
        eddpm.load(tmp_path)
    save_model(tmp_path / "model.safetensors", RIGHT, {"eddpm": '{"network": '})
    with pytest.raises(ArtifactError, match=r"model\.safetensors: damaged settings"):
        eddpm.load(tmp_path)


def test_the_tensors_bytes_are_those_without_settings(classifier):
    folder, weights = classifier
    save_model(folder / "plain", weights)
    data = {}
    for name in ("plain", "model.safetensors"):
        content = (folder / name).read_bytes()
        data[name] = content[8 + int.from_bytes(content[:8], "little") :]
    assert data["plain"] == data["model.safetensors"]


def test_the_library_gives_what_it_lists():
    assert all(getattr(eddpm, name) is not None for name in eddpm.__all__)
