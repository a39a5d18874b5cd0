"""Tables of runs say what was measured, where, and with every digit; and read back as they were written."""

import csv
import io
import math
import re

import pandas as pd
import pytest

from eddpm.config import metrics
from eddpm.errors import ArtifactError
from eddpm.reporting.tables import metric_columns, metrics_frame, number, scores, title, to_latex, to_markdown

METRICS = {
    "accuracy": 0.9375,
    "classifier:clean/fid": 12.3456,
    "classifier:clean/inception_score": 8.5,
    "pixels/fid": 1 / 3,
    "pixels/recall": 0.0625,
}


def contents(name: str, scale: float, metrics: dict | None = None) -> dict:
    """What a metrics.json holds."""
    run = {"name": name, "sampler": "ddim", "steps": "ddim25", "guidance": "entropy", "scale": scale, "seed": 3}
    metrics = METRICS if metrics is None else metrics
    return {"run": run, "num_images": 1000, "metrics": metrics, "standard_errors": {}, "provenance": {"commit": "abc"}}


ROWS = [
    contents("UADM(25)", 0.0),
    contents("UADM(25)-G+EDS at 0.5", 0.5, {**METRICS, "pixels/fid": 2.0}),
    contents("CADM(25)-G+EDS+ECT at best", 16.0, {**METRICS, "pixels/fid": 3.0}),
]


def frame_of(*rows: dict) -> pd.DataFrame:
    """The frame of runs that are all measured."""
    names = [row["run"]["name"] for row in rows]
    return metrics_frame(names, dict(zip(names, rows, strict=True)))


@pytest.fixture
def frame() -> pd.DataFrame:
    return frame_of(*ROWS)


def cells(markdown: str) -> list[list[str]]:
    """The cells of a pipe table, header first, without the rule below the header."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert set(lines[1]) <= set("|:- ")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


# Frames -----------------------------------------------------------------------------------------------------------


def test_a_frame_has_a_row_per_run_in_the_order_given_with_its_metrics_by_name(frame):
    assert list(frame.columns) == ["run", "method", "scale", "seed", "num_images", *METRICS]
    assert frame["run"].tolist() == [row["run"]["name"] for row in ROWS]
    assert frame["scale"].tolist() == [0.0, 0.5, 16.0]
    assert set(frame["seed"]) == {3}
    assert set(frame["num_images"]) == {1000}
    assert frame["pixels/fid"].tolist() == [1 / 3, 2.0, 3.0]


def test_a_generated_run_counts_to_the_method_it_varies(frame):
    assert frame["method"].tolist() == ["UADM(25)", "UADM(25)-G+EDS", "CADM(25)-G+EDS+ECT"]


def test_a_csv_of_the_frame_reads_back_every_digit(frame):
    rows = list(csv.DictReader(io.StringIO(frame.to_csv(index=False))))
    assert list(rows[0]) == list(frame.columns)
    assert [row["run"] for row in rows] == frame["run"].tolist()
    for column in ("scale", *METRICS):
        assert [float(row[column]) for row in rows] == frame[column].tolist()


def test_a_metric_that_a_run_lacks_is_empty_for_that_run_alone():
    frame = frame_of(contents("A", 1.0), contents("B", 1.0, {"accuracy": 0.5}))
    assert frame["accuracy"].tolist() == [0.9375, 0.5]
    assert frame["pixels/fid"][0] == 1 / 3
    assert math.isnan(frame["pixels/fid"][1])
    assert cells(to_markdown(frame, ""))[2][2] == "0.500"
    assert cells(to_markdown(frame, ""))[2][-1] == "—"


def test_a_table_of_no_runs_is_refused():
    with pytest.raises(ArtifactError, match="table: no runs given; name at least one"):
        metrics_frame([], {})


# Missing runs -----------------------------------------------------------------------------------------------------

NAMES = ["UADM(25)", "UADM(25)-G at 4", "UADM(25)-G at best"]


@pytest.mark.parametrize("absent", range(3))
def test_a_missing_run_keeps_its_place_with_empty_numbers(absent):
    measured = {name: contents(name, 2.0) for k, name in enumerate(NAMES) if k != absent}
    rows = list(csv.DictReader(io.StringIO(metrics_frame(NAMES, measured).to_csv(index=False))))
    assert [row["run"] for row in rows] == NAMES
    assert [row["method"] for row in rows] == ["UADM(25)", "UADM(25)-G", "UADM(25)-G"]
    for k, row in enumerate(rows):
        assert {row[name] for name in ("scale", "seed", "num_images", *METRICS)} == {""} if k == absent else True
        assert k == absent or (row["seed"], row["num_images"]) == ("3", "1000")


def test_a_missing_run_says_so_in_its_first_metric_and_its_scale_as_its_name_does():
    header, *rows = cells(to_markdown(metrics_frame(NAMES, {NAMES[0]: contents(NAMES[0], 0.0)}), ""))
    nothing = ["missing"] + ["—"] * (len(METRICS) - 1)
    assert rows[1:] == [["UADM(25)-G", "4", *nothing], ["UADM(25)-G", "best", *nothing]]
    assert rows[0][2] == "0.938"
    assert header[2:] == [title(metric) for metric in METRICS]


def test_a_table_whose_runs_are_all_missing_still_has_its_rows():
    frame = metrics_frame(NAMES, {})
    assert cells(to_markdown(frame, ""))[1:] == [
        ["UADM(25)", "—", "missing"],
        ["UADM(25)-G", "4", "missing"],
        ["UADM(25)-G", "best", "missing"],
    ]
    assert [row[0] for row in latex_cells(to_latex(frame, ""))[1:]] == ["UADM(25)", "UADM(25)-G", "UADM(25)-G"]


# Titles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("pixels/fid", "FID ↓ (pixels)"),
        ("classifier:clean/fid", "FID ↓ (classifier:clean)"),
        ("classifier:clean/inception_score", "IS ↑ (classifier:clean)"),
        ("accuracy", "accuracy ↑"),
    ],
)
def test_a_metric_is_headed_with_its_space_and_its_better_direction(metric, expected):
    assert title(metric) == expected


def test_distances_fall_and_all_other_metrics_rise_towards_the_better():
    assert {name for name in metrics.METRICS if title(name).endswith("↓")} == {"fid", "sfid", "kid"}
    assert {title(name)[-1] for name in metrics.METRICS} == {"↓", "↑"}


def test_metric_columns_are_those_of_any_space_and_no_other(frame):
    assert metric_columns(frame) == list(METRICS)


@pytest.mark.parametrize(
    ("metric", "heading"),
    [
        ("pixels/mmd", "mmd (pixels)"),
        ("classifier:clean_2/vendi_score", "vendi_score (classifier:clean_2)"),
        ("top_5", "top_5"),
        ("pixels/rmse", "rmse (pixels)"),  # ends as a standard error does
        ("pixels/half_se", "half_se (pixels)"),
    ],
)
def test_a_metric_without_a_title_is_shown_under_its_own_name(metric, heading):
    rows = [contents("A", 1.0, {**METRICS, metric: 0.25}) | {"standard_errors": {metric: 0.012}}, contents("B", 1.0)]
    frame = frame_of(*rows)
    assert metric_columns(frame) == [*METRICS, metric]
    header, *lines = cells(to_markdown(frame, ""))
    assert header[-1] == heading
    assert [line[-1] for line in lines] == ["0.250 ± 0.012", "—"]
    header, *lines = latex_cells(to_latex(frame, ""))
    assert header[-1] == heading.replace("_", r"\_")
    assert [line[-1] for line in lines] == [r"0.250 $\pm$ 0.012", "---"]
    assert cells(scores({metric: 0.25}, {}))[1] == [heading, "0.250"]
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    assert metric_columns(again) == [*METRICS, metric]


def test_a_metric_without_a_value_is_a_dash():
    frame = frame_of(contents("A", 1.0, {"accuracy": None}), contents("B", 1.0, {"accuracy": math.nan}))
    assert [row[2] for row in cells(to_markdown(frame, ""))[1:]] == ["—", "—"]


def test_no_two_columns_of_a_table_share_a_heading(frame):
    headings = cells(to_markdown(frame, ""))[0]
    assert len(set(headings)) == len(headings) == 2 + len(METRICS)
    assert "FID ↓" not in headings  # never a bare FID


# Markdown ---------------------------------------------------------------------------------------------------------


def test_a_markdown_table_reads_back_with_three_digits_and_its_caption_below(frame):
    text = to_markdown(frame, "All runs: 100% of them.")
    header, *rows = cells(text)
    assert header == ["run", "scale", *(title(metric) for metric in METRICS)]
    assert [row[0] for row in rows] == frame["method"].tolist()
    assert [row[1] for row in rows] == ["0", "0.5", "16"]
    for column, metric in enumerate(METRICS, start=2):
        assert [row[column] for row in rows] == [f"{value:.3f}" for value in frame[metric]]
    assert text.endswith("\n\nAll runs: 100% of them.\n")


def test_numbers_of_a_table_keep_their_trailing_zeros(frame):
    rows = cells(to_markdown(frame, ""))[1:]
    assert [row[-2] for row in rows] == ["0.333", "2.000", "3.000"]


@pytest.mark.parametrize(
    ("value", "error", "expected"),
    [
        (1.6039, 0.0123, "1.604 ± 0.012"),
        (83.41, 3.27, "83.4 ± 3.3"),
        (215.8, 25.0, "216 ± 25"),
        (0.00123, 0.00045, "0.00123 ± 0.00045"),
        (-0.0002, 0.0011, "-0.0002 ± 0.0011"),
        (0.5, 0.0, "0.500"),
        (1038.447, 2.3e-13, "1038.447"),
        (0.0625, math.nan, "0.062"),
        (12.3456, math.nan, "12.346"),
        (math.nan, math.nan, "—"),
    ],
)
def test_a_number_is_printed_to_the_second_digit_of_its_error(value, error, expected):
    assert number(value, error) == expected


def test_standard_errors_stand_beside_their_metric_and_are_no_column_of_their_own():
    rows = [contents("A", 1.0) | {"standard_errors": {"pixels/fid": 0.021}}, contents("B", 1.0)]
    frame = frame_of(*rows)
    assert frame["pixels/fid_se"].tolist()[0] == 0.021
    header, *lines = cells(to_markdown(frame, ""))
    column = header.index("FID ↓ (pixels)")
    assert [line[column] for line in lines] == ["0.333 ± 0.021", "0.333"]
    assert len(header) == 2 + len(METRICS)
    assert r"0.333 $\pm$ 0.021" in to_latex(frame, "")


def test_scores_are_a_row_per_metric():
    text = scores({"inception/fid": 3.9426, "inception/precision": 0.8265}, {"inception/fid": 0.031})
    assert cells(text)[1:] == [["FID ↓ (inception)", "3.943 ± 0.031"], ["precision ↑ (inception)", "0.827"]]


# LaTeX ------------------------------------------------------------------------------------------------------------


def latex_cells(text: str) -> list[list[str]]:
    body = re.search(r"\\toprule\n(.*)\\bottomrule", text, flags=re.DOTALL)[1].replace("\\midrule\n", "")
    return [[cell.strip() for cell in line.removesuffix(r"\\").split(" & ")] for line in body.splitlines()]


def test_a_latex_table_holds_the_same_cells_as_the_markdown_one(frame):
    arrows = str.maketrans({"↑": r"$\uparrow$", "↓": r"$\downarrow$"})
    markdown = [[cell.translate(arrows) for cell in row] for row in cells(to_markdown(frame, ""))]
    assert latex_cells(to_latex(frame, "A caption")) == markdown


def test_a_latex_table_is_plain_ascii_with_its_caption_and_rules(frame):
    text = to_latex(frame, "A caption")
    assert text.isascii()
    assert r"\caption{A caption}" in text
    for rule in ("toprule", "midrule", "bottomrule"):
        assert text.count(rf"\{rule}") == 1
    assert text.count(r"\begin{") == text.count(r"\end{") == 2


def test_what_latex_would_misread_is_escaped_in_cells_headings_and_caption():
    frame = frame_of(contents("A_1 & 50% #2", 1.0, {"classifier:clean_x/fid": 1.0}))
    text = to_latex(frame, r"90% of a_b & #1 {$\^~}")
    assert latex_cells(text.replace(r"\&", "AND"))[1][0] == r"A\_1 AND 50\% \#2"
    assert latex_cells(text.replace(r"\&", "AND"))[0][2] == r"FID $\downarrow$ (classifier:clean\_x)"
    escaped = r"90\% of a\_b \& \#1 \{\$\textbackslash{}\textasciicircum{}\textasciitilde{}\}"
    assert f"\\caption{{{escaped}}}" in text


def test_a_negative_number_has_a_minus_sign_and_a_name_its_hyphen():
    frame = frame_of(contents("UADM-G", 1.0, {"pixels/kid": -0.25}), contents("-1", 1.0, {"pixels/kid": -0.25}))
    assert [row[2] for row in latex_cells(to_latex(frame, ""))[1:]] == ["$-$0.250"] * 2
    assert [row[0] for row in latex_cells(to_latex(frame, ""))[1:]] == ["UADM-G", "-1"]
