"""The names of runs, and the runs that sweeps and ablations generate from the table."""

import itertools

import pytest
from projects import EDS, ROW, UNGUIDED, load, refusal

from eddpm.config.frozen import frozen_parts
from eddpm.config.runs import Run, slug
from eddpm.guidance.rules.entropy import Entropy
from eddpm.guidance.rules.none import Unguided


def test_a_run_is_filed_under_its_name_made_path_safe():
    names = ("UADM(25)-G+EDS+ECT", "UADM(25)-G at 0.5", "../../etc")
    assert [slug(name) for name in names] == ["uadm25-g-eds-ect", "uadm25-g-at-0.5", "etc"]


# Sweeps -----------------------------------------------------------------------------------------------------------


def test_the_sweep_has_every_guided_row_at_every_scale_on_images_of_its_own(table):
    project = load(table, ROW, EDS, UNGUIDED, sweep__scales=[16, 0.5])
    methods = {row.run: row for row in project.runs if row.guidance != "none"}
    found = [(row.method, row.scale) for row in project.sweep_runs.values()]
    assert found == list(itertools.product(methods, (16, 0.5)))
    varied = {"run", "method", "scale", "seed", "num_images"}
    for row in project.sweep_runs.values():
        assert (row.seed, row.num_images) == (project.sweep.seed, project.sweep.num_images)
        assert row.model_dump(exclude=varied) == methods[row.method].model_dump(exclude=varied)
    assert project.sweep_of("UADM(25)-G") == ["uadm25-g-at-0.5", "uadm25-g-at-16"]
    assert project.sweep_of("UADM(25)") == []
    each = load(table, sweep__scales={"UADM(25)-G": [16, 0.5], "UADM(25)-G+EDS": [16, 0.5]})
    assert frozen_parts(project) == frozen_parts(each)


def test_there_is_one_best_run_per_swept_row_on_the_images_of_that_row(table):
    project = load(table, ROW, EDS, UNGUIDED, sweep__scales={"UADM(25)-G+EDS": [4, 1, 2]})
    assert list(project.sweep_runs) == [f"uadm25-g-eds-at-{scale}" for scale in (4, 1, 2)]
    (best,) = project.best_runs.values()
    row = project.table_runs["uadm25-g-eds"]
    assert (best.slug, best.scale, best.method) == ("uadm25-g-eds-at-best", "best", row.run)
    assert (best.seed, best.num_images) == (row.seed, row.num_images)


# Ablations --------------------------------------------------------------------------------------------------------


def ablate(*rows: str, **vary) -> dict:
    """The ablations of a project file, with the one ablation "x"."""
    return {"x": {"rows": list(rows) or [ROW["run"]], "vary": vary}}


def variants(table, **vary) -> list[Run]:
    """Those of ROW."""
    return list(load(table, ROW, ablations=ablate(**vary)).ablation_runs["x"].values())


def test_variants_are_the_product_of_the_values_and_differ_from_their_row_in_nothing_else(table):
    vary = {"guidance": ["constant", "entropy"], "classifier": ["ce", "ect"], "scale": [2, 4, 6]}
    found = variants(table, **vary)
    assert [(run.guidance, run.classifier, run.scale) for run in found] == list(itertools.product(*vary.values()))
    (row,) = load(table).runs
    named = {"run", "method", *vary}
    assert all(run.model_dump(exclude=named) == row.model_dump(exclude=named) for run in found)
    assert variants(table, scale=["5"]) == variants(table, scale=[5.0])  # numbers may be text


def test_a_variant_is_named_by_what_differs_from_its_row_in_one_order_of_columns(table):
    assert [run.run for run in variants(table, scale=[4, 0.5], guidance=["constant", "entropy"])] == [
        "UADM(25)-G",
        "UADM(25)-G with guidance entropy",
        "UADM(25)-G with scale 0.5",
        "UADM(25)-G with guidance entropy, scale 0.5",
    ]
    vary = {"labels": ["random"], "num_images": [9], "guidance": ["entropy"], "steps": ["10"], "guided_x0": ["clipped"]}
    (run,) = variants(table, classifier=["ect"], **vary)
    changes = "classifier ect, steps 10, guidance entropy, num_images 9, labels random, guided_x0 clipped"
    assert run.run == f"UADM(25)-G with {changes}"


def test_a_combination_that_changes_nothing_is_the_row_itself_and_others_are_shared(table):
    base, other = variants(table, scale=[4, 5])
    ablations = ablate(scale=[4, 5]) | {"y": {"rows": [ROW["run"]] * 2, "vary": {"scale": [5, 6]}}}
    project = load(table, ablations=ablations)
    assert base == project.table_runs["uadm25-g"]
    assert (other.method, other.slug) == ("UADM(25)-G", "uadm25-g-with-scale-5")
    assert project.all_runs.keys() - load(table).all_runs.keys() == {other.slug, "uadm25-g-with-scale-6"}


def test_the_settings_of_a_variant_have_its_values_and_null_clears_a_cell(table):
    vary = {"guidance": ["none"], "classifier": [None, "ce"], "labels": ["random"]}
    methods = {"guidance__noisy": {"rule": "entropy", "eds_timesteps": [500, 999]}}
    before = load(table, {**EDS, "guidance": "noisy"}, **methods)
    project = load(table, ablations=ablate(EDS["run"], **vary), **methods)
    cleared, kept = project.ablation_runs["x"].values()
    assert cleared.run == "UADM(25)-G+EDS with classifier null, guidance none, labels random"
    assert [project.sample(run.slug).classifier for run in (cleared, kept)] == [None, project.encoder("ce")]
    assert [project.sample(run).guidance for run in ("uadm25-g-eds", kept.slug)] == [
        (Entropy(eds_timesteps=(500, 999)),),
        (Unguided(),),
    ]
    assert project.sample(kept.slug).labels == "random"
    old, new = frozen_parts(before), frozen_parts(project)
    assert {name: new[name] for name in old} == old
    assert len(new) == len(old) + 2


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"run": ["B"]}, ".vary: column 'run' is unknown; known: denoiser, classifier, sampler, steps, guidance,"),
        ({"scale": []}, ".vary.scale: value []: list should have at least 1 item"),
        ({"steps": [10.5]}, ": row 'UADM(25)-G': steps: value 10.5: is a number, and should be text; put it in quotes"),
        ({"scale": ["best"]}, ": row 'UADM(25)-G': scale 'best' is for generated rows; give a number"),
        ({"classifier": ["ec"]}, ": row 'UADM(25)-G with classifier ec': classifier 'ec' is not in config.yaml; known"),
        ({"scale": [5, 5.0000001]}, ": row 'UADM(25)-G with scale 5': would share its folder with another; drop one"),
    ],
)
def test_an_impossible_variant_is_refused_with_its_ablation_and_row(table, vary, message):
    assert refusal(table, ROW, ablations=ablate(**vary)).startswith(f"config.yaml: ablations.x{message}")


def test_an_ablation_has_rows_of_the_table_and_names_of_its_own(table):
    message = refusal(table, ROW, UNGUIDED, ablations=ablate("UADM-G", scale=[1]))
    assert message == "config.yaml: ablations.x.rows: 'UADM-G' is no row of the table; known: UADM(25)-G, UADM(25)"
    message = refusal(table, ablations={"sweep": ablate(scale=[1])["x"]})
    assert message == "config.yaml: ablations.sweep: is the name of another table; rename it"
    message = refusal(table, ROW, {**ROW, "run": "UADM(25)-G-with-scale 5"}, ablations=ablate(scale=[5]))
    assert message.endswith("': would share its folder with another; drop one")
