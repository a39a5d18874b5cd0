"""Mistakes in the project file and its table of runs: one line, with place, value and remedy, before anything runs."""

from pathlib import Path

import pytest
from projects import DIGITS, EDS, HEADER, PUBLISHED, ROW, UNGUIDED, load, published, refusal, write_rows
from tiny import REPO

from eddpm.config.projectfile import DEFAULT, find, load_project
from eddpm.config.settings import read_yaml
from eddpm.errors import ConfigError

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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_is_read_as_spreadsheets_save_it(table, encoding):
    write_rows(table, {**ROW, "run": "Größe ↑"})
    table.write_bytes(table.read_text(encoding="utf-8").replace("\n", "\r\n").encode(encoding))
    assert load(table).runs[0].run == "Größe ↑"


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-be"])
def test_a_table_in_another_encoding_is_one_line_that_says_what_to_save(table, encoding):
    write_rows(table, {**ROW, "run": "é"})
    table.write_bytes(table.read_text(encoding="utf-8").encode(encoding))
    assert refusal(table).startswith(f"{table}: cannot be read (")
    assert "save it as UTF-8" in refusal(table)


def test_a_column_that_is_there_twice_is_refused(table):
    write_rows(table, ROW)
    header, line = table.read_text().splitlines()
    table.write_text(f"{header}\tscale\n{line}\t6\n")
    assert refusal(table) == f"{table} line 1: column 'scale' is there 2 times; drop all but one"


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
    assert refusal(table).endswith("`runs` is a path from the folder where one works, the root of the checkout")
    assert "Is a directory" in refusal(table.parent)
    table.write_bytes(b"run\tdenoiser\n\xff\xfe\tuadm\n")
    assert refusal(table).startswith(f"{table}: cannot be read (")


def test_a_web_page_in_place_of_the_table_is_named(table):
    table.write_text("<!DOCTYPE html>\n<html>")
    assert refusal(table).startswith(f"{table}: is a web page")


@pytest.mark.parametrize("runs", [None, 3, [], [{"run": "inline"}]])
def test_runs_that_are_no_path_are_refused(runs):
    with pytest.raises(ConfigError, match="give the path of the runs table"):
        load_project({**DIGITS, "runs": runs}, "config.yaml")


def test_a_table_as_spreadsheets_save_it_is_read_alike(table):
    write_rows(table, ROW, UNGUIDED)
    plain = load(table).runs
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert load(table).runs == plain


def test_a_file_is_looked_for_where_one_works_and_then_where_the_package_was_checked_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find(DEFAULT).samefile(REPO / DEFAULT)
    assert find("mine.tsv") == Path("mine.tsv")
    (tmp_path / DEFAULT).parent.mkdir(parents=True)
    (tmp_path / DEFAULT).touch()
    assert find(DEFAULT) == Path(DEFAULT)


def test_shipped_tables_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = load_project(read_yaml(REPO / "config/imagenet256/config.yaml"), "config.yaml")
    assert len(project.runs) == 16
    assert Path(project.published).samefile(REPO / "config/imagenet256/published.tsv")


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
    for scales in ([1, 2, 1], [1, 1.0000001], [1e10, 1e-10]):
        assert refusal(table, sweep__scales=scales).startswith("config.yaml: sweep.scales: two of ")


@pytest.mark.parametrize("name", ["()", "..", "é", "UADM(25)-G at 4"])
def test_a_name_that_gives_no_folder_or_reads_as_generated_is_refused(table, name):
    write_rows(table, {**ROW, "run": name})
    assert refusal(table).startswith(f"{table} row '{name}': a name needs a letter or digit, and no ' at '")


def test_the_best_scale_is_not_for_a_table_to_ask(table):
    write_rows(table, {**ROW, "scale": "best"})
    assert refusal(table) == f"{table} row 'UADM(25)-G': scale 'best' is for generated rows; give a number"


def test_the_tempered_form_of_an_unknown_classifier_is_refused(table):
    write_rows(table, {**ROW, "classifier": "ec+temperature"})
    assert "classifier 'ec' is not in config.yaml; known: ce, ect, clean" in refusal(table)


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


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ({}, "set one of the two"),
        ({"shard_size": 5, "target_minutes_per_shard": 5}, "set one of the two"),
        ({"target_minutes_per_shard": 5}, "run `eddpm measure-speed"),
    ],
)
def test_shards_have_a_size_or_minutes_and_minutes_have_a_speed(table, sampling, message):
    write_rows(table, ROW)
    assert message in refusal(table, sampling={"batch_size": 4, **sampling})


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


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ("abc", ": value 'abc': input should be a valid list"),
        (3, ": value 3: input should be a valid list"),
        (None, ": value None: input should be a valid list"),
        ([], ": value []: list should have at least 1 item"),
        ([1, -1], ".1: value -1: input should be greater than 0"),
        ({}, ": value {}: mapping should have at least 1 item"),
        ({"UADM(25)-G": 3}, ".UADM(25)-G: value 3: input should be a valid list"),
        ({"UADM(25)-G": []}, ".UADM(25)-G: value []: list should have at least 1 item"),
        ({"UADM(25)-G": [1, "x"]}, ".UADM(25)-G.1: value 'x': input should be a valid number"),
        ({"UADM(25)-G": [1, 1.0]}, ": two of (1.0, 1.0) share a name; drop one"),
        ({"UADM(25)": [1]}, ": 'UADM(25)' is no guided row; known: UADM(25)-G"),
        ({"UADM-G": [1]}, ": 'UADM-G' is no guided row; known: UADM(25)-G"),
    ],
)
def test_grids_of_the_sweep_are_checked_by_row_and_place(table, scales, message):
    write_rows(table, ROW, UNGUIDED)
    assert refusal(table, sweep__scales=scales).startswith(f"config.yaml: sweep.scales{message}")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"entropy_classes": "1"}, " line 2: entropy_classes: value '1': input should be greater than or equal to 2"),
        (
            {"eds_timesteps": "999-500"},
            " line 2: eds_timesteps: value '999-500': write the lowest and the highest timestep",
        ),
        (
            {"eds_timesteps": "500-1000"},
            " row 'UADM(25)-G': eds_timesteps '500-1000' lies beyond the last timestep; end it at 999",
        ),
        ({"gradient_at": "mu"}, " line 2: gradient_at: value 'mu': input should be 'x_t' or 'mean'"),
        ({"gradient_at": "mean"}, " line 2: gradient_at 'mean' is derived for sampler 'ddpm' alone; set that"),
        ({"labels": "even"}, " line 2: labels: value 'even': input should be 'balanced' or 'random'"),
        ({"guidance": "constant", "entropy_classes": "9"}, " line 2: entropy_classes and eds_timesteps need guidance"),
    ],
)
def test_optional_columns_are_checked_with_the_row(table, columns, message):
    write_rows(table, {**ROW, "guidance": "entropy", **columns})
    assert refusal(table).startswith(f"{table}{message}")


def test_an_optional_column_is_for_the_rows_that_fill_it(table):
    write_rows(table, ROW, {**EDS, "eds_timesteps": "0-99", "entropy_classes": "7", "labels": "random"})
    project = load(table)
    plain, varied = project.sample("uadm25-g"), project.sample("uadm25-g-eds")
    assert (plain.entropy_classes, plain.eds_timesteps, plain.labels) == (None, None, "balanced")
    assert (varied.entropy_classes, varied.eds_timesteps, varied.labels) == (7, "0-99", "random")


def test_the_column_of_generated_rows_is_not_for_a_table(table):
    write_rows(table, {**ROW, "method": "UADM(25)-G"})
    assert refusal(table) == f"{table}: column 'method' is of generated rows; remove it"


# Weights, and other files from outside ----------------------------------------------------------------------------


def test_weights_come_from_training_or_from_a_checkpoint(table):
    write_rows(table, ROW)
    told = "training or checkpoint says where the weights come from; give one of the two"
    for kind, name in (("denoisers", "uadm"), ("classifiers", "ce")):
        place = f"config.yaml: {kind}.{name}: "
        assert refusal(table, **{f"{kind}__{name}__checkpoint": {"source": PUBLISHED}}) == place + told
        assert refusal(table, **{f"{kind}__{name}__training": None}) == place + told
        assert load(table, **{f"{kind}__{name}": published(DIGITS[kind][name])})


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ({"sorce": "a.pt"}, ".sorce: unknown key; did you mean 'source'?"),
        ({"source": ""}, ".source: value '': string should have at least 1 character"),
        ({"source": "a.pt", "sha256": "AB"}, ".sha256: value 'AB': string should match"),
    ],
)
def test_a_checkpoint_has_a_source_and_perhaps_a_checksum(table, checkpoint, message):
    write_rows(table, ROW)
    changes = {"classifiers__ce__training": None, "classifiers__ce__checkpoint": checkpoint}
    assert refusal(table, **changes).startswith(f"config.yaml: classifiers.ce.checkpoint{message}")


def test_one_source_has_one_checksum(table):
    write_rows(table, ROW)
    ce, ect = (published(DIGITS["classifiers"][name]) for name in ("ce", "ect"))
    load(table, classifiers__ce=ce, classifiers__ect=ect)
    other = published(DIGITS["classifiers"]["ect"], sha256="0" * 64)
    assert refusal(table, classifiers__ce=ce, classifiers__ect=other) == (
        "config.yaml: classifiers.ect.checkpoint: has another sha256 than classifiers.ce.checkpoint, of one file;"
        " give both the same"
    )


def test_a_training_cannot_start_from_a_name_that_several_sources_have(table):
    write_rows(table, ROW)
    start = "resources/assets/classifier.pt"
    training = DIGITS["denoisers"]["uadm"]["training"] | {"init_from": start}
    changes = {"classifiers__ce": published(DIGITS["classifiers"]["ce"]), "denoisers__uadm__training": training}
    load(table, **changes)
    other = published(DIGITS["classifiers"]["ect"], "nets/classifier.pt")
    message = refusal(table, **changes, classifiers__ect=other)
    place, _, files = message.partition(f"'{start}' is what several sources would be called; name one of ")
    assert place == "config.yaml: denoisers.uadm.training.init_from: "
    for file in files.split(", "):
        load(table, **changes | {"denoisers__uadm__training": training | {"init_from": file}}, classifiers__ect=other)


def test_published_numbers_are_a_file_and_of_the_space_inception(table):
    write_rows(table, ROW)
    missing = table.with_name("published.tsv")
    assert refusal(table, published=str(missing)) == (
        f"config.yaml: published: '{missing}' does not exist; give its path, or null"
    )
    missing.write_text("")
    assert refusal(table, published=str(missing)) == (
        "config.yaml: published: these numbers are of the space inception; add it to evaluation.spaces"
    )
    load(table, published=str(missing), evaluation__spaces=["classifier:clean", "pixels", "inception"])


def test_braces_in_the_names_of_files_that_rules_read_are_refused(table):
    write_rows(table, ROW)
    classifiers = DIGITS["classifiers"]
    message = "has braces, which Snakemake takes for wildcards; rename it"
    kept = classifiers | {"ce": published(classifiers["ce"], "nets {a}/ce {1}.pt")}
    assert f"classifiers.ce.checkpoint: 'ce {{1}}.pt' {message}" in refusal(table, classifiers=kept)
    training = classifiers["ect"]["training"] | {"init_from": "{a}.pt"}
    started = classifiers | {"ect": classifiers["ect"] | {"training": training}}
    assert f"classifiers.ect.training.init_from: '{{a}}.pt' {message}" in refusal(table, classifiers=started)
    in_a_folder = published(classifiers["ce"], "nets {a}/ce.pt")  # of which a rule sees no more than the name
    assert load(table, classifiers=classifiers | {"ce": in_a_folder})
