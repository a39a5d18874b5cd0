"""The figures of the study of guidance rules, from frames of methods at matched strength (evaluation/matched.py)."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from eddpm.config.study import INTERVAL
from eddpm.reporting.plots import legend_beside, legible, new_figure, styled_lines
from eddpm.reporting.study import FID, at_lowest_level
from eddpm.reporting.tables import number, title


def plot_intervals(matched: pd.DataFrame) -> Figure:
    """Pixel FID at the lowest level, of guidance from one timestep down to another: a panel per kind of guidance.

    Grey where the sweep does not reach the level, or lies above it. A title has the value of guidance at all timesteps.
    """
    rows = at_lowest_level(matched).drop_duplicates("run")
    found = rows["run"].str.extract(INTERVAL).set_axis(["method", "low", "high"], axis=1)
    cells = rows[["fault", FID, f"{FID}_se"]].join(found).dropna(subset=["method"]).astype({"low": int, "high": int})
    methods = list(cells["method"].drop_duplicates())
    figure, axes = new_figure(1, len(methods), (5.2 * len(methods), 4))
    lows, highs = sorted(cells["low"].unique()), sorted(cells["high"].unique())
    whole = rows.set_index("run")
    for axis, method in zip(axes[0], methods, strict=True):
        of_method = cells[cells["method"] == method].set_index(["low", "high"])
        values = of_method[FID].unstack().reindex(index=lows, columns=highs).to_numpy(float)
        axis.set_facecolor("0.85")
        image = axis.imshow(values, cmap="viridis_r", origin="lower", vmin=cells[FID].min(), vmax=cells[FID].max())
        for (low, high), cell in of_method.iterrows():
            place = highs.index(high), lows.index(low)
            above = str(cell["fault"]).startswith("above")
            text = number(cell[FID], cell[f"{FID}_se"]).replace(" ", "\n")
            if math.isnan(cell[FID]):
                text = "above it" if above else "not reached"
            axis.annotate(
                text, place, ha="center", va="center", fontsize=7, bbox={"fc": "white", "lw": 0, "alpha": 0.7}
            )
        axis.set_xticks(range(len(highs)), highs)
        axis.set_yticks(range(len(lows)), lows)
        at_all = f", at all t {number(*whole.loc[method, [FID, f'{FID}_se']])}" if method in whole.index else ""
        axis.set(xlabel="guidance begins at t", ylabel="guidance ends at t", title=f"{legible(method)}{at_all}")
    figure.colorbar(image, ax=axes[0].tolist(), label=f"{title(FID)} at an accuracy of {rows['level'].min():g}")
    return figure


def plot_gains(by_confidence: pd.DataFrame, by_classes: pd.DataFrame) -> Figure:
    """The gain of EDS over a constant scale in pixel FID, by the classifier's confidence and by the number of classes.

    Frames have the columns name, x, gain and se; below 0 EDS is better. Bars are two standard errors.
    """
    figure, axes = new_figure(1, 2, (10, 3.6))
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
    figure, axes = new_figure(len(rows), len(measures), (4.6 * len(measures), 3.6 * len(rows)))
    for line, denoiser in zip(axes, rows, strict=True):
        members = sweep[sweep["method"].map(denoisers) == denoiser]
        for axis, measure in zip(line, measures, strict=True):
            for style, method, points in styled_lines(members):
                x, y, error = points["accuracy"], points[measure], points[f"{measure}_se"]
                axis.plot(x, y, label=legible(method), markersize=3, **style)
                axis.fill_between(x, y - error, y + error, color=style["color"], alpha=0.12, linewidth=0)
            axis.set(xlabel=title("accuracy"), title=title(measure))
            if (members[measure] > members[f"{measure}_se"]).all():  # not where a band reaches 0
                axis.set_yscale("log")
        legend_beside(line[-1])
    return figure
