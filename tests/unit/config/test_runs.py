"""The names of runs, and the runs that sweeps and ablations generate from the table."""

import itertools

import pytest
from projects import DIGITS, EDS, ROW, UNGUIDED, load, refusal, write_rows

from eddpm.config.frozen import frozen_parts
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.runs import Run, slug


@pytest.fixture
def digits() -> Project:
    return load_project(DIGITS, "config.yaml")


# Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("UADM(25)-G+EDS+ECT", "uadm25-g-eds-ect"),
        ("UADM(25)", "uadm25"),
        ("UADM(25)-G at 0.5", "uadm25-g-at-0.5"),
        ("UADM(25)-G at best", "uadm25-g-at-best"),
        ("../../etc", "etc"),
        (".hidden", "hidden"),
        ("a/b c", "a-b-c"),
    ],
)
def test_a_run_is_filed_under_its_name_made_path_safe(name, folder):
    assert slug(name) == folder


def test_the_digits_name_their_runs_as_the_paper_does(digits):
    methods = [f"{kind}(25){method}" for kind in ("UADM", "CADM") for method in ("", "-G", "-G+EDS", "-G+EDS+ECT")]
    assert [row.run for row in digits.runs] == methods
    assert list(digits.table_runs) == [slug(method) for method in methods]


# Sweeps -----------------------------------------------------------------------------------------------------------


def test_the_sweep_has_every_guided_row_at_every_scale_and_nothing_else(digits):
    guided = [row for row in digits.runs if row.guidance != "none"]
    assert len(guided) == 6
    found = [(row.method, row.scale) for row in digits.sweep_runs.values()]
    assert found == [(row.run, scale) for row in guided for scale in digits.sweep.scales]


def test_a_row_of_the_sweep_differs_from_its_method_in_name_scale_seed_and_count_alone(digits):
    methods = {row.run: row for row in digits.runs}
    for row in digits.sweep_runs.values():
        assert (row.seed, row.num_images) == (digits.sweep.seed, digits.sweep.num_images)
        varied = {"run", "method", "scale", "seed", "num_images"}
        assert row.model_dump(exclude=varied) == methods[row.method].model_dump(exclude=varied)


def test_the_sweep_draws_other_images_than_the_tables_report(digits):
    assert digits.sweep.seed not in {row.seed for row in [*digits.table_runs.values(), *digits.best_runs.values()]}


def test_there_is_one_best_run_per_guided_row_on_the_images_of_that_row(digits):
    methods = {row.run: row for row in digits.runs if row.guidance != "none"}
    assert [row.method for row in digits.best_runs.values()] == list(methods)
    for row in digits.best_runs.values():
        assert row.scale == "best"
        assert (row.seed, row.num_images) == (methods[row.method].seed, methods[row.method].num_images)


def test_all_runs_have_folders_of_their_own(digits):
    assert len(digits.all_runs) == len(digits.table_runs) + len(digits.sweep_runs) + len(digits.best_runs)


def test_the_sweep_of_a_method_is_its_own_rows_by_rising_scale(table):
    write_rows(table, ROW, {**ROW, "run": "UADM(25)-G+EDS"}, UNGUIDED)
    project = load(table, sweep__scales=[16, 0.5, 2])
    assert project.sweep_of("UADM(25)-G") == ["uadm25-g-at-0.5", "uadm25-g-at-2", "uadm25-g-at-16"]
    assert project.sweep_of("UADM(25)") == []


# Sweeps of some rows, each with a grid ----------------------------------------------------------------------------


def test_a_grid_for_each_row_sweeps_those_rows_alone(table):
    write_rows(table, ROW, EDS, UNGUIDED)
    project = load(table, sweep__scales={"UADM(25)-G+EDS": [4, 1, 2]})
    assert list(project.sweep_runs) == [f"uadm25-g-eds-at-{scale}" for scale in (4, 1, 2)]
    assert list(project.best_runs) == ["uadm25-g-eds-at-best"]
    assert project.sweep_of("UADM(25)-G+EDS") == [f"uadm25-g-eds-at-{scale}" for scale in (1, 2, 4)]
    assert project.sweep_of("UADM(25)-G") == []


def test_one_grid_is_the_same_grid_for_each_guided_row(table):
    write_rows(table, ROW, EDS, UNGUIDED)
    one = load(table, sweep__scales=[1, 4])
    each = load(table, sweep__scales={"UADM(25)-G": [1, 4], "UADM(25)-G+EDS": [1, 4]})
    assert frozen_parts(one) == frozen_parts(each)


def test_methods_share_jobs_only_on_a_common_grid(table):
    write_rows(table, ROW, EDS)
    assert load(table, sweep__scales=[1, 4]).sweep_shares_jobs
    assert not load(table, sweep__scales={"UADM(25)-G": [1, 4], "UADM(25)-G+EDS": [1, 4]}).sweep_shares_jobs


# Ablations --------------------------------------------------------------------------------------------------------


def ablate(*rows: str, **vary) -> dict:
    """The ablations of a project file, with the one ablation "x"."""
    return {"x": {"rows": list(rows) or [ROW["run"]], "vary": vary}}


def variants(table, **vary) -> list[Run]:
    """Those of ROW."""
    write_rows(table, ROW)
    return list(load(table, ablations=ablate(**vary)).ablation_runs["x"].values())


def test_variants_are_the_product_of_the_values_and_differ_from_their_row_in_nothing_else(table):
    vary = {"guidance": ["constant", "entropy"], "classifier": ["ce", "ect"], "scale": [2, 4, 6]}
    found = variants(table, **vary)
    assert [(run.guidance, run.classifier, run.scale) for run in found] == list(itertools.product(*vary.values()))
    (row,) = load(table).runs
    named = {"run", "method", *vary}
    assert all(run.model_dump(exclude=named) == row.model_dump(exclude=named) for run in found)


def test_a_variant_is_named_by_exactly_what_differs_from_its_row(table):
    assert [run.run for run in variants(table, scale=[4, 0.5], guidance=["constant", "entropy"])] == [
        "UADM(25)-G",
        "UADM(25)-G with guidance entropy",
        "UADM(25)-G with scale 0.5",
        "UADM(25)-G with guidance entropy, scale 0.5",
    ]


def test_a_combination_that_changes_nothing_is_the_row_itself_and_sampled_once(table):
    base, other = variants(table, scale=[4, 5])
    project = load(table, ablations=ablate(scale=[4, 5]))
    assert base == project.table_runs["uadm25-g"]
    assert (other.method, other.slug) == ("UADM(25)-G", "uadm25-g-with-scale-5")
    assert project.all_runs.keys() - load(table).all_runs.keys() == {other.slug}


def test_the_order_of_columns_and_other_values_rename_no_variant(table):
    names = {run.run for run in variants(table, scale=[2, 3], seed=[5, 6])}
    assert {run.run for run in variants(table, seed=[6, 5], scale=[3, 2])} == names
    assert {run.run for run in variants(table, seed=[7, 5, 6], scale=[2, 3])} > names


def test_ablations_that_ask_for_the_same_variant_share_it(table):
    write_rows(table, ROW)
    vary = {"scale": [5], "steps": ["ddim10", "ddim25"]}
    project = load(table, ablations=ablate(**vary) | {"y": {"rows": [ROW["run"]] * 2, "vary": {"scale": [5, 6]}}})
    assert project.ablation_runs["x"].keys() & project.ablation_runs["y"].keys() == {"uadm25-g-with-scale-5"}
    assert len(project.all_runs) == len(load(table).all_runs) + 3


def test_null_is_a_value_that_clears_a_cell(table):
    write_rows(table, EDS, {**EDS, "run": "UADM(25)-G+late EDS", "eds_timesteps": "500-999"})
    project = load(table, ablations=ablate("UADM(25)-G+late EDS", eds_timesteps=[None, "500-999"]))
    cleared, row = project.ablation_runs["x"].values()
    assert cleared.run == "UADM(25)-G+late EDS with eds_timesteps null"
    assert project.sample(cleared.slug).eds_timesteps is None
    assert project.sample(row.slug).eds_timesteps == "500-999"


def test_numbers_may_be_text_and_text_is_no_number(table):
    assert variants(table, scale=["5"], num_images=["20"]) == variants(table, scale=[5.0], num_images=[20])
    for steps in (250, 10.5):
        message = refusal(table, ablations=ablate(steps=["ddim25", steps]))
        where = "config.yaml: ablations.x: row 'UADM(25)-G': steps"
        assert message == f"{where}: value {steps}: is a number, and should be text; put it in quotes"


def test_the_settings_of_a_variant_have_its_values(table):
    (run,) = variants(table, guidance=["entropy"], entropy_classes=[1000], labels=["random"])
    project = load(table, ablations=ablate(guidance=["entropy"], entropy_classes=[1000], labels=["random"]))
    config = project.sample(run.slug)
    assert (config.guidance, config.entropy_classes, config.labels) == ("entropy", 1000, "random")


@pytest.mark.parametrize(
    ("vary", "message"),
    [
        ({"scael": [1]}, ".vary: unknown column 'scael'; known: denoiser, classifier, sampler, steps, guidance, scale"),
        ({"run": ["B"]}, ".vary: unknown column 'run'; known: denoiser"),
        ({"method": ["B"]}, ".vary: unknown column 'method'; known: denoiser"),
        ({}, ".vary: value {}: mapping should have at least 1 item"),
        ({"scale": []}, ".vary.scale: value []: list should have at least 1 item"),
        ({"scale": 4}, ".vary.scale: value 4: input should be a valid list"),
        ({"steps": [[10, 5]]}, ": row 'UADM(25)-G': steps: value [10, 5]: input should be a valid string"),
        ({"scale": [-1]}, ": row 'UADM(25)-G': scale: value -1: input should be greater than or equal to 0"),
        ({"scale": [None]}, ": row 'UADM(25)-G': scale: value None: input should be a valid number"),
        ({"scale": ["best"]}, ": row 'UADM(25)-G with scale best': scale 'best' is for generated rows; give a number"),
        ({"classifier": ["ec"]}, ": row 'UADM(25)-G with classifier ec': classifier 'ec' is not in config.yaml; known"),
        ({"classifier": [None]}, ": row 'UADM(25)-G with classifier null': guidance 'constant' needs a classifier"),
        ({"denoiser": ["adm"]}, ": row 'UADM(25)-G with denoiser adm': denoiser 'adm' is not in config.yaml; known"),
        (
            {"eds_timesteps": ["0-499"]},
            ": row 'UADM(25)-G': entropy_classes and eds_timesteps need guidance 'entropy'",
        ),
        (
            {"gradient_at": ["mean"]},
            ": row 'UADM(25)-G': gradient_at 'mean' is derived for sampler 'ddpm' alone; set",
        ),
        (
            {"labels": ["even"]},
            ": row 'UADM(25)-G': labels: value 'even': input should be 'balanced' or 'random'",
        ),
        ({"num_images": [3]}, ": row 'UADM(25)-G with num_images 3': 3 images are too few for nearest_neighbours"),
        ({"steps": ["2000"]}, ": row 'UADM(25)-G with steps 2000': steps '2000': section 0 has 1000 timesteps, fewer"),
        ({"scale": [5, 5.0000001]}, ": row 'UADM(25)-G with scale 5': would share its folder with another; drop one"),
    ],
)
def test_an_impossible_variant_is_refused_with_its_ablation_and_row(table, vary, message):
    write_rows(table, ROW)
    assert refusal(table, ablations=ablate(**vary)).startswith(f"config.yaml: ablations.x{message}")


def test_a_row_that_the_table_has_not_cannot_be_varied(table):
    write_rows(table, ROW, UNGUIDED)
    message = refusal(table, ablations=ablate("UADM-G", scale=[1]))
    assert message == "config.yaml: ablations.x.rows: 'UADM-G' is no row of the table; known: UADM(25)-G, UADM(25)"
    assert "x.rows: value []: list should have" in refusal(table, ablations={"x": {"rows": [], "vary": {"scale": [1]}}})


@pytest.mark.parametrize("name", ["main", "published", "best_scale", "sweep", "scale"])
def test_an_ablation_cannot_have_the_name_of_another_table_or_target(table, name):
    write_rows(table, ROW)
    message = refusal(table, ablations={name: ablate(scale=[1])["x"]})
    assert message == f"config.yaml: ablations.{name}: is the name of another table; rename it"


# All runs together ------------------------------------------------------------------------------------------------


def test_all_runs_are_each_row_of_each_kind_exactly_once(table):
    write_rows(table, ROW, EDS, UNGUIDED)
    project = load(table, ablations=ablate("UADM(25)-G", "UADM(25)-G+EDS", scale=[4, 5], steps=["5", "ddim25"]))
    named = [row.run for row in project.all_runs.values()]
    assert len(set(named)) == len(named) == 3 + 2 * len(DIGITS["sweep"]["scales"]) + 2 + 2 * (4 - 1)
    assert all(project.all_runs[slug(name)].run == name for name in named)
    assert named[:3] == [row.run for row in project.runs]


def test_an_ablation_changes_no_settings_of_any_other_run(table):
    write_rows(table, ROW, EDS, UNGUIDED)
    before = frozen_parts(load(table))
    after = frozen_parts(load(table, ablations=ablate("UADM(25)-G+EDS", scale=[4, 5], eds_timesteps=[None, "0-99"])))
    assert {name: after[name] for name in before} == before
    assert len(after) == len(before) + 3


@pytest.mark.parametrize("name", ["UADM(25)-G-with-scale-5", "UADM(25)-G-with-scale 5"])
def test_a_variant_cannot_share_the_folder_of_a_row(table, name):
    write_rows(table, ROW, {**ROW, "run": name})
    message = refusal(table, ablations=ablate(scale=[5]))
    place = "config.yaml: ablations.x: row 'UADM(25)-G with scale 5'"
    assert message == f"{place}: would share its folder with another; drop one"


def test_a_variant_cannot_share_the_folder_of_a_row_of_the_sweep(table):
    classifiers = DIGITS["classifiers"] | {"ce-at-1": DIGITS["classifiers"]["ce"]}
    write_rows(table, ROW, {**ROW, "run": "UADM(25)-G-with-classifier-ce"})
    message = refusal(table, classifiers=classifiers, ablations=ablate(classifier=["ce-at-1"]))
    assert message.endswith("row 'UADM(25)-G with classifier ce-at-1': would share its folder with another; drop one")
