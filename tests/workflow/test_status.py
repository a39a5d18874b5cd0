"""`eddpm status` and `eddpm tables` beside what snakemake would do."""

import re

import pytest
import yaml
from workspace import RUNS

from eddpm.config.projectfile import load_project
from eddpm.reporting.outdated import Files
from eddpm.stages.status import progress


def table(printed: str) -> dict[str, list[str]]:
    """The cells of each row, by its first."""
    _, _, body = printed.partition("\n-")
    rows = [re.split(r"\s{2,}", line.strip()) for line in body.partition("\n\n")[0].splitlines()[1:]]
    return {row[0]: row[1:] for row in rows}


def test_a_finished_project_has_every_image_and_nothing_left_to_do(finished):
    printed = finished.eddpm("status")
    assert "failed: " not in printed
    assert "~" not in printed
    for run, (images, *rest) in table(printed).items():
        done, wanted = images.split(" of ")
        assert done == wanted, run
        assert rest[-2:] == ["0.00", "0.00"], run  # hours, GB


@pytest.mark.parametrize(
    ("runs", "change"),
    [
        (RUNS.replace("constant\t4\t0\t8", "constant\t3\t0\t8"), {}),
        (RUNS.replace("\tce\t", "\tect\t"), {}),  # of the same shape
        (RUNS.replace("none\t\t0\t16", "none\t\t0\t12"), {}),
        (RUNS, {"diffusion": {"noise_schedule": "linear"}}),
        (RUNS, {"evaluation": {"spaces": ["classifier:clean", "pixels"], "nearest_neighbours": 2}}),
        (RUNS, {"training_seeds": [1, 0]}),
    ],
    ids=["scale", "classifier", "fewer images", "noise schedule", "nearest neighbours", "training seeds"],
)
def test_what_status_and_tables_call_outdated_a_dry_run_makes_again(finished, monkeypatch, runs, change):
    monkeypatch.chdir(finished.folder)
    finished.write_runs(runs)
    finished.write_config(**change)
    try:
        outputs = set().union(*finished.planned("all").values())
        project = load_project(yaml.safe_load((finished.folder / "config.yaml").read_text()), "config.yaml")
        files = Files(project)
        sampled = {run for run, row in project.all_runs.items() if progress(project, files, run).done < row.num_images}
        states = {run: files.metrics(run) for run in project.all_runs}
    finally:
        finished.write_runs(RUNS)
        finished.write_config()
    assert sampled == {match[1] for file in outputs if (match := re.search("/runs/([^/]+)/samples/", file))}
    measured = {run for run, state in states.items() if state.fault or not state.there}
    assert measured == {match[1] for file in outputs if (match := re.search("/runs/([^/]+)/metrics.json", file))}
    assert measured
