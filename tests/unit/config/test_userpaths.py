"""Paths as people write them in a configuration and on the command line, and names as messages show them."""

from pathlib import Path

import pytest
from projects import DIGITS, PUBLISHED, ROW, load, published, refusal, write_rows

from eddpm.cli import build_parser
from eddpm.config.assets import missing_files
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
        ("${SCRATCH}/my pics.zip", "{scratch}/my pics.zip"),
        ("a/~b", "a/~b"),
        ("-x.pt", "./-x.pt"),
        ("--help", "./--help"),
        ("=x", "=x"),
        ("$NOWHERE/cost$5", "$NOWHERE/cost$5"),
        ("https://example.org/~user/$HOME.pt", "https://example.org/~user/$HOME.pt"),
    ],
)
def test_home_folders_and_variables_are_expanded_as_a_shell_would_and_urls_are_not(tmp_path, written, meant):
    assert expand(written) == meant.format(home=tmp_path / "home", scratch=tmp_path / "scratch")


def test_every_path_of_a_configuration_is_expanded(home):
    home.mkdir()
    write_rows(home / "runs.tsv", ROW)
    (home / "published.tsv").write_text("run\tsource\n")
    project = load(
        Path("~/runs.tsv"),
        published="$HOME/published.tsv",
        dataset__source="~/source",
        dataset__validation_source="~/validation",
        evaluation__reference="~/reference",
        evaluation__inception={"source": "~/inception"},
        evaluation__spaces=[*DIGITS["evaluation"]["spaces"], "inception"],
        classifiers__ce=published(DIGITS["classifiers"]["ce"], "~/ce"),
        classifiers__ect__training__init_from="~/ect",
        denoisers__uadm=published(DIGITS["denoisers"]["uadm"], PUBLISHED + "?$HOME"),
    )
    classifiers, evaluation = project.classifiers, project.evaluation
    paths = [project.dataset.source, project.dataset.validation_source, evaluation.reference, project.published]
    paths += [evaluation.inception.source, classifiers["ce"].checkpoint.source, classifiers["ect"].training.init_from]
    names = ("source", "validation", "reference", "published.tsv", "inception", "ce", "ect")
    assert paths == [str(home / name) for name in names]
    assert project.denoisers["uadm"].checkpoint.source == PUBLISHED + "?$HOME"


def test_what_could_not_be_expanded_is_said_where_the_path_does_not_exist(tmp_path, table):
    project = load(
        table,
        ROW,
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


def test_a_name_is_shown_on_one_line_of_limited_length():
    assert shown("cats/été.png") == "cats/été.png"
    assert shown("a\nb\tcaf\udce9") == "a\\nb\\tcaf\\udce9"
    assert shown("cats ") == "'cats '"
    assert shown("x" * 300) == "x" * 60 + "..." + "x" * 60
