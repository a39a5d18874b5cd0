"""The report of a study, from small tables of its parts."""

import json
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from eddpm.errors import ArtifactError
from eddpm.reporting.study import BEYOND, difference_cells, differences, holm
from eddpm.reporting.study_plots import plot_intervals
from eddpm.stages.study import report_study

MEASURES = ["pixels/fid", "features/fid", "features/coverage"]
U, C = "UADM(25)-G", "CADM(25)-G"


def matched(rows: list[tuple], level: float = 0.9) -> pd.DataFrame:
    """Rows (run, difference_to, scale, value, difference, se), the same for every measure."""
    lines = []
    for run, other, scale, value, difference, error in rows:
        line = {"run": run, "denoiser": run.split("ADM")[0].lower() + "adm", "metric": "accuracy", "level": level}
        line |= {"fault": "", "scale": scale, "difference_to": other, "halves": 150, "halves_beyond": 0}
        for measure in MEASURES:
            line |= {measure: value, f"{measure}_se": 0.1}
            line |= {f"{measure}_difference": difference, f"{measure}_difference_se": error}
        lines.append(line)
    return pd.DataFrame(lines)


NAN = math.nan
RULES = matched(
    [
        (U, "", 4.0, 0.7, NAN, NAN),
        (f"{U}+EDS", U, 2.0, 0.6, -0.196, 0.1),
        (f"{U}+margin", U, 3.0, 0.9, 0.5, 0.1),
        (f"{U}+margin", f"{U}+EDS", 3.0, 0.9, 0.3, 0.1),
        (C, "", 0.2, 0.5, NAN, NAN),
        (f"{C}+EDS", C, 0.1, 0.5, 0.0, 0.1),
    ]
)


def test_holms_correction_is_that_of_its_definition():
    p = pd.Series([0.01, 0.04, 0.03, 0.005], index=list("abcd"))
    np.testing.assert_allclose(holm(p)[list("abcd")], [0.03, 0.06, 0.06, 0.02])
    assert holm(pd.Series([0.9, 0.8])).tolist() == [1, 1]


def test_differences_to_the_first_method_are_corrected_for_each_other_alone():
    frame = differences(RULES, MEASURES)
    to_first = frame[frame["to_first"]]
    assert (len(to_first), len(frame)) == (9, 12)
    eds = frame[frame["run"] == f"{U}+EDS"]
    np.testing.assert_allclose(eds["p"], 0.04999, atol=1e-4)  # 1.96 errors
    np.testing.assert_allclose(eds["p_holm"], 6 * eds["p"])  # behind three of margin
    assert (frame[~frame["to_first"]]["p_holm"] == 3 * frame[~frame["to_first"]]["p"]).all()


def test_a_cell_has_a_difference_with_its_error_and_a_star_where_it_stays_after_the_correction():
    cells = difference_cells(differences(RULES, MEASURES))
    assert list(cells) == ["run", "at", "minus", BEYOND, *MEASURES]
    assert cells.values.tolist()[:3] == [
        [f"{U}+EDS", "accuracy = 0.9", U, "", *3 * ["-0.20±0.10"]],
        [f"{U}+margin", "accuracy = 0.9", U, "", *3 * ["0.50±0.10*"]],
        [f"{U}+margin", "accuracy = 0.9", f"{U}+EDS", "", *3 * ["0.30±0.10*"]],
    ]


@pytest.mark.parametrize(("of_constant", "of_eds", "share"), [(72, 3, "48%"), (3, 72, "48%"), (3, 0, "2%"), (0, 0, "")])
def test_a_sweep_that_misses_the_level_on_some_halves_is_told_beside_its_differences(of_constant, of_eds, share):
    halves = RULES["run"].map({U: of_constant, f"{U}+EDS": of_eds}).fillna(0)
    cells = difference_cells(differences(RULES.assign(halves_beyond=halves), MEASURES))
    assert cells.set_index("run")[BEYOND].iloc[0] == share
    without_errors = differences(RULES.assign(halves=0, halves_beyond=0), MEASURES)
    assert (without_errors["beyond"] == 0).all()


def test_a_measure_that_the_table_has_not_is_named():
    with pytest.raises(ArtifactError, match=r"matched: has no column pixels/recall_difference; measure it, or"):
        differences(RULES, ["pixels/fid", "pixels/recall"])


MECHANISM = matched(
    [
        (U, "", 4.0, 0.7, NAN, NAN),
        (f"{U}+EDS", U, 2.0, 0.6, -0.1, 0.1),
        (f"{U} t 0-239", U, 9.0, 0.9, 0.2, 0.1),
        (f"{U}+EDS t 0-239", U, 9.0, NAN, NAN, NAN),
        (f"{U}+EDS t 240-999", f"{U} t 240-999", 4.0, 0.6, -0.3, 0.1),
        (f"{U} by ce-2", "", 4.0, 0.7, NAN, NAN),
        (f"{U}+EDS by ce-2", f"{U} by ce-2", 2.0, 0.6, -0.3, 0.1),
    ]
)


def report(tmp_path, rules: pd.DataFrame = RULES, mechanism: pd.DataFrame = MECHANISM) -> None:
    """Write the report of these tables to the folder."""
    sweep = pd.DataFrame(
        {"method": method, "scale": scale, "accuracy": 0.8, "accuracy_se": 0.1}
        | {name: 1.0 for measure in MEASURES for name in (measure, f"{measure}_se")}
        for method in RULES["run"].unique()
        for scale in (1.0, 2.0)
    )
    tables = {"rules": rules, "sweep": sweep, "mechanism": mechanism, "two": RULES}
    for name, frame in tables.items():
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    levels = []
    for name, confidence in (("ce", 0.5), ("ce-2", 0.7)):
        (tmp_path / name).mkdir(exist_ok=True)
        levels.append(tmp_path / name / "noise_levels.jsonl")
        lines = [{"t_from": t, "t_to": t + 500, "confidence": confidence + t / 5000} for t in (0, 500)]
        levels[-1].write_text("".join(json.dumps(line) + "\n" for line in lines))
    names = ("entropy", "gradient_norm", "log10_scale", "guidance_norm")
    trace = pd.DataFrame({"t": [900, 0]} | {key: [1.0, 0.5] for name in names for key in (name, f"{name}_std")})
    trace.to_csv(tmp_path / "trace.csv", index=False)
    report_study(
        *(tmp_path / f"{name}.csv" for name in ("rules", "sweep")),
        MEASURES,
        tmp_path / "mechanism.csv",
        levels,
        [tmp_path / "two.csv"],
        [2],
        2 * [tmp_path / "trace.csv"],
        2 * [U],
        [2.0, 8.0],
        tmp_path,
    )


def test_the_report_has_gains_by_classifier_and_by_classes_and_every_figure(tmp_path):
    report(tmp_path)
    gains = pd.read_csv(tmp_path / "gains.csv").values.tolist()
    assert gains[:2] == [["classifier", "ce", 0.55, -0.1, 0.1], ["classifier", "ce-2", 0.75, -0.3, 0.1]]
    assert gains[2:] == [["number of classes", "2", 2.0, -0.196, 0.1]]
    assert {path.stem for path in tmp_path.glob("*.png")} == {"fronts", "intervals", "gains", "trace"}
    assert "for all 9 differences of this table" in (tmp_path / "differences.md").read_text()


def test_a_heat_map_has_the_intervals_alone_and_its_title_guidance_at_all_timesteps():
    rows = MECHANISM.assign(fault=MECHANISM["run"].map({f"{U}+EDS t 0-239": "above it from the lowest scale: 0.97"}))
    constant, eds, _ = plot_intervals(rows).axes
    assert constant.get_title() == f"{U}, at all t 0.70 ± 0.10"
    assert [text.get_text() for text in constant.texts] == ["0.90\n±\n0.10"]
    assert [text.get_text() for text in eds.texts] == ["above it", "0.60\n±\n0.10"]


def test_a_row_by_an_unknown_classifier_and_rules_that_reach_no_level_are_named(tmp_path):
    renamed = MECHANISM.assign(run=MECHANISM["run"].str.replace("ce-2", "ce-3"))
    renamed["difference_to"] = renamed["difference_to"].str.replace("ce-2", "ce-3")
    with pytest.raises(ArtifactError, match=r"mechanism.csv: --noise-levels has no classifier 'ce-3'; name rows 'ROW"):
        report(tmp_path, mechanism=renamed)
    with pytest.raises(
        ArtifactError, match=r"rules.csv: no rule of --traces reaches the lowest level; give a lower one"
    ):
        report(tmp_path, rules=RULES.assign(scale=NAN))


def test_the_verb_is_there_without_matplotlib_which_a_backend_left_by_a_notebook_would_stop():
    found = "import eddpm.stages.study, sys; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True).stdout == "False\n"
