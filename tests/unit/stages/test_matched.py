"""The table of methods at matched strength, from files."""

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny import tiny_project, tiny_values

from eddpm.config.outputs import matched_methods
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.files import write_json
from eddpm.stages.tables import match_methods, tables

RISE = {"A": 0.1, "B": 0.15, "C": 0.02}  # of the accuracy, by factor of 2 in the scale
SCALES = [1, 2, 4, 8]
LEVELS = ["accuracy=0.8"]


def write_run(folder, name, scale, accuracy, halves=4, **changes):
    """A metrics.json and its replicates.csv; the FID is the accuracy in percent."""
    values = {"accuracy": accuracy, "pixels/fid": 100 * accuracy}
    metrics, replicates = folder / "metrics.json", folder / "replicates.csv"
    contents = {"run": {"name": name, "scale": float(scale), "seed": 1}, "num_images": 10, "metrics": values}
    contents |= {"standard_errors": {}, "provenance": {"commit": "c", "torch": "t", "device": "d"}}
    write_json(metrics, contents | changes)
    spread = np.linspace(-0.01, 0.01, halves)
    pd.DataFrame({metric: value + spread for metric, value in values.items()}).to_csv(replicates, index=False)
    return metrics, replicates


@pytest.fixture
def outputs(tmp_path):
    return {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md", "tex", "html")}


@pytest.fixture
def sweep(tmp_path):
    """The sweeps of three methods: the options of match-methods, by row."""
    rows = []
    for method, rise in RISE.items():
        for k, scale in enumerate(SCALES):
            run = f"{method} at {scale}"
            metrics, replicates = write_run(tmp_path / run, run, scale, 0.6 + rise * k)
            row = {"runs": run, "methods": method, "denoisers": "uadm", "trainings": 0}
            rows.append(row | {"metrics": metrics, "replicates": replicates})
    return rows


def match(rows, outputs, levels=tuple(LEVELS), **changes):
    options = {name: [row[name] for row in rows] for name in rows[0]} | changes
    match_methods(**options, levels=list(levels), caption="A caption.", **outputs)
    return pd.read_csv(outputs["csv"], keep_default_na=False)


def test_each_format_has_a_row_for_a_method_at_a_level_and_one_below_it_for_the_difference(sweep, outputs):
    frame = match(sweep, outputs)
    assert frame["run"].tolist() == ["A", "B", "C"]
    assert [float(scale) for scale in frame["scale"][:2]] == pytest.approx([4, 2 ** (4 / 3)])
    assert frame["difference_to"].tolist() == ["", "A", ""]
    for kind in ("md", "tex", "html"):
        text = outputs[kind].read_text()
        for part in ("accuracy = 0.8", "minus A", "not reached: at most 0.66", "80.0", "A caption. 10 images per row"):
            assert part in text, kind
        assert "accuracy ↑" not in text  # it is the level
    both = match(sweep, outputs, ["accuracy=0.8", "pixels/fid=50"])
    assert both["level"].tolist() == [0.8] * 3 + [50] * 3
    assert "accuracy ↑" in outputs["md"].read_text()


def test_a_method_with_two_baselines_is_shown_once_with_a_row_below_it_for_each(sweep, outputs):
    frame = match(sweep, outputs, ["accuracy=0.65"], baselines=["C", "B", "C", "A"])
    assert frame["run"].tolist() == ["A", "B", "C", "C"]
    assert frame["difference_to"].tolist() == ["", "A", "B", "A"]
    lines = [line.split("|")[1:3] for line in outputs["md"].read_text().splitlines() if line.startswith("|")]
    level = "accuracy = 0.65"
    expected = [["A", level], ["B", level], ["", "minus A"], ["C", level], ["", "minus B"], ["", "minus A"]]
    assert [[cell.strip() for cell in line] for line in lines[-6:]] == expected
    assert len(lines) == 2 + 6


def test_the_order_of_rows_and_files_decides_the_order_of_methods_alone(sweep, outputs):
    match(sweep, outputs)
    expected = outputs["csv"].read_text()
    files = [sweep[k] for k in np.random.default_rng(0).permutation(len(sweep))]
    match(sweep, outputs, **{name: [row[name] for row in files] for name in ("metrics", "replicates")})
    assert outputs["csv"].read_text() == expected
    match(sorted(sweep, key=lambda row: (row["methods"], -SCALES.index(int(row["runs"][-1])))), outputs)
    assert outputs["csv"].read_text() == expected


def test_a_method_of_which_a_scale_is_not_measured_says_so_and_the_others_are_there(sweep, outputs):
    there = [row for row in sweep if row["runs"] != "A at 2"]
    files = {name: [row[name] for row in there] for name in ("metrics", "replicates")}
    frame = match(sweep, outputs, **files)
    assert frame["fault"].tolist() == ["missing: 1 of 4 runs", "", "not reached: at most 0.66"]
    assert "Missing: 1 of 12 runs." in outputs["md"].read_text()
    frame = match(sweep, outputs, metrics=[], replicates=[])
    assert frame["fault"].tolist() == ["missing: 4 of 4 runs"] * 3


def test_without_replicates_numbers_have_no_errors(sweep, outputs):
    for row in sweep:
        row["replicates"].write_text("accuracy,pixels/fid\n")
    match(sweep, outputs)
    text = outputs["md"].read_text()
    assert ("80.000" in text, "± " in text.partition("A caption")[0]) == (True, False)


@pytest.mark.parametrize(
    ("halves", "num_images", "words"),
    [(3, 10, "3 halves of 10 images, where the first run has 4 halves of 10 images"), (4, 12, "4 halves of 12 images")],
)
def test_runs_that_were_not_measured_alike_are_refused_by_name(sweep, outputs, halves, num_images, words, tmp_path):
    write_run(tmp_path / "B at 2", "B at 2", 2, 0.5, halves, num_images=num_images)
    with pytest.raises(ArtifactError, match=rf"B at 2/replicates\.csv: has {words}[^\n]*; measure all runs alike$"):
        match(sweep, outputs)
    assert not any(path.exists() for path in outputs.values())


def test_a_method_has_the_mean_over_its_trainings_which_are_those_of_every_method_or_one(sweep, outputs, tmp_path):
    for row, scale in zip(sweep[:8], SCALES * 2, strict=True):  # of A and B, and of C there is one
        run = f"{row['runs']} again"
        metrics, replicates = write_run(tmp_path / run, run, scale, 0.65 + RISE[row["methods"]] * SCALES.index(scale))
        sweep.append(row | {"runs": run, "trainings": 7, "metrics": metrics, "replicates": replicates})
    frame = match(sweep, outputs)
    assert frame["training_seeds"].tolist() == [2, 2, 1]
    assert [float(scale) for scale in frame["scale"][:2]] == pytest.approx([2**1.75, 2 ** (7 / 6)])
    with pytest.raises(ArtifactError, match="--trainings: methods have different ones; "):
        match(sweep, outputs, trainings=[*[0] * 12, *[7] * 4, *[8] * 4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": ["accuracy"]}, "--levels: 'accuracy' is no METRIC=LEVEL; write, for example, accuracy=0.95"),
        ({"levels": ["accuracy=high"]}, "--levels: 'accuracy=high' is no METRIC=LEVEL; write, "),
        ({"levels": ["recall=0.5"]}, "--levels: metric 'recall' is not measured; known: accuracy, pixels/fid"),
        ({"methods": ["A"]}, "--methods: 1 given for 12 runs; name one for each"),
        ({"replicates": []}, "--replicates: 0 given for 12 files of --metrics; name one for each"),
        ({"baselines": ["A", "B", "A"]}, "--baselines: 3 names; give two for each difference"),
        ({"baselines": ["A", "D"]}, "--baselines: 'D' is none of --methods; known: A, B, C"),
        ({"methods": ["A"] * 12}, "A: two of its runs have one scale; name each once"),
        ({"trainings": [*range(4), *[0] * 8]}, "A: its trainings have different scales; give each the same grid"),
    ],
)
def test_options_that_do_not_go_together_are_one_line(sweep, outputs, changes, message):
    with pytest.raises((ArtifactError, ConfigError)) as caught:
        match(sweep, outputs, **changes)
    assert str(caught.value).startswith(message)


def test_an_unfinished_experiment_has_the_table_apart_until_all_of_the_sweep_is_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    project, made = tiny_project(), tmp_path / "results/digits/tables"
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny_values()))
    for run, row in project.sweep_runs.items():
        frozen = project.sample(run).model_dump(mode="json", include={"name", "scale", "seed"})
        write_run(tmp_path / f"results/digits/runs/{run}", row.run, row.scale, 0.9, run=frozen, num_images=8)
    without = tmp_path / "results/digits/runs/uadm25-g-at-4/replicates.csv"
    without.rename(tmp_path / "aside")
    tables("config.yaml")
    frame = pd.read_csv(made / "unfinished/matched.csv", keep_default_na=False)
    assert frame["run"].drop_duplicates().tolist() == list(dict.fromkeys(matched_methods(project)["methods"]))
    assert (frame["fault"] == "missing: 1 of 2 runs").tolist() == [run == "UADM(25)-G" for run in frame["run"]]
    (tmp_path / "aside").rename(without)
    tables("config.yaml")
    assert (made / "matched.csv").exists()
    assert not (made / "unfinished/matched.csv").exists()
