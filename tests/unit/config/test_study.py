"""A study: the parts that a file makes of a project, and what is said of a file that makes none."""

import pytest
import yaml
from projects import DIGITS, EDS, ROW, write_rows
from tiny import REPO

from eddpm.config.project import Project
from eddpm.config.settings import merged, read_yaml
from eddpm.config.study import Parts, parts_of
from eddpm.errors import ConfigError

MATCHED = {"sweep": {"matched": {"accuracy": [0.9]}}}
BEST = {"minimise": "classifier:clean/fid"}
ABLATION = {"ect": {"rows": [ROW["run"]], "vary": {"classifier": ["ect"]}}}


@pytest.fixture
def project(tmp_path) -> dict:
    """A project with one ablation, in a folder where the parts `a` and `b` have their tables of runs."""
    write_rows(tmp_path / "runs.tsv", ROW)
    (tmp_path / "study").mkdir()
    for part, rows in (("a", [ROW]), ("b", [ROW, EDS])):
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
        ({"parts": {}}, "parts: value {}: mapping should have at least 1 item"),
        ({"parts": {"a": None}}, "parts.a: value None: input should be a valid mapping"),
        ({"parts": {"../a b": {}}}, "parts.../a b: value '../a b': string should match pattern"),
        ({"parts": {"c": MATCHED}}, "part 'c': runs: '{folder}/study/c.tsv' does not exist; write this table, or "),
        (
            {"parts": {"a": MATCHED | {"runs": "none.tsv"}}},
            "part 'a': runs: 'none.tsv' does not exist; write this table",
        ),
        ({"parts": {"a": MATCHED | {"runs": None}}}, "part 'a': runs: missing; add this key"),
        ({"parts": {"a": {}}}, "part 'a': sweep.matched: missing, and the study is made of this table; give levels"),
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


def test_a_file_that_is_not_there_is_named_with_the_remedy(project):
    with pytest.raises(ConfigError, match=r"^none.yaml: cannot be read \(No such file or directory\); give a path"):
        parts_of(project, "none.yaml")


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ({"rules": None}, "parts: has no 'rules'; add it"),
        ({"mechanism": None}, "parts: has no 'mechanism'; add it"),
        (
            {"rules": {"evaluation": {"spaces": ["classifier:clean"]}, "sweep": {"best": BEST}}},
            "part 'rules': evaluation.spaces: has one alone; add an independent space",
        ),
        (
            {"rules": {"evaluation": {"metrics": ["accuracy", "fid"]}}},
            "part 'rules': evaluation: 'pixels/density' is not measured; add it",
        ),
    ],
)
def test_a_part_or_a_metric_that_the_report_lacks_is_named(tmp_path, project, lacking, message):
    common = {"evaluation": {"metrics": ["accuracy", "fid", "recall", "density", "coverage", "authpct"]}}
    of_part = MATCHED | {"runs": project["runs"]}
    study = merged({"common": common, "parts": {"rules": of_part, "mechanism": of_part}}, {"parts": lacking})
    with pytest.raises(ConfigError) as caught:
        Parts(parts(tmp_path, project, **study), "study.yaml")
    assert str(caught.value).startswith(f"study.yaml: {message}")


@pytest.mark.parametrize("file", sorted((REPO / "config").glob("*/study.yaml")), ids=lambda file: file.parent.name)
def test_the_shipped_studies_have_what_their_report_is_made_of(file):
    values = read_yaml(file.with_name("config.yaml"))
    assert REPO / values["study"] == file
    projects = {part: each for part, (_, each) in parts_of(values, values["study"]).items()}
    study = Parts(projects, values["study"])
    assert [each.experiment for each in study.all] == [f"{values['experiment']}-{part}" for part in projects]
    assert study.rules.training_seeds == (0, 1, 2)
    assert len(study.params["methods"]) == len(study.inputs["traces"])
