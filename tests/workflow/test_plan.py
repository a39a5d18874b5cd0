"""What `eddpm plan` and `eddpm status` say of a project, before anything has run and after all has."""

import re


def table(printed: str) -> dict[str, list[str]]:
    """The cells of each row, by its first."""
    _, _, body = printed.partition("\n-")
    rows = [re.split(r"\s{2,}", line.strip()) for line in body.partition("\n\n")[0].splitlines()[1:]]
    return {row[0]: row[1:] for row in rows}


def test_a_plan_counts_the_jobs_that_snakemake_counts(workspace):
    printed = workspace.snakemake("--dry-run", "all").stdout
    counted = dict(re.findall(r"^(\w+) +(\d+)$", printed.partition("Job stats:")[2].partition("\n\n")[0], re.MULTILINE))
    total = int(counted.pop("total")) - int(counted.pop("all"))
    planned = table(workspace.eddpm("plan"))
    assert planned.pop("all")[0] == str(total)
    assert {rule: cells[0] for rule, cells in planned.items()} == counted


def test_a_plan_of_one_run_has_its_jobs_alone(workspace):
    planned = table(workspace.eddpm("plan", "--targets", "results/digits/runs/uadm5/metrics.json"))
    assert planned["sample_shard"][0] == "2"
    assert "sample_sweep" not in planned
    assert "train_classifier" in planned  # of the feature space


def test_a_finished_project_has_every_image_and_nothing_left_to_plan(finished):
    assert finished.eddpm("plan") == "Nothing to be done for all.\n"
    printed = finished.eddpm("status")
    assert "failed: " not in printed
    assert "~" not in printed
    for run, (images, *rest) in table(printed).items():
        done, wanted = images.split(" of ")
        assert done == wanted, run
        assert rest[-1] == "0.00", run  # hours left
