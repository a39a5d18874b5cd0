"""A study: the parts that a file makes of a project, and what is said of a file that makes none."""

import pytest
import yaml
from projects import DIGITS, EDS, ROW, UNGUIDED, write_rows
from tiny import REPO

from eddpm.config.assets import assets_of
from eddpm.config.project import Project
from eddpm.config.settings import merged, read_yaml
from eddpm.config.study import Parts, files_of, parts_of
from eddpm.errors import ConfigError

INTERVAL = ROW | {"run": "UADM(25)-G t 0-499"}
CFG = UNGUIDED | {"run": "CADM(25)-CFG", "denoiser": "cadm", "guidance": "cfg", "scale": "2"}
MATCHED = {"sweep": {"matched": {"accuracy": [0.9]}}}
CIRCLE: dict = {}
CIRCLE["guidance"] = CIRCLE
BEST = {"minimise": "classifier:clean/fid"}
ABLATION = {"ect": {"rows": [ROW["run"]], "vary": {"classifier": ["ect"]}}}


@pytest.fixture
def project(tmp_path) -> dict:
    """A project with one ablation, in a folder where the parts `a` and `b` have their tables of runs."""
    write_rows(tmp_path / "runs.tsv", ROW)
    (tmp_path / "study").mkdir()
    for part, rows in (
        ("a", [ROW]),
        ("b", [ROW, EDS]),
        ("unguided", [UNGUIDED]),
        ("mechanism", [ROW, INTERVAL]),
        ("cfg", [CFG]),
    ):
        write_rows(tmp_path / f"study/{part}.tsv", *rows)
    return DIGITS | {"runs": str(tmp_path / "runs.tsv"), "study": "study.yaml", "ablations": ABLATION}


def parts(tmp_path, project: dict, **study) -> dict[str, Project]:
    """Those of a file with these contents."""
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(study))
    return {part: each for part, (_, each) in parts_of(project, str(file)).items()}


def test_a_part_is_an_experiment_with_a_table_of_runs_of_its_own_and_no_study(tmp_path, project):
    found = parts(tmp_path, project, parts={"a": MATCHED, "b": MATCHED})
    assert {part: each.experiment for part, each in found.items()} == {"a": "digits-a", "b": "digits-b"}
    names = {part: [row.run for row in each.runs] for part, each in found.items()}
    assert names == {"a": ["UADM(25)-G"], "b": ["UADM(25)-G", "UADM(25)-G+EDS"]}
    assert [each.study for each in found.values()] == [None, None]
    shared = {"runs": str(tmp_path / "study/b.tsv")}
    assert len(parts(tmp_path, project, parts={"a": MATCHED | shared})["a"].runs) == 2


def test_changes_of_all_parts_come_first_then_its_own_and_null_takes_a_key_away(tmp_path, project):
    before = yaml.safe_dump(project)
    common = {"ablations": None, "sweep": {"seed": 5, "num_images": 50, "best": None}}
    own = {"sweep": {"num_images": 60, **MATCHED["sweep"]}}
    found = parts(tmp_path, project, common=common, parts={"a": own, "b": MATCHED})
    sweeps = [found[part].sweep for part in "ab"]
    assert [(sweep.seed, sweep.num_images, sweep.best) for sweep in sweeps] == [(5, 60, None), (5, 50, None)]
    assert sweeps[0].scales == (1, 4, 16)  # the project's
    assert [found[part].ablations for part in "ab"] == [{}, {}]
    assert yaml.safe_dump(project) == before


def test_a_study_that_is_like_another_changes_it_once(tmp_path, project):
    other = tmp_path / "other.yaml"
    parts_of_other = {"a": {"sweep": {"num_images": 50, **MATCHED["sweep"]}}, "b": MATCHED}
    other.write_text(yaml.safe_dump({"common": {"ablations": None}, "parts": parts_of_other}))
    found = parts(tmp_path, project, like=str(other), parts={"a": {"sweep": {"seed": 7}}, "b": None})
    assert list(found) == ["a"]
    assert (found["a"].sweep.seed, found["a"].sweep.num_images, found["a"].ablations) == (7, 50, {})
    # A null of either reaches the project, and both may say the same.
    without_best = parts(
        tmp_path, project, like=str(other), common={"ablations": None, "sweep": {"best": None}}, parts={}
    )
    assert [(each.sweep.best, each.ablations) for each in without_best.values()] == 2 * [(None, {})]
    with pytest.raises(ConfigError, match=r"study.yaml: parts.c: is null, and no other study has it; drop it, or"):
        parts(tmp_path, project, like=str(other), parts={"c": None})
    other.write_text(yaml.safe_dump({"like": "a.yaml", "parts": parts_of_other}))
    with pytest.raises(ConfigError, match=r"study.yaml: like: '.*other.yaml' is like another study itself; name a"):
        parts(tmp_path, project, like=str(other), parts={})
    with pytest.raises(ConfigError, match=r"^gone.yaml: cannot be read \("):
        parts(tmp_path, project, like="gone.yaml", parts={})


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"part": {}}, "part: unknown key; did you mean 'parts'?"),
        ({"commons": {}, "parts": {"a": MATCHED}}, "commons: unknown key; did you mean 'common'?"),
        ({"common": {}}, "parts: missing; add this key"),
        ({"parts": {}}, "parts: has none; add one"),
        ({"parts": {"a": None}}, "parts.a: is null, and no other study has it; drop it, or give changes"),
        ({"parts": {"a": ["rules"]}}, "parts.a: value ['rules']: input should be a valid mapping"),
        ({"parts": {"a": MATCHED | {"runs": "r" * 300}}}, f"part 'a': runs: '{'r' * 300}' does not exist; write"),
        ({"common": CIRCLE, "parts": {"a": MATCHED}}, "part 'a': a value holds itself by an alias; write it out"),
        ({"parts": {"../a b": {}}}, "parts.../a b: value '../a b': string should match pattern"),
        ({"parts": {"c": MATCHED}}, "part 'c': runs: '{folder}/study/c.tsv' does not exist; write this table, or "),
        (
            {"parts": {"a": MATCHED | {"runs": "none.tsv"}}},
            "part 'a': runs: 'none.tsv' does not exist; write this table",
        ),
        ({"parts": {"a": MATCHED | {"runs": None}}}, "part 'a': runs: missing; add this key"),
        ({"parts": {"a": {}}}, "part 'a': sweep.matched: missing, and the study is made of this table; give levels"),
        (
            {"common": {"ablations": None}, "parts": {"unguided": MATCHED}},
            "part 'unguided': runs: no row has guidance, and the study is made of their",
        ),
        ({"parts": {"a": {"sweep": {"num_image": 9}}}}, "part 'a': sweep.num_image: unknown key; did you mean"),
        (
            {"common": {"classifiers": {"ce": None}}, "parts": {"a": MATCHED}},
            "{folder}/study/a.tsv row 'UADM(25)-G': classifier 'ce' is not in {folder}/study.yaml: part 'a'; known: ",
        ),
        *(
            (
                {"common": common, "parts": {"a": own}},
                f"part 'a': {key}: is not for a part to change; drop it",
            )
            for key in ("experiment", "study")
            for common, own in (({key: "x"}, MATCHED), ({}, {key: None}))
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_the_file_and_the_part(tmp_path, project, study, message):
    with pytest.raises(ConfigError) as caught:
        parts(tmp_path, project, **study)
    place = "" if message.startswith("{folder}") else f"{tmp_path}/study.yaml: "
    assert str(caught.value).startswith(place + message.replace("{folder}", str(tmp_path)))
    assert len(str(caught.value).splitlines()) == 1


def test_a_study_whose_folder_of_tables_has_its_own_name_is_refused(tmp_path, project):
    with pytest.raises(
        ConfigError, match=r"/study: has no suffix, and tables of runs lie in a folder of that name; name"
    ):
        parts_of(project, str(tmp_path / "study"))


def test_a_file_that_is_not_there_is_named_with_the_remedy(project):
    with pytest.raises(ConfigError, match=r"^none.yaml: cannot be read \(No such file or directory\); give a path"):
        parts_of(project, "none.yaml")


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        (lambda folder: {"rules": None}, "parts: has no 'rules'; add it"),
        (lambda folder: {"mechanism": None}, "parts: has no 'mechanism'; add it"),
        (
            lambda folder: {"rules": {"evaluation": {"spaces": ["classifier:clean"]}, "sweep": {"best": BEST}}},
            "part 'rules': evaluation.spaces: the second is no independent space; add one",
        ),
        (
            lambda folder: {"rules": {"evaluation": {"spaces": ["classifier:clean", "pixels"]}}},
            "part 'rules': evaluation.spaces: the second is no independent space; add one",
        ),
        (
            lambda folder: {"mechanism": {"runs": str(folder / "runs.tsv")}},
            "part 'mechanism': runs: no row is an interval, 'ROW t LOW-HIGH'; add one",
        ),
        (
            lambda folder: {"rules": {"runs": str(folder / "study/cfg.tsv")}},
            "part 'rules': runs: no row of the first denoiser has a classifier; add",
        ),
        (
            lambda folder: {"rules": {"sweep": {"matched": {"pixels/recall": [0.5]}}}},
            "digits-rules: sweep.matched: the report compares at levels of accuracy; give these alone",
        ),
        (
            lambda folder: {"rules": {"evaluation": {"metrics": ["accuracy", "fid"]}}},
            "part 'rules': evaluation: 'inception/density' is not measured; add it",
        ),
    ],
)
def test_a_part_or_a_metric_that_the_report_lacks_is_named(tmp_path, project, lacking, message):
    common = {
        "ablations": None,
        "guidance": {"cfg": {"rule": "classifier_free", "unconditional": "uadm"}},
        "evaluation": {
            "spaces": ["classifier:clean", "inception", "pixels"],
            "metrics": ["accuracy", "fid", "recall", "density", "coverage", "authpct"],
        },
    }
    whole = {"rules": MATCHED | {"runs": str(tmp_path / "study/a.tsv")}, "mechanism": MATCHED}
    Parts(parts(tmp_path, project, common=common, parts=whole), "study.yaml")
    study = merged({"common": common, "parts": whole}, {"parts": lacking(tmp_path)})
    with pytest.raises(ConfigError) as caught:
        Parts(parts(tmp_path, project, **study), "study.yaml")
    assert str(caught.value).startswith(f"study.yaml: {message}")


def test_the_files_of_a_study_are_its_own_its_others_and_the_tables_of_its_parts(tmp_path, project):
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({"common": {"ablations": None}, "parts": {"a": MATCHED}}))
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"like": str(other), "parts": {"b": MATCHED | {"published": "p.csv"}}}))
    wholes = [{"runs": "a.tsv"}, {"runs": "b.tsv", "published": "p.csv"}]
    assert files_of(str(file), wholes) == [str(file), str(other), "a.tsv", "b.tsv", "p.csv"]


def test_files_that_parts_share_are_fetched_once_and_different_ones_of_one_name_are_refused(tmp_path, project):
    spaces = {"evaluation": {"spaces": ["classifier:clean", "inception", "pixels"]}}
    shared = parts(tmp_path, project, common=spaces, parts={"a": MATCHED, "b": MATCHED})
    assert len(assets_of(shared.values())) == 1
    other = {"evaluation": {"inception": {"source": "other.pt"}}}
    different = parts(tmp_path, project, common=spaces, parts={"a": MATCHED, "b": MATCHED | other})
    with pytest.raises(
        ConfigError, match=r"^digits-b: evaluation.inception: 'resources/assets/.*' would be other.pt, but"
    ):
        assets_of(different.values())


@pytest.mark.parametrize("file", sorted((REPO / "config").glob("*/study.yaml")), ids=lambda file: file.parent.name)
def test_the_shipped_studies_have_what_their_report_is_made_of(file):
    values = read_yaml(file.with_name("config.yaml"))
    assert REPO / values["study"] == file
    projects = {part: each for part, (_, each) in parts_of(values, values["study"]).items()}
    study = Parts(projects, values["study"])
    assert [each.experiment for each in study.all] == [f"{values['experiment']}-{part}" for part in projects]
    assert study.rules.training_seeds == (0, 1, 2)
    unconditional = [row for row in study.rules.runs if row.denoiser == "uadm" and row.classifier]
    assert len(study.inputs["traces"]) == 8 * len(unconditional) >= 80  # of every scale
    assert set(study.params["methods"]) == {row.run for row in unconditional}
