"""Classifiers by noise level, and their temperatures, on the validation images of the tiny project."""

import json

import numpy as np
import pytest
import torch
from tiny import write_settings

from eddpm.config.schema import MeasureClassifierConfig
from eddpm.data.store import Store
from eddpm.diffusion.images import to_float
from eddpm.diffusion.schedule import make_schedule
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.noise_levels import noise_levels
from eddpm.io.files import load_checkpoint, save_model
from eddpm.models.build import build_classifier, load_weights
from eddpm.models.device import pick_device
from eddpm.stages.classifiers import fit_temperature, measure_classifier


@pytest.fixture
def config(tiny) -> MeasureClassifierConfig:
    return tiny.project.measure_classifier("ce")


@pytest.fixture
def run(tiny, tmp_path):
    """Call a stage with these settings; returns the path that it writes."""

    def run(stage_fn, config, classifier=tiny.weights["ce"]):
        settings, output = write_settings(tmp_path / "settings.yaml", config), tmp_path / "output.safetensors"
        stage_fn(settings, tiny.dataset, classifier, output)
        return output

    return run


def with_network(config, **changes) -> MeasureClassifierConfig:
    return config.model_copy(update={"network": config.network.model_copy(update=changes)})


def open_network(config, weights):
    network = build_classifier(config.network, frozen=True)
    load_weights(network, load_checkpoint(weights), str(weights))
    return network


def test_the_images_measured_are_the_odd_numbered_ones(tiny, run, config, capsys):
    rows = [json.loads(line) for line in run(measure_classifier, config).read_text().splitlines()]
    store = Store(tiny.dataset, "validation")
    x0, y = to_float(torch.from_numpy(store.read(np.arange(1, len(store), 2)))), torch.from_numpy(store.labels[1::2])
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    network, device = open_network(config, tiny.weights["ce"]), pick_device()
    expected = noise_levels(network.to(device), schedule, [(x0.to(device), y.to(device))], config.seed)
    assert rows == [pytest.approx(row, rel=1e-4) for row in expected]
    assert len(rows) == 10
    assert f"{len(store) // 2} of {len(store)} validation images" in capsys.readouterr().err


def test_a_classifier_is_fitted_to_the_even_ones_and_keeps_its_weights_beside_the_temperatures(
    tiny, run, config, monkeypatch
):
    read, asked = Store.read, set()
    monkeypatch.setattr(Store, "read", lambda store, index: asked.update(index % 2) or read(store, index))
    fitted = run(fit_temperature, with_network(config, temperatures=10))
    assert asked == {0}
    network = open_network(with_network(config, temperatures=10), fitted)
    plain = load_checkpoint(tiny.weights["ce"])
    assert all(torch.equal(network.state_dict()[key], value) for key, value in plain.items())
    assert network.temperature_edges.tolist() == list(range(100, 1000, 100))
    assert (network.temperatures != 1).all()


def test_temperatures_follow_the_scale_of_the_logits(tiny, run, config, tmp_path):
    """A classifier with logits 5 times as large has temperatures 5 times as large, and the same predictions."""
    tempered = with_network(config, temperatures=3)
    fitted = load_checkpoint(run(fit_temperature, tempered))
    weights = load_checkpoint(tiny.weights["ce"])
    for part in ("weight", "bias"):
        weights[f"out.2.c_proj.{part}"] *= 5
    save_model(tmp_path / "sharp.safetensors", weights)
    sharp = load_checkpoint(run(fit_temperature, tempered, tmp_path / "sharp.safetensors"))
    torch.testing.assert_close(sharp["temperatures"], 5 * fitted["temperatures"], rtol=1e-3, atol=0)


def test_a_temperature_at_the_bound_is_said(tiny, run, config, tmp_path, capsys):
    blind = {key: torch.zeros_like(value) for key, value in load_checkpoint(tiny.weights["ce"]).items()}
    save_model(tmp_path / "blind.safetensors", blind)
    fitted = load_checkpoint(run(fit_temperature, with_network(config, temperatures=2), tmp_path / "blind.safetensors"))
    assert fitted["temperatures"].tolist() == [100, 100]
    assert capsys.readouterr().err.count("no best temperature") == 2


@pytest.mark.parametrize("temperatures", [None, 1001])
def test_a_number_of_temperatures_that_cannot_be_fitted_is_refused(run, config, temperatures):
    with pytest.raises(ConfigError, match=rf"settings\.yaml: network\.temperatures: value {temperatures}: [^\n]+$"):
        run(fit_temperature, with_network(config, temperatures=temperatures))


def test_images_that_are_not_the_networks_or_too_few_are_refused(run, config, tmp_path, monkeypatch):
    other = with_network(config, image_size=16)
    save_model(tmp_path / "other.safetensors", build_classifier(other.network).state_dict())
    with pytest.raises(ArtifactError, match=r"dataset\.json: [^\n]*the network [^\n]*prepare[^\n]*$"):
        run(measure_classifier, other, tmp_path / "other.safetensors")
    monkeypatch.setattr(Store, "__len__", lambda self: 1)
    with pytest.raises(ArtifactError, match="too few"):
        run(measure_classifier, config)
