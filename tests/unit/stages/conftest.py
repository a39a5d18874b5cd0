"""Tiny networks on disk, made once: what the stages read."""

from types import SimpleNamespace

import pytest
import torch
from tiny import tiny_project, write_settings

from eddpm.artifacts import save_model
from eddpm.models.build import build_classifier, build_denoiser
from eddpm.stages.data import prepare_dataset
from eddpm.stages.features import extract_references


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny project, its data set, and weights (random, but none of them zero) of each of its networks."""
    folder, project = tmp_path_factory.mktemp("tiny"), tiny_project()
    torch.manual_seed(0)
    weights = {}
    for kind, names, build in (
        ("denoisers", project.denoisers, lambda name: build_denoiser(project.unet(name))),
        ("classifiers", project.classifiers, lambda name: build_classifier(project.encoder(name))),
    ):
        for name in names:
            network = build(name)
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, std=0.1)
            weights[name] = folder / kind / f"{name}.safetensors"
            save_model(weights[name], network.state_dict())
    train, validation = folder / "train.npz", folder / "validation.npz"
    prepare_dataset(write_settings(folder / "dataset.yaml", project.dataset), train, validation)
    return SimpleNamespace(project=project, weights=weights, train=train, validation=validation)


@pytest.fixture(scope="session")
def references(tiny, tmp_path_factory):
    """The settings of measuring, and references of both spaces of the tiny project, made of its training images."""
    folder = tmp_path_factory.mktemp("references")
    settings = write_settings(folder / "measure.yaml", tiny.project.measure())
    paths = [folder / "clean.npz", folder / "pixels.npz"]
    extract_references(settings, tiny.train, [tiny.weights["clean"]], paths)
    return settings, paths
