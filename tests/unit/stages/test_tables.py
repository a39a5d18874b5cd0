"""Tables of measured runs, and of an experiment that is not finished."""

import re

import pandas as pd
import pytest
import yaml
from tiny import tiny_project, tiny_values, write_settings

from eddpm.config.outputs import PUBLISHED_CAPTION, tables_of
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.files import write_json
from eddpm.stages.tables import compare_published, make_table, tables

NAMES = [f"inception/{name}" for name in ("fid", "sfid", "inception_score", "precision", "recall")]
PUBLISHED = (
    "run\tsource\tscale\tfid\tsfid\tinception_score\tprecision\trecall\tnote\nUADM(25)-G\tADM\t6\t3.5\t\t\t\t\ta note\n"
)
ABLATIONS = {"labels": {"rows": ["UADM(25)-G"], "vary": {"labels": ["balanced", "random"]}, "note": "A note."}}


FORMATS = ("csv", "md", "tex", "html")


@pytest.fixture
def outputs(tmp_path):
    return {kind: tmp_path / f"table.{kind}" for kind in FORMATS}


# One table --------------------------------------------------------------------------------------------------------


def metrics_file(path, name, *metrics):
    """A metrics.json with a third for each metric."""
    provenance = {"commit": "0" * 40, "torch": "2.4", "device": "cpu"}
    contents = {"run": {"name": name, "scale": 2.0, "seed": 0}, "num_images": 9, "standard_errors": {}}
    write_json(path, contents | {"metrics": dict.fromkeys(metrics, 1 / 3), "provenance": provenance})
    return path


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_table_has_every_run_in_every_format_with_its_origin_and_counts_missing_ones(count, tmp_path, outputs):
    rows = [metrics_file(tmp_path / f"{name}.json", name, "pixels/fid") for name in ("A_1", "B")][:count]
    make_table(["A_1", "B"], rows, "A caption.", **outputs)
    frame = pd.read_csv(outputs["csv"])
    assert frame["run"].tolist() == ["A_1", "B"]
    assert frame["num_images"].notna().sum() == count
    assert count == 0 or frame["pixels/fid"].dropna().tolist() == [1 / 3] * count
    for kind in ("md", "tex", "html"):
        text = outputs[kind].read_text()
        assert "A caption." in text
        assert text.count("0.333") == count
        assert (f"9 images per row; commit {'0' * 40}; torch 2.4; measured on cpu." in text) == (count > 0)
        assert text.count("missing") == 2 - count
        assert (f"Missing: {2 - count} of 2 runs." in text) == (count < 2)


@pytest.mark.parametrize(("names", "fault"), [(["B"], "not among --runs"), (["A", "B"], "given twice")])
def test_a_file_of_another_run_or_a_second_one_is_refused_by_name(names, fault, tmp_path, outputs):
    rows = [metrics_file(tmp_path / f"{k}.json", "A", "accuracy") for k in "ab"]
    place = "a" if fault.startswith("not") else "b"
    with pytest.raises(ArtifactError, match=rf"{place}\.json: run 'A' is {fault}; give [^\n]+$"):
        make_table(names, rows, "", **outputs)
    assert not any(path.exists() for path in outputs.values())


def test_ours_stand_beside_published_numbers_in_every_format(values, tmp_path, outputs):
    rows = [metrics_file(tmp_path / "a.json", "UADM(25)-G", *NAMES)]
    compare_published(["UADM(25)-G", "CADM"], rows, tmp_path / "published.tsv", "A caption.", **outputs)
    frame = pd.read_csv(outputs["csv"])
    assert frame["run"].tolist() == ["UADM(25)-G"] * 5 + ["CADM"] * 5
    assert frame["difference"].dropna().tolist() == [1 / 3 - 3.5]
    for kind in ("md", "tex", "html"):
        text = outputs[kind].read_text()
        assert f"A caption. 9 images per row; commit {'0' * 40}" in text
        assert "Missing: 1 of 2 runs." in text
        assert "a note" in text
        assert "3.2" in text


def test_a_run_that_was_not_measured_by_inception_is_refused(values, tmp_path, outputs):
    rows = [metrics_file(tmp_path / "a.json", "UADM", "pixels/fid")]
    with pytest.raises(ArtifactError, match=r"a\.json: has no metrics of the space inception; add it to [^\n]+$"):
        compare_published(["UADM"], rows, tmp_path / "published.tsv", "", **outputs)


# Tables of a project ----------------------------------------------------------------------------------------------


@pytest.fixture
def values(tmp_path, monkeypatch):
    """The contents of a config file, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "published.tsv").write_text(PUBLISHED)
    evaluation = {"spaces": ["classifier:clean", "pixels", "inception"]}
    return tiny_values() | {"published": "published.tsv", "evaluation": evaluation, "ablations": ABLATIONS}


@pytest.fixture
def config(values, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def measured(folder, run, row, value=0.5, **changes):
    """The metrics.json of a run."""
    path = folder / f"results/digits/runs/{run}/metrics.json"
    settings = {"name": row.run, "scale": row.scale, "seed": row.seed} | changes
    provenance = {"commit": "c", "torch": "t", "device": "d"}
    metrics = dict.fromkeys(["accuracy", "pixels/fid", *NAMES], value)
    contents = {"run": settings, "num_images": row.num_images, "metrics": metrics, "standard_errors": {}}
    contents["provenance"] = provenance
    write_json(path, contents)
    return path


def test_every_table_has_every_row_and_the_numbers_that_there_are(values, config, tmp_path, capsys):
    project = tiny_project(**values)
    for run in ("uadm25-g", "uadm25-g-with-labels-random", "uadm25-g-at-4"):
        measured(tmp_path, run, project.all_runs[run])
    tables(config)
    for name, table in tables_of(project).items():
        folder = tmp_path / "results/digits/tables" / ("" if name == "labels" else "unfinished")
        frame = pd.read_csv(folder / f"{name}.csv")
        assert frame["run"].tolist() == [row.run for row in table.runs.values()]
        there = [run in ("uadm25-g", "uadm25-g-with-labels-random", "uadm25-g-at-4") for run in table.runs]
        assert frame["num_images"].notna().tolist() == there
        assert table.caption in (folder / f"{name}.md").read_text()
        assert not (tmp_path / f"results/digits/tables/{name}.csv").exists() or name == "labels"
    assert capsys.readouterr().out == (tmp_path / "results/digits/tables/unfinished/main.md").read_text() + "\n"


def test_they_are_the_tables_that_the_workflow_makes(values, config, tmp_path, outputs):
    project = tiny_project(**values)
    metrics = [measured(tmp_path, run, row) for run, row in project.table_runs.items()]
    tables(config)
    names, made = [row.run for row in project.runs], tmp_path / "results/digits/tables"
    make_table(names, metrics, tables_of(project)["main"].caption, **outputs)
    for kind, path in outputs.items():
        assert path.read_bytes() == (made / f"main.{kind}").read_bytes()
    compare_published(names, metrics, tmp_path / "published.tsv", PUBLISHED_CAPTION, **outputs)
    for kind, path in outputs.items():
        assert path.read_bytes() == (made / f"published.{kind}").read_bytes()


def test_tables_are_made_before_anything_is_measured(config, tmp_path, capsys):
    tables(config)
    assert capsys.readouterr().out.count("missing") == 8
    unfinished = tmp_path / "results/digits/tables/unfinished"
    assert {path.stem for path in unfinished.iterdir()} == {"main", "published", "best_scale", "sweep", "labels"}


def test_a_table_that_is_finished_leaves_no_unfinished_one(values, config, tmp_path):
    project = tiny_project(**values)
    tables(config)
    for run, row in project.table_runs.items():
        measured(tmp_path, run, row)
    tables(config)
    made = {path.name for path in (tmp_path / "results/digits/tables").glob("*.md")}
    assert made == {"main.md", "published.md"}
    unfinished = {path.stem for path in (tmp_path / "results/digits/tables/unfinished").iterdir()}
    assert unfinished == {"best_scale", "sweep", "labels"}


def test_outdated_metrics_are_missing_and_said_to_be_outdated(values, config, tmp_path, capsys):
    project = tiny_project(**values)
    for run, row in project.table_runs.items():
        measured(tmp_path, run, row)
    tables(config)
    assert "outdated" not in capsys.readouterr().out.lower()
    measured(tmp_path, "uadm25-g", project.table_runs["uadm25-g"], scale=9.0)
    tables(config)
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith("| UADM(25)-G "))
    assert re.search(r"\| missing +\|", row)
    assert "0.5" not in row
    assert " Outdated, and so missing: UADM(25)-G. 1,000 images per row;" in printed
    assert printed.endswith("\noutdated: uadm25-g: results/digits/runs/uadm25-g/metrics.json: scale 9.0, now 6.0\n")
    for name in ("main", "published"):
        assert (
            "Outdated, and so missing: UADM(25)-G."
            in (tmp_path / f"results/digits/tables/unfinished/{name}.md").read_text()
        )


def test_metrics_of_another_evaluation_are_outdated_in_every_table(values, config, tmp_path, capsys):
    project = tiny_project(**values)
    write_settings(tmp_path / "results/digits/evaluation/settings.yaml", project.measure())
    for run, row in project.all_runs.items():
        if run not in project.best_runs:
            measured(tmp_path, run, row)
    config.write_text(yaml.safe_dump(values | {"evaluation": values["evaluation"] | {"nearest_neighbours": 2}}))
    tables(config)
    assert capsys.readouterr().out.endswith(
        "outdated: uadm25, uadm25-g, uadm25-g-eds and 18 more: results/digits/evaluation/settings.yaml:"
        " nearest_neighbours 3, now 2\n"
    )
    for name in ("main", "sweep", "labels"):
        frame = pd.read_csv(tmp_path / f"results/digits/tables/unfinished/{name}.csv")
        assert frame["num_images"].isna().all()


def test_damaged_metrics_leave_the_other_rows(values, config, tmp_path, capsys):
    project = tiny_project(**values)
    for run, row in project.table_runs.items():
        measured(tmp_path, run, row)
    (tmp_path / "results/digits/runs/uadm25/metrics.json").write_text("{")
    tables(config)
    printed = capsys.readouterr().out
    assert printed.count("missing  ") == 1
    assert "outdated: uadm25: results/digits/runs/uadm25/metrics.json: not readable JSON" in printed


def test_without_published_numbers_there_is_no_such_table(values, config, tmp_path):
    config.write_text(yaml.safe_dump(values | {"published": None}))
    tables(config)
    assert not list((tmp_path / "results/digits/tables").rglob("published.*"))


def test_a_mistake_in_the_configuration_leaves_no_tables(values, config, tmp_path):
    config.write_text(yaml.safe_dump(values | {"experimnt": "x"}))
    with pytest.raises(ConfigError, match=r"config\.yaml: experimnt: unknown key; did you mean 'experiment'\?"):
        tables(config)
    assert not (tmp_path / "results").exists()
