"""Mistakes in the project file and its table of runs: one line, with place, value and remedy, before anything runs."""

from pathlib import Path

import pytest
from projects import DIGITS, EDS, HEADER, PUBLISHED, ROW, load, published, refusal
from tiny import REPO

from eddpm.config.projectfile import DEFAULT, find, load_project
from eddpm.config.settings import read_yaml

CE, ECT = (DIGITS["classifiers"][name] for name in ("ce", "ect"))


# The table --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"scale": "-1"}, "scale: value '-1': input should be greater than or equal to 0"),
        ({"scale": ""}, "scale: missing"),
        ({"scale": "best"}, "scale 'best' is for generated rows; give a number"),
        ({"run": "()"}, "run: value '()': a name needs a letter or digit"),
        ({"run": "UADM(25)-G at 4"}, "run: value 'UADM(25)-G at 4': a name needs a letter or digit, and no ' at '"),
        ({"classifier": ""}, "guidance 'constant' needs a classifier; name one or write none"),
        ({"num_image": "9"}, "num_image: unknown key; did you mean 'num_images'?"),
    ],
)
def test_a_bad_cell_is_named_by_file_line_column_and_value(table, cells, message):
    assert refusal(table, {**ROW, **cells}, {**ROW, "run": "fine"}).startswith(f"{table} line 2: {message}")
    table.write_text(table.read_text().replace("\n", "\n\n"))  # lines are counted as an editor counts them
    assert refusal(table).startswith(f"{table} line 3: {message}")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"denoiser": "udam"}, "denoiser 'udam' is not in config.yaml; known: uadm, cadm"),
        ({"classifier": "ec+temperature"}, "classifier 'ec' is not in config.yaml; known: ce, ect"),
        ({"num_images": "3"}, "3 images are too few for nearest_neighbours; ask for more"),
        ({"steps": "2000"}, "steps '2000': section 0 has 1000 timesteps, fewer"),
        ({"seed": str(DIGITS["sweep"]["seed"])}, f"seed {DIGITS['sweep']['seed']} is the sweep's"),
        ({**EDS, "run": "A", "eds_timesteps": "500-1000"}, "eds_timesteps '500-1000' lies beyond the last timestep"),
        ({"run": "uadm25 g"}, "would share its folder with 'UADM(25)-G'; rename one"),
        ({"run": "UADM(25)-G-at-1"}, "would share its folder with a generated row; rename it"),
    ],
)
def test_a_row_that_does_not_go_with_the_project_or_other_rows_is_named(table, row, message):
    row = {**ROW, "run": "B", **row}
    assert refusal(table, ROW, row).startswith(f"{table} row '{row['run']}': {message}")


HEAD, CELLS = "\t".join(HEADER), "\t".join(ROW.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}\n\n", ": has no rows; add one line per run"),
        (f"{HEAD}\tscale\n{CELLS}\t6\n", " line 1: column 'scale' is there 2 times; drop all but one"),
        (f"{HEAD}\tmethod\n{CELLS}\tA\n", ": column 'method' is of generated rows; remove it"),
        (f"{HEAD}\n{CELLS}\tx\n", " line 2: has more or fewer cells than the header"),
        (f"{HEAD}\n{CELLS.rpartition(chr(9))[0]}\n", " line 2: has more or fewer cells than the header"),
        (f"{HEAD}\n{CELLS}\n".replace("\t", ","), " line 2: run,denoiser,"),
        ("<!DOCTYPE html>\n<html>", ": is a web page"),
    ],
)
def test_a_text_that_is_no_such_table_is_refused(table, text, message):
    table.write_text(text)
    assert refusal(table).startswith(f"{table}{message}")
    assert refusal(table.parent).startswith(f"{table.parent}: cannot be read (Is a directory); give a path from")


def test_a_file_is_looked_for_where_one_works_and_then_where_the_package_was_checked_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find(DEFAULT).samefile(REPO / DEFAULT)
    project = load_project(read_yaml(REPO / "config/imagenet256/config.yaml"), "config.yaml")
    assert len(project.runs) == 16
    assert Path(project.published).samefile(NUMBERS)
    (tmp_path / DEFAULT).parent.mkdir(parents=True)
    (tmp_path / DEFAULT).touch()
    assert find(DEFAULT) == Path(DEFAULT)


# The project file -------------------------------------------------------------------------------------------------

MINUTES = {"batch_size": 4, "target_minutes_per_shard": 5}
TWO_OF_ONE_FILE = {"classifiers__ce": published(CE), "classifiers__ect": published(ECT, sha256="0" * 64)}
NUMBERS = str(REPO / "config/imagenet256/published.tsv")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": None}, "runs: value None: give the path of the runs table"),
        ({"denoiser": 1}, "denoiser: unknown key; did you mean 'denoisers'?"),
        ({"classifiers__ect__loss__ect_wieght": 1}, "classifiers.ect.loss.ect_wieght: unknown key; did you mean"),
        ({"evaluation__spaces": ["pixels", "classifier:cleen"]}, "classifier 'cleen' is not in config.yaml; known: ce"),
        ({"evaluation__spaces": ["pixels", "pixels"]}, "comes twice; drop it"),
        ({"classifiers__ect__network__classifier_width": 33}, "classifier 'ect': level 0"),
        ({"sampling": {"batch_size": 4}}, "set one of the two"),
        ({"sampling": {"shard_size": 5, **MINUTES}}, "set one of the two"),
        ({"sampling": MINUTES}, "run `eddpm measure-speed"),
        ({"sweep__num_images": 3}, "sweep.num_images: too few"),
        ({"sweep__best": {"minimise": "vgg/fid"}}, "sweep.best: metric 'vgg/fid' is not measured; known: accuracy"),
        ({"classifiers__ce__training__random_crop": True}, "set dataset.uncropped: true"),
        ({"diffusion__noise_schedule": "linear", "diffusion__diffusion_steps": 20}, "take more than 20"),
        ({"classifiers__Big": CE}, "classifiers.Big: value 'Big': string should match"),
        ({"sweep__scales": 3}, "sweep.scales: value 3: input should be a valid list"),
        ({"sweep__scales": [1, -1]}, "sweep.scales.1: value -1: input should be greater than 0"),
        ({"sweep__scales": [1e10, 1e-10]}, "two scales share a name; drop one"),
        ({"sweep__scales": {ROW["run"]: [1, "x"]}}, "sweep.scales.UADM(25)-G.1: value 'x': input should be a valid"),
        ({"sweep__scales": {"UADM-G": [1]}}, "sweep.scales: 'UADM-G' is no guided row; known: UADM(25)-G"),
        ({"classifiers__ce__training": None}, "classifiers.ce: training or checkpoint says where the weights come"),
        ({"denoisers__uadm__checkpoint": {"source": "a.pt"}}, "denoisers.uadm: training or checkpoint says where"),
        ({"classifiers__ce": published(CE, "")}, "classifiers.ce.checkpoint.source: value '': string should have"),
        (TWO_OF_ONE_FILE, "classifiers.ect.checkpoint: has another sha256 than classifiers.ce.checkpoint, of one file"),
        ({"classifiers__ce": published(CE, "nets {a}/ce {1}.pt")}, "classifiers.ce.checkpoint: 'ce {1}.pt' has braces"),
        ({"classifiers__ce__training__init_from": "{a}.pt"}, "classifiers.ce.training.init_from: '{a}.pt' has braces"),
        ({"published": "none.tsv"}, "published: 'none.tsv' does not exist; give its path, or null"),
        ({"published": NUMBERS}, "published: these numbers are of the space inception; add it to evaluation.spaces"),
    ],
)
def test_what_would_fail_later_is_refused_at_load(table, changes, message):
    line = refusal(table, ROW, **changes)
    assert line.startswith("config.yaml: ")
    assert message in line


def test_a_training_cannot_start_from_a_name_that_several_sources_have(table):
    start = "resources/assets/classifier.pt"
    training = DIGITS["denoisers"]["uadm"]["training"] | {"init_from": start}
    changes = {"classifiers__ce": published(CE, PUBLISHED), "denoisers__uadm__training": training}
    load(table, ROW, **changes)
    changes["classifiers__ect"] = published(ECT, "nets/classifier.pt")
    place, _, files = refusal(table, **changes).partition(f"'{start}' is what several sources would be called; name")
    assert place == "config.yaml: denoisers.uadm.training.init_from: "
    for file in files.removeprefix(" one of ").split(", "):
        load(table, **changes | {"denoisers__uadm__training": training | {"init_from": file}})


def test_of_a_checkpoint_in_a_folder_with_braces_a_rule_sees_the_name_alone(table):
    assert load(table, ROW, classifiers__ce=published(CE, "nets {a}/ce.pt"))
