"""Training stages: what they leave behind, and that a kill in the middle changes nothing."""

import json

import numpy as np
import pytest
import torch
from tiny import write_settings

from eddpm.artifacts import Samples, load_checkpoint, read_samples, save_training_state, write_samples
from eddpm.errors import ArtifactError
from eddpm.models.build import build_classifier, build_denoiser, load_weights
from eddpm.stages import train as stage


@pytest.fixture
def run(tiny, tmp_path):
    """Train one network of the tiny project into a folder of its own."""

    def run(name, folder="out", config=None, train=tiny.train):
        kind = "denoiser" if name in tiny.project.denoisers else "classifier"
        config = config or getattr(tiny.project, f"train_{kind}")(name)
        settings = write_settings(tmp_path / folder / "settings.yaml", config)
        model, log = tmp_path / folder / "model.safetensors", tmp_path / folder / "log.jsonl"
        getattr(stage, f"train_{kind}")(settings, train, tiny.validation, model, log)
        return model, [json.loads(line) for line in log.read_text().splitlines()]

    return run


@pytest.fixture
def run_killed(run, monkeypatch):
    """The same, killed once its first state is saved."""

    def run_killed(*arguments):
        def save_and_die(path, state):
            save_training_state(path, state)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(stage, "save_training_state", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                run(*arguments)

    return run_killed


@pytest.mark.parametrize("name", ["uadm", "cadm"])
def test_denoiser_is_written_whole(tiny, run, name, tmp_path):
    model, log = run(name)
    load_weights(build_denoiser(tiny.project.unet(name)), load_checkpoint(model), str(model))
    assert [row["step"] for row in log] == [2, 3]
    assert all(np.isfinite(row["validation_loss"]) for row in log)
    assert sorted(path.name for path in model.parent.iterdir()) == ["log.jsonl", "model.safetensors", "settings.yaml"]


def test_noise_aware_classifier_logs_accuracy_by_noise_level(tiny, run):
    model, log = run("ce")
    load_weights(build_classifier(tiny.project.encoder("ce")), load_checkpoint(model), str(model))
    by_noise = log[-1]["accuracy_by_noise"]
    assert list(by_noise) == [str(100 * k) for k in range(10)]
    assert all(0 <= value <= 1 for value in by_noise.values())


def test_clean_classifier_logs_its_accuracy(run):
    assert "accuracy_by_noise" not in run("clean")[1][-1]


def test_ect_changes_the_loss_and_nothing_else_of_the_first_step(tiny, run):
    """Same seed, same data: with weight 0 the two classifiers are one, with weight 0.1 they are not."""
    ce = tiny.project.train_classifier("ce")
    plain = load_checkpoint(run("ce", "a")[0])
    without = load_checkpoint(run("ect", "b", ce)[0])
    with_ect = load_checkpoint(run("ect", "c")[0])
    assert all(torch.equal(plain[key], without[key]) for key in plain)
    assert any(not torch.equal(plain[key], with_ect[key]) for key in plain)


def test_killed_training_goes_on_to_the_same_weights(run, run_killed, tmp_path):
    whole, log = run("uadm", "whole")

    run_killed("uadm", "killed")
    assert not (tmp_path / "killed/model.safetensors").exists()
    resumed, resumed_log = run("uadm", "killed")
    assert resumed.read_bytes() == whole.read_bytes()
    assert resumed_log == log
    assert not (tmp_path / "killed/unfinished.pt").exists()


def test_unfinished_training_with_other_settings_is_not_resumed(tiny, run, run_killed):
    run_killed("uadm", "killed")
    config = tiny.project.train_denoiser("uadm")
    other = config.model_copy(update={"training": config.training.model_copy(update={"seed": 5})})
    assert run("uadm", "killed", other)[0].read_bytes() == run("uadm", "fresh", other)[0].read_bytes()


@pytest.mark.parametrize("mistake", ["size", "labels"])
def test_images_that_do_not_fit_the_network_are_refused_by_name(tiny, run, tmp_path, mistake):
    samples = read_samples(tiny.train)
    if mistake == "size":
        samples = Samples(samples.images[:, :4], samples.labels, {})
    else:
        samples = Samples(samples.images, samples.labels + 5, {})
    write_samples(tmp_path / "wrong.npz", samples)
    with pytest.raises(ArtifactError, match=r"wrong\.npz: .*prepare"):
        run("ce", train=tmp_path / "wrong.npz")
