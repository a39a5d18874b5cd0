"""The study of guidance rules: differences at matched strength, corrected for their number, and figures.

A frame of matched methods is that of evaluation/matched.py.
"""

import math
import re
from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from eddpm.errors import ArtifactError
from eddpm.reporting.plots import _STYLES, _label, _subplots
from eddpm.reporting.tables import number, title

FID = "pixels/fid"
_INTERVAL = re.compile(r"(.*) t (\d+)-(\d+)")  # rows that guide at timesteps from .. to
SIGNIFICANT = 0.05


def differences(matched: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """A row for each difference of a measure: run, level, difference_to, measure, difference, se, p and p_holm.

    p is that of a normal distribution, two-sided. p_holm is corrected by Holm's method over all differences of the
    frame, or, where baselines differ within a denoiser, over those to its first, and over the others.
    """
    if missing := {f"{measure}_difference" for measure in measures} - set(matched):
        raise ArtifactError(f"matched: has no column {min(missing)}; measure it, or leave it out")
    compared = matched[matched["difference_to"].fillna("") != ""]
    parts = [
        pd.DataFrame(
            {
                **compared[["run", "denoiser", "level", "difference_to"]],
                "measure": measure,
                "difference": compared[f"{measure}_difference"],
                "se": compared[f"{measure}_difference_se"],
            }
        )
        for measure in measures
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["p"] = [math.erfc(abs(z) / math.sqrt(2)) for z in frame["difference"] / frame["se"]]
    first = matched.groupby("denoiser", sort=False)["run"].first()
    frame["to_first"] = frame["difference_to"] == frame["denoiser"].map(first)
    frame["p_holm"] = frame.groupby("to_first")["p"].transform(holm)
    return frame.drop(columns="denoiser")


def holm(p: pd.Series) -> pd.Series:
    """p-values that are corrected for their number by Holm's step-down method: the largest p_(k) (n - k) so far."""
    ordered = p.sort_values()
    steps = ordered * np.arange(len(ordered), 0, -1)
    return steps.cummax().clip(upper=1).reindex(p.index)


def difference_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """Cells of differences, a row for each method and level, with a star where p_holm is below 0.05."""
    marks = np.where(frame["p_holm"] < SIGNIFICANT, "*", "")
    numbers = [number(*pair).replace(" ± ", "±") for pair in zip(frame["difference"], frame["se"], strict=True)]
    text = frame.assign(cell=[f"{cell}{suffix}" for cell, suffix in zip(numbers, marks, strict=True)])
    text["at"] = [f"accuracy = {level:g}" for level in text["level"]]
    order = text[["run", "at", "difference_to"]].drop_duplicates()
    wide = text.pivot(index=["run", "at", "difference_to"], columns="measure", values="cell")
    wide = wide[frame["measure"].drop_duplicates()].reindex(pd.MultiIndex.from_frame(order)).reset_index()
    return wide.rename(columns={"difference_to": "minus"}).rename_axis(columns=None)


def plot_intervals(matched: pd.DataFrame) -> Figure:
    """Pixel FID at the lowest level, of guidance from one timestep down to another: a panel per kind of guidance.

    Grey where the sweep does not reach the level.
    """
    rows = matched[matched["level"] == matched["level"].min()].drop_duplicates("run")
    found = rows["run"].str.extract(_INTERVAL).set_axis(["method", "low", "high"], axis=1)
    cells = rows[[FID, f"{FID}_se"]].join(found).dropna(subset=["method"]).astype({"low": int, "high": int})
    methods = list(cells["method"].drop_duplicates())
    figure, axes = _subplots(1, len(methods), (5.2 * len(methods), 4))
    lows, highs = sorted(cells["low"].unique()), sorted(cells["high"].unique())
    whole = rows.set_index("run")
    for axis, method in zip(axes[0], methods, strict=True):
        of_method = cells[cells["method"] == method].set_index(["low", "high"])
        if method in whole.index:  # guidance at all timesteps
            of_method.loc[(lows[0], highs[-1]), [FID, f"{FID}_se"]] = list(whole.loc[method, [FID, f"{FID}_se"]])
        values = of_method[FID].unstack().reindex(index=lows, columns=highs).to_numpy(float)
        axis.set_facecolor("0.85")
        image = axis.imshow(values, cmap="viridis_r", origin="lower", vmin=cells[FID].min(), vmax=cells[FID].max())
        for (low, high), cell in of_method.iterrows():
            place = highs.index(high), lows.index(low)
            text = "not reached" if math.isnan(cell[FID]) else number(cell[FID], cell[f"{FID}_se"]).replace(" ", "\n")
            axis.annotate(
                text, place, ha="center", va="center", fontsize=7, bbox={"fc": "white", "lw": 0, "alpha": 0.7}
            )
        axis.set_xticks(range(len(highs)), highs)
        axis.set_yticks(range(len(lows)), lows)
        axis.set(xlabel="guidance begins at t", ylabel="guidance ends at t", title=_label(method))
    figure.colorbar(image, ax=axes[0].tolist(), label=f"{title(FID)} at an accuracy of {rows['level'].min():g}")
    return figure


def plot_gains(by_confidence: pd.DataFrame, by_classes: pd.DataFrame) -> Figure:
    """The gain of EDS over a constant scale in pixel FID, by the classifier's confidence and by the number of classes.

    Frames have the columns name, x, gain and se; below 0 EDS is better. Bars are two standard errors.
    """
    figure, axes = _subplots(1, 2, (10, 3.6))
    labels = "mean confidence of the classifier", "number of classes"
    for axis, frame, label in zip(axes[0], (by_confidence, by_classes), labels, strict=True):
        axis.axhline(0, color="0.6", linewidth=0.8)
        axis.errorbar(frame["x"], frame["gain"], yerr=2 * frame["se"], fmt="o", color="#0072B2", elinewidth=0.8)
        for _, row in frame.iterrows():
            axis.annotate(row["name"], (row["x"], row["gain"]), (4, 4), textcoords="offset points", fontsize=7)
        axis.set(xlabel=label, title=f"{title(FID)}: EDS minus constant, at equal accuracy")
        axis.title.set_fontsize(9)
    return figure


def plot_bands(sweep: pd.DataFrame, measures: Sequence[str], denoisers: dict[str, str]) -> Figure:
    """Measures against accuracy along the scales, with bands of one standard error: a row of panels per denoiser."""
    rows = list(dict.fromkeys(denoisers.values()))
    figure, axes = _subplots(len(rows), len(measures), (4.6 * len(measures), 3.6 * len(rows)))
    for line, denoiser in zip(axes, rows, strict=True):
        members = sweep[sweep["method"].map(denoisers) == denoiser]
        for axis, measure in zip(line, measures, strict=True):
            for style, (method, points) in zip(cycle(_STYLES), members.groupby("method", sort=False), strict=False):
                points = points.sort_values("scale")
                x, y, error = points["accuracy"], points[measure], points[f"{measure}_se"]
                axis.plot(x, y, label=_label(str(method)), markersize=3, **style)
                axis.fill_between(x, y - error, y + error, color=style["color"], alpha=0.12, linewidth=0)
            axis.set(xlabel=title("accuracy"), title=title(measure))
            if (members[measure] > members[f"{measure}_se"]).all():  # not where a band reaches 0
                axis.set_yscale("log")
        line[-1].legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
