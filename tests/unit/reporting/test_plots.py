"""Figures show every method given, once, with the data given, and can be told apart without colour."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from eddpm.errors import ArtifactError
from eddpm.reporting.plots import (
    plot_fronts,
    plot_noise_levels,
    plot_precision_recall,
    plot_samples,
    plot_scales,
    plot_trace,
)
from eddpm.reporting.tables import title

GUIDED = [f"{kind}(25)-{method}" for kind in ("UADM", "CADM") for method in ("G", "G+EDS", "G+EDS+ECT")]
TRACED = ["entropy", "gradient_norm", "log10_scale", "guidance_norm"]
MEASURED = ["accuracy", "confidence", "entropy", "ece", "gradient_norm"]
T = np.arange(999, 0, -100)
SCALES = [0.5, 1.0, 4.0]
METRICS = ["accuracy", "clean/inception_score", "pixels/fid", "pixels/precision", "pixels/recall", "pixels/unknown"]


def random_columns(names: list[str], rows: int) -> dict[str, np.ndarray]:
    """Columns of which every value differs."""
    return {name: np.random.default_rng(k).random(rows) / 2 + 0.1 for k, name in enumerate(names)}


def sweep(methods: list[str] = GUIDED, metrics: list[str] = METRICS) -> pd.DataFrame:
    """A table as the stage reads it, every method at every scale, whose rows are out of order within a method."""
    frame = pd.DataFrame({"method": np.repeat(methods, len(SCALES)), "scale": SCALES[::-1] * len(methods)})
    frame = frame.assign(run=frame["method"], seed=1, num_images=9)
    return frame.assign(**random_columns(metrics, len(frame)))


def trace(**changes) -> pd.DataFrame:
    names = [column for name in TRACED for column in (name, f"{name}_std")]
    return pd.DataFrame({"t": T, **random_columns(names, len(T))}).assign(**changes)


def images(methods: list[str], channels: int, count: int, size: int = 8) -> dict[str, np.ndarray]:
    shape = (count, size, size, channels)
    return {m: np.random.default_rng(k).integers(0, 256, shape, dtype=np.uint8) for k, m in enumerate(methods)}


def panels(figure) -> list:
    """The axes that show something."""
    return [axis for axis in figure.axes if axis.axison]


def legend(figure) -> list[str]:
    """The entries of the one legend of a figure."""
    (found,) = figure.legends + [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    return [text.get_text() for text in found.get_texts()]


def assert_lines(axis, lines: dict[str, tuple]) -> None:
    """These lines (x, y) by their labels, and no other, in this order."""
    assert [line.get_label() for line in axis.get_lines()] == list(lines)
    for line, (x, y) in zip(axis.get_lines(), lines.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), x)
        np.testing.assert_array_equal(line.get_ydata(), y)


ODD = ["$a$", r"$\frac$", "$\\bad{", "a" * 240]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plot_samples(images(ODD, 1, 8)),
        lambda: plot_trace({name: trace() for name in ODD}),
        lambda: plot_noise_levels(
            {n: pd.DataFrame({"t_from": [0], "t_to": [9]} | {key: [0.5] for key in MEASURED}) for n in ODD}
        ),
        lambda: plot_scales(sweep(ODD)),
    ],
    ids=["samples", "trace", "noise levels", "scales"],
)
@pytest.mark.filterwarnings("ignore:constrained_layout not applied")
def test_a_name_of_any_characters_and_length_is_drawn_as_text(draw):
    figure = draw()
    figure.canvas.draw()
    names = [text.get_text() for text in figure.findobj(Text) if text.get_text().startswith((r"\$", "aaa"))]
    assert {r"\$a\$", r"\$\frac\$", "a" * 30 + "..." + "a" * 30} <= set(names)


# Samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "count"), [(1, 20), (3, 3)])
def test_samples_are_a_row_per_method_with_the_pictures_side_by_side_from_black_to_white(channels, count):
    pictures = images(["UADM(25)", "UADM(25)-G"], channels, count)
    figure = plot_samples(pictures)
    assert [axis.get_ylabel() for axis in figure.axes] == list(pictures)
    for axis, given in zip(figure.axes, pictures.values(), strict=True):
        (picture,) = axis.get_images()
        assert picture.get_clim() == (0, 255)
        row = np.asarray(picture.get_array()).reshape(9, count, 9, channels)  # a gap of one pixel, right and below
        np.testing.assert_array_equal(row[:8, :, :8].transpose(1, 0, 2, 3), given)
        assert (row[8] == 255).all()
        assert (row[:, :, 8] == 255).all()


@pytest.mark.parametrize(("size", "count"), [(8, 20), (256, 8)])
def test_fifteen_rows_of_pictures_stand_whole_on_the_page_with_their_names_and_fewer_of_large_ones(size, count):
    figure = plot_samples(images(["UADM", *[f"UADM(25)-G+EDS+ECT{k}" for k in range(14)]], 3, 20, size))
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    boxes = [axis.get_window_extent() for axis in figure.axes]
    for axis, box in zip(figure.axes, boxes, strict=True):
        label = axis.yaxis.label.get_window_extent()
        assert 0 <= label.x0 < label.x1 < box.x0 < box.x1 <= width + 1
        assert box.width > 0.75 * width
        assert box.width == pytest.approx(count * box.height, rel=0.01)  # every picture is a square
    assert boxes[0].y1 <= height
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(boxes))  # no row covers another


# Along t ----------------------------------------------------------------------------------------------------------


def assert_noise_on_the_left(axis, quantity: str) -> None:
    left, right = axis.get_xlim()
    assert left > right
    assert axis.get_yscale() == ("log" if quantity.endswith("norm") else "linear")


def test_a_trace_has_a_row_of_panels_per_denoiser_and_the_lines_given():
    given = {method: trace() + k for k, method in enumerate(GUIDED)}
    denoisers = {method: "cadm" if method.startswith("CADM") else "uadm" for method in given}
    axes = np.array(plot_trace(given, denoisers).axes).reshape(2, len(TRACED))
    for row, methods in zip(axes, (GUIDED[:3], GUIDED[3:]), strict=True):
        assert [text.get_text() for text in row[0].get_legend().get_texts()] == methods
        for axis, quantity in zip(row, TRACED, strict=True):
            assert_lines(axis, {method: (given[method]["t"], given[method][quantity]) for method in methods})
            assert_noise_on_the_left(axis, quantity)
    assert len({axis.get_title() for axis in axes[0]}) == len(TRACED)


def band(axis) -> np.ndarray:
    """The lower and upper edge of the one band of a panel, by falling t: (T, 2)."""
    (collection,) = axis.collections
    corners = collection.get_paths()[0].vertices
    return np.array([[corners[corners[:, 0] == t, 1].min(), corners[corners[:, 0] == t, 1].max()] for t in T])


def test_a_trace_has_a_band_of_one_standard_deviation_to_each_side_within_what_is_possible():
    frame = trace(log10_scale_std=0.25, gradient_norm_std=0.05, entropy_std=5.0, guidance_norm_std=5.0)
    entropy, gradient_norm, log10_scale, guidance_norm = plot_trace({"UADM(25)-G": frame}).axes
    for axis, quantity, deviation in ((gradient_norm, "gradient_norm", 0.05), (log10_scale, "log10_scale", 0.25)):
        np.testing.assert_allclose(band(axis), np.stack([frame[quantity] - deviation, frame[quantity] + deviation], 1))
    np.testing.assert_array_equal(band(entropy), np.tile([0.0, 1.0], (len(T), 1)))
    np.testing.assert_allclose(band(guidance_norm)[:, 0], frame["guidance_norm"] / 10)  # on a log axis
    assert guidance_norm.get_ylim()[0] > frame["guidance_norm"].min() / 20


def test_many_traces_have_no_bands_and_a_legend_that_covers_none():
    axes = plot_trace({f"M{k}": trace() for k in range(5)}).axes
    assert not any(axis.collections for axis in axes)
    assert [axis.get_legend() is not None for axis in axes] == [False, False, False, True]


def test_a_step_without_guidance_is_a_gap_on_a_log_axis():
    guidance = trace()["guidance_norm"].mask(T[2] == T, 0)
    drawn = plot_trace({"UADM(25)-G": trace(guidance_norm=guidance)}).axes[3].get_lines()[0].get_ydata()
    assert np.isnan(drawn).tolist() == [t == T[2] for t in T]


def test_a_run_whose_guidance_is_nothing_leaves_gaps_and_the_other_lines_alone(tmp_path):
    nothing = trace(log10_scale=-np.inf, log10_scale_std=np.nan, guidance_norm=0.0, guidance_norm_std=0.0)
    figure = plot_trace({"UADM(25)": nothing, "UADM(25)-G": trace()})
    figure.savefig(tmp_path / "trace.png")
    scale = figure.axes[2]
    assert_lines(scale, {"UADM(25)": (T, np.full(len(T), np.nan)), "UADM(25)-G": (T, trace()["log10_scale"])})
    assert np.ptp(scale.get_ylim()) < 3


def test_noise_levels_have_a_panel_per_quantity_and_a_line_per_classifier_at_the_middle_of_each_level():
    rows = pd.DataFrame({"t_from": np.arange(0, 1000, 100), "t_to": np.arange(100, 1100, 100)})
    rows = rows.assign(**random_columns(MEASURED, 10))
    figure = plot_noise_levels({"ce": rows, "ect": rows.assign(ece=0.5)})
    assert legend(figure) == ["ce", "ect"]
    assert len({axis.get_title() for axis in panels(figure)}) == len(MEASURED)
    for axis, quantity in zip(panels(figure), MEASURED, strict=True):
        middle = np.arange(49.5, 1000, 100)
        second = np.full(10, 0.5) if quantity == "ece" else rows[quantity]
        assert_lines(axis, {"ce": (middle, rows[quantity]), "ect": (middle, second)})
        assert_noise_on_the_left(axis, quantity)


# Curves -----------------------------------------------------------------------------------------------------------


def assert_curves(axis, frame: pd.DataFrame, x: str, y: str) -> None:
    """A line per method by rising scale, and what its axes say."""
    methods = {method: rows.sort_values("scale") for method, rows in frame.groupby("method", sort=False)}
    assert_lines(axis, {method: (rows[x], rows[y]) for method, rows in methods.items()})
    assert (axis.get_xlabel(), axis.get_title()) == ("guidance scale" if x == "scale" else title(x), title(y))


def test_scales_have_a_panel_per_metric_with_ticks_where_they_were_tried():
    frame = sweep()
    figure = plot_scales(frame)
    assert legend(figure) == GUIDED
    for axis, metric in zip(panels(figure), METRICS, strict=True):
        assert_curves(axis, frame, "scale", metric)
        assert axis.get_xscale() == "log"
        assert [text.get_text() for text in axis.get_xticklabels()] == ["0.5", "1", "4"]


def test_scales_show_standard_errors_where_they_are_known():
    frame = sweep(["A"], ["pixels/fid", "pixels/recall"]).assign(**{"pixels/fid_se": [0.1, 0.2, np.nan]})
    with_errors, without = plot_scales(frame).axes
    (bars,) = with_errors.collections
    lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments() if len(segment)]
    np.testing.assert_allclose(lengths, [0.4, 0.2])  # an error to each side, by rising scale
    assert not without.collections


def test_precision_is_drawn_against_recall_in_each_space_that_has_both_with_its_scales_at_the_ends():
    frame = sweep(["A", "B"], ["accuracy", "x/precision", "pixels/precision", "pixels/recall", "y/recall"])
    figure = plot_precision_recall(frame)
    (axis,) = panels(figure)
    assert legend(figure) == ["A", "B"]
    assert_curves(axis, frame, "pixels/recall", "pixels/precision")
    ends = frame[frame["scale"].isin([0.5, 4.0])]
    values = zip(ends["scale"], ends["pixels/recall"], ends["pixels/precision"], strict=True)
    marked = {(text.get_text(), *text.xy) for text in axis.texts}
    assert marked == {(f"{scale:g}", recall, precision) for scale, recall, precision in values}


def test_fronts_show_what_accuracy_costs_in_pixel_space():
    frame = sweep()
    figure = plot_fronts(frame)
    assert legend(figure) == GUIDED
    for axis, metric in zip(panels(figure), ["pixels/fid", "pixels/precision", "pixels/recall"], strict=True):
        assert_curves(axis, frame, "accuracy", metric)
        assert axis.get_xscale() == "linear"


@pytest.mark.parametrize("draw", [plot_scales, plot_fronts, plot_precision_recall])
def test_a_method_that_is_not_measured_yet_is_named_as_missing_and_a_sweep_without_metrics_refused(draw, tmp_path):
    frame = sweep(["A", "B"])
    frame.loc[frame["method"] == "B", ["scale", *METRICS]] = np.nan
    figure = draw(frame)
    figure.savefig(tmp_path / "figure.png")
    assert legend(figure) == ["A", "B (missing)"]
    with pytest.raises(ArtifactError, match="sweep: no run has the metrics of this figure; measure one first"):
        draw(frame.drop(columns=METRICS))


def test_panels_stand_in_rows_of_three_and_empty_places_show_nothing():
    for count, places in ((1, 1), (4, 6)):
        figure = plot_scales(sweep(["A"], METRICS[:count]))
        assert (len(panels(figure)), len(figure.axes)) == (count, places)


def test_methods_are_told_apart_by_colour_and_without_it_and_none_is_left_out_however_many_there_are():
    methods = [f"M{k}" for k in range(14)]
    figure = plot_scales(sweep(methods))
    assert legend(figure) == methods
    assert legend(plot_trace({method: trace() for method in methods})) == methods
    lines = figure.axes[0].get_lines()[:12]
    assert len({line.get_color() for line in lines[:6]}) == 6
    assert all(0.1 < np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) < 0.8 for line in lines)  # on white paper
    assert len({(line.get_marker(), line.get_markerfacecolor() == "white") for line in lines}) == 12
