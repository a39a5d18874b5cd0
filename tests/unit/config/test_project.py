"""What follows from a project file and its table of runs, on the digits as they are."""

import pytest
import yaml
from projects import DIGITS, EDS, ROW, UNGUIDED, changed_settings, load, published, write_rows

from eddpm.config.frozen import frozen_parts
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.schema import SampleConfig
from eddpm.config.settings import parse_settings
from eddpm.errors import ConfigError


@pytest.fixture
def digits() -> Project:
    return load_project(DIGITS, "config.yaml")


# Shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_images", [4, 7, 8, 9, 100, 1001])
@pytest.mark.parametrize("shard_size", [1, 7, 8, 1000])
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
    assert load(table, sampling=sampling, sweep__num_images=48).sweep_shares_jobs  # at five scales
    assert not load(table, sampling=sampling, sweep__num_images=49).sweep_shares_jobs
    before = load(table, sampling={"shard_size": 10, "batch_size": 4})
    assert changed_settings(before, project) == set()


# Slices -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def three_rows(table) -> list[dict]:
    rows = [UNGUIDED, ROW, {**ROW, "run": "CADM(25)-G+EDS+ECT", "denoiser": "cadm", "classifier": "ect"}]
    write_rows(table, *rows)
    return rows


def test_changing_the_scale_of_a_row_changes_the_settings_of_that_run_alone(table, three_rows):
    before = load(table)
    write_rows(table, three_rows[0], {**three_rows[1], "scale": "5"}, three_rows[2])
    assert changed_settings(before, load(table)) == {"runs/uadm25-g"}


@pytest.mark.parametrize("change", [{"sampling__batch_size": 3}, {"sampling__shard_size": 2}, {"sweep__num_images": 7}])
def test_how_the_work_is_divided_is_no_part_of_any_settings(table, three_rows, change):
    assert changed_settings(load(table), load(table, **change)) == set()


def test_the_number_of_images_is_no_part_of_what_an_image_is(table, three_rows):
    before = load(table)
    write_rows(table, *({**row, "num_images": "77"} for row in three_rows))
    assert changed_settings(before, load(table)) == set()


def test_changing_the_ect_weight_changes_the_settings_of_that_classifier_alone(table, three_rows):
    weight = DIGITS["classifiers"]["ect"]["loss"]["ect_weight"] + 1
    assert changed_settings(load(table), load(table, classifiers__ect__loss__ect_weight=weight)) == {"classifiers/ect"}


def test_changing_a_training_changes_no_settings_of_a_run(table, three_rows):
    training = {**DIGITS["denoisers"]["uadm"]["training"], "iterations": 3}
    assert changed_settings(load(table), load(table, denoisers__uadm__training=training)) == {"denoisers/uadm"}


def test_changing_the_criterion_changes_no_settings_but_the_choices(table, three_rows):
    before = load(table)
    changed = changed_settings(before, load(table, sweep__best={"minimise": "pixels/recall"}))
    assert changed == {f"runs/{run}/choice" for run in before.best_runs}


def test_changing_the_precision_changes_every_run_and_no_training(table, three_rows):
    before = load(table)
    changed = changed_settings(before, load(table, sampling__precision="bfloat16"))
    assert {part.removesuffix("/choice") for part in changed} == {f"runs/{run}" for run in before.all_runs}


def test_the_settings_of_a_run_are_its_row_and_its_networks(digits):
    for name, row in (digits.table_runs | digits.sweep_runs).items():
        config = digits.sample(name)
        assert (config.name, config.steps, config.guidance, config.scale, config.seed) == (
            row.run,
            row.steps,
            row.guidance,
            row.scale,
            row.seed,
        )
        assert config.denoiser == digits.train_denoiser(row.denoiser).network
        assert config.classifier == (digits.train_classifier(row.classifier).network if row.classifier else None)


def test_frozen_settings_read_back_the_same(digits):
    for run in digits.all_runs:
        frozen = yaml.safe_load(yaml.safe_dump(digits.sample(run).model_dump(mode="json")))
        assert parse_settings(SampleConfig, frozen, "settings.yaml") == digits.sample(run)


def test_a_class_conditional_denoiser_takes_the_classes_of_the_data_set_and_the_other_none(digits):
    assert digits.unet("cadm").num_classes == digits.dataset.num_classes
    assert digits.unet("uadm").num_classes is None
    assert digits.encoder("ce").num_classes == digits.dataset.num_classes


def test_feature_spaces_keep_their_order_and_name_their_classifiers(table):
    write_rows(table, ROW)
    project = load(table, evaluation__spaces=["pixels", "classifier:ect", "classifier:clean"])
    assert project.space_classifiers == ["ect", "clean"]
    assert [space.name for space in project.measure().spaces] == ["pixels", "classifier:ect", "classifier:clean"]
    assert [space.classifier for space in project.measure().spaces] == [
        None,
        project.encoder("ect"),
        project.encoder("clean"),
    ]


def test_pretrained_spaces_need_no_classifier_and_have_all_metrics(table):
    write_rows(table, ROW)
    project = load(
        table,
        evaluation__spaces=["inception", "efficientnet-lite0"],
        evaluation__inception={"resize": "clean"},
        sweep__best={"minimise": "inception/sfid"},
    )
    assert project.space_classifiers == []
    inception, efficientnet = project.measure().spaces
    assert (inception.inception_resize, inception.has_weights) == ("clean", True)
    assert (efficientnet.inception_resize, efficientnet.has_weights) == (None, False)
    metrics = ["fid", "sfid", "kid", "inception_score", "precision", "recall"]
    assert project.metric_names == [f"{space}/{name}" for space in project.evaluation.spaces for name in metrics]


# Classifiers that follow from others ------------------------------------------------------------------------------


def test_a_run_may_name_the_tempered_form_of_a_classifier(table):
    write_rows(table, {**ROW, "classifier": "ce+temperature"})
    project = load(table)
    assert project.guiding_classifiers == ["ce", "ect", "ce+temperature"]
    plain, tempered = project.encoder("ce"), project.sample("uadm25-g").classifier
    assert tempered.model_dump() == plain.model_dump() | {"temperatures": 10}
    assert project.measure_classifier("ce+temperature").network == tempered


def test_a_microbatch_is_no_part_of_any_settings(table):
    write_rows(table, ROW)
    changes = {"classifiers__ce__microbatch": 3, "denoisers__uadm__microbatch": 3}
    assert not changed_settings(load(table), load(table, **changes))


def test_a_classifier_of_clean_images_is_measured_by_noise_level_where_it_guides(table):
    write_rows(table, {**ROW, "classifier": "clean"})
    assert load(table).guiding_classifiers == ["ce", "ect", "clean"]
    assert load(table).table_guiding_classifiers == ["clean"]


def test_the_classifiers_of_an_ablation_are_measured_too_but_are_not_those_of_the_table(table):
    write_rows(table, ROW, EDS)
    vary = {"classifier": ["ce", "ect", "ect+temperature"]}
    project = load(table, ablations={"x": {"rows": ["UADM(25)-G"], "vary": vary}})
    assert project.guiding_classifiers == ["ce", "ect", "ect+temperature"]
    assert project.table_guiding_classifiers == ["ce"]


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
