"""What the project still says of files, and what it does not: by their settings, ages and contents."""

import json
import os
from pathlib import Path

import pytest
import yaml
from outputs import Outputs
from tiny import tiny_values
from workspace import RUNS

from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.reporting.outdated import Files
from eddpm.stages.status import progress

BEST = {"uadm5-g-at-best", "cadm5-g-eds-ect-at-best"}
SWEEP = {f"{run}-at-{scale}" for run in ("uadm5-g", "cadm5-g-eds-ect") for scale in (1, 4)}
TABLE = {"uadm5", "uadm5-g", "cadm5-g-eds-ect"}
EVERY = TABLE | SWEEP | BEST
OF_CE, OF_ECT = ({run for run in EVERY if run.startswith(row)} for row in ("uadm5-g", "cadm5-g"))


@pytest.fixture
def values(tmp_path, monkeypatch) -> dict:
    """The contents of a config file, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.tsv").write_text(RUNS)
    return tiny_values() | {"runs": "runs.tsv"}


@pytest.fixture
def project(values) -> Project:
    return load_project(values, "config.yaml")


@pytest.fixture
def outputs(project) -> Outputs:
    return Outputs(project)


def changed(values: dict, path: str, value) -> Project:
    """The project with one value changed, as "sweep.seed"; "runs" is the text of the table."""
    values = json.loads(json.dumps(values))  # whose parts are no aliases of each other
    if path == "runs":
        (values["runs"], value), text = ("other.tsv", "other.tsv"), value
        Path(value).write_text(text)
    *parents, key = path.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    place[key] = value
    return load_project(values, "config.yaml")


def outdated(project: Project) -> tuple[set[str], set[str]]:
    """The runs with samples that are to be made again, and those with such metrics."""
    files = Files(project)
    samples = {run for run in project.all_runs if progress(project, files, run).outdated}
    return samples, {run for run in project.all_runs if (state := files.metrics(run)).there and state.fault}


def test_what_the_workflow_has_just_made_is_current_and_an_empty_folder_has_nothing_outdated(project):
    assert outdated(project) == (set(), set())
    assert Files(project).identity("uadm5-g") is None
    Outputs(project)
    assert outdated(project) == (set(), set())
    files = Files(project)
    assert all(progress(project, files, run).done == row.num_images for run, row in project.all_runs.items())


@pytest.mark.parametrize(
    ("change", "samples", "metrics"),
    [
        # Those of the table, the noise schedule and the neighbours: tests/workflow/test_status.py.
        (("runs", RUNS.replace("none\t\t0\t16", "none\t\t0\t24")), set(), {"uadm5"}),  # a shard more
        (("sampling.batch_size", 2), set(), set()),
        (("sampling.shard_size", 4), EVERY, set()),  # files are cut anew, images stay the same
        (("denoisers.uadm.training.lr", 0.5), {"uadm5"} | OF_CE, {"uadm5"} | OF_CE),
        (("classifiers.ce.training.seed", 5), OF_CE, OF_CE),
        (("classifiers.ect.loss.ect_weight", 0.7), OF_ECT, OF_ECT),
        (("classifiers.clean.training.seed", 5), BEST, EVERY),  # measures, and so chooses scales
        (("evaluation.spaces", ["classifier:clean", "pixels", "classifier:ce"]), BEST, EVERY),
        (("sweep.best", {"minimise": "pixels/kid"}), BEST, BEST),
        (("sweep.scales", [1, 4, 8]), SWEEP | BEST, BEST),  # one job for all scales of a method
        (("sweep.scales", [4]), BEST, BEST),  # without the scale that was chosen
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_change_of_the_project_outdates_what_follows_from_it_and_no_more(values, outputs, change, samples, metrics):
    assert outdated(changed(values, *change)) == (samples, metrics)


@pytest.mark.parametrize(
    ("file", "samples", "metrics"),
    [
        ("results/digits/runs/uadm5-g/settings.yaml", {"uadm5-g"}, {"uadm5-g"}),
        ("results/digits/runs/uadm5-g/samples/0000.npz", set(), {"uadm5-g"}),
        ("results/digits/runs/uadm5-g-at-4/metrics.json", {"uadm5-g-at-best"}, {"uadm5-g-at-best"}),
        ("results/digits/classifiers/ce/model.safetensors", OF_CE, OF_CE),
        ("results/digits/classifiers/ce/settings.yaml", OF_CE, OF_CE),  # frozen anew, and not trained yet
        ("results/digits/classifiers/clean/model.safetensors", BEST, EVERY),
        ("resources/datasets/digits/dataset.json", EVERY, EVERY),
        ("results/digits/classifiers/ce/levels/settings.yaml", set(), set()),
    ],
)
def test_what_is_older_than_its_origin_is_outdated(project, outputs, file, samples, metrics):
    outputs.at(Path(file), "later")
    assert outdated(project) == (samples, metrics)


def test_other_weights_are_noticed_however_old_their_file_is(project, outputs):
    outputs.text("settings", Path("results/digits/classifiers/ce/model.safetensors"), "others")
    os.utime("results/digits/classifiers/ce/settings.yaml", (1, 1))
    os.utime("resources/datasets/digits/dataset.json", (1, 1))
    os.utime("results/digits/dataset/settings.yaml", (1, 1))
    assert outdated(project) == (OF_CE, OF_CE)


@pytest.mark.parametrize("file", ["runs/uadm5-g/samples/0000.npz", "evaluation/settings.yaml"])
def test_what_is_cleared_away_outdates_nothing_but_lets_its_origin_through(project, outputs, file):
    (outputs.results / file).unlink()
    assert outdated(project) == (set(), set())
    outputs.at(outputs.results / "classifiers/ce/model.safetensors", "later")
    assert "uadm5-g" in outdated(project)[1]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"run": {"name": "UADM(5)-G", "scale": 3.0}}, "scale 3.0, now 4.0"),
        ({"run": {"name": "UADM(5)-G", "column_of_a_later_version": 1}}, None),
        ({"features": {"pixels": {}}}, "measured in other feature spaces"),
        ({"identity": "of others"}, "of other settings or weights"),
        ({"identity": None}, None),  # of samples that do not tell
    ],
)
def test_metrics_are_compared_by_all_that_they_name(project, outputs, change, fault):
    path = outputs.results / "runs/uadm5-g/metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    outputs.at(path, "metrics")
    assert Files(project).metrics("uadm5-g").fault == (fault and f"{path}: {fault}")


def test_damaged_settings_are_outdated_and_those_that_say_the_same_in_other_words_are_not(project, outputs):
    path = outputs.results / "runs/uadm5-g/settings.yaml"
    outputs.text("settings", path, json.dumps(yaml.safe_load(path.read_text())))
    assert outdated(project) == (set(), set())
    outputs.text("settings", path, "half: {")
    assert Files(project).shard("uadm5-g", "0000").fault.startswith(f"{path}: ")


def test_a_tempered_classifier_follows_from_the_trained_one(values):
    project = changed(values, "runs", RUNS.replace("\tce\t", "\tce+temperature\t"))
    outputs = Outputs(project)
    tempered = outputs.results / "classifiers/ce+temperature"
    outputs.text("tempered", tempered / "model.safetensors", "tempered")
    for run in OF_CE:
        outputs.run(run, *(("best samples", "best metrics") if run in BEST else ("samples", "metrics")))
    assert outdated(project) == (set(), set())
    outputs.at(outputs.results / "classifiers/ce/model.safetensors", "later")
    assert outdated(project) == (OF_CE, OF_CE)
    outputs.at(outputs.results / "classifiers/ce/model.safetensors", "network")
    outputs.at(tempered / "levels/settings.yaml", "later")
    assert outdated(project) == (OF_CE, OF_CE)


@pytest.mark.parametrize("start", ["results/digits/classifiers/ce/model.safetensors", "elsewhere.pt"])
def test_a_training_follows_from_what_it_starts_from_and_networks_that_start_from_each_other_end(values, start):
    project = changed(values, "classifiers.ect.training.init_from", start)
    outputs = Outputs(project)
    outputs.text("network", Path("elsewhere.pt"), "weights")
    assert outdated(project) == (set(), set())
    values["classifiers"]["ce"]["training"] |= {"init_from": "results/digits/classifiers/ect/model.safetensors"}
    Files(changed(values, "classifiers.ect.training.init_from", start)).metrics("uadm5-g")
    outputs.at(Path(start), "later")
    samples, metrics = outdated(project)
    assert OF_ECT <= samples == metrics
    assert "uadm5" not in samples


def test_a_published_network_and_a_reference_batch_outdate_by_their_age(values):
    entry = {key: value for key, value in values["classifiers"]["ce"].items() if key != "training"}
    values["classifiers"] |= {"ce": entry | {"checkpoint": {"source": "https://example.org/ce.pt"}}}
    project = changed(values, "evaluation.reference", "https://example.org/VIRTUAL.npz")
    outputs, weights = Outputs(project), Path("resources/assets/ce.pt")
    reference = outputs.text("network", Path("resources/assets/VIRTUAL.npz"), "images")
    assert outdated(project) == (set(), set())
    outputs.at(reference, "later")
    assert outdated(project) == (BEST, EVERY)
    outputs.at(reference, "network")
    outputs.at(weights, "later")
    assert outdated(project) == (OF_CE, OF_CE)


def test_runs_of_another_training_seed_follow_from_networks_of_their_own_and_scales_from_those_of_all_seeds(values):
    project = changed(values, "training_seeds", [0, 1])
    outputs = Outputs(project)
    assert outdated(project) == (set(), set())
    members = {run: set(project.members(run).values()) for run in OF_CE}
    weights = outputs.results / "classifiers/ce+seed1/model.safetensors"
    outputs.at(weights, "later")
    of_the_seed = {f"{run}-with-training-seed-1" for run in OF_CE} | members["uadm5-g-at-best"]
    assert outdated(project) == (of_the_seed, of_the_seed)
    outputs.at(weights, "network")
    later = changed(values | {"training_seeds": [0, 1]}, "classifiers.ce.training.lr", 0.5)
    assert outdated(later) == (set().union(*members.values()),) * 2
    more = changed(values, "training_seeds", [0, 1, 2])  # which choose the scales with the others
    bests = {run for best in BEST for run in project.members(best).values()}
    assert outdated(more) == (bests, bests)
