"""Paths as people write them in a configuration and on the command line, and names as messages show them."""

from pathlib import Path

import pytest
from projects import DIGITS, PUBLISHED, ROW, load, published, refusal, write_rows

from eddpm.cli import build_parser
from eddpm.config.assets import missing_files
from eddpm.config.project import Project
from eddpm.config.userpaths import expand, why_absent
from eddpm.io.names import shown


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.delenv("NOWHERE", raising=False)
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~/pics", "{home}/pics"),
        ("~", "{home}"),
        ("$SCRATCH/pics", "{scratch}/pics"),
        ("${SCRATCH}/pics.zip", "{scratch}/pics.zip"),
        ("$HOME/my pics", "{home}/my pics"),
        ("a/~b", "a/~b"),
        ("cost$5", "cost$5"),
        ("digits", "digits"),
        ("$NOWHERE/pics", "$NOWHERE/pics"),
        ("https://example.org/~user/$HOME.pt", "https://example.org/~user/$HOME.pt"),
    ],
)
def test_home_folders_and_variables_are_expanded_as_a_shell_would_and_urls_are_not(tmp_path, written, meant):
    assert expand(written) == meant.format(home=tmp_path / "home", scratch=tmp_path / "scratch")


def checkpoint(project: Project) -> str:
    return project.classifiers["ce"].checkpoint.source


@pytest.mark.parametrize(
    ("changes", "of"),
    [
        ({"dataset__source": "~/x"}, lambda project: project.dataset.source),
        ({"dataset__validation_source": "~/x"}, lambda project: project.dataset.validation_source),
        ({"evaluation__reference": "~/x"}, lambda project: project.evaluation.reference),
        ({"evaluation__inception": {"source": "~/x"}}, lambda project: project.evaluation.inception.source),
        ({"classifiers__ce": published(DIGITS["classifiers"]["ce"], "~/x")}, checkpoint),
        ({"classifiers__ce__training__init_from": "~/x"}, lambda project: project.classifiers["ce"].training.init_from),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_every_path_of_a_configuration_is_expanded(tmp_path, home, changes, of):
    write_rows(tmp_path / "runs.tsv", ROW)
    assert of(load(tmp_path / "runs.tsv", **changes)) == str(home / "x")


def test_the_tables_of_a_configuration_are_found_at_home(home):
    home.mkdir()
    write_rows(home / "runs.tsv", ROW)
    (home / "published.tsv").write_text("run\tsource\n")
    spaces = [*DIGITS["evaluation"]["spaces"], "inception"]
    project = load(Path("~/runs.tsv"), published="$HOME/published.tsv", evaluation__spaces=spaces)
    assert project.published == str(home / "published.tsv")
    assert [run.run for run in project.runs] == [ROW["run"]]


def test_a_url_in_a_configuration_is_left_alone(tmp_path):
    write_rows(tmp_path / "runs.tsv", ROW)
    entry = published(DIGITS["classifiers"]["ce"], PUBLISHED + "?$HOME")
    assert checkpoint(load(tmp_path / "runs.tsv", classifiers__ce=entry)) == PUBLISHED + "?$HOME"


def test_what_could_not_be_expanded_is_said_where_the_path_does_not_exist(tmp_path):
    write_rows(tmp_path / "runs.tsv", ROW)
    project = load(
        tmp_path / "runs.tsv",
        dataset__source="$NOWHERE/${ELSEWHERE}/pics",
        dataset__validation_source="~nobody-of-this-name/pics",
        classifiers__ce=published(DIGITS["classifiers"]["ce"], "$NOWHERE/net.pt"),
    )
    source, validation, weights = (missing.message for missing in missing_files(project))
    assert "does not exist, since $NOWHERE is not set and $ELSEWHERE is not set; put" in source
    assert "does not exist, since there is no home folder ~nobody-of-this-name; put" in validation
    assert "does not exist, since $NOWHERE is not set; put" in weights
    assert "since $NOWHERE is not set" in refusal(Path("$NOWHERE/runs.tsv"))
    (tmp_path / "link").symlink_to("gone")
    assert why_absent(str(tmp_path / "link")) == ", since it is a link to nowhere"
    assert why_absent("/plain/path") == why_absent("$SCRATCH/pics") == ""


@pytest.mark.parametrize("written", ["--samples=~/a.npz", "--samples ~/a.npz"])
def test_a_home_folder_that_the_shell_has_left_is_expanded_on_the_command_line(home, written):
    argv = ["evaluate", *written.split(), "--reference", "~/b.npz", "--spaces", "~/classifier", "--weights", "~/w.pt"]
    arguments = build_parser("evaluate").parse_args(argv)
    found = (arguments.samples, arguments.reference, Path(*arguments.spaces), arguments.weights)
    assert found == tuple(home / name for name in ("a.npz", "b.npz", "classifier", "w.pt"))
    argv = ["fetch-asset", "--source", "~/w.pt", "--asset", "w.pt", "--digest"]
    assert build_parser("fetch-asset").parse_args(argv).source == str(home / "w.pt")


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("cats/été.png", "cats/été.png"),
        ("a\nb\tc.png", "a\\nb\\tc.png"),
        ("caf\udce9", "caf\\udce9"),
        ("cats ", "'cats '"),
        ("x" * 300, "x" * 60 + "..." + "x" * 60),
    ],
)
def test_a_name_is_shown_on_one_line_of_limited_length(name, plain):
    assert shown(name) == plain
