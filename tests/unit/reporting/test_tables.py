"""Tables of runs say what was measured, where, and with every digit; and each format holds the same cells."""

import csv
import io
import math
import re

import pandas as pd
import pytest

from eddpm.config import metrics
from eddpm.errors import ArtifactError
from eddpm.reporting.tables import (
    mean_row,
    metric_columns,
    metrics_cells,
    metrics_frame,
    number,
    scores,
    title,
    to_html,
    to_latex,
    to_markdown,
)

METRICS = {"accuracy": 0.9375, "clean/fid": 12.3456, "pixels/fid": 1 / 3, "pixels/recall": 0.0625}


def contents(name: str, scale: float, metrics: dict | None = None, **errors: float) -> dict:
    """The parts of a metrics.json that a table shows."""
    run = {"name": name, "scale": scale, "seed": 3}
    return {"run": run, "num_images": 1000, "metrics": metrics or METRICS, "standard_errors": errors}


ROWS = [
    contents("UADM(25)", 0.0),
    contents("UADM(25)-G+EDS at 0.5", 0.5, {**METRICS, "pixels/fid": 2.0}),
    contents("CADM(25)-G+EDS+ECT at best", 16.0, {**METRICS, "pixels/fid": 3.0}),
]


def frame_of(*rows: dict) -> pd.DataFrame:
    """The frame of runs that are all measured."""
    names = [row["run"]["name"] for row in rows]
    methods = [name.partition(" at ")[0] for name in names]
    return metrics_frame(names, dict(zip(names, rows, strict=True)), methods)


def tables(text: str) -> list[list[list[str]]]:
    """The cells of each pipe table, header first, without the rule below the header."""
    found = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)]
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in (b[0], *b[2:])] for b in found]


# Rows -------------------------------------------------------------------------------------------------------------


def test_a_row_of_one_run_is_that_run():
    row = contents("A", 1.0, accuracy=0.1)
    assert mean_row([row]) == row


def test_a_row_is_the_mean_of_its_runs_and_its_error_covers_images_and_trainings():
    runs = [
        contents("A", 1.0, {"accuracy": value, "pixels/fid": 2.0}, accuracy=error, **{"pixels/fid": 0.3})
        for value, error in ((0.5, 0.01), (0.6, 0.02), (0.7, 0.02))
    ]
    row = mean_row(runs)
    assert row["metrics"] == pytest.approx({"accuracy": 0.6, "pixels/fid": 2.0})
    images, trainings = (0.01**2 + 2 * 0.02**2) / 3, 0.1**2 / 3  # 0.1: the standard deviation of the three values
    assert row["standard_errors"] == pytest.approx({"accuracy": math.sqrt(images + trainings), "pixels/fid": 0.3})
    assert (row["training_seeds"], row["num_images"], row["run"]) == (3, 1000, runs[0]["run"])


def test_where_images_have_no_errors_those_of_trainings_are_given():
    runs = [contents("A", 1.0, {"accuracy": value}) for value in (0.5, 0.7)]
    assert mean_row(runs)["standard_errors"] == pytest.approx({"accuracy": 0.1})


def test_a_frame_counts_training_seeds_where_a_row_has_several():
    several = mean_row([contents("A", 1.0), contents("A", 1.0)])
    frame = frame_of(several, contents("B", 1.0))
    assert list(frame)[4:6] == ["num_images", "training_seeds"]
    assert frame["training_seeds"].tolist() == [2, 1]
    assert metric_columns(frame) == list(METRICS)


# Frames -----------------------------------------------------------------------------------------------------------


def test_a_frame_has_a_row_per_run_in_the_order_given_and_its_csv_every_digit():
    frame = frame_of(*ROWS)
    assert list(frame.columns) == ["run", "method", "scale", "seed", "num_images", *METRICS]
    assert metric_columns(frame) == list(METRICS)
    rows = list(csv.DictReader(io.StringIO(frame.to_csv(index=False))))
    assert [row["run"] for row in rows] == [row["run"]["name"] for row in ROWS]
    assert [row["method"] for row in rows] == ["UADM(25)", "UADM(25)-G+EDS", "CADM(25)-G+EDS+ECT"]
    assert [float(row["scale"]) for row in rows] == [0.0, 0.5, 16.0]
    assert [(row["seed"], row["num_images"]) for row in rows] == [("3", "1000")] * 3
    assert [float(row["pixels/fid"]) for row in rows] == [1 / 3, 2.0, 3.0]


def test_a_metric_that_a_run_lacks_is_empty_for_that_run_alone_and_a_table_of_no_runs_is_refused():
    frame = frame_of(contents("A", 1.0), contents("B", 1.0, {"accuracy": 0.5}))
    assert metrics_cells(frame)["accuracy"].tolist() == ["0.938", "0.500"]
    assert metrics_cells(frame)["pixels/fid"].tolist() == ["0.333", "—"]
    with pytest.raises(ArtifactError, match="table: no runs given; name at least one"):
        metrics_frame([], {})


@pytest.mark.parametrize("absent", [[0], [0, 1, 2]])
def test_a_missing_run_keeps_its_place_and_scale_and_says_so_in_its_first_metric(absent):
    names = ["UADM(25)", "UADM(25)-G at 4", "UADM(25)-G at best"]
    measured = {name: contents(name, 2.0) for k, name in enumerate(names) if k not in absent}
    frame = metrics_frame(names, measured, ["UADM(25)", "UADM(25)-G", "UADM(25)-G"])
    assert frame["run"].tolist() == names
    assert frame["num_images"].isna().tolist() == [k in absent for k in range(3)]
    rows = metrics_cells(frame, ["0", "4", "best"]).to_numpy().tolist()
    assert [row[:3] for row in rows] == [
        [method, scale, "missing"] if k in absent else [method, "2", "0.938"]
        for k, (method, scale) in enumerate([("UADM(25)", "0"), ("UADM(25)-G", "4"), ("UADM(25)-G", "best")])
    ]
    assert all(set(rows[k][3:]) <= {"—"} for k in absent)


# Titles and numbers -----------------------------------------------------------------------------------------------


def test_a_metric_is_headed_with_its_space_and_its_better_direction():
    assert title("pixels/fid") == "FID ↓ (pixels)"
    assert title("pixels/unknown") == "unknown (pixels)"
    falling = {"fid", "sfid", "kid", "nearer", "fid_infinity", "mmd"}
    assert {name for name in metrics.METRICS if title(name).endswith("↓")} == falling
    assert {title(name)[-1] for name in metrics.METRICS} == {"↓", "↑"}


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (1.6039, 0.0123, "1.604 ± 0.012"),
        (215.8, 25.0, "216 ± 25"),
        (0.00123, 0.00045, "0.00123 ± 0.00045"),
        (0.5, 0.0, "0.500"),
        (1038.447, 2.3e-13, "1038.447"),
        (0.0625, math.nan, "0.062"),
        (math.nan, math.nan, "—"),
    ],
)
def test_a_number_is_printed_to_the_second_digit_of_its_error(value, error, expected):
    assert number(value, error) == expected


def test_scores_are_a_row_per_metric():
    text = scores({"inception/fid": 3.9426, "inception/precision": 0.8265}, {"inception/fid": 0.031})
    assert tables(f"{text}\n")[0][1:] == [["FID ↓ (inception)", "3.943 ± 0.031"], ["precision ↑ (inception)", "0.827"]]


# Formats ----------------------------------------------------------------------------------------------------------


def test_a_wide_table_is_split_by_space_within_120_columns_and_loses_no_cell():
    clean_names = ["fid", "sfid", "kid", "inception_score", "precision", "recall"]
    pixel_names = ["fid", "kid", "recall"]
    metrics = [*(f"classifier:clean/{name}" for name in clean_names), *(f"pixels/{name}" for name in pixel_names)]
    values = dict.fromkeys(["accuracy", *metrics], 0.5) | {"classifier:clean/recall": 0.25, "pixels/recall": 0.75}
    frame = frame_of(contents("CADM(25)-G+EDS+ECT", 1.0, values, **dict.fromkeys(values, 0.012)))
    text = to_markdown(metrics_cells(frame), "", {})
    assert max(map(len, text.splitlines())) <= 120
    pixels, clean = tables(text)
    assert pixels[0] == ["run", "scale", "accuracy ↑", *map(title, pixel_names)]
    assert clean[0] == ["run", "scale", *map(title, clean_names)]
    assert pixels[1] == ["CADM(25)-G+EDS+ECT", "1", *["0.500±0.012"] * 3, "0.750±0.012"]
    assert clean[1] == ["CADM(25)-G+EDS+ECT", "1", *["0.500±0.012"] * 5, "0.250±0.012"]
    assert re.findall("Feature space (.*):", text) == ["pixels", "classifier:clean"]


def latex_cells(frame: pd.DataFrame) -> list[list[str]]:
    text = to_latex(metrics_cells(frame), "", {})
    body = re.search(r"\\toprule\n(.*)\\bottomrule", text, flags=re.DOTALL)[1].replace("\\midrule\n", "")
    return [[cell.strip() for cell in line.removesuffix(r"\\").split(" & ")] for line in body.splitlines()]


def test_every_format_holds_the_same_cells():
    frame = frame_of(*ROWS[:2], contents("B", 1.0, **{"pixels/fid": 0.021}))
    text = to_markdown(metrics_cells(frame), "All runs: 100% of them.", {})
    assert text.endswith("\n\nAll runs: 100% of them.\n")
    (expected,) = tables(text)
    assert expected[0] == ["run", "scale", *map(title, METRICS)]
    assert [row[:2] for row in expected[1:]] == [["UADM(25)", "0"], ["UADM(25)-G+EDS", "0.5"], ["B", "1"]]
    symbols = str.maketrans({"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$"})
    assert latex_cells(frame) == [[cell.translate(symbols) for cell in row] for row in expected]
    page = to_html(metrics_cells(frame), "", {})
    assert re.findall(r"<t[hd]>(.*?)</t[hd]>", page) == [cell for row in expected for cell in row]
    assert "http" not in page  # it needs nothing else
    assert "onclick" in page  # and sorts, unless rows belong together
    grouped = pd.DataFrame({"run": ["A", ""], "numbers": ["ours", "theirs"], "scale": ["1", "1"]})
    assert "onclick" not in to_html(grouped, "", {})


def test_characters_that_a_format_would_misread_are_escaped():
    frame = frame_of(contents("A_1 & <50%> #2", 1.0, {"classifier:clean_x/fid": 1.0}))
    text = to_latex(metrics_cells(frame), r"90% of a_b & #1 {$\^~}", {})
    assert text.isascii()
    assert r"A\_1 \& <50\%> \#2 &" in text
    assert r"FID $\downarrow$ (classifier:clean\_x)" in text
    assert r"\caption{90\% of a\_b \& \#1 \{\$\textbackslash{}\textasciicircum{}\textasciitilde{}\}}" in text
    page = to_html(metrics_cells(frame), "a < b", {"*": "c > d"})
    for shown in ("<td>A_1 &amp; &lt;50%&gt; #2</td>", "<p>a &lt; b</p>", "<p>* c &gt; d</p>"):
        assert shown in page


def test_marks_of_markdown_and_of_a_row_of_latex_are_shown_as_they_are():
    names = ["|a|", "*a*", "_a_b_", "<i>", "[a](b)", "`a`", "$a$", "~~a~~", "&lt;", r"a\b", "#a", "UADM(25)-G+EDS"]
    frame = frame_of(*(contents(name, 1.0, {"pixels/fid": -1.0}) for name in names))
    text = to_markdown(metrics_cells(frame), "# [a] x_{t-1}", {"*": "|a|"})
    shown = [r"\|a\|", r"\*a\*", r"\_a_b_", r"\<i>", r"\[a](b)", r"\`a\`", r"\$a\$", r"\~\~a\~\~", r"\&lt;", r"a\\b"]
    lines = text.splitlines()
    assert [line[2:].rpartition("| 1 ")[0].strip() for line in lines[2:14]] == [*shown, r"\#a", "UADM(25)-G+EDS"]
    assert lines[-3:] == [r"\* \|a\|", "", r"\# \[a] x_{t-1}"]
    assert [row[0] for row in latex_cells(frame)[2:6]] == ["{}*a*", r"\_a\_b\_", "<i>", "{}[a](b)"]


def test_a_negative_number_has_a_minus_sign_in_latex_and_a_name_its_hyphen():
    frame = frame_of(contents("UADM-G", 1.0, {"pixels/kid": -0.25}), contents("-1", 1.0, {"pixels/kid": -0.25}))
    assert [[row[0], row[2]] for row in latex_cells(frame)[1:]] == [["UADM-G", "$-$0.250"], ["-1", "$-$0.250"]]
