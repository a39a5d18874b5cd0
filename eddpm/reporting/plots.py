"""One function per figure, each from plain tables or arrays to a matplotlib figure, readable in grey."""

import math
from itertools import cycle

import matplotlib
import numpy as np
import pandas as pd

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eddpm.reporting.tables import metric_columns, title

# Okabe and Ito's colours, told apart by the colour-blind; marker and dash say the same in grey.
_STYLES = [
    {"color": color, "marker": marker, "linestyle": dash}
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
    "entropy": "entropy / log C",
    "ece": "expected calibration error",
    "gradient_norm": "|∇ log p(y|x_t)|",
}


def plot_samples(images: dict[str, np.ndarray], per_method: int = 20) -> Figure:
    """One row of images per method, image k of every row from the same noise and class: uint8 (N, H, W, C) each."""
    figure, axes = plt.subplots(len(images), 1, figsize=(9, 0.5 * len(images)), squeeze=False, layout="constrained")
    for axis, (method, pictures) in zip(axes[:, 0], images.items(), strict=True):
        row = np.pad(pictures[:per_method], [(0, 0), (0, 1), (0, 1), (0, 0)], constant_values=255)
        axis.imshow(np.concatenate(list(row), axis=1).squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set_ylabel(method, rotation=0, ha="right", va="center", fontsize=8)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    return figure


def plot_trace(traces: dict[str, pd.DataFrame]) -> Figure:
    """What guides the sampler along the steps, from noise on the left: a row of panels per denoiser."""
    families = list(dict.fromkeys(method.partition("-")[0] for method in traces))
    figure, axes = plt.subplots(
        len(families), len(_TRACED), figsize=(12, 2.7 * len(families)), squeeze=False, layout="constrained"
    )
    for row, family in zip(axes, families, strict=True):
        members = [method for method in traces if method.partition("-")[0] == family]
        for axis, (quantity, label) in zip(row, _TRACED.items(), strict=True):
            lines = {method: (traces[method]["t"], traces[method][quantity]) for method in members}
            _plot_along_t(axis, lines, label, log=quantity.endswith("norm"))
        row[0].legend(fontsize=7)
    return figure


def plot_noise_levels(levels: dict[str, pd.DataFrame]) -> Figure:
    """What classifiers know at each noise level, drawn at its middle: a panel per quantity, a line per classifier.

    A frame has a row per level with t_from, t_to (not included), accuracy, entropy, ece and gradient_norm.
    """
    figure, axes = plt.subplots(1, len(_MEASURED), figsize=(12, 2.7), layout="constrained")
    for axis, (quantity, label) in zip(axes, _MEASURED.items(), strict=True):
        lines = {name: ((rows["t_from"] + rows["t_to"] - 1) / 2, rows[quantity]) for name, rows in levels.items()}
        _plot_along_t(axis, lines, label, log=quantity.endswith("norm"))
    axes[0].legend(fontsize=7)
    return figure


def _plot_along_t(axis: Axes, lines: dict[str, tuple[pd.Series, pd.Series]], label: str, log: bool) -> None:
    """Lines of (t, value) by name, with noise on the left, as a sampler goes."""
    for style, (name, (t, values)) in zip(cycle(_STYLES), lines.items(), strict=False):
        axis.plot(t, values, label=name, markersize=3, **style)
    axis.set(xlabel="timestep t", title=label)
    axis.invert_xaxis()
    if log:
        axis.set_yscale("log")


def plot_fronts(sweep: pd.DataFrame) -> Figure:
    """What diversity each method pays for accuracy: pixel FID and recall over the grid of scales, a line per method."""
    return _plot_panels(sweep, "accuracy", ["pixels/fid", "pixels/precision", "pixels/recall"])


def plot_scales(sweep: pd.DataFrame) -> Figure:
    """Every metric against the guidance scale, a line per method."""
    return _plot_panels(sweep, "scale", metric_columns(sweep))


def _plot_panels(sweep: pd.DataFrame, x: str, metrics: list[str]) -> Figure:
    columns = min(3, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), squeeze=False, layout="constrained")
    for axis, metric in zip(axes.flat, metrics, strict=False):
        for style, (method, line) in zip(cycle(_STYLES), sweep.groupby("method", sort=False), strict=False):
            line = line.sort_values("scale")
            axis.plot(line[x], line[metric], label=method, markersize=4, **style)
        axis.set(xlabel="guidance scale" if x == "scale" else title(x), title=title(metric))
        if x == "scale":
            axis.set_xscale("log", base=2)
    for axis in axes.flat[len(metrics) :]:
        axis.set_axis_off()
    axes.flat[0].legend(fontsize=7)
    return figure
