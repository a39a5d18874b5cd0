"""What follows from a project file and its table of runs."""

import pytest
from projects import DIGITS, EDS, ROW, UNGUIDED, changed_settings, load, published, write_rows

from eddpm.config.frozen import frozen_parts
from eddpm.config.projectfile import load_project
from eddpm.errors import ConfigError

CADM = {**ROW, "run": "CADM(25)-G+EDS+ECT", "denoiser": "cadm", "classifier": "ect"}


# Shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_images", [4, 7, 8, 9, 1001])
@pytest.mark.parametrize("shard_size", [1, 8, 1000])
def test_shards_cover_every_image_once_and_none_is_too_large(table, num_images, shard_size):
    write_rows(table, {**ROW, "num_images": str(num_images)})
    shards = load(table, sampling__shard_size=shard_size).shards("uadm25-g")
    assert [i for start, stop in shards.values() for i in range(start, stop)] == list(range(num_images))
    assert all(0 < stop - start <= shard_size for start, stop in shards.values())
    assert list(shards) == [f"{k:04d}" for k in range(len(shards))]


def test_generated_runs_are_sharded_by_their_own_count_of_images(table):
    write_rows(table, ROW)
    project = load(table, sweep__num_images=25, sampling__shard_size=10)
    assert list(project.shards("uadm25-g-at-1").values()) == [(0, 10), (10, 20), (20, 25)]
    assert list(project.shards("uadm25-g-at-best").values()) == [(0, 10)]


def test_a_target_in_minutes_gives_each_run_shards_by_its_own_cost(table):
    write_rows(table, {**UNGUIDED, "num_images": "1000"}, {**ROW, "num_images": "1000"})
    sampling = {"target_minutes_per_shard": 1, "batch_size": 4, "speed": {"guided": 100, "unguided": 200}}
    project = load(table, sampling=sampling)
    # 25 steps: 60 s are 240 guided images, or 480.
    assert list(project.shards("uadm25-g").values())[:2] == [(0, 240), (240, 480)]
    assert [stop - start for start, stop in project.shards("uadm25").values()] == [480, 480, 40]
    assert changed_settings(load(table, sampling={"shard_size": 10, "batch_size": 4}), project) == set()


# Slices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "changed"),
    [
        ({"sampling__batch_size": 3}, set()),
        ({"sampling__shard_size": 2}, set()),
        ({"sweep__num_images": 7}, set()),
        ({"classifiers__ce__microbatch": 3, "denoisers__uadm__microbatch": 3}, set()),
        ({"classifiers__ect__loss__ect_weight": 9}, {"classifiers/ect"}),
        ({"denoisers__uadm__training__iterations": 3}, {"denoisers/uadm"}),
        (
            {"sweep__best": {"minimise": "pixels/recall"}},
            {"runs/uadm25-g-at-best/choice", "runs/cadm25-g-eds-ect-at-best/choice"},
        ),
    ],
)
def test_a_change_reaches_the_settings_of_what_it_decides_alone(table, changes, changed):
    write_rows(table, UNGUIDED, ROW, CADM)
    assert changed_settings(load(table), load(table, **changes)) == changed


@pytest.mark.parametrize(("cell", "changed"), [({"scale": "5"}, {"runs/uadm25-g"}), ({"num_images": "77"}, set())])
def test_a_cell_reaches_the_settings_of_its_run_alone(table, cell, changed):
    write_rows(table, UNGUIDED, ROW, CADM)
    before = load(table)
    write_rows(table, UNGUIDED, {**ROW, **cell}, CADM)
    assert changed_settings(before, load(table)) == changed


def test_changing_the_precision_changes_every_run_and_no_training(table):
    write_rows(table, UNGUIDED, ROW)
    before = load(table)
    changed = changed_settings(before, load(table, sampling__precision="bfloat16"))
    assert {part.removesuffix("/choice") for part in changed} == {f"runs/{run}" for run in before.all_runs}


def test_the_settings_of_a_run_are_its_row_and_its_networks():
    digits = load_project(DIGITS, "config.yaml")
    assert len(digits.table_runs) == 8
    for name, row in (digits.table_runs | digits.sweep_runs).items():
        config = digits.sample(name)
        columns = ("sampler", "steps", "guidance", "scale", "seed", "labels")
        assert {key: getattr(config, key) for key in columns} == row.model_dump(include=set(columns))
        assert config.name == row.run
        assert config.denoiser == digits.train_denoiser(row.denoiser).network
        assert config.classifier == (digits.train_classifier(row.classifier).network if row.classifier else None)
    assert digits.unet("cadm").num_classes == digits.encoder("ce").num_classes == 10
    assert digits.unet("uadm").num_classes is None


def test_feature_spaces_keep_their_order_and_name_their_classifiers(table):
    write_rows(table, ROW)
    project = load(
        table,
        evaluation__spaces=["pixels", "classifier:ect", "classifier:clean", "inception"],
        evaluation__inception={"resize": "clean"},
    )
    spaces = project.measure().spaces
    assert project.space_classifiers == ["ect", "clean"]
    assert [space.name for space in spaces] == ["pixels", "classifier:ect", "classifier:clean", "inception"]
    assert [space.classifier for space in spaces] == [None, project.encoder("ect"), project.encoder("clean"), None]
    assert [space.inception_resize for space in spaces] == [None, None, None, "clean"]
    assert project.metric_names[:5] == ["accuracy", "pixels/fid", "pixels/kid", "pixels/precision", "pixels/recall"]


# Guiding classifiers ----------------------------------------------------------------------------------------------


def test_a_run_may_name_the_temperature_scaled_form_of_a_classifier(table):
    write_rows(table, {**ROW, "classifier": "ce+temperature"})
    project = load(table)
    assert project.guiding_classifiers == ["ce", "ect", "ce+temperature"]
    scaled = project.sample("uadm25-g").classifier
    assert scaled.model_dump() == project.encoder("ce").model_dump() | {"temperatures": 10}
    assert project.measure_classifier("ce+temperature").network == scaled


def test_every_classifier_that_guides_is_measured_by_noise_level(table):
    write_rows(table, {**ROW, "classifier": "clean"}, EDS)
    vary = {"classifier": ["ce", "ect", "ect+temperature"]}
    project = load(table, ablations={"x": {"rows": [EDS["run"]], "vary": vary}})
    assert project.guiding_classifiers == ["ce", "ect", "clean", "ect+temperature"]
    assert project.table_guiding_classifiers == ["clean", "ce"]


def test_a_published_network_changes_no_settings_of_a_run_and_has_none_of_training(table):
    write_rows(table, ROW)
    changes = {
        f"{kind}__{name}": published(DIGITS[kind][name])
        for kind, name in (("denoisers", "uadm"), ("classifiers", "ce"))
    }
    before, after = load(table), load(table, **changes)
    old, new = frozen_parts(before), frozen_parts(after)
    assert new.keys() == old.keys() - {"denoisers/uadm", "classifiers/ce"}
    assert {part: old[part] for part in new} == new
    with pytest.raises(ConfigError, match="denoiser 'uadm': training: value None"):
        after.train_denoiser("uadm")
