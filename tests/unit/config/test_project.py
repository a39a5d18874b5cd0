"""Runs, networks and settings of a project, from its file and its table of runs."""

import pytest
from projects import DIGITS, EDS, ROW, UNGUIDED, load, published

from eddpm.config.assets import assets
from eddpm.config.frozen import frozen_parts, frozen_text
from eddpm.config.metrics import DEFAULT_METRICS
from eddpm.config.project import Project
from eddpm.config.spaces import space_of
from eddpm.errors import ConfigError
from eddpm.guidance.rules.constant import Constant

CADM = {**ROW, "run": "CADM(25)-G+EDS+ECT", "denoiser": "cadm", "classifier": "ect"}


def changed_settings(before: Project, after: Project) -> set[str]:
    """The names of the settings that differ."""
    old, new = frozen_parts(before), frozen_parts(after)
    assert old.keys() == new.keys()
    return {name for name in old if old[name] != new[name]}


# Shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("num_images", "shard_size"), [(4, 1), (8, 8), (9, 8), (1001, 1000)])
def test_shards_cover_every_image_once_and_none_is_too_large(table, num_images, shard_size):
    made = load(table, {**ROW, "num_images": str(num_images)}, sampling__shard_size=shard_size)
    shards = made.shards("uadm25-g")
    assert [i for start, stop in shards.values() for i in range(start, stop)] == list(range(num_images))
    assert all(0 < stop - start <= shard_size for start, stop in shards.values())
    assert list(shards) == [f"{k:04d}" for k in range(len(shards))]


def test_generated_runs_are_sharded_by_their_own_count_of_images(table):
    project = load(table, ROW, sweep__num_images=25, sampling__shard_size=10)
    assert list(project.shards("uadm25-g-at-1").values()) == [(0, 10), (10, 20), (20, 25)]
    assert list(project.shards("uadm25-g-at-best").values()) == [(0, 10)]


def test_a_target_in_minutes_gives_each_run_shards_by_its_own_cost(table):
    sampling = {"target_minutes_per_shard": 1, "batch_size": 4, "speed": {"guided": 100, "unguided": 200}}
    rows = [{**row, "num_images": "1000"} for row in (UNGUIDED, ROW)]
    project = load(table, *rows, sampling=sampling)
    # 25 steps: 60 s are 240 guided images, or 480.
    assert list(project.shards("uadm25-g").values())[:2] == [(0, 240), (240, 480)]
    assert [stop - start for start, stop in project.shards("uadm25").values()] == [480, 480, 40]
    assert changed_settings(load(table, sampling={"shard_size": 10, "batch_size": 4}), project) == set()


# Settings ---------------------------------------------------------------------------------------------------------

CHOICES = {"runs/uadm25-g-at-best/choice", "runs/cadm25-g-eds-ect-at-best/choice"}


@pytest.mark.parametrize(
    ("cell", "changes", "changed"),
    [
        ({"num_images": "77"}, {"sampling__batch_size": 3, "sampling__shard_size": 2, "sweep__num_images": 7}, set()),
        ({}, {"classifiers__ce__microbatch": 3, "denoisers__uadm__microbatch": 3}, set()),
        ({"scale": "5"}, {}, {"runs/uadm25-g"}),
        ({}, {"classifiers__ect__loss__ect_weight": 9}, {"classifiers/ect"}),
        ({}, {"denoisers__uadm__training__iterations": 3}, {"denoisers/uadm"}),
        ({}, {"sweep__best": {"minimise": "pixels/recall"}}, CHOICES),
        ({}, {"evaluation__metrics": list(DEFAULT_METRICS)[::-1]}, set()),  # in another order
        ({}, {"evaluation__density_neighbours": 7}, set()),  # of what is not measured
        ({}, {"evaluation__metrics": ["fid", "vendi"]}, {"evaluation"}),
    ],
)
def test_a_change_reaches_the_settings_of_what_it_decides_alone(table, cell, changes, changed):
    before = load(table, UNGUIDED, ROW, CADM)
    assert changed_settings(before, load(table, UNGUIDED, {**ROW, **cell}, CADM, **changes)) == changed


def test_chosen_metrics_are_those_of_every_space_that_has_them(table):
    made = load(table, UNGUIDED, evaluation__metrics=["nearer", "fid", "accuracy", "sfid"], sweep__best=None)
    clean = [f"classifier:clean/{name}" for name in ("fid", "sfid", "nearer")]
    assert made.metric_names == ["accuracy", *clean, "pixels/fid", "pixels/nearer"]
    text = frozen_text(made.measure())
    assert "metrics:\n- accuracy\n- fid\n- sfid\n- nearer\n" in text
    assert "density_neighbours" not in text
    assert not {"metrics", "density_neighbours"} & set(load(table, UNGUIDED).measure().model_dump())
    dense = load(table, UNGUIDED, sweep__best=None, evaluation__metrics=["density"], evaluation__density_neighbours=7)
    assert dense.measure().density_neighbours == 7


def test_changing_the_precision_changes_every_run_and_no_training(table):
    before = load(table, UNGUIDED, ROW)
    changed = changed_settings(before, load(table, sampling__precision="bfloat16"))
    assert {part.removesuffix("/choice") for part in changed} == {f"runs/{run}" for run in before.all_runs}


def test_the_settings_of_a_run_are_its_row_and_its_networks(table):
    project = load(table, {**CADM, "scale": "0.5", "seed": "3", "labels": "random"}, UNGUIDED)
    config = project.sample("cadm25-g-eds-ect")
    assert (config.name, config.scale, config.seed, config.labels) == (CADM["run"], 0.5, 3, "random")
    assert (config.sampler, config.steps, config.guidance) == ("ddim", "ddim25", (Constant(),))
    assert config.denoiser == project.train_denoiser("cadm").network
    assert config.classifier == project.train_classifier("ect").network
    assert config.denoiser.num_classes == config.classifier.num_classes == 10
    assert project.sample("uadm25").classifier is project.sample("uadm25").denoiser.num_classes is None


def test_feature_spaces_keep_their_order_and_name_their_classifiers(table):
    names = ["pixels", "classifier:ect", "classifier:clean", "inception"]
    project = load(table, ROW, evaluation__spaces=names, evaluation__inception={"resize": "clean"})
    spaces = project.measure().spaces
    assert project.space_classifiers == ["ect", "clean"]
    assert [space.name for space in spaces] == names
    assert [space.classifier for space in spaces] == [None, project.encoder("ect"), project.encoder("clean"), None]
    assert [space.inception_resize for space in spaces] == [None, None, None, "clean"]
    assert not any("inception_sha256" in space.model_dump() for space in spaces)  # frozen as it was before the key
    other = load(table, ROW, evaluation__spaces=names, evaluation__inception={"sha256": "0" * 64}).measure()
    assert other.spaces[-1].model_dump()["inception_sha256"] == "0" * 64
    assert [space.inception_sha256 for space in other.spaces[:-1]] == [None, None, None]
    assert project.metric_names[:5] == ["accuracy", "pixels/fid", "pixels/kid", "pixels/precision", "pixels/recall"]


@pytest.mark.parametrize(
    ("named", "digest"),
    [({}, None), ({"source": "v.pth"}, None), ({"source": "v.pth", "sha256": "0" * 64}, "0" * 64)],
)
def test_a_network_of_a_space_is_the_published_one_or_has_its_digest_in_the_settings(table, named, digest):
    weights = {"dinov2": named} if named else {}
    project = load(table, ROW, evaluation__spaces=["pixels", "dinov2"], evaluation__weights=weights)
    published = space_of("dinov2").download
    (asset,) = assets(project)
    assert asset.key == "evaluation.weights.dinov2"
    assert (asset.source, asset.sha256) == (named.get("source", published.source), digest or published.sha256)
    known = {} if digest is None else {"weights_sha256": digest}
    pixels, dinov2 = (space.model_dump() for space in project.measure().spaces)
    assert dinov2 == {"name": "dinov2", "classifier": None, "inception_resize": None, **known}
    assert pixels == {"name": "pixels", "classifier": None, "inception_resize": None}


def test_classifiers_that_guide_are_measured_by_noise_level_in_their_temperature_scaled_form_too(table):
    ablations = {"x": {"rows": [EDS["run"]], "vary": {"classifier": ["ce", "ect", "ect+temperature"]}}}
    project = load(table, {**ROW, "classifier": "clean"}, EDS, ablations=ablations)
    assert project.guiding_classifiers == ["ce", "ect", "clean", "ect+temperature"]
    assert project.table_guiding_classifiers == ["clean", "ce"]
    scaled = project.sample("uadm25-g-eds-with-classifier-ect-temperature").classifier
    assert scaled == project.measure_classifier("ect+temperature").network
    assert scaled.model_dump() == project.encoder("ect").model_dump() | {"temperatures": 10}


def test_a_published_network_changes_no_settings_of_a_run_and_has_none_of_training(table):
    named = {"denoisers": "uadm", "classifiers": "ce"}
    changes = {f"{kind}__{name}": published(DIGITS[kind][name]) for kind, name in named.items()}
    before, after = load(table, ROW), load(table, **changes)
    old, new = frozen_parts(before), frozen_parts(after)
    assert new.keys() == old.keys() - {"denoisers/uadm", "classifiers/ce"}
    assert {part: old[part] for part in new} == new
    with pytest.raises(ConfigError, match="denoiser 'uadm': training: value None"):
        after.train_denoiser("uadm")
