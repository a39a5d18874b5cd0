"""A guidance rule that a user adds as one file: configuration, sweep, tables and figures have it; and a pair."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from forks import serving
from tiny import REPO
from workspace import Workspace

from eddpm.config.outputs import CONTROLS
from eddpm.io.arrays import read_npz

ROWS = ("UADM(5)-G", "UADM(5)-G+early", "UADM(5)-G+half", "CADM(5)-CFG")
RULE = REPO / "tests/data/rules/early.py"
RUNS = """\
run\tdenoiser\tclassifier\tsampler\tsteps\tguidance\tscale\tseed\tnum_images
UADM(5)-G\tuadm\tce\tddim\tddim5\tconstant\t4\t0\t8
UADM(5)-G+early\tuadm\tce\tddim\tddim5\tfirst-two\t4\t0\t8
UADM(5)-G+half\tuadm\tce\tddim\tddim5\tearly\t4\t0\t8
CADM(5)-CFG\tcadm\t\tddim\tddim5\tcfg\t2\t0\t8
"""
METHODS = {"first-two": {"rule": "early", "share": 0.4}, "cfg": {"rule": "classifier_free", "unconditional": "uadm"}}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A checkout with the new file, and a project that uses it."""
    folder = tmp_path_factory.mktemp("rule")
    for part in ("eddpm", "workflow", "config"):
        shutil.copytree(REPO / part, folder / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(RULE, folder / "checkout/eddpm/guidance/rules")
    (folder / "programs").mkdir()
    with serving(folder / "programs", folder / "checkout") as programs:
        project = Workspace(folder / "project", RUNS, programs, folder / "checkout")
        project.write_config(guidance=METHODS)
        project.snakemake("all", "memorisation")
        yield project


def test_a_rule_is_ten_lines():
    assert len(RULE.read_text().rstrip().splitlines()) <= 12


def test_rows_sweep_and_figures_have_the_methods_of_the_new_rule(workspace):
    tables = workspace.folder / "results/digits/tables"
    assert pd.read_csv(tables / "main.csv")["run"].tolist() == list(ROWS)
    sweep = pd.read_csv(tables / "sweep.csv")
    assert sweep.groupby("method")["scale"].apply(list).to_dict()["UADM(5)-G+early"] == [1, 4]
    assert sweep["accuracy"].notna().all()
    for figure in ("trace", "fronts", "scales", "samples"):
        assert (workspace.folder / f"results/digits/figures/{figure}.png").stat().st_size > 5000
    trace = pd.read_csv(workspace.folder / "results/digits/runs/uadm5-g-early/trace.csv")
    assert trace["entropy"].notna().tolist() == [True, True, False, False, False]


def test_its_samples_are_searched_for_copies_of_training_images(workspace):
    table = pd.read_csv(workspace.folder / "results/digits/tables/memorisation.csv", index_col="run")
    assert list(table.index) == [*ROWS, *CONTROLS.values()]
    assert table.loc[CONTROLS["training"], "pixels/flagged"]
    assert not table.loc[CONTROLS["validation"], "pixels/flagged"]
    assert (workspace.folder / "results/digits/figures/memorisation.png").stat().st_size > 5000


def test_the_parameters_are_kept_with_the_run_and_save_evaluations(workspace):
    run = workspace.folder / "results/digits/runs/uadm5-g-early"
    assert yaml.safe_load((run / "settings.yaml").read_text())["guidance"] == [
        {"rule": "early", "timesteps": None, "share": 0.4}
    ]
    cost = workspace.metrics("uadm5-g-early")["cost"]
    assert (cost["denoiser"], cost["classifier_forward"], cost["classifier_backward"]) == (5, 2, 2)
    assert workspace.metrics("uadm5-g-half")["cost"]["classifier_forward"] == 3


def test_a_pair_of_denoisers_is_sampled_and_swept_without_a_classifier(workspace):
    cost = workspace.metrics("cadm5-cfg")["cost"]
    assert (cost["denoiser"], cost["classifier_forward"]) == (10, 0)
    shards = [
        workspace.folder / f"results/digits/runs/{run}/samples/0000.npz" for run in ("cadm5-cfg-at-1", "cadm5-cfg-at-4")
    ]
    assert not np.array_equal(*(read_npz(path, "arr_0")["arr_0"] for path in shards))


def test_what_has_just_been_sampled_and_measured_is_current(workspace):
    assert "outdated" not in workspace.eddpm("status")
    assert not re.search("outdated|missing", workspace.eddpm("tables"))


@pytest.mark.parametrize(
    ("method", "line"),
    [
        (
            {"rule": "early", "shared": 0.4},
            "config.yaml: guidance.first-two: early: shared: unknown key; did you mean 'share'?",
        ),
        ({"rule": "early", "share": "all"}, "config.yaml: guidance.first-two: early: share: value 'all'"),
    ],
)
def test_its_parameters_are_checked_when_the_project_is_read(workspace, method, line):
    workspace.write_config(guidance=METHODS | {"first-two": method})
    done = workspace.snakemake("--dry-run", "all", check=False)
    assert done.returncode != 0
    assert line in done.stdout + done.stderr
