"""One function per figure, each from plain tables or arrays to a matplotlib figure, readable in grey."""

import math
from collections.abc import Iterator
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from eddpm.errors import ArtifactError
from eddpm.io.names import shortened
from eddpm.reporting.tables import MISSING, metric_columns, title

# Okabe and Ito's colours, told apart by the colour-blind; marker and dash say the same in grey, and a second six are
# hollow.
_STYLES = [
    {"color": color, "marker": marker, "linestyle": dash, "markerfacecolor": face or color}
    for face in (None, "white")
    for color, marker, dash in zip(
        ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"],
        ["o", "s", "^", "D", "v", "P"],
        ["-", "--", "-.", "-", "--", "-."],
        strict=True,
    )
]
_TRACED = {
    "entropy": "entropy / log C",
    "gradient_norm": "|∇ log p(y|x_t)|",
    "log10_scale": "log10 of the scale s",
    "guidance_norm": "|s ∇ log p(y|x_t)|",
}
_MEASURED = {
    "accuracy": "accuracy",
    "confidence": "confidence",
    "entropy": "entropy / log C",
    "ece": "expected calibration error",
    "gradient_norm": "|∇ log p(y|x_t)|",
}


def new_figure(rows: int, columns: int, size: tuple[float, float], **grid: float) -> tuple[Figure, np.ndarray]:
    """A figure of `size` inches and its axes (rows, columns), laid out by matplotlib unless `grid` says how.

    Not pyplot's, whose figures are of the backend that the environment asks for: these are only ever saved.
    """
    figure = Figure(figsize=size, layout=None if grid else "constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, gridspec_kw=grid)


def plot_samples(images: dict[str, np.ndarray]) -> Figure:
    """One row of images per method, image k of every row from the same noise and class: uint8 (N, H, W, C) each.

    A row shows 20 small images, or 8 of more than 32 pixels.
    """
    size = max(pictures.shape[1] for pictures in images.values())
    shown, gap = (20 if size <= 32 else 8), max(1, size // 32)
    labels = 0.08 * max(len(legible(method)) for method in images) + 0.1  # inches, of 9
    height = (9 - labels) / shown + 0.08
    grid = {"left": labels / 9, "right": 1, "bottom": 0, "top": 1, "hspace": 0}
    figure, axes = new_figure(len(images), 1, (9, height * len(images)), **grid)
    for axis, (method, pictures) in zip(axes[:, 0], images.items(), strict=True):
        row = np.pad(pictures[:shown], [(0, 0), (0, gap), (0, gap), (0, 0)], constant_values=255)
        axis.imshow(np.concatenate(list(row), axis=1).squeeze(), cmap="gray", vmin=0, vmax=255)
        axis.set_ylabel(legible(method), rotation=0, ha="right", va="center", fontsize=8)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure


def plot_memorisation(images: dict[str, np.ndarray]) -> Figure:
    """One row of pairs per method, a sample and the training image next to it: uint8 (2 n, H, W, C) each, in turn."""
    wide = {}
    for method, pictures in images.items():
        size, count = pictures.shape[1], len(pictures)
        gap, shown = max(1, size // 32), min(20 if size <= 32 else 8, count - count % 2)
        gaps = [[(0, 0), (0, 0), (0, width), (0, 0)] for width in (gap, 2 * gap)]
        pair = [np.pad(pictures[k:shown:2], gaps[k], constant_values=255) for k in (0, 1)]
        wide[method] = np.concatenate(pair, axis=2)
    return plot_samples(wide)


def plot_trace(traces: dict[str, pd.DataFrame], denoisers: dict[str, str] | None = None) -> Figure:
    """The guidance along the steps, from noise on the left: a row of panels per denoiser.

    `denoisers` names that of each trace; without them, all share a row.
    Lines are means over the images, the bands around them one standard deviation to each side; many lines have none.
    """
    denoisers = denoisers or dict.fromkeys(traces, "")
    rows = list(dict.fromkeys(denoisers[method] for method in traces))
    figure, axes = new_figure(len(rows), len(_TRACED), (12, 2.7 * len(rows)))
    for row, denoiser in zip(axes, rows, strict=True):
        members = {method: frame for method, frame in traces.items() if denoisers[method] == denoiser}
        few = len(members) <= 4
        for axis, (quantity, label) in zip(row, _TRACED.items(), strict=True):
            log = quantity.endswith("norm")
            values = {method: _drawable(frame[quantity], log) for method, frame in members.items()}
            _plot_along_t(axis, {method: (members[method]["t"], values[method]) for method in members}, label, log)
            for style, (method, frame) in zip(cycle(_STYLES), members.items() if few else (), strict=False):
                band = _band(values[method], frame[f"{quantity}_std"], quantity)
                axis.fill_between(frame["t"], *band, color=style["color"], alpha=0.15, linewidth=0)
        if few:
            row[0].legend(fontsize=7, title="band: one standard deviation", title_fontsize=7)
        else:
            legend_beside(row[-1])
    return figure


def legend_beside(axis: Axes) -> None:
    """A legend to the right of the last panel of a row, where lines are many."""
    axis.legend(fontsize=6.5, loc="center left", bbox_to_anchor=(1, 0.5))


def legible(name: str, most: int = 60) -> str:
    """A name as it is, for a figure: with no formula between dollars, and in the middle shortened."""
    return shortened(name, most).replace("$", r"\$")


def _drawable(values: pd.Series, log: bool) -> pd.Series:
    """Values with gaps: the logarithm of a scale of zero cannot be drawn, nor no guidance on a log axis."""
    return values.where(np.isfinite(values) & (values > 0 if log else True))


def _band(mean: pd.Series, deviation: pd.Series, quantity: str) -> tuple[pd.Series, pd.Series]:
    """One standard deviation to each side, within what is possible; on a log axis a decade below the mean at most."""
    lower, upper = mean - deviation, mean + deviation
    if quantity == "entropy":
        return lower.clip(lower=0), upper.clip(upper=1)
    return np.maximum(lower, mean / 10) if quantity.endswith("norm") else lower, upper


def plot_noise_levels(levels: dict[str, pd.DataFrame]) -> Figure:
    """Classifiers at each noise level, drawn at its middle: a panel per quantity, a line per classifier.

    A frame has a row per level with t_from, t_to (not included), accuracy, confidence, entropy, ece and gradient_norm.
    """
    figure, axes = new_figure(1, len(_MEASURED), (14, 2.7))
    for axis, (quantity, label) in zip(axes[0], _MEASURED.items(), strict=True):
        lines = {name: ((rows["t_from"] + rows["t_to"] - 1) / 2, rows[quantity]) for name, rows in levels.items()}
        _plot_along_t(axis, lines, label, log=quantity.endswith("norm"))
    axes[0, 0].legend(fontsize=7)
    return figure


def _plot_along_t(axis: Axes, lines: dict[str, tuple[pd.Series, pd.Series]], label: str, log: bool) -> None:
    """Lines of (t, value) by name, with noise on the left, as a sampler goes."""
    for style, (name, (t, values)) in zip(cycle(_STYLES), lines.items(), strict=False):
        axis.plot(t, values, label=legible(name), markersize=3, markevery=max(1, len(t) // 25), **style)
    axis.set(xlabel="timestep t", title=label)
    axis.invert_xaxis()
    if log and any((values > 0).any() for _, values in lines.values()):  # not where all guidance is nothing
        axis.set_yscale("log")


def plot_fronts(sweep: pd.DataFrame) -> Figure:
    """Pixel FID and recall against accuracy over the grid of scales, a line per method."""
    return _plot_curves(sweep, [("accuracy", f"pixels/{name}") for name in ("fid", "precision", "recall")])


def plot_scales(sweep: pd.DataFrame) -> Figure:
    """Every metric against the guidance scale, a line per method, with its standard error where that is known."""
    metrics = metric_columns(sweep)
    figure = _plot_curves(sweep, [("scale", metric) for metric in metrics])
    scales: list[float] = []
    for scale in sorted(sweep["scale"].dropna().unique()):
        if not scales or scale > 1.2 * scales[-1]:  # there is no room for both
            scales.append(scale)
    for axis, metric in zip(figure.axes, metrics, strict=False):
        axis.set_xscale("log")
        axis.set_xticks(scales, [f"{scale:g}" for scale in scales])
        axis.minorticks_off()
        if f"{metric}_se" in sweep:
            for style, _, line in styled_lines(sweep):
                errors = {"yerr": line[f"{metric}_se"], "ecolor": style["color"], "elinewidth": 0.8}
                axis.errorbar(line["scale"], line[metric], fmt="none", **errors)
    return figure


def plot_precision_recall(sweep: pd.DataFrame) -> Figure:
    """Precision against recall, a panel per feature space, a line per method from its lowest scale to its highest."""
    spaces = [metric.removesuffix("/precision") for metric in metric_columns(sweep) if metric.endswith("/precision")]
    spaces = [space for space in spaces if f"{space}/recall" in sweep]
    pairs = [(f"{space}/recall", f"{space}/precision") for space in spaces]
    figure = _plot_curves(sweep, pairs)
    offset = {"xytext": (3, 3), "textcoords": "offset points"}
    for axis, (x, y) in zip(figure.axes, pairs, strict=False):
        axis.margins(0.08)
        for _, _, line in styled_lines(sweep.dropna(subset=[x, y])):
            for _, end in line.iloc[sorted({0, len(line) - 1})].iterrows():
                axis.annotate(f"{end['scale']:g}", (end[x], end[y]), fontsize=6, color="0.2", **offset)
    figure.legends[0].set_title("at the ends of a line: its guidance scale", {"size": 7})
    return figure


def _plot_curves(sweep: pd.DataFrame, pairs: list[tuple[str, str]]) -> Figure:
    """A panel for each pair of columns (x, y), a line per method along rising scales; one legend below."""
    if not (pairs and {column for pair in pairs for column in pair} <= set(sweep)):
        raise ArtifactError("sweep: no run has the metrics of this figure; measure one first")
    columns = min(3, len(pairs))
    rows = math.ceil(len(pairs) / columns)
    height = 3.2 * rows + 0.15 * math.ceil(sweep["method"].nunique() / columns) + 0.2
    figure, axes = new_figure(rows, columns, (4 * columns, height))
    for axis, (x, y) in zip(axes.flat, pairs, strict=False):
        for style, method, line in styled_lines(sweep):
            label = method if line[y].notna().any() else f"{method} ({MISSING})"
            axis.plot(line[x], line[y], label=legible(label), markersize=4, **style)
        axis.set(xlabel="guidance scale" if x == "scale" else title(x), title=title(y))
    for axis in axes.flat[len(pairs) :]:
        axis.set_axis_off()
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=7)
    return figure


def styled_lines(sweep: pd.DataFrame) -> Iterator[tuple[dict[str, str], str, pd.DataFrame]]:
    """The style, name and rows of each method by rising scale."""
    for style, (method, line) in zip(cycle(_STYLES), sweep.groupby("method", sort=False), strict=False):
        yield style, method, line.sort_values("scale")
