"""What a dry run says, and what that costs."""

import numpy as np
import pytest
import yaml
from tiny import tiny_project, tiny_values, write_settings

from eddpm.config.demand import EFFICIENTNET, _dimensions, feature_bytes, image_bytes
from eddpm.config.schema import SpaceConfig
from eddpm.errors import ConfigError
from eddpm.evaluation.extractors import efficientnet_lite0
from eddpm.io.batches import Samples, write_samples
from eddpm.stages import plan as stage
from eddpm.stages.features import extract_features

PRINTED = """\
Job stats:
job                   count
train_denoiser            1

[Tue Nov 24 00:41:15 2026]
rule train_denoiser:
    input: results/digits/denoisers/uadm/settings.yaml
    output: results/digits/denoisers/uadm/model.safetensors, results/digits/denoisers/uadm/log.jsonl
    reason: Missing output files: results/digits/denoisers/uadm/model.safetensors
[Tue Nov 24 00:41:15 2026]
localrule freeze_settings:
    output: results/digits/runs/uadm25/settings.yaml
rule sample_shard:
    input: results/digits/runs/uadm25/settings.yaml
    output: results/digits/runs/uadm25/samples/0003.npz
    resources: batch_size=3
rule sample_shard:
    output: results/digits/runs/uadm25/samples/0004.npz
rule sample_sweep:
    input: results/digits/runs/uadm25-g-at-1/settings.yaml
    output: results/digits/runs/uadm25-g-at-1/samples/0000.npz, results/digits/runs/uadm25-g-at-4/samples/0000.npz
rule extract_features:
    input: results/digits/runs/uadm25/samples/0003.npz
    output: results/digits/runs/uadm25/features/0003.npz
rule all:
    input: results/digits/tables/main.csv
    reason: Input files updated by another job: results/digits/tables/main.csv
"""


@pytest.fixture
def planned(tmp_path, monkeypatch, capsys):
    """What `plan` prints where Snakemake printed this."""

    def planned(printed, **sampling):
        values = tiny_values()
        values["sampling"].update(sampling)
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
        monkeypatch.setattr(stage, "dry_run", lambda config, targets: printed)
        stage.plan(tmp_path / "config.yaml", ["all"])
        return capsys.readouterr().out

    return planned


def test_jobs_and_shards_of_a_dry_run_are_counted_by_rule():
    found = stage.parse_dry_run(PRINTED)
    assert found.jobs == {
        "train_denoiser": 1,
        "freeze_settings": 1,
        "sample_shard": 2,
        "sample_sweep": 1,
        "extract_features": 1,
    }
    assert found.shards["sample_shard"] == [("uadm25", "0003"), ("uadm25", "0004")]
    assert found.shards["sample_sweep"] == [("uadm25-g-at-1", "0000"), ("uadm25-g-at-4", "0000")]
    assert found.shards["extract_features"] == [("uadm25", "0003")]
    assert found.shards["train_denoiser"] == found.shards["freeze_settings"] == []


def test_hours_and_bytes_are_those_of_the_shards_that_are_missing(planned):
    project = tiny_project()
    speed = {"guided": 1e-3, "unguided": 2e-3}
    cells = {line.split()[0]: line.split()[1:] for line in planned(PRINTED, speed=speed).splitlines() if line}
    assert cells["sample_shard"] == ["2", f"{16 * 25 / 2e-3 / 3600:.1f}", f"{16 * (64 + 16) / 1000:.2f}", "kB"]
    assert cells["sample_sweep"] == ["1", f"{16 * 25 / 1e-3 / 3600:,.0f}", f"{16 * (64 + 16) / 1000:.2f}", "kB"]
    assert cells["extract_features"] == ["1", f"{8 * feature_bytes(project) / 1000:.1f}", "kB"]
    assert cells["train_denoiser"] == ["1"]
    assert cells["all"][0] == "6"


def test_it_says_whose_speed_it_went_by_and_what_it_did_not_estimate(planned):
    guessed = planned(PRINTED)
    assert "published speeds" in guessed
    assert "eddpm measure-speed" in guessed
    assert "not estimated" in guessed
    given = planned(PRINTED.replace("train_denoiser", "make_table"), speed={"guided": 1, "unguided": 2})
    assert "sampling.speed" in given
    assert "published" not in given
    assert "not estimated" not in given


def test_the_seconds_of_runs_are_summed_by_their_own_cost():
    project = tiny_project()
    row = project.all_runs["uadm25-g"]
    assert stage.sampling_seconds(project, {"uadm25": 3, "uadm25-g": 2}) == pytest.approx(
        3 * project.image_seconds(project.all_runs["uadm25"]) + 2 * project.image_seconds(row)
    )


def test_nothing_to_be_done_is_said(planned):
    assert planned("Nothing to be done (all requested files are present and up to date).\n") == (
        "Nothing to be done for all.\n"
    )


def test_files_on_disk_are_as_large_as_planned(tiny, tmp_path):
    project, count = tiny.project, 200
    samples, features = tmp_path / "samples.npz", tmp_path / "features.npz"
    images, index = np.zeros((count, 8, 8, 1), np.uint8), np.arange(count)
    write_samples(samples, Samples(images, index % 10, {"index": index}))
    extract_features(write_settings(tmp_path / "m.yaml", project.measure()), samples, [tiny.weights["clean"]], features)
    for path, size in ((samples, image_bytes(project)), (features, feature_bytes(project))):
        headers = path.stat().st_size - count * size
        assert 0 < headers < 3000, path


def test_efficientnet_gives_as_many_numbers_as_planned():
    features = efficientnet_lite0("cpu")(np.zeros((1, 8, 8, 3), np.uint8))
    assert sum(values.shape[1] for values in features) == EFFICIENTNET


def test_spaces_of_published_networks_add_up():
    sweep = tiny_values()["sweep"] | {"best": {"minimise": "pixels/fid"}}
    project = tiny_project(evaluation={"spaces": ["pixels"]}, sweep=sweep)
    assert feature_bytes(project) == 4 * 64
    inception = SpaceConfig(name="inception", inception_resize="clean")
    assert _dimensions(project, inception) == 2048 + 2023 + 1008


def test_a_target_that_nothing_makes_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny_values()))
    with pytest.raises(ConfigError) as caught:
        stage.dry_run(tmp_path / "config.yaml", ["results/nothing.csv"])
    message = str(caught.value)
    assert message.startswith("--targets results/nothing.csv: No rule to produce results/nothing.csv")
    assert "\n" not in message
