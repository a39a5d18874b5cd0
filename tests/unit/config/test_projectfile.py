"""Mistakes in the project file and its table of runs: one line, with place, value and remedy, before anything runs."""

from pathlib import Path

import pytest
from projects import DIGITS, EDS, HEADER, PUBLISHED, ROW, UNGUIDED, load, published, refusal, write_rows
from tiny import REPO

from eddpm.config.projectfile import DEFAULT, find, load_project
from eddpm.config.settings import read_yaml
from eddpm.errors import ConfigError

CE, ECT = (DIGITS["classifiers"][name] for name in ("ce", "ect"))


# The table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"scale": "abc"}, "scale: value 'abc': input should be a valid number"),
        ({"scale": "-1"}, "scale: value '-1': input should be greater than or equal to 0"),
        ({"scale": ""}, "scale: missing"),
        ({"scale": "best"}, "scale 'best' is for generated rows; give a number"),
        ({"steps": "abc"}, "steps: value 'abc': write ADM's respacing"),
        ({"sampler": "plms"}, "sampler: value 'plms': input should be 'ddpm' or 'ddim'"),
        ({"run": ""}, "run: missing"),
        ({"run": "()"}, "run: value '()': a name needs a letter or digit"),
        ({"run": "UADM(25)-G at 4"}, "run: value 'UADM(25)-G at 4': a name needs a letter or digit, and no ' at '"),
        ({"classifier": ""}, "guidance 'constant' needs a classifier; name one or write none"),
        ({"entropy_classes": "1"}, "entropy_classes: value '1': input should be greater than or equal to 2"),
        ({"eds_timesteps": "999-500"}, "eds_timesteps: value '999-500': write the lowest and the highest timestep"),
        ({"gradient_at": "mean"}, "gradient_at 'mean' is derived for sampler 'ddpm' alone; set that"),
        ({"entropy_classes": "9"}, "entropy_classes and eds_timesteps need guidance 'entropy'"),
        ({"num_image": "9"}, "num_image: unknown key; did you mean 'num_images'?"),
    ],
)
def test_a_bad_cell_is_named_by_file_line_column_and_value(table, cells, message):
    write_rows(table, {**ROW, **cells}, {**ROW, "run": "fine"})
    assert refusal(table).startswith(f"{table} line 2: {message}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**ROW, "denoiser": "udam"}, "denoiser 'udam' is not in config.yaml; known: uadm, cadm"),
        ({**ROW, "classifier": "ec"}, "classifier 'ec' is not in config.yaml; known: ce, ect"),
        ({**ROW, "classifier": "ec+temperature"}, "classifier 'ec' is not in config.yaml; known: ce, ect"),
        ({**ROW, "num_images": "3"}, "3 images are too few for nearest_neighbours; ask for more"),
        ({**ROW, "steps": "2000"}, "steps '2000': section 0 has 1000 timesteps, fewer"),
        ({**ROW, "seed": str(DIGITS["sweep"]["seed"])}, f"seed {DIGITS['sweep']['seed']} is the sweep's"),
        ({**EDS, "run": "A", "eds_timesteps": "500-1000"}, "eds_timesteps '500-1000' lies beyond the last timestep"),
        ({**ROW, "run": "uadm25 g"}, "would share its folder with 'UADM(25)-G'; rename one"),
        ({**ROW, "run": "UADM(25)-G-at-1"}, "would share its folder with a generated row; rename it"),
        ({**ROW, "run": "UADM(25)-G-at-best"}, "would share its folder with a generated row; rename it"),
    ],
)
def test_a_row_that_does_not_go_with_the_project_or_other_rows_is_named(table, row, message):
    name = row["run"] if row["run"] != ROW["run"] else "B"
    write_rows(table, ROW, {**row, "run": name})
    assert refusal(table).startswith(f"{table} row '{name}': {message}")


def test_lines_are_counted_as_an_editor_counts_them(table):
    write_rows(table, {**ROW, "run": "fine"}, {**ROW, "scale": "abc"})
    table.write_text(table.read_text().replace("\n", "\n\n"))
    assert refusal(table).startswith(f"{table} line 5: scale: value 'abc'")


def test_an_unguided_row_may_leave_its_scale_out(table):
    write_rows(table, UNGUIDED)
    assert load(table).runs[0].scale == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_is_read_as_spreadsheets_save_it(table, encoding):
    write_rows(table, {**ROW, "run": "Größe ↑"})
    table.write_bytes(table.read_text(encoding="utf-8").replace("\n", "\r\n").encode(encoding))
    assert load(table).runs[0].run == "Größe ↑"


HEAD, CELLS = "\t".join(HEADER), "\t".join(ROW.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": has no rows; add one line per run"),
        (f"{HEAD}\n\n", ": has no rows; add one line per run"),
        (f"{HEAD}\tscale\n{CELLS}\t6\n", " line 1: column 'scale' is there 2 times; drop all but one"),
        (f"{HEAD}\tmethod\n{CELLS}\tA\n", ": column 'method' is of generated rows; remove it"),
        (f"{HEAD}\n{CELLS}\tx\n", " line 2: has more or fewer cells than the header"),
        (f"{HEAD}\n{CELLS.rpartition(chr(9))[0]}\n", " line 2: has more or fewer cells than the header"),
        (f"{HEAD}\n{CELLS}\n".replace("\t", ","), " line 2: run,denoiser,"),
        ("<!DOCTYPE html>\n<html>", ": is a web page"),
        (b"run\tdenoiser\n\xff\xfe\tuadm\n", ": byte 0xff in line 2 is no UTF-8; save it as UTF-8"),
    ],
)
def test_a_text_that_is_no_such_table_is_refused(table, text, message):
    table.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert refusal(table).startswith(f"{table}{message}")


def test_a_table_that_is_not_there_is_refused(table):
    assert refusal(table).startswith(f"{table}: cannot be read (No such file or directory); give a path from")
    assert refusal(table.parent).startswith(f"{table.parent}: cannot be read (Is a directory)")


@pytest.mark.parametrize("runs", [None, [{"run": "inline"}]])
def test_runs_that_are_no_path_are_refused(runs):
    with pytest.raises(ConfigError, match="give the path of the runs table"):
        load_project({**DIGITS, "runs": runs}, "config.yaml")


def test_a_file_is_looked_for_where_one_works_and_then_where_the_package_was_checked_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find(DEFAULT).samefile(REPO / DEFAULT)
    assert find("mine.tsv") == Path("mine.tsv")
    project = load_project(read_yaml(REPO / "config/imagenet256/config.yaml"), "config.yaml")
    assert len(project.runs) == 16
    assert Path(project.published).samefile(REPO / "config/imagenet256/published.tsv")
    (tmp_path / DEFAULT).parent.mkdir(parents=True)
    (tmp_path / DEFAULT).touch()
    assert find(DEFAULT) == Path(DEFAULT)


# The project file -------------------------------------------------------------------------------------------------


@pytest.fixture
def one_row(table) -> Path:
    write_rows(table, ROW)
    return table


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("denoisers__uadm__network__num_chanels", "num_channels"),
        ("denoisers__uadm__training__iteration", "iterations"),
        ("classifiers__ect__loss__ect_wieght", "ect_weight"),
        ("sweep__best__minimize", "minimise"),
        ("denoiser", "denoisers"),
    ],
)
def test_a_misspelled_key_is_named_by_its_path_with_the_right_one(one_row, path, key):
    place = path.replace("__", ".")
    assert refusal(one_row, **{path: 1}) == f"config.yaml: {place}: unknown key; did you mean '{key}'?"


MINUTES = {"batch_size": 4, "target_minutes_per_shard": 5}
FROM_BRACES = CE | {"training": CE["training"] | {"init_from": "{a}.pt"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation__spaces": ["pixels", "classifier:cleen"]}, "classifier 'cleen' is not in config.yaml; known: ce"),
        ({"evaluation__spaces": ["pixels", "pixels"]}, "comes twice; drop it"),
        ({"denoisers__cadm__network__num_channels": 33}, "denoiser 'cadm': level 0 has 33 chan"),
        ({"classifiers__ect__network__classifier_width": 33}, "classifier 'ect': level 0"),
        ({"dataset__image_size": 9}, "denoiser 'uadm': image_size 9"),
        ({"sampling": {"batch_size": 4}}, "set one of the two"),
        ({"sampling": {"shard_size": 5, **MINUTES}}, "set one of the two"),
        ({"sampling": MINUTES}, "run `eddpm measure-speed"),
        ({"sweep__num_images": 3}, "sweep.num_images: too few"),
        ({"sweep__best": {"minimise": "vgg/fid"}}, "sweep.best: metric 'vgg/fid' is not measured; known: accuracy"),
        ({"classifiers__ce__training__random_crop": True}, "set dataset.uncropped: true"),
        ({"diffusion__noise_schedule": "linear", "diffusion__diffusion_steps": 20}, "take more than 20"),
        ({"sweep__scales": 3}, "sweep.scales: value 3: input should be a valid list"),
        ({"sweep__scales": []}, "sweep.scales: value []: list should have at least 1 item"),
        ({"sweep__scales": [1, -1]}, "sweep.scales.1: value -1: input should be greater than 0"),
        ({"sweep__scales": [1, 1.0000001]}, "sweep.scales: value [1, 1.0000001]: two scales share a name"),
        ({"sweep__scales": [1e10, 1e-10]}, "two scales share a name; drop one"),
        ({"sweep__scales": {}}, "sweep.scales: value {}: mapping should have at least 1 item"),
        ({"sweep__scales": {ROW["run"]: [1, "x"]}}, "sweep.scales.UADM(25)-G.1: value 'x': input should be a valid"),
        ({"sweep__scales": {ROW["run"]: [1, 1.0]}}, "sweep.scales.UADM(25)-G: value [1, 1.0]: two scales share"),
        ({"sweep__scales": {"UADM-G": [1]}}, "sweep.scales: 'UADM-G' is no guided row; known: UADM(25)-G"),
        ({"classifiers__ce__training": None}, "classifiers.ce: training or checkpoint says where the weights come"),
        ({"denoisers__uadm__checkpoint": {"source": "a.pt"}}, "denoisers.uadm: training or checkpoint says where"),
        ({"classifiers__ce": published(CE, sorce="a.pt")}, "classifiers.ce.checkpoint.sorce: unknown key; did you"),
        ({"classifiers__ce": published(CE, "")}, "classifiers.ce.checkpoint.source: value '': string should have"),
        (
            {"classifiers__ce": published(CE, sha256="AB")},
            "classifiers.ce.checkpoint.sha256: value 'AB': string should",
        ),
        (
            {"classifiers__ce": published(CE), "classifiers__ect": published(ECT, sha256="0" * 64)},
            "classifiers.ect.checkpoint: has another sha256 than classifiers.ce.checkpoint, of one file",
        ),
        (
            {"classifiers__ce": published(CE, "nets {a}/ce {1}.pt")},
            "classifiers.ce.checkpoint: 'ce {1}.pt' has braces, which Snakemake takes for wildcards; rename it",
        ),
        ({"classifiers__ce": FROM_BRACES}, "classifiers.ce.training.init_from: '{a}.pt' has braces"),
        ({"published": "none.tsv"}, "published: 'none.tsv' does not exist; give its path, or null"),
        (
            {"published": str(REPO / "config/imagenet256/published.tsv")},
            "published: these numbers are of the space inception; add it to evaluation.spaces",
        ),
    ],
)
def test_what_would_fail_later_is_refused_at_load(one_row, changes, message):
    line = refusal(one_row, **changes)
    assert line.startswith("config.yaml: ")
    assert message in line


def test_a_training_cannot_start_from_a_name_that_several_sources_have(one_row):
    start = "resources/assets/classifier.pt"
    training = DIGITS["denoisers"]["uadm"]["training"] | {"init_from": start}
    changes = {"classifiers__ce": published(CE, PUBLISHED), "denoisers__uadm__training": training}
    load(one_row, **changes)
    changes["classifiers__ect"] = published(ECT, "nets/classifier.pt")
    place, _, files = refusal(one_row, **changes).partition(f"'{start}' is what several sources would be called; name")
    assert place == "config.yaml: denoisers.uadm.training.init_from: "
    for file in files.removeprefix(" one of ").split(", "):
        load(one_row, **changes | {"denoisers__uadm__training": training | {"init_from": file}})


def test_of_a_checkpoint_in_a_folder_with_braces_a_rule_sees_the_name_alone(one_row):
    assert load(one_row, classifiers__ce=published(CE, "nets {a}/ce.pt"))
