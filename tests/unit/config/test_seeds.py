"""Training seeds: networks by name and seed, and the runs whose mean a row is."""

import pytest
from projects import DIGITS, EDS, ROW, UNGUIDED, load, published, refusal

from eddpm.config.assets import weights_file
from eddpm.config.frozen import frozen_parts
from eddpm.config.jobs import sampling_job
from eddpm.config.runs import row_name

SEEDS = {"training_seeds": [0, 1]}


def with_seed(kind: str, name: str, seed: int) -> dict:
    """The networks of a kind, one of them trained from another seed."""
    entry = DIGITS[kind][name]
    return DIGITS[kind] | {name: entry | {"training": entry["training"] | {"seed": seed}}}


def test_without_training_seeds_a_row_is_its_own_run_at_the_seed_of_its_networks(table):
    project = load(table, ROW, denoisers=with_seed("denoisers", "uadm", 5))
    assert project.members("uadm25-g") == {5: "uadm25-g"}
    assert project.all_runs == project.rows


def test_a_row_has_a_run_for_each_seed_in_their_order_and_is_that_of_its_own_seed(table):
    project = load(table, ROW, UNGUIDED, training_seeds=[2, 0])
    assert project.members("uadm25-g") == {2: "uadm25-g-with-training-seed-2", 0: "uadm25-g"}
    assert project.members("uadm25-g-at-4") == {2: "uadm25-g-at-4-with-training-seed-2", 0: "uadm25-g-at-4"}
    member = project.all_runs["uadm25-g-with-training-seed-2"]
    networks = {"denoiser": "uadm+seed2", "classifier": "ce+seed2", "training_seed": 2}
    assert member == project.table_runs["uadm25-g"].model_copy(update={"run": member.run, **networks})
    assert member.run == "UADM(25)-G with training_seed 2"
    assert project.all_runs["uadm25-with-training-seed-2"].classifier is None
    assert {row_name(run.run) for run in project.all_runs.values()} == {row.run for row in project.rows.values()}


def test_networks_of_different_seeds_are_trained_anew_for_the_row_of_each(table):
    project = load(table, ROW, denoisers=with_seed("denoisers", "uadm", 1), **SEEDS)
    runs = [project.all_runs[run] for run in project.members("uadm25-g").values()]
    assert [(run.denoiser, run.classifier) for run in runs] == [("uadm+seed0", "ce"), ("uadm", "ce+seed1")]
    assert {"uadm25-g", "uadm25-g-with-training-seed-0"} < project.all_runs.keys()  # of both seeds, and of each


def test_checkpoints_have_no_seeds(table):
    denoisers = DIGITS["denoisers"] | {"uadm": published(DIGITS["denoisers"]["uadm"])}
    classifiers = DIGITS["classifiers"] | {"ce": published(DIGITS["classifiers"]["ce"])}
    project = load(table, ROW, UNGUIDED, {**ROW, "run": "ECT", "classifier": "ect"}, denoisers=denoisers, **SEEDS)
    assert project.members("uadm25") == {0: "uadm25"}
    assert [project.all_runs[run].denoiser for run in project.members("ect").values()] == ["uadm", "uadm"]
    assert [project.all_runs[run].classifier for run in project.members("ect").values()] == ["ect", "ect+seed1"]
    project = load(table, denoisers=denoisers, classifiers=classifiers, **SEEDS)
    assert project.members("uadm25-g") == {0: "uadm25-g"}


def test_a_network_of_another_seed_differs_in_its_seed_and_all_that_was_there_stays(table):
    rows = (ROW, EDS, {**ROW, "run": "T", "classifier": "ce+temperature"})
    before, after = frozen_parts(load(table, *rows)), frozen_parts(load(table, *rows, **SEEDS))
    assert {part: after[part] for part in before} == before
    for part in ("denoisers/uadm", "classifiers/ce"):
        changed = before[part].training.model_copy(update={"seed": 1})
        assert after[f"{part}+seed1"] == before[part].model_copy(update={"training": changed})
    assert after["classifiers/ce+seed1+temperature/levels"] == before["classifiers/ce+temperature/levels"]
    project = load(table, **SEEDS)
    temperate = project.all_runs["t-with-training-seed-1"].classifier
    assert temperate == "ce+seed1+temperature"
    assert weights_file(project, "classifiers", temperate).endswith("/ce+seed1+temperature/model.safetensors")


def test_the_judge_and_networks_of_no_run_are_trained_once(table):
    project = load(table, ROW, **SEEDS)
    assert set(project.trained["classifiers"]) == {"ce", "ect", "clean", "ce+seed1"}
    assert set(project.trained["denoisers"]) == {"uadm", "cadm", "uadm+seed1"}
    guided = load(table, {**ROW, "classifier": "clean"}, **SEEDS)
    assert "clean+seed1" in guided.trained["classifiers"]
    assert guided.measure() == project.measure()


def test_the_scales_of_a_sweep_share_a_job_for_each_seed(table):
    project = load(table, ROW, sweep__scales=[1, 4], **SEEDS)
    assert sampling_job(project, "uadm25-g-at-4", "0000").runs == ["uadm25-g-at-1", "uadm25-g-at-4"]
    other = sampling_job(project, "uadm25-g-at-4-with-training-seed-1", "0000")
    assert other.runs == [f"uadm25-g-at-{scale}-with-training-seed-1" for scale in (1, 4)]
    assert other.log == "logs/digits/sample_sweep/uadm25-g-with-training-seed-1.log"
    assert project.measured_sweep("UADM(25)-G") == [
        f"uadm25-g-at-{scale}{member}" for scale in (1, 4) for member in ("", "-with-training-seed-1")
    ]


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ([0, 1, 0], "training_seeds: value [0, 1, 0]: a seed comes twice; drop it"),
        ([-1], "training_seeds.0: value -1: input should be greater than or equal to 0"),
        (3, "training_seeds: value 3: input should be a valid list"),
    ],
)
def test_training_seeds_are_a_list_of_distinct_seeds(table, seeds, message):
    assert refusal(table, ROW, training_seeds=seeds) == f"config.yaml: {message}"


def test_a_row_whose_folder_would_be_that_of_another_seed_is_refused(table):
    message = refusal(table, ROW, {**ROW, "run": "UADM(25)-G-with-training-seed 1"}, **SEEDS)
    assert message == (
        "config.yaml: training_seeds: run 'UADM(25)-G with training_seed 1' would share its folder with row"
        " 'UADM(25)-G-with-training-seed 1'; rename that row"
    )


def test_the_second_denoiser_of_a_pair_has_the_seed_of_the_member(table):
    pair = {**UNGUIDED, "run": "CADM(25)-CFG", "denoiser": "cadm", "guidance": "cfg", "scale": "2"}
    project = load(table, pair, **SEEDS, guidance={"cfg": {"rule": "classifier_free", "unconditional": "uadm"}})
    rows = [project.all_runs[run] for run in project.members("cadm25-cfg").values()]
    assert [(row.denoiser, project.other_denoiser(row)) for row in rows] == [
        ("cadm", "uadm"),
        ("cadm+seed1", "uadm+seed1"),
    ]
    assert {"cadm+seed1", "uadm+seed1"} <= project.trained["denoisers"].keys()
