"""Mistakes in the project file and its table of runs: one line, with place, value and remedy, before anything runs."""

import math
import re
from pathlib import Path

import pytest
from projects import DIGITS, HEADER, PUBLISHED, ROW, load, published, refusal
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
        ({"classifier": ""}, "guidance by constant needs a classifier; name one, or write none"),
        ({"steps": "25"}, "steps '25' keep t = 999, where alpha_bar is 2e-09: there DDIM would move the image"),
        ({"run": "uadm25 g"}, "would share its folder with 'UADM(25)-G'; rename one"),
        ({"run": "UADM(25)-G-at-1"}, "would share its folder with a generated row; rename it"),
    ],
)
def test_a_row_that_does_not_go_with_the_project_or_other_rows_is_named(table, row, message):
    row = {**ROW, "run": "B", **row}
    assert refusal(table, ROW, row).startswith(f"{table} row '{row['run']}': {message}")


MINUTES, SPEED = {"batch_size": 4, "target_minutes_per_shard": 5}, {"guided": 1, "unguided": 1}
MOVED = (
    ": column '{0}' is a parameter of a rule; write NAME: {{rule: entropy, {0}: ...}} in `guidance` of the project"
    " file, and NAME as a row's guidance"
)
HEAD, CELLS = "\t".join(HEADER), "\t".join(ROW.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}\n\n", ": has no rows; add one line per run"),
        (f"{HEAD}\tscale\n{CELLS}\t6\n", " line 1: column 'scale' is there 2 times; drop all but one"),
        (f"{HEAD}\tmethod\n{CELLS}\tA\n", ": column 'method' is of generated rows; remove it"),
        (f"{HEAD}\tentropy_classes\n{CELLS}\t\n", MOVED.format("entropy_classes")),
        (f"{HEAD}\teds_timesteps\n{CELLS}\t500-999\n", MOVED.format("eds_timesteps")),
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


@pytest.mark.parametrize("cell", ['"UADM\n25"', "UADM\x0725", "UADM\x8525"])
def test_a_cell_of_several_lines_is_refused_in_one_whatever_its_column(table, cell):
    for column in ("run", "denoiser", "scale"):
        message = refusal(table, {**ROW, column: cell})
        assert re.match(
            rf"{table} line [23]: {column}: value 'UADM\\\w+25': has a line break, a tab or another", message
        )


# Names and numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["-dash", "--help", "_a", "a\u200bb", "a\u202eb", "a\xa0b", "e\u0301 1"])
def test_a_name_that_options_legends_or_readers_take_for_another_is_refused(table, name):
    message = refusal(table, {**ROW, "run": name})
    assert message.startswith(f"{table} line 2: run: value {name!r}: a name ")
    assert message.endswith(("; rename it", "; type it anew"))


TRILLION, ADVICE = str(10**12), "raise sampling.shard_size to "
ABLATION = {"rows": [ROW["run"]], "vary": {"scale": list(range(1, 3001)), "seed": list(range(3000))}}


@pytest.mark.parametrize(
    ("cells", "changes", "message"),
    [
        ({"num_images": TRILLION}, {}, "are too many for shards of 1,000, which 23,045 at most can be; " + ADVICE),
        ({"num_images": "999999999"}, {"sampling": {"shard_size": 1, "batch_size": 1}}, ADVICE + "43,394, or ask for"),
        (
            {"num_images": "999999"},
            {"sampling": MINUTES | {"target_minutes_per_shard": 1e-9, "speed": SPEED}},
            "raise sampling.target_minutes_per_shard, or ask",
        ),
        ({"num_images": str(2**63)}, {}, "num_images: value '9223372036854775808': input should be less than"),
        (
            {},
            {"sweep__num_images": int(TRILLION)},
            "config.yaml: sweep: row 'UADM(25)-G at 1': 1,000,000,000,000 images",
        ),
        ({}, {"sweep__scales": list(range(1, 10**6))}, "config.yaml: sweep.scales: value [1, 2, 3,"),
        (
            {},
            {"ablations": {"x": ABLATION}},
            "config.yaml: ablations.x: 9,000,000 rows, of which a table has 72,315 at",
        ),
        ({"steps": "10"}, {"diffusion__diffusion_steps": 10**9}, "config.yaml: diffusion.diffusion_steps: value 10000"),
        ({"steps": "1" * 5000}, {}, "write ADM's respacing"),
        ({"seed": str(2**70)}, {}, "seed: value '1180591620717411303424': input should be less than 4294967296"),
    ],
)
def test_a_number_that_no_job_could_have_is_refused_before_anything_is_made_of_it(table, cells, changes, message):
    assert message in refusal(table, {**ROW, **cells}, **changes)


def test_more_rows_than_a_table_has_are_refused_unread(table):
    table.write_text(f"{HEAD}\n" + f"{CELLS}\n" * 73_000)
    assert refusal(table) == f"{table}: has more than 72,315 rows; give fewer"


def test_as_many_shards_as_a_command_can_name_are_no_mistake(table):
    project = load(table, {**ROW, "num_images": "19599"}, sampling={"shard_size": 1, "batch_size": 1})
    assert len(project.shards("uadm25-g")) == 19_599


LONG = "a" * 300


@pytest.mark.parametrize(
    ("cells", "changes", "message"),
    [
        ({"run": LONG}, {}, "': files would have names of 312 bytes, where 255 are possible; shorten its name"),
        ({"run": "a" * 240}, {}, "config.yaml: sweep: row 'aaa"),
        ({}, {"experiment": LONG}, "config.yaml: experiment: value 'aaa"),
        ({}, {f"classifiers__{LONG}": CE}, ": string should have at most 120 characters"),
        (
            {},
            {"ablations": {LONG: {"rows": [ROW["run"]], "vary": {"scale": [1]}}}},
            "should have at most 120 characters",
        ),
        (
            {},
            {"classifiers__ce": published(CE, f"https://example.org/{LONG}.pt")},
            "are too long for the name of a file",
        ),
    ],
)
def test_a_name_that_makes_no_file_name_is_refused(table, cells, changes, message):
    assert message in refusal(table, {**ROW, **cells}, **changes)


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
        ({"evaluation__metrics": ["fid", "fid"]}, "evaluation.metrics: one of ('fid', 'fid') comes twice; drop it"),
        (
            {
                "evaluation__metrics": ["fid", "fid_infinity", "precision", "recall", "accuracy"],
                "sweep__matched": {"pixels/fid_infinity": [2]},
            },
            "sweep.matched.pixels/fid_infinity: has no values on halves of the images; match another metric",
        ),
        ({"evaluation__metrics": ["fids"]}, "evaluation.metrics.0: value 'fids': input should be 'accuracy', 'fid'"),
        ({"evaluation__metrics": []}, "evaluation.metrics: value []"),
        ({"evaluation__metrics": ["vendi"]}, "sweep.best: metric 'pixels/fid' is not measured"),
        (
            {"evaluation__metrics": ["fid", "sfid"], "evaluation__spaces": ["pixels"]},
            "evaluation.metrics: 'sfid' is of other spaces than pixels; add one, or drop it",
        ),
        ({"classifiers__ect__network__classifier_width": 33}, "classifier 'ect': level 0"),
        ({"sampling": {"batch_size": 4}}, "set one of the two"),
        ({"sampling": {"shard_size": 5, **MINUTES}}, "set one of the two"),
        ({"sampling": MINUTES}, "run `eddpm measure-speed"),
        ({"sweep__num_images": 3}, "sweep.num_images: too few"),
        ({"sweep__best": {"minimise": "vgg/fid"}}, "sweep.best: metric 'vgg/fid' is not measured; known: accuracy"),
        ({"sweep__matched": {"vgg/fid": [1]}}, "sweep.matched: metric 'vgg/fid' is not measured; known: accuracy"),
        ({"sweep__matched": {}}, "sweep.matched: value {}: mapping should have at least 1 item"),
        ({"sweep__matched": {"accuracy": []}}, "sweep.matched.accuracy: value []: list should have at least 1 item"),
        ({"sweep__matched": {"accuracy": 0.9}}, "sweep.matched.accuracy: value 0.9: input should be a valid list"),
        ({"sweep__matched": {"accuracy": [0.95, 0.9]}}, "levels rise, and each comes once; sort them"),
        ({"sweep__matched": {"accuracy": [0.9, 0.9]}}, "levels rise, and each comes once; sort them"),
        ({"sweep__matched": {"accuracy": [math.nan]}}, "sweep.matched.accuracy.0: value nan: input should be a finite"),
        ({"sweep__matched": {"accuracy": [0.9, 95]}}, "sweep.matched.accuracy: level 95 is never reached; give one"),
        ({"sweep__matched": {"pixels/recall": [0]}}, "sweep.matched.pixels/recall: level 0 is never reached; give one"),
        ({"sweep__matched": {"pixels/fid": [-1]}}, "level -1 is never reached; give one above 0"),
        ({"sweep__baselines": {"UADM": ["UADM(25)-G"]}}, "sweep.baselines: 'UADM' is no swept row; known: UADM(25)-G"),
        ({"sweep__baselines": {ROW["run"]: ["UADM"]}}, "sweep.baselines: 'UADM' is no swept row; known: UADM(25)-G"),
        ({"sweep__baselines": {ROW["run"]: []}}, "sweep.baselines.UADM(25)-G: value []: list should have at least 1"),
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
