"""The plan of snakemake once all is made, and after a change: no more than it must."""

import re

import pytest
from tiny import tiny_values
from workspace import RUNS

from eddpm.errors import ArtifactError
from eddpm.io.arrays import read_npz


def with_microbatch() -> dict:
    classifiers = tiny_values()["classifiers"]
    return classifiers | {"ce": classifiers["ce"] | {"microbatch": 3}}


def test_nothing_is_left_to_do_after_all(finished):
    assert finished.planned("all") == {}
    assert "Nothing to be done" in finished.snakemake("all").stderr


def test_changing_one_scale_remakes_that_run_and_what_shows_it(finished):
    finished.write_runs(RUNS.replace("constant\t4", "constant\t3"))
    try:
        jobs = finished.planned("all")
    finally:
        finished.write_runs(RUNS)
    run = "results/digits/runs/uadm5-g"
    assert jobs.pop("freeze_settings") == {f"{run}/settings.yaml"}
    assert jobs.pop("sample_shard") == {f"{run}/samples/0000.npz"}
    names = ("metrics.json", "replicates.csv", "trace.csv", "grid.png")
    assert jobs.pop("measure_samples") == {f"{run}/{name}" for name in names}
    assert jobs.pop("make_table") == {f"results/digits/tables/main.{kind}" for kind in ("csv", "md", "tex", "html")}
    assert jobs.pop("plot_figure") == {
        f"results/digits/figures/{name}.{kind}" for name in ("samples", "trace") for kind in ("png", "pdf")
    }
    assert jobs == {}


def test_a_further_training_seed_trains_and_samples_beside_what_is_there(finished):
    jobs = finished.planned("all", "--config", "training_seeds=[0, 1]")
    found = {rule: {path.split("/")[3] for path in outputs} for rule, outputs in jobs.items()}
    assert found["train_denoiser"] == {"uadm+seed1", "cadm+seed1"}
    assert found["train_classifier"] == {"ce+seed1", "ect+seed1"}  # the judge stays the one
    rows = {"uadm5", "uadm5-g", "cadm5-g-eds-ect"}
    best = {f"{row}-at-best" for row in rows - {"uadm5"}}  # by the mean over both, and so chosen anew
    member = "-with-training-seed-1"
    assert found["sample_shard"] == best | {f"{run}{member}" for run in rows | best}
    assert found["sample_sweep"] == {f"{row}-at-{scale}{member}" for row in rows - {"uadm5"} for scale in (1, 4)}
    assert found["measure_sweep"] == found["sample_sweep"]
    assert "measure_classifier" not in jobs  # a figure shows the first seed
    assert finished.planned("results/digits/runs/uadm5-g/metrics.json", "--config", "training_seeds=[1]") == {}


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        ({"sampling": {"shard_size": 8, "batch_size": 5}}, set()),
        ({"classifiers": with_microbatch()}, set()),
        (
            {"evaluation": {"spaces": ["classifier:clean", "pixels"], "nearest_neighbours": 2}},
            {"measure_samples", "measure_sweep", "make_table", "plot_figure"},
        ),
    ],
    ids=["batch size", "microbatch", "nearest neighbours"],
)
def test_a_change_remakes_no_more_than_it_must(finished, change, rules):
    finished.write_config(**change)
    try:
        jobs = set(finished.planned("all"))
    finally:
        finished.write_config()
    assert rules <= jobs
    assert not jobs & {"prepare_dataset", "train_denoiser", "train_classifier", "sample_sweep"}
    if not rules:
        assert not jobs


def test_what_is_advised_for_a_damaged_file_makes_that_file_anew(finished, tmp_path):
    (tmp_path / "0001.npz").write_bytes(b"PK\3\4 damaged")
    with pytest.raises(ArtifactError) as caught:
        read_npz(tmp_path / "0001.npz")
    shard = "results/digits/runs/uadm5/samples/0001.npz"
    advice = re.search("`snakemake (.*?)`", str(caught.value))[1].replace(str(tmp_path / "0001.npz"), shard)
    assert finished.planned("all", *advice.split())["sample_shard"] == {shard}
