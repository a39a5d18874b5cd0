"""Tables of measured runs, and of an experiment that is not finished."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tiny import tiny_project, tiny_values

from eddpm.config.outputs import PUBLISHED_CAPTION, tables_of
from eddpm.errors import ArtifactError
from eddpm.io.files import read_json, write_json
from eddpm.reporting.tables import COSTS, metric_columns
from eddpm.stages.tables import compare_published, make_table, tables

NAMES = [f"inception/{name}" for name in ("fid", "sfid", "inception_score", "precision", "recall")]
PUBLISHED = (
    "run\tsource\tscale\tfid\tsfid\tinception_score\tprecision\trecall\tnote\nUADM(25)-G\tADM\t6\t3.5\t\t\t\t\ta note\n"
)
ABLATIONS = {"labels": {"rows": ["UADM(25)-G"], "vary": {"labels": ["balanced", "random"]}, "note": "A note."}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory, with a table of published numbers."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "published.tsv").write_text(PUBLISHED)
    return tmp_path


@pytest.fixture
def outputs(folder):
    return {kind: folder / f"table.{kind}" for kind in ("csv", "md", "tex", "html")}


def metrics_file(path, run, num_images, *metrics, value=0.5):
    contents = {"run": run, "num_images": num_images, "metrics": dict.fromkeys(metrics, value), "standard_errors": {}}
    write_json(path, contents | {"provenance": {"commit": "0" * 40, "torch": "2.4", "device": "cpu"}})
    return path


def of_run(path, name, *metrics):
    """A metrics.json with a third for each metric."""
    return metrics_file(path, {"name": name, "scale": 2.0, "seed": 0}, 9, *metrics, value=1 / 3)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_table_has_every_run_in_every_format_with_its_origin_and_counts_missing_ones(count, folder, outputs):
    rows = [of_run(folder / f"{name}.json", name, "pixels/fid") for name in ("A_1", "B")][:count]
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


def test_a_row_of_several_runs_is_their_mean_or_missing_while_one_of_them_is(folder, outputs):
    runs = ["A", "A with training_seed 1", "B with training_seed 1", "C"]
    paths = [of_run(folder / f"{k}.json", run, "pixels/fid") for k, run in enumerate(runs[:3])]
    names = {"methods": ["M", "M", "N", "N"], "scales": ["2", "2", "3", "4"]}
    make_table(runs, paths, "A caption.", **outputs, **names)
    frame = pd.read_csv(outputs["csv"])
    assert frame[["run", "method", "training_seeds"]].fillna(0).values.tolist() == [
        ["A", "M", 2],
        ["B", "N", 1],
        ["C", "N", 0],
    ]
    text = outputs["md"].read_text()
    means = "mean over 1 or 2 training seeds; errors cover trainings alone, where there are several;"
    assert f"A caption. 9 images per row and training; {means} commit" in text
    assert text.endswith("measured on cpu. Missing: 1 of 4 runs.\n")
    make_table(runs, paths[1:], "", **outputs, **names)
    assert pd.read_csv(outputs["csv"])["pixels/fid"].fillna(0).tolist() == [0, 1 / 3, 0]
    assert "Missing: 2 of 4 runs." in outputs["md"].read_text()


def test_costs_are_columns_on_request_and_a_dash_where_metrics_are_older(folder, outputs):
    runs = ["A", "A with training_seed 1", "B"]
    paths = [of_run(folder / f"{k}.json", run, "pixels/fid") for k, run in enumerate(runs)]
    make_table(runs, paths, "", **outputs)
    before = {kind: path.read_text() for kind, path in outputs.items()}
    for path, seconds in zip(paths[:2], (0.25, 0.75), strict=True):
        cost = {"denoiser": 25, "classifier_forward": 20, "classifier_backward": 10, "seconds": seconds}
        write_json(path, read_json(path) | {"cost": cost})
    make_table(runs, paths, "", **outputs)
    assert {kind: path.read_text() for kind, path in outputs.items()} == before
    make_table(runs, paths, "", **outputs, costs="shown")
    frame = pd.read_csv(outputs["csv"])
    assert frame[list(COSTS)].iloc[0].tolist() == [25, 20, 10, 0.5]
    assert frame[list(COSTS)].iloc[1].isna().all()
    assert metric_columns(frame) == ["pixels/fid"]  # figures draw no costs
    for kind in ("md", "tex", "html"):
        text = outputs[kind].read_text()
        assert all(text.count(title) == 1 for title in COSTS.values())
        positions = [text.index(title) for title in COSTS.values()]
        assert positions == sorted(positions)
    *_, row = (line for line in outputs["md"].read_text().splitlines() if line.startswith("| B "))
    assert [cell.strip() for cell in row.split("|")][-5:-1] == ["—"] * 4


def test_a_table_of_one_training_for_each_row_says_so(folder, outputs):
    make_table(["A"], [of_run(folder / "a.json", "A", "pixels/fid")], "", **outputs)
    assert outputs["md"].read_text().endswith("measured on cpu. One training seed.\n")
    assert "training_seeds" not in outputs["csv"].read_text()


@pytest.mark.parametrize(
    ("names", "fault"), [(["B"], r"a\.json: run 'A' is not among"), (["A", "B"], r"b\.json: run 'A' is given twice")]
)
def test_a_file_of_another_run_or_a_second_one_is_refused_by_name(names, fault, folder, outputs):
    rows = [of_run(folder / f"{k}.json", "A", "accuracy") for k in "ab"]
    with pytest.raises(ArtifactError, match=rf"{fault}[^\n]*; give [^\n]+$"):
        make_table(names, rows, "", **outputs)
    assert not any(path.exists() for path in outputs.values())


def test_ours_stand_beside_published_numbers_in_every_format(folder, outputs):
    rows = [of_run(folder / "a.json", "UADM(25)-G", *NAMES)]
    compare_published(["UADM(25)-G", "CADM"], rows, folder / "published.tsv", "A caption.", **outputs)
    frame = pd.read_csv(outputs["csv"])
    assert frame["run"].tolist() == ["UADM(25)-G"] * 5 + ["CADM"] * 5
    assert frame["difference"].dropna().tolist() == [1 / 3 - 3.5]
    for kind in ("md", "tex", "html"):
        text = outputs[kind].read_text()
        for part in (f"A caption. 9 images per row; commit {'0' * 40}", "Missing: 1 of 2 runs.", "a note", "3.2"):
            assert part in text


def test_a_run_that_was_not_measured_by_inception_is_refused(folder, outputs):
    rows = [of_run(folder / "a.json", "UADM", "pixels/fid")]
    with pytest.raises(ArtifactError, match=r"a\.json: has no metrics of the space inception; add it to [^\n]+$"):
        compare_published(["UADM"], rows, folder / "published.tsv", "", **outputs)


@pytest.fixture
def values():
    """The contents of a config file."""
    evaluation = {"spaces": ["classifier:clean", "pixels", "inception"]}
    return tiny_values() | {"published": "published.tsv", "evaluation": evaluation, "ablations": ABLATIONS}


@pytest.fixture
def config(values, folder):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


@pytest.fixture
def project(values):
    return tiny_project(**values)


@pytest.fixture
def measured(project, folder):
    """Writes the metrics.json of a run."""

    def measured(run, **changes):
        row = project.all_runs[run]
        settings = {"name": row.run, "scale": row.scale, "seed": row.seed} | changes
        path = folder / f"results/digits/runs/{run}/metrics.json"
        return metrics_file(path, settings, row.num_images, "accuracy", "pixels/fid", *NAMES)

    return measured


@pytest.fixture
def made(folder):
    return folder / "results/digits/tables"


def test_every_table_has_every_row_and_the_numbers_that_there_are(project, measured, config, made, capsys):
    done = ("uadm25-g", "uadm25-g-with-labels-random", "uadm25-g-at-4")
    for run in done:
        measured(run)
    tables(config)
    for name, table in tables_of(project).items():
        place = made if name == "labels" else made / "unfinished"
        frame = pd.read_csv(place / f"{name}.csv")
        assert frame["run"].tolist() == [row.run for row in table.runs.values()]
        assert frame["num_images"].notna().tolist() == [run in done for run in table.runs]
        assert table.caption in (place / f"{name}.md").read_text()
        assert not (made / f"{name}.csv").exists() or name == "labels"
    assert capsys.readouterr().out == (made / "unfinished/main.md").read_text() + "\n"


def test_they_are_the_tables_that_the_workflow_makes(project, measured, config, made, folder, outputs):
    metrics = [measured(run) for run in project.table_runs]
    tables(config)
    names = [row.run for row in project.runs]
    make_table(names, metrics, tables_of(project)["main"].caption, **outputs)
    assert {kind: path.read_bytes() for kind, path in outputs.items()} == {
        kind: (made / f"main.{kind}").read_bytes() for kind in outputs
    }
    compare_published(names, metrics, folder / "published.tsv", PUBLISHED_CAPTION, **outputs)
    for kind, path in outputs.items():
        assert path.read_bytes() == (made / f"published.{kind}").read_bytes()


def test_with_training_seeds_ours_are_means_wherever_they_stand(values, config, made):
    project = tiny_project(**values, training_seeds=[1, 0])
    config.write_text(yaml.safe_dump(values | {"training_seeds": [1, 0]}))
    for run in tables_of(project)["main"].runs:
        row, path = project.all_runs[run], Path(f"results/digits/runs/{run}/metrics.json")
        settings = {"name": row.run, "scale": row.scale, "seed": row.seed}
        value = 0.5 if run in project.rows else 0.75
        metrics_file(path, settings, row.num_images, "accuracy", "pixels/fid", *NAMES, value=value)
    tables(config)
    frame = pd.read_csv(made / "main.csv")
    assert frame["run"].tolist() == [row.run for row in project.runs]
    assert set(frame["accuracy"]) == {0.625}
    published = pd.read_csv(made / "published.csv")
    assert set(published["ours"]) == {0.625}
    assert "mean over 2 training seeds" in (made / "published.md").read_text()


def test_tables_are_made_before_anything_is_measured_and_leave_unfinished_once_they_are(
    project, measured, config, made, capsys
):
    tables(config)
    assert capsys.readouterr().out.count("missing") == 8
    everything = {"main", "published", "best_scale", "matched", "sweep", "labels"}
    assert {path.stem for path in (made / "unfinished").iterdir()} == everything
    for run in project.table_runs:
        measured(run)
    tables(config)
    assert {path.stem for path in made.glob("*.md")} == {"main", "published"}
    assert {path.stem for path in (made / "unfinished").iterdir()} == everything - {"main", "published"}


def test_outdated_or_damaged_metrics_are_missing_and_said_to_be_outdated(project, measured, config, made, capsys):
    for run in project.table_runs:
        measured(run)
    tables(config)
    assert "outdated" not in capsys.readouterr().out.lower()
    measured("uadm25-g", scale=9.0)
    measured("uadm25").write_text("{")
    tables(config)
    printed = capsys.readouterr().out
    assert len(re.findall(r"\| missing +\|", printed)) == 2
    assert re.search(r"^\| UADM\(25\)-G +\| 6 +\| missing ((?!0\.5).)*$", printed, re.MULTILINE)
    assert "\noutdated: uadm25-g: results/digits/runs/uadm25-g/metrics.json: scale 9.0, now 6.0\n" in printed
    assert "\noutdated: uadm25: results/digits/runs/uadm25/metrics.json: not readable JSON" in printed
    for name in ("main", "published"):
        text = (made / f"unfinished/{name}.md").read_text()
        assert " Outdated, and so missing: UADM(25), UADM(25)-G." in text
