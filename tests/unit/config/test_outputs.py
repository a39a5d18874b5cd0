"""The tables and figures of an experiment, their captions, and the targets that make them."""

import pytest
from projects import EDS, ROW, UNGUIDED, load, write_rows

from eddpm.config.outputs import FIGURES, figure_inputs, runs_of, tables_of, targets_of
from eddpm.errors import ConfigError

SCALE = ["tables/best_scale.csv", "tables/sweep.csv", "figures/scales.png", "figures/precision_recall.png"]
ABLATIONS = {
    "steps": {"rows": ["UADM(25)-G"], "vary": {"steps": ["5", "10"]}, "note": "Fewer steps."},
    "both": {"rows": ["UADM(25)-G", "UADM(25)-G+EDS"], "vary": {"scale": [4, 5], "labels": ["random"]}},
}


@pytest.fixture
def project(table):
    """Makes a project of three rows, two of them guided."""

    def make(*rows: dict, **changes):
        write_rows(table, *(rows or (ROW, EDS, UNGUIDED)))
        return load(table, **changes)

    return make


# Tables -----------------------------------------------------------------------------------------------------------


def test_each_table_has_its_own_rows(project):
    made = project(ablations=ABLATIONS)
    tables = {name: list(table.runs.values()) for name, table in tables_of(made).items()}
    assert list(tables) == ["main", "best_scale", "sweep", "steps", "both"]
    assert tables["main"] == list(made.runs)
    assert tables["best_scale"] == list(made.best_runs.values())
    assert tables["sweep"] == list(made.sweep_runs.values())
    assert tables["both"] == list(made.ablation_runs["both"].values())


def test_an_ablation_says_its_note_and_what_it_varied(project):
    tables = tables_of(project(ablations=ABLATIONS))
    asides = "all else is as in the row that a name begins with."
    assert tables["steps"].caption == f"Fewer steps. Varied: steps; {asides}"
    assert tables["both"].caption == f"Varied: scale, labels; {asides}"


def test_best_scales_say_by_what_and_from_which_images_they_were_chosen(project):
    sweep = {
        "sweep__num_images": 50,
        "sweep__seed": 7,
        "sweep__best": {"minimise": "pixels/kid", "at_least": {"accuracy": 0.5}},
    }
    caption = tables_of(project(**sweep, sweep__scales=[0.5, 2]))["best_scale"].caption
    assert caption == (
        "Every method at its own best scale: lowest pixels/kid with accuracy at least 0.5 (or nearest to it), chosen"
        " from 0.5, 2 on 50 images of seed 7, which are not the images reported here."
    )
    caption = tables_of(project(**sweep, sweep__scales={"UADM(25)-G": [0.5, 2]}))["best_scale"].caption
    assert "chosen from each method's grid on 50 images of seed 7" in caption


# Figures ----------------------------------------------------------------------------------------------------------


def test_a_figure_has_the_files_of_its_kind_by_label(project):
    made = project()
    files = {FIGURES[figure].inputs: figure_inputs(made, figure) for figure in FIGURES}
    assert files["samples"]["UADM(25)"] == "runs/uadm25/samples/0000.npz"
    assert list(files["samples"]) == [row.run for row in made.runs]
    assert list(files["traces"]) == ["UADM(25)-G", "UADM(25)-G+EDS"]  # not the unguided run
    assert files["traces"]["UADM(25)-G"] == "runs/uadm25-g/trace.csv"
    assert files["noise_levels"] == {"ce": "classifiers/ce/noise_levels.jsonl"}
    assert files["sweep"] == {"sweep": "tables/sweep.csv"}


# Targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_all", [True, False])
def test_all_is_the_table_and_the_sweep_where_the_sweep_is_meant_to_be_in_it(project, in_all):
    targets = targets_of(project(sweep__in_all=in_all, ablations=ABLATIONS))
    table = ["tables/main.csv", "figures/samples.png", "figures/noise_levels.png", "figures/trace.png"]
    scale = [*SCALE, "figures/fronts.png"]
    assert targets["all"] == (table + scale if in_all else table)
    assert targets["ablation_scale"] == scale


def test_each_ablation_is_a_target_and_ablations_all_of_them(project):
    targets = targets_of(project(ablations=ABLATIONS))
    ablations = {name: files for name, files in targets.items() if name.startswith("ablation_")}
    assert ablations.keys() == {"ablation_steps", "ablation_both", "ablation_scale"}
    assert ablations["ablation_steps"] == ["tables/steps.csv"]
    assert set(targets["ablations"]) == {file for files in ablations.values() for file in files}
    assert len(set(targets["ablations"])) == len(targets["ablations"])
    assert not {"tables/steps.csv", "tables/both.csv"} & set(targets["all"])


def test_where_nothing_is_guided_there_is_nothing_to_sweep_or_trace(project):
    made = project(UNGUIDED)
    assert targets_of(made) == {"all": ["tables/main.csv", "figures/samples.png"], "ablations": []}
    assert list(tables_of(made)) == ["main"]


def test_fronts_are_drawn_where_accuracy_and_the_pixels_are_measured(project):
    made = project(evaluation__spaces=["pixels"], sweep__best={"minimise": "pixels/fid"})
    assert targets_of(made)["ablation_scale"] == SCALE


def test_published_numbers_are_set_beside_ours_where_there_are_some(project, tmp_path):
    (tmp_path / "published.tsv").touch()
    spaces = ["classifier:clean", "pixels", "inception"]
    made = project(published=str(tmp_path / "published.tsv"), evaluation__spaces=spaces)
    assert targets_of(made)["all"][:2] == ["tables/main.csv", "tables/published.csv"]
    assert "tables/published.csv" not in targets_of(project(evaluation__spaces=spaces))["all"]


def test_every_table_and_figure_is_made_by_a_target(project):
    made = project(ablations=ABLATIONS, sweep__in_all=False)
    files = {file for target in targets_of(made).values() for file in target}
    outputs = {*(f"tables/{name}.csv" for name in tables_of(made)), *(f"figures/{name}.png" for name in FIGURES)}
    assert outputs == files


def test_the_runs_of_a_target_are_the_rows_of_its_tables(project):
    made = project(ablations=ABLATIONS)
    table, scale = list(made.table_runs), [*made.best_runs, *made.sweep_runs]
    assert runs_of(made, "all") == table + scale
    assert runs_of(made, "ablation_scale") == scale
    assert runs_of(made, "ablation_steps") == list(made.ablation_runs["steps"])
    assert set(runs_of(made, "all")) | set(runs_of(made, "ablations")) == made.all_runs.keys()
    assert runs_of(project(sweep__in_all=False), "all") == table


def test_an_unknown_target_has_no_runs(project):
    with pytest.raises(ConfigError, match=r"^--targets main: no target of this project; name one of all, ablation_"):
        runs_of(project(), "main")
