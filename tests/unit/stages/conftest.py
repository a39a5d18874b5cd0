"""Tiny networks on disk, made once: what the stages read."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pictures import prepare
from tiny import tiny_project, write_settings
from trainings import arguments, result

from eddpm.data.store import Store
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import save_model
from eddpm.models.build import build_classifier, build_denoiser
from eddpm.stages import train
from eddpm.stages.references import extract_references


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny project, its data set (and the training images as a sample batch), and weights of each of its networks,
    random, but none of them zero."""
    folder, project = tmp_path_factory.mktemp("tiny"), tiny_project()
    torch.manual_seed(0)
    weights = {}
    for name in (*project.denoisers, *project.classifiers):
        is_denoiser = name in project.denoisers
        network = build_denoiser(project.unet(name)) if is_denoiser else build_classifier(project.encoder(name))
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
        weights[name] = folder / f"{name}.safetensors"
        save_model(weights[name], network.state_dict())
    dataset, train = prepare(folder / "data", project.dataset), folder / "train.npz"
    store = Store(dataset, "train")
    write_samples(train, Samples(store.read(np.arange(len(store))), store.labels, {}))
    return SimpleNamespace(project=project, weights=weights, dataset=dataset, train=train)


@pytest.fixture(scope="session")
def references(tiny, tmp_path_factory):
    """The settings of measuring, and references of both spaces of the tiny project, made of its training images."""
    folder = tmp_path_factory.mktemp("references")
    settings = write_settings(folder / "measure.yaml", tiny.project.measure())
    paths = [folder / "clean.npz", folder / "pixels.npz"]
    extract_references(settings, tiny.dataset, [tiny.weights["clean"]], paths)
    return settings, paths


@pytest.fixture
def run(tiny, tmp_path, monkeypatch):
    """Train; gives the weights and the log."""
    monkeypatch.setattr(train, "VALIDATION_IMAGES", 10)

    def run(name, folder="out", config=None, **options):
        verb, options = arguments(tiny, tmp_path / folder, name, config, **options)
        getattr(train, verb)(**options)
        return result(options)

    return run


@pytest.fixture
def run_killed(run, monkeypatch):
    """The same, killed once its first state is saved, or the first row of its log is told."""

    def run_killed(*arguments, after="save_training_state", **options):
        done = getattr(train, after)

        def do_and_die(*rest):
            done(*rest)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(train, after, do_and_die)
            with pytest.raises(KeyboardInterrupt):
                run(*arguments, **options)

    return run_killed
