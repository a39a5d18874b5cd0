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
from eddpm.evaluation.noise_levels import level_logits, noise_levels
from eddpm.io.files import load_checkpoint, save_model
from eddpm.models.build import build_classifier, load_weights
from eddpm.stages import classifiers as stage
from eddpm.stages.classifiers import fit_temperature, measure_classifier


@pytest.fixture
def validation(tiny):
    """All validation images and classes."""
    store = Store(tiny.dataset, "validation")
    return to_float(torch.from_numpy(store.read(np.arange(len(store))))), torch.from_numpy(store.labels)


@pytest.fixture
def config(tiny) -> MeasureClassifierConfig:
    return tiny.project.measure_classifier("ce")


@pytest.fixture
def run(tiny, tmp_path):
    """Call a stage with these settings; returns the path that it writes."""

    def run(stage_fn, config, classifier=tiny.weights["ce"], dataset=tiny.dataset):
        settings, output = write_settings(tmp_path / "settings.yaml", config), tmp_path / f"{stage_fn.__name__}.out"
        if stage_fn is fit_temperature:
            output = tmp_path / "fitted.safetensors"
        stage_fn(settings, dataset, classifier, output)
        return output

    return run


def with_network(config, **changes) -> MeasureClassifierConfig:
    return config.model_copy(update={"network": config.network.model_copy(update=changes)})


def rows_of(path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def open_network(config, weights):
    network = build_classifier(config.network, frozen=True)
    load_weights(network, load_checkpoint(weights), str(weights))
    return network


def test_the_images_measured_are_the_odd_numbered_ones(tiny, run, config, validation, capsys):
    rows = rows_of(run(measure_classifier, config))
    x0, y = validation
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    expected = noise_levels(open_network(config, tiny.weights["ce"]), schedule, [(x0[1::2], y[1::2])], config.seed)
    assert rows == [pytest.approx(row, rel=1e-4) for row in expected]
    assert len(rows) == 10
    assert f"{len(y) // 2} of {len(y)} validation images" in capsys.readouterr().err


def test_a_fitted_classifier_has_the_same_weights_and_is_read_with_its_temperatures(tiny, run, config, capsys):
    fitted = run(fit_temperature, with_network(config, temperatures=10))
    network = open_network(with_network(config, temperatures=10), fitted)
    plain = load_checkpoint(tiny.weights["ce"])
    assert all(torch.equal(network.state_dict()[key], value) for key, value in plain.items())
    assert network.temperature_edges.tolist() == list(range(100, 1000, 100))
    assert (network.temperatures != 1).all()
    said = capsys.readouterr().err.split("temperatures from t = 0 up: ")[1].split(" -> ")[0]
    assert [float(value) for value in said.split()] == pytest.approx(network.temperatures.tolist(), rel=1e-2)


def test_each_temperature_is_fitted_at_its_own_noise_level(tiny, run, config, validation):
    fitted = load_checkpoint(run(fit_temperature, with_network(config, temperatures=3)))["temperatures"]
    network, (x0, y) = open_network(config, tiny.weights["ce"]), (part[0::2] for part in validation)
    schedule = make_schedule(config.diffusion.noise_schedule, config.diffusion.diffusion_steps)
    for level in range(3):
        logits = level_logits(network, schedule, [(x0, y)], [0, 333, 666, 1000], level, config.seed)
        assert fitted[level].item() == pytest.approx(stage.fit_level(*logits), rel=1e-3)


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


# Mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperatures", [None, 1001])
def test_a_number_of_temperatures_that_cannot_be_fitted_is_refused(run, config, temperatures):
    with pytest.raises(ConfigError, match=rf"settings\.yaml: network\.temperatures: value {temperatures}: [^\n]+$"):
        run(fit_temperature, with_network(config, temperatures=temperatures))


@pytest.mark.parametrize("change", [{"image_size": 16}, {"num_classes": 7}])
@pytest.mark.parametrize("stage_fn", [measure_classifier, fit_temperature])
def test_images_that_are_not_the_networks_are_refused(run, config, tmp_path, stage_fn, change):
    config = with_network(config, **change)
    weights = tmp_path / "other.safetensors"
    save_model(weights, build_classifier(config.network).state_dict())
    if stage_fn is fit_temperature:
        config = with_network(config, temperatures=2)
    with pytest.raises(ArtifactError, match=r"dataset\.json: [^\n]*the network [^\n]*prepare[^\n]*$"):
        run(stage_fn, config, weights)


def test_weights_without_temperatures_are_not_measured_as_if_they_had_some(run, config):
    with pytest.raises(ArtifactError, match="missing: temperatures, temperature_edges"):
        run(measure_classifier, with_network(config, temperatures=10))


def test_a_single_validation_image_is_refused(run, config, monkeypatch):
    monkeypatch.setattr(Store, "__len__", lambda self: 1)
    with pytest.raises(ArtifactError, match="too few"):
        run(measure_classifier, config)
