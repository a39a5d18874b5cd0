"""The tables and figures of an experiment, their captions, and the targets that make them."""

import pytest
from projects import EDS, ROW, UNGUIDED, load

from eddpm.config.outputs import (
    FIGURES,
    figure_caption,
    figure_inputs,
    matched_methods,
    runs_of,
    tables_of,
    targets_of,
)
from eddpm.errors import ConfigError

SCALE = ["tables/best_scale.csv", "tables/sweep.csv", "figures/scales.png", "figures/precision_recall.png"]
MEMORISATION = ["tables/memorisation.csv", "figures/memorisation.png"]
BEST = {"minimise": "pixels/fid"}
MATCHED = {"accuracy": [0.9, 0.95], "pixels/fid": [2]}
ABLATIONS = {
    "steps": {"rows": ["UADM(25)-G"], "vary": {"steps": ["ddim5", "ddim10"]}, "note": "Fewer steps."},
    "both": {"rows": ["UADM(25)-G", "UADM(25)-G+EDS"], "vary": {"scale": [4, 5], "labels": ["random"]}},
}


@pytest.fixture
def project(table):
    """Makes a project of three rows, two of them guided."""
    return lambda *rows, **changes: load(table, *(rows or (ROW, EDS, UNGUIDED)), **changes)


def test_each_table_has_its_own_rows_and_tells_what_was_varied(project):
    made = project(ablations=ABLATIONS)
    tables = tables_of(made)
    assert {name: list(table.runs.values()) for name, table in tables.items()} == {
        "main": list(made.runs),
        "best_scale": list(made.best_runs.values()),
        "sweep": list(made.sweep_runs.values()),
        **{name: list(runs.values()) for name, runs in made.ablation_runs.items()},
    }
    assert tables["steps"].caption.startswith("Fewer steps. Varied: steps; ")
    assert tables["both"].caption.startswith("Varied: scale, labels; ")


@pytest.mark.parametrize(("scales", "told"), [([0.5, 2], "0.5, 2"), ({"UADM(25)-G": [0.5, 2]}, "each method's grid")])
def test_best_scales_say_by_what_and_from_which_images_they_were_chosen(project, scales, told):
    best = {"minimise": "pixels/kid", "at_least": {"accuracy": 0.5}}
    made = project(sweep__num_images=50, sweep__seed=7, sweep__best=best, sweep__scales=scales)
    caption = tables_of(made)["best_scale"].caption
    assert "lowest pixels/kid with accuracy at least 0.5 (or nearest to it)" in caption
    assert f"chosen from {told} on 50 images of seed 7, which are not the images reported here" in caption


def test_guidance_is_traced_for_guided_rows_alone(project):
    traces = {row["run"]: f"runs/{slug}/trace.csv" for row, slug in ((ROW, "uadm25-g"), (EDS, "uadm25-g-eds"))}
    assert figure_inputs(project(), "trace") == traces


def test_with_training_seeds_tables_have_all_runs_of_a_row_and_figures_of_runs_the_first(project):
    made = project(training_seeds=[1, 0], sweep__scales=[2])
    member = "-with-training-seed-1"
    main, sweep = (tables_of(made)[name] for name in ("main", "sweep"))
    rows = [row["run"] for row in (ROW, EDS, UNGUIDED)]
    assert list(main.runs)[:2] == [f"uadm25-g{member}", "uadm25-g"]
    assert main.methods == [row for row in rows for _ in range(2)]
    assert next(zip(sweep.runs, sweep.methods, sweep.scales, strict=True)) == (
        f"uadm25-g-at-2{member}",
        rows[0],
        "2",
    )
    assert set(runs_of(made, "all")) == {run for row in made.rows for run in made.members(row).values()}
    assert figure_inputs(made, "samples")[rows[0]] == f"runs/uadm25-g{member}/samples/0000.npz"
    assert figure_inputs(made, "trace")[rows[0]] == f"runs/uadm25-g{member}/trace.csv"
    assert figure_inputs(made, "noise_levels") == {"ce": "classifiers/ce+seed1/noise_levels.jsonl"}
    assert figure_caption(made, "trace").endswith(" Networks that are trained here are those of training seed 1.")
    assert figure_caption(made, "fronts").endswith(" are means over 2 training seeds.")
    for plain in (project(), project(training_seeds=[1])):
        assert figure_caption(plain, "trace") == FIGURES["trace"].caption


@pytest.mark.parametrize("reference", [None, "batch.npz"])
def test_copies_are_sought_in_the_runs_of_the_table_beside_controls_of_training_images(project, reference):
    made = project(ROW, UNGUIDED, training_seeds=[1, 0], evaluation__reference=reference)
    rows = {ROW["run"]: "uadm25-g-with-training-seed-1", UNGUIDED["run"]: "uadm25-with-training-seed-1"}
    assert runs_of(made, "memorisation") == list(rows.values())
    files = figure_inputs(made, "memorisation")
    assert dict(list(files.items())[:2]) == {row: f"runs/{run}/copies.npz" for row, run in rows.items()}
    controls = [f"controls/{name}.npz" for name in ("training", "validation", "yardstick")]
    assert list(files.values())[2:] == controls[: 1 if reference else 3]


# Targets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("best", "matched"), [(None, None), (None, MATCHED), (BEST, None), (BEST, MATCHED)])
def test_a_sweep_has_the_best_scales_and_the_matched_methods_that_it_is_asked_for(project, best, matched):
    made = project(sweep__best=best, sweep__matched=matched)
    chosen = ["tables/best_scale.csv"] * bool(best) + ["tables/matched.csv"] * bool(matched)
    assert targets_of(made)["ablation_scale"] == [*chosen, *SCALE[1:], "figures/fronts.png"]
    assert set(chosen) <= set(targets_of(made)["all"])
    assert ("best_scale" in tables_of(made)) == bool(best)
    assert [row.scale for row in made.all_runs.values()].count("best") == (2 if best else 0)
    assert runs_of(made, "ablation_scale") == [*made.best_runs, *made.sweep_runs]


def test_methods_are_matched_at_each_level_and_the_caption_tells_their_images(project):
    made = matched_methods(project(sweep__matched=MATCHED, sweep__scales=[1, 2], sweep__num_images=5000))
    assert made["levels"] == ["accuracy=0.9", "accuracy=0.95", "pixels/fid=2"]
    assert made["runs"] == [f"{row['run']} at {scale}" for row in (ROW, EDS) for scale in (1, 2)]
    assert made["methods"] == [row["run"] for row in (ROW, ROW, EDS, EDS)]
    assert made["denoisers"] == ["uadm"] * 4
    assert "5,000 images of seed 1;" in made["caption"]


def test_chosen_baselines_are_pairs_of_methods_and_the_caption_tells_of_them(project):
    baselines = {EDS["run"]: [ROW["run"], EDS["run"]]}
    plain, chosen = (
        matched_methods(project(sweep__matched=MATCHED, sweep__baselines=given)) for given in ({}, baselines)
    )
    assert (plain["baselines"], chosen["baselines"]) == ([], [EDS["run"], ROW["run"], EDS["run"], EDS["run"]])
    assert [" to the method that it names, or else to the first" in each["caption"] for each in (plain, chosen)] == [
        False,
        True,
    ]


def test_methods_are_matched_in_all_their_trainings_by_the_denoiser_of_the_row(project):
    made = matched_methods(project(ROW, sweep__matched=MATCHED, sweep__scales=[2], training_seeds=[1, 0]))
    assert made["runs"] == [f"{ROW['run']} at 2 with training_seed 1", f"{ROW['run']} at 2"]
    assert (made["denoisers"], made["trainings"]) == (["uadm"] * 2, [1, 0])


@pytest.mark.parametrize("in_all", [True, False])
def test_all_is_the_table_with_or_without_the_sweep_and_ablations_are_the_others(project, in_all):
    made = project(sweep__in_all=in_all, sweep__matched=MATCHED, ablations=ABLATIONS)
    targets, scale = targets_of(made), [SCALE[0], "tables/matched.csv", *SCALE[1:], "figures/fronts.png"]
    table = ["tables/main.csv", "figures/samples.png", "figures/noise_levels.png", "figures/trace.png"]
    ablations = ["tables/steps.csv", "tables/both.csv", *scale]
    assert targets == {
        "all": table + scale if in_all else table,
        "ablation_steps": ["tables/steps.csv"],
        "ablation_both": ["tables/both.csv"],
        "ablation_scale": scale,
        "ablations": ablations,
        "memorisation": MEMORISATION,
    }
    tables = {f"tables/{name}.csv" for name in (*tables_of(made), "matched")}
    assert tables | {f"figures/{name}.png" for name in FIGURES} == {*table, *ablations, MEMORISATION[1]}
    runs, swept = list(made.table_runs), [*made.best_runs, *made.sweep_runs]
    assert runs_of(made, "all") == (runs + swept if in_all else runs)
    assert runs_of(made, "ablation_scale") == swept
    assert runs_of(made, "ablation_steps") == list(made.ablation_runs["steps"])


def test_where_nothing_is_guided_there_is_nothing_to_sweep_or_trace(project):
    made = project(UNGUIDED)
    assert targets_of(made) == {
        "all": ["tables/main.csv", "figures/samples.png"],
        "ablations": [],
        "memorisation": MEMORISATION,
    }
    assert list(tables_of(made)) == ["main"]


def test_fronts_and_published_numbers_are_shown_where_the_spaces_that_they_need_are_measured(project, tmp_path):
    (tmp_path / "published.tsv").touch()
    best = {"minimise": "inception/fid"}
    made = project(published=str(tmp_path / "published.tsv"), evaluation__spaces=["inception"], sweep__best=best)
    targets = targets_of(made)
    assert targets["all"][:2] == ["tables/main.csv", "tables/published.csv"]
    assert targets["ablation_scale"] == SCALE


@pytest.mark.parametrize(
    ("chosen", "figures"),
    [(["fid", "precision"], []), (["precision", "recall"], SCALE[3:]), (["accuracy", "fid", "recall"], [])],
)
def test_figures_are_made_of_chosen_metrics_alone(project, chosen, figures):
    made = project(evaluation__metrics=chosen, sweep__best=None)
    assert targets_of(made)["ablation_scale"] == [*SCALE[1:3], *figures]


def test_an_unknown_target_has_no_runs(project):
    with pytest.raises(ConfigError, match=r"^--targets main: no target of this project; name one of all, ablation_"):
        runs_of(project(), "main")
