"""What follows from a project file and its table of runs, on the digits as they are; and the mistakes in both."""

import copy
from pathlib import Path

import pytest
import yaml

from eddpm.assets import missing_files
from eddpm.config import SampleConfig
from eddpm.errors import ConfigError
from eddpm.project import Project
from eddpm.projectfile import load_project
from eddpm.runs import slug
from eddpm.settings import parse_settings

REPO = Path(__file__).parents[2]
DIGITS = yaml.safe_load((REPO / "config/digits/config.yaml").read_text())
DIGITS["runs"] = str(REPO / DIGITS["runs"])
DIGITS["ablations"] = {}
DIGITS["classifiers"] = {name: DIGITS["classifiers"][name] for name in ("ce", "ect", "clean")}

HEADER = ["run", "denoiser", "classifier", "sampler", "steps", "guidance", "scale", "seed", "num_images"]
ROW = {
    "run": "UADM(25)-G",
    "denoiser": "uadm",
    "classifier": "ce",
    "sampler": "ddim",
    "steps": "ddim25",
    "guidance": "constant",
    "scale": "4",
    "seed": "0",
    "num_images": "10",
}
UNGUIDED = {**ROW, "run": "UADM(25)", "classifier": "", "guidance": "none", "scale": ""}


@pytest.fixture
def digits() -> Project:
    return load_project(DIGITS, "config.yaml")


@pytest.fixture
def table(tmp_path) -> Path:
    return tmp_path / "runs.tsv"


def write_rows(table: Path, *rows: dict) -> None:
    lines = [HEADER, *([row[column] for column in HEADER] for row in rows)]
    table.write_text("".join("\t".join(line) + "\n" for line in lines))


def load(table: Path, **changes) -> Project:
    """The digits with another table, and with values changed at dotted paths ("a__b" is a.b)."""
    values = copy.deepcopy({**DIGITS, "runs": str(table)})
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = values
        for parent in parents:
            place[parent] = place = dict(place[parent])  # aliases of the YAML file stay apart
        place[key] = value
    return load_project(values, "config.yaml")


def refusal(table: Path, **changes) -> str:
    with pytest.raises(ConfigError) as caught:
        load(table, **changes)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


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


# Generated rows ---------------------------------------------------------------------------------------------------


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


# Shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_images", [4, 7, 8, 9, 100, 1001])
@pytest.mark.parametrize("shard_size", [1, 7, 8, 1000])
def test_shards_cover_every_image_once_and_none_is_too_large(table, num_images, shard_size):
    write_rows(table, {**ROW, "num_images": str(num_images)})
    shards = load(table, sampling__shard_size=shard_size).shards("uadm25-g")
    assert [i for start, stop in shards.values() for i in range(start, stop)] == list(range(num_images))
    assert all(0 < stop - start <= shard_size for start, stop in shards.values())
    assert list(shards) == [f"{k:04d}" for k in range(len(shards))]


def test_generated_runs_are_sharded_by_their_own_count_of_images(table):
    write_rows(table, ROW)
    project = load(table, sweep__num_images=25, sampling__shard_size=10)
    assert list(project.shards("uadm25-g-at-1").values()) == [(0, 10), (10, 20), (20, 25)]
    assert list(project.shards("uadm25-g-at-best").values()) == [(0, 10)]


def test_a_target_in_minutes_gives_each_run_shards_by_its_own_cost(table):
    write_rows(table, {**UNGUIDED, "num_images": "1000"}, {**ROW, "num_images": "1000"})
    sampling = {"target_minutes_per_shard": 1, "batch_size": 4, "speed": {"guided": 100, "unguided": 200}}
    project = load(table, sampling=sampling)
    # 25 steps: 60 s are 240 guided images, or 480.
    assert list(project.shards("uadm25-g").values())[:2] == [(0, 240), (240, 480)]
    assert [stop - start for start, stop in project.shards("uadm25").values()] == [480, 480, 40]
    assert load(table, sampling=sampling, sweep__num_images=48).sweep_shares_jobs  # at five scales
    assert not load(table, sampling=sampling, sweep__num_images=49).sweep_shares_jobs
    before = load(table, sampling={"shard_size": 10, "batch_size": 4})
    assert changed_settings(before, project) == set()


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({}, "set one of the two"),
        ({"shard_size": 5, "target_minutes_per_shard": 5}, "set one of the two"),
        ({"target_minutes_per_shard": 5}, "run `eddpm calibrate"),
    ],
)
def test_shards_have_a_size_or_minutes_and_minutes_have_a_speed(table, sampling, message):
    write_rows(table, ROW)
    assert message in refusal(table, sampling={"batch_size": 4, **sampling})


# Slices -----------------------------------------------------------------------------------------------------------


def all_settings(project: Project) -> dict[str, object]:
    """The settings of every stage, as the workflow freezes them."""
    return {
        "dataset": project.dataset,
        "measure": project.measure(),
        **{f"denoiser {name}": project.train_denoiser(name) for name in project.denoisers},
        **{f"classifier {name}": project.train_classifier(name) for name in project.classifiers},
        **{run: project.sample(run) for run in project.table_runs | project.sweep_runs},
        **{run: project.choice(run) for run in project.best_runs},
    }


def changed_settings(before: Project, after: Project) -> set[str]:
    """The names of the settings that differ."""
    old, new = all_settings(before), all_settings(after)
    assert old.keys() == new.keys()
    return {name for name in old if old[name] != new[name]}


@pytest.fixture
def three_rows(table) -> list[dict]:
    rows = [UNGUIDED, ROW, {**ROW, "run": "CADM(25)-G+EDS+ECT", "denoiser": "cadm", "classifier": "ect"}]
    write_rows(table, *rows)
    return rows


def test_changing_the_scale_of_a_row_changes_the_settings_of_that_run_alone(table, three_rows):
    before = load(table)
    write_rows(table, three_rows[0], {**three_rows[1], "scale": "5"}, three_rows[2])
    assert changed_settings(before, load(table)) == {"uadm25-g"}


@pytest.mark.parametrize("change", [{"sampling__batch_size": 3}, {"sampling__shard_size": 2}, {"sweep__num_images": 7}])
def test_how_the_work_is_divided_is_no_part_of_any_settings(table, three_rows, change):
    assert changed_settings(load(table), load(table, **change)) == set()


def test_the_number_of_images_is_no_part_of_what_an_image_is(table, three_rows):
    before = load(table)
    write_rows(table, *({**row, "num_images": "77"} for row in three_rows))
    assert changed_settings(before, load(table)) == set()


def test_changing_the_ect_weight_changes_the_settings_of_that_classifier_alone(table, three_rows):
    weight = DIGITS["classifiers"]["ect"]["loss"]["ect_weight"] + 1
    assert changed_settings(load(table), load(table, classifiers__ect__loss__ect_weight=weight)) == {"classifier ect"}


def test_changing_a_training_changes_no_settings_of_a_run(table, three_rows):
    training = {**DIGITS["denoisers"]["uadm"]["training"], "iterations": 3}
    assert changed_settings(load(table), load(table, denoisers__uadm__training=training)) == {"denoiser uadm"}


def test_changing_the_criterion_changes_no_settings_but_the_choices(table, three_rows):
    before = load(table)
    changed = changed_settings(before, load(table, sweep__best={"minimise": "pixels/recall"}))
    assert changed == before.best_runs.keys()


def test_changing_the_precision_changes_every_run_and_no_training(table, three_rows):
    before = load(table)
    assert changed_settings(before, load(table, sampling__precision="bfloat16")) == before.all_runs.keys()


def test_the_settings_of_a_run_are_its_row_and_its_networks(digits):
    for name, row in (digits.table_runs | digits.sweep_runs).items():
        config = digits.sample(name)
        assert (config.name, config.steps, config.guidance, config.scale, config.seed) == (
            row.run,
            row.steps,
            row.guidance,
            row.scale,
            row.seed,
        )
        assert config.denoiser == digits.train_denoiser(row.denoiser).network
        assert config.classifier == (digits.train_classifier(row.classifier).network if row.classifier else None)


def test_frozen_settings_read_back_the_same(digits):
    for run in digits.all_runs:
        frozen = yaml.safe_load(yaml.safe_dump(digits.sample(run).model_dump(mode="json")))
        assert parse_settings(SampleConfig, frozen, "settings.yaml") == digits.sample(run)


def test_a_class_conditional_denoiser_takes_the_classes_of_the_data_set_and_the_other_none(digits):
    assert digits.unet("cadm").num_classes == digits.dataset.num_classes
    assert digits.unet("uadm").num_classes is None
    assert digits.encoder("ce").num_classes == digits.dataset.num_classes


def test_feature_spaces_keep_their_order_and_name_their_classifiers(table):
    write_rows(table, ROW)
    project = load(table, evaluation__spaces=["pixels", "classifier:ect", "classifier:clean"])
    assert project.space_classifiers == ["ect", "clean"]
    assert [space.name for space in project.measure().spaces] == ["pixels", "classifier:ect", "classifier:clean"]
    assert [space.classifier for space in project.measure().spaces] == [
        None,
        project.encoder("ect"),
        project.encoder("clean"),
    ]


def test_pretrained_spaces_need_no_classifier_and_have_all_metrics(table):
    write_rows(table, ROW)
    project = load(
        table,
        evaluation__spaces=["inception", "efficientnet-lite0"],
        evaluation__inception={"resize": "clean"},
        sweep__best={"minimise": "inception/sfid"},
    )
    assert project.space_classifiers == []
    inception, efficientnet = project.measure().spaces
    assert (inception.inception_resize, inception.has_weights) == ("clean", True)
    assert (efficientnet.inception_resize, efficientnet.has_weights) == (None, False)
    metrics = ["fid", "kid", "precision", "recall", "sfid", "inception_score"]
    assert project.metric_names == [f"{space}/{name}" for space in project.evaluation.spaces for name in metrics]


# Mistakes in the table --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("scale", "abc", "scale: value 'abc': input should be a valid number"),
        ("scale", "-1", "scale: value '-1': input should be greater than or equal to 0"),
        ("scale", "nan", "scale: value 'nan': input should be a finite number"),
        ("scale", "", "scale: missing"),
        ("seed", "-1", "seed: value '-1': "),
        ("seed", "1.5", "seed: value '1.5': "),
        ("num_images", "0", "num_images: value '0': "),
        ("steps", "abc", "steps: value 'abc': write ADM's respacing"),
        ("steps", "", "steps: missing"),
        ("sampler", "plms", "sampler: value 'plms': input should be 'ddpm' or 'ddim'"),
        ("guidance", "eds", "guidance: value 'eds': input should be 'none', 'constant' or 'entropy'"),
        ("run", "", "run: missing"),
        ("denoiser", "", "denoiser: missing"),
    ],
)
def test_a_bad_cell_is_named_by_file_line_column_and_value(table, column, cell, message):
    write_rows(table, {**ROW, "run": "fine"}, {**ROW, column: cell})
    assert refusal(table).startswith(f"{table} line 3: {message}")


def test_lines_are_counted_as_an_editor_counts_them(table):
    write_rows(table, {**ROW, "run": "fine"}, {**ROW, "scale": "abc"})
    table.write_text(table.read_text().replace("\n", "\n\n"))
    assert refusal(table).startswith(f"{table} line 5: scale: value 'abc'")


def test_an_unguided_row_may_leave_its_scale_out_and_a_guided_one_may_not(table):
    write_rows(table, UNGUIDED)
    assert load(table).runs[0].scale == 0
    write_rows(table, {**ROW, "scale": ""})
    assert "scale: missing" in refusal(table)


def test_a_misspelled_column_is_named_with_the_right_one(table):
    write_rows(table, ROW)
    table.write_text(table.read_text().replace("num_images", "num_image"))
    assert refusal(table) == f"{table} line 2: num_image: unknown key; did you mean 'num_images'?"


@pytest.mark.parametrize("change", [lambda line: line + "\tx", lambda line: line.rpartition("\t")[0]])
def test_a_line_with_more_or_fewer_cells_than_the_header_is_named(table, change):
    write_rows(table, ROW)
    header, line = table.read_text().splitlines()
    table.write_text(f"{header}\n{change(line)}\n")
    assert refusal(table).startswith(f"{table} line 2: has more or fewer cells than the header")


def test_a_table_separated_by_commas_is_refused(table):
    write_rows(table, ROW)
    table.write_text(table.read_text().replace("\t", ","))
    assert refusal(table).startswith(f"{table} line 2: run,denoiser,")


@pytest.mark.parametrize("text", ["", "\n", "\t".join(HEADER), "\t".join(HEADER) + "\n\n"])
def test_a_table_without_rows_is_refused(table, text):
    table.write_text(text)
    assert refusal(table) == f"{table}: has no rows; add one line per run"


def test_a_table_that_cannot_be_read_is_refused_with_the_key_that_names_it(table):
    assert refusal(table).startswith(f"{table}: cannot be read (")
    assert "No such file" in refusal(table)
    assert refusal(table).endswith("give the path of the runs table as `runs`")
    assert "Is a directory" in refusal(table.parent)
    table.write_bytes(b"run\tdenoiser\n\xff\xfe\tuadm\n")
    assert refusal(table).startswith(f"{table}: cannot be read (")


@pytest.mark.parametrize("runs", [None, 3, [], [{"run": "inline"}]])
def test_runs_that_are_no_path_are_refused(runs):
    with pytest.raises(ConfigError, match="give the path of the runs table"):
        load_project({**DIGITS, "runs": runs}, "config.yaml")


def test_a_table_as_spreadsheets_save_it_is_read_alike(table):
    write_rows(table, ROW, UNGUIDED)
    plain = load(table).runs
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert load(table).runs == plain


# Names that are defined nowhere, or twice -------------------------------------------------------------------------


def test_a_row_that_names_a_missing_network_is_named_with_the_known_ones(table):
    write_rows(table, {**ROW, "denoiser": "udam"})
    assert refusal(table) == f"{table} row 'UADM(25)-G': denoiser 'udam' is not in config.yaml; known: uadm, cadm"
    write_rows(table, {**ROW, "classifier": "ec"})
    assert refusal(table).startswith(f"{table} row 'UADM(25)-G': classifier 'ec' is not in config.yaml; known: ce, ect")


@pytest.mark.parametrize("guidance", ["constant", "entropy"])
def test_guidance_needs_a_classifier(table, guidance):
    write_rows(table, {**ROW, "classifier": "", "guidance": guidance})
    expected = f"{table} row 'UADM(25)-G': guidance '{guidance}' needs a classifier; name one or write none"
    assert refusal(table) == expected


@pytest.mark.parametrize("other", ["UADM(25)-G", "uadm25 g", "UADM25-G"])
def test_two_rows_cannot_share_a_folder(table, other):
    write_rows(table, ROW, {**ROW, "run": other})
    assert refusal(table) == f"{table} row '{other}': would share its folder with 'UADM(25)-G'; rename one"


@pytest.mark.parametrize("name", ["UADM(25)-G-at-1", "UADM(25)-G-at-best"])
def test_a_row_cannot_share_the_folder_of_a_generated_one(table, name):
    write_rows(table, ROW, {**ROW, "run": name})
    assert refusal(table) == f"{table} row '{name}': would share its folder with a generated row; rename it"


def test_two_scales_that_are_written_alike_are_refused(table):
    write_rows(table, ROW)
    for scales in ([1, 2, 1], [1, 1.0000001]):
        assert refusal(table, sweep__scales=scales).startswith("config.yaml: sweep.scales: two of ")


@pytest.mark.parametrize("name", ["()", "..", "é", "UADM(25)-G at 4"])
def test_a_name_that_gives_no_folder_or_reads_as_generated_is_refused(table, name):
    write_rows(table, {**ROW, "run": name})
    assert refusal(table).startswith(f"{table} row '{name}': a name needs a letter or digit, and no ' at '")


def test_the_best_scale_is_not_for_a_table_to_ask(table):
    write_rows(table, {**ROW, "scale": "best"})
    assert refusal(table) == f"{table} row 'UADM(25)-G': scale 'best' is for generated rows; give a number"


# Mistakes in the project file -------------------------------------------------------------------------------------


def test_a_space_of_an_unknown_classifier_is_named_with_the_known_ones(table):
    write_rows(table, ROW)
    message = refusal(table, evaluation__spaces=["pixels", "classifier:cleen"])
    assert message.startswith("config.yaml: evaluation.spaces: classifier 'cleen' is not in config.yaml; known: ce,")


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("denoisers__uadm__network__num_chanels", "num_channels"),
        ("denoisers__uadm__training__iteration", "iterations"),
        ("denoisers__uadm__class_condd", "class_cond"),
        ("classifiers__ect__loss__ect_wieght", "ect_weight"),
        ("classifiers__ce__network__classifier_widht", "classifier_width"),
        ("sweep__best__minimize", "minimise"),
        ("sampling__batchsize", "batch_size"),
        ("denoiser", "denoisers"),
    ],
)
def test_a_misspelled_key_is_named_by_its_path_with_the_right_one(table, path, key):
    write_rows(table, ROW)
    place = path.replace("__", ".")
    assert refusal(table, **{path: 1}) == f"config.yaml: {place}: unknown key; did you mean '{key}'?"


def test_a_network_that_does_not_fit_the_images_is_named(table):
    write_rows(table, ROW)
    assert refusal(table, denoisers__cadm__network__num_channels=33).startswith(
        "config.yaml: denoiser 'cadm': level 0 has 33 chan"
    )
    assert refusal(table, classifiers__ect__network__classifier_width=33).startswith(
        "config.yaml: classifier 'ect': level 0"
    )
    assert refusal(table, dataset__image_size=9).startswith("config.yaml: denoiser 'uadm': image_size 9")


def test_a_source_that_is_not_there_is_listed_and_lets_the_project_load(table):
    write_rows(table, ROW)
    project = load(table, dataset__source="/no/such.zip", dataset__validation_source="/no/such/folder")
    first, second = missing_files(project)
    assert first.message.startswith("dataset.source: '/no/such.zip' does not exist")
    assert second.message.startswith("dataset.validation_source: '/no/such/folder' does not exist")
    assert missing_files(load(table)) == []
    assert missing_files(load(table, dataset__source=str(table.parent))) == []


# Classifiers that follow from others ------------------------------------------------------------------------------


def test_a_run_may_name_the_tempered_form_of_a_classifier(table):
    write_rows(table, {**ROW, "classifier": "ce+temperature"})
    project = load(table)
    assert project.guides == ["ce", "ect", "ce+temperature"]
    plain, tempered = project.encoder("ce"), project.sample("uadm25-g").classifier
    assert tempered.model_dump() == plain.model_dump() | {"temperatures": 10}
    assert project.measure_classifier("ce+temperature").network == tempered


def test_the_tempered_form_of_an_unknown_classifier_is_refused(table):
    write_rows(table, {**ROW, "classifier": "ec+temperature"})
    assert "classifier 'ec' is not in config.yaml; known: ce, ect, clean" in refusal(table)


def test_a_microbatch_is_no_part_of_any_settings(table):
    write_rows(table, ROW)
    changes = {"classifiers__ce__microbatch": 3, "denoisers__uadm__microbatch": 3}
    assert not changed_settings(load(table), load(table, **changes))


@pytest.mark.parametrize(
    ("changes", "row", "message"),
    [
        ({"sweep__seed": 0}, {}, "is the sweep's"),
        ({}, {"num_images": "3"}, "3 images are too few for nearest_neighbours"),
        ({"sweep__num_images": 3}, {}, "sweep.num_images: too few"),
        ({"classifiers__ce__training__random_crop": True}, {}, "set dataset.uncropped: true"),
        ({"diffusion__noise_schedule": "linear", "diffusion__diffusion_steps": 20}, {}, "take more than 20"),
    ],
)
def test_what_would_fail_after_training_is_refused_at_load(table, changes, row, message):
    write_rows(table, {**ROW, **row})
    assert message in refusal(table, **changes)
