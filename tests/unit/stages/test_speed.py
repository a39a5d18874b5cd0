"""Speed of sampling, by a clock of ours; and lines that the config takes."""

import re

import pytest
import torch
import yaml
from tiny import tiny_values

from eddpm.config.projectfile import load_project
from eddpm.config.settings import read_yaml
from eddpm.errors import ConfigError
from eddpm.guidance.rules.entropy import Entropy
from eddpm.guidance.rules.none import Unguided
from eddpm.stages import speed as stage

RUN = "uadm25-g-eds"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The config of the tiny project, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(tiny_values()))
    return path


@pytest.fixture
def clock(monkeypatch):
    """Sampling takes a second for each image and step, three with guidance, and a sampler's first batch a minute more.

    The settings of the batches that were sampled, and their numbers of images.
    """
    now, batches, warm = [0.0], [], set()

    def sample(sampler, index):
        each = 1 if sampler.config.classifier is None else 3
        now[0] += len(index) * len(sampler.schedule.timesteps) * each + (0 if sampler in warm else 60)
        warm.add(sampler)
        batches.append((sampler.config, len(index)))

    monkeypatch.setattr(stage.GuidedSampler, "sample", sample)
    monkeypatch.setattr(stage.time, "perf_counter", lambda: now[0])
    return batches


def test_speed_is_images_times_steps_per_second_after_a_warm_up(config, clock, capsys):
    stage.measure_speed(config, RUN)
    assert capsys.readouterr().out.splitlines()[-1] == "speed: {guided: 0.333, unguided: 1}"
    size = load_project(read_yaml(config), "config").sampling.batch_size
    assert [(used.guidance, count) for used, count in clock] == [((Entropy(),), size)] * 2 + [((Unguided(),), size)] * 2


def test_the_printed_lines_make_the_config_give_shards_in_minutes(config, capsys):
    values = tiny_values()
    values["sampling"] = {"target_minutes_per_shard": 1, "batch_size": 3}
    config.write_text(yaml.safe_dump(values))
    with pytest.raises(ConfigError, match="eddpm measure-speed"):
        load_project(read_yaml(config), "config")
    stage.measure_speed(config, RUN)
    speed = values["sampling"]["speed"] = yaml.safe_load(capsys.readouterr().out)["speed"]
    project = load_project(values, "config")
    assert project.image_seconds(project.all_runs[RUN]) == pytest.approx(25 / speed["guided"])
    assert project.image_seconds(project.all_runs["uadm25"]) == pytest.approx(25 / speed["unguided"])


def test_trained_networks_are_taken_where_there_are_any(config, tiny, clock, capsys):
    for name, place in (("uadm", "denoisers/uadm"), ("ce", "classifiers/ce")):
        stage.measure_speed(config, RUN)
        assert "untrained networks" in capsys.readouterr().out
        folder = config.parent / f"results/digits/{place}"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").symlink_to(tiny.weights[name])
    stage.measure_speed(config, RUN)
    assert "its networks" in capsys.readouterr().out


@pytest.mark.parametrize("run", ["uadm25", "UADM(25)-G"])
def test_only_a_guided_run_will_do(config, run):
    with pytest.raises(ConfigError, match=rf"^--run {re.escape(run)}: not a guided run .*; name one of: uadm25-g, "):
        stage.measure_speed(config, run)


def test_a_batch_that_does_not_fit_is_one_line_about_its_size(config, monkeypatch):
    def sample(sampler, index):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(stage.GuidedSampler, "sample", sample)
    with pytest.raises(ConfigError, match=r"^sampling\.batch_size: 3 images"):
        stage.measure_speed(config, RUN)
