"""Figures show every method given, once, with the data given, and can be told apart without colour."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

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
SCALES = [0.5, 1.0, 4.0]
METRICS = [
    "accuracy",
    "classifier:clean/fid",
    "classifier:clean/inception_score",
    "pixels/fid",
    "pixels/precision",
    "pixels/recall",
    "pixels/sfid",
]


def sweep(methods: list[str] = GUIDED, metrics: list[str] = METRICS) -> pd.DataFrame:
    """A table as the stage reads it: every method at every scale, every value different."""
    rows = [
        {"run": f"{m} at {s:g}", "method": m, "scale": s, "seed": 1, "num_images": 9} for m in methods for s in SCALES
    ]
    frame = pd.DataFrame(rows)
    for k, metric in enumerate(metrics):
        frame[metric] = np.random.default_rng(k).random(len(frame))
    return frame


def traces(methods: list[str] = GUIDED) -> dict[str, pd.DataFrame]:
    t = np.arange(999, 0, -100)
    columns = [column for name in TRACED for column in (name, f"{name}_std")]
    return {
        method: pd.DataFrame({"t": t} | {name: np.random.default_rng(k).random(len(t)) / 2 + 0.1 for name in columns})
        for k, method in enumerate(methods)
    }


def levels(classifiers: list[str]) -> dict[str, pd.DataFrame]:
    t_from = np.arange(0, 1000, 100)
    return {
        classifier: pd.DataFrame(
            {"t_from": t_from, "t_to": t_from + 100}
            | {name: np.random.default_rng((k, j)).random(10) + 0.1 for j, name in enumerate(MEASURED)}
        )
        for k, classifier in enumerate(classifiers)
    }


def images(methods: list[str], channels: int, count: int = 20, size: int = 8) -> dict[str, np.ndarray]:
    shape = (count, size, size, channels)
    return {m: np.random.default_rng(k).integers(0, 256, shape, dtype=np.uint8) for k, m in enumerate(methods)}


def panels(figure: Figure) -> list:
    """The axes that show something."""
    return [axis for axis in figure.axes if axis.axison]


def legend(figure: Figure) -> list[str]:
    """The entries of the one legend of a figure."""
    (found,) = figure.legends + [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    return [text.get_text() for text in found.get_texts()]


# Samples ----------------------------------------------------------------------------------------------------------


def shown_rows(figure: Figure) -> list[np.ndarray]:
    return [np.asarray(axis.get_images()[0].get_array()) for axis in figure.axes]


@pytest.mark.parametrize(("channels", "count"), [(1, 20), (3, 20), (1, 3)])
def test_samples_are_a_row_per_method_with_the_pictures_side_by_side_from_black_to_white(channels, count):
    pictures = images(["UADM(25)", "UADM(25)-G"], channels, count)
    figure = plot_samples(pictures)
    assert [axis.get_ylabel() for axis in figure.axes] == list(pictures)
    assert {axis.get_images()[0].get_clim() for axis in figure.axes} == {(0, 255)}
    for shown, given in zip(shown_rows(figure), pictures.values(), strict=True):
        row = shown.reshape(9, count, 9, channels)  # a gap of one pixel, right and below
        np.testing.assert_array_equal(row[:8, :, :8].transpose(1, 0, 2, 3), given)
        assert (row[8] == 255).all()
        assert (row[:, :, 8] == 255).all()


def test_of_large_pictures_fewer_are_shown_and_larger():
    small, large = (plot_samples(images(["UADM", "CADM"], 3, 10, size)) for size in (32, 64))
    assert [row.shape[1] // row.shape[0] for row in shown_rows(small) + shown_rows(large)] == [10, 10, 8, 8]
    assert large.get_size_inches()[1] > 2 * small.get_size_inches()[1]


@pytest.mark.parametrize(("size", "count"), [(8, 20), (256, 8)])
def test_fifteen_rows_of_pictures_stand_whole_on_the_page_with_their_names(size, count):
    names = ["UADM", *[f"UADM(25)-G+EDS+ECT{k}" for k in range(14)]]
    figure = plot_samples(images(names, 3, count, size))
    figure.canvas.draw()
    width, height = figure.canvas.get_width_height()
    tops = []
    for axis in figure.axes:
        box, label = axis.get_window_extent(), axis.yaxis.label.get_window_extent()
        assert 0 <= label.x0 < label.x1 < box.x0 < box.x1 <= width + 1
        assert box.width > 0.75 * width
        assert box.width == pytest.approx(count * box.height, rel=0.01)  # every picture is a square
        tops.append((box.y1, box.y0))
    assert tops[0][0] <= height
    assert all(upper[1] > lower[0] for upper, lower in pairwise(tops))  # no row covers another


# Trace ------------------------------------------------------------------------------------------------------------


def test_a_trace_has_a_row_of_panels_per_denoiser_and_the_lines_given_with_noise_on_the_left():
    given = traces()
    denoisers = {method: "cadm" if method.startswith("CADM") else "uadm" for method in given}
    axes = np.array(plot_trace(given, denoisers).axes).reshape(2, len(TRACED))
    for row, kind in zip(axes, ("UADM", "CADM"), strict=True):
        methods = [method for method in GUIDED if method.startswith(kind)]
        assert [text.get_text() for text in row[0].get_legend().get_texts()] == methods
        for axis, quantity in zip(row, TRACED, strict=True):
            assert [line.get_label() for line in axis.get_lines()] == methods
            for line, method in zip(axis.get_lines(), methods, strict=True):
                np.testing.assert_array_equal(line.get_xdata(), given[method]["t"])
                np.testing.assert_array_equal(line.get_ydata(), given[method][quantity])
            left, right = axis.get_xlim()
            assert left > right
            assert axis.get_yscale() == ("log" if quantity.endswith("norm") else "linear")
    assert len({axis.get_title() for axis in axes[0]}) == len(TRACED)


def band(axis) -> np.ndarray:
    """The lower and upper edge of the one band of a panel, by falling t: (T, 2)."""
    (collection,) = axis.collections
    corners = collection.get_paths()[0].vertices
    return np.array([[corners[corners[:, 0] == t, 1].min(), corners[corners[:, 0] == t, 1].max()] for t in ALONG])


ALONG = np.arange(999, 0, -100)


def test_a_trace_has_a_band_of_one_standard_deviation_to_each_side():
    frame = traces(["UADM(25)-G"])["UADM(25)-G"].assign(log10_scale_std=0.25, gradient_norm_std=0.05)
    axes = plot_trace({"UADM(25)-G": frame}).axes
    for axis, quantity in ((axes[1], "gradient_norm"), (axes[2], "log10_scale")):
        edges = band(axis)
        np.testing.assert_allclose(edges.mean(axis=1), frame[quantity])
        np.testing.assert_allclose(np.diff(edges, axis=1)[:, 0] / 2, frame[f"{quantity}_std"])


def test_a_wide_band_stays_positive_on_a_log_axis_and_an_entropy_between_its_bounds():
    wide = {f"{name}_std": 5.0 for name in TRACED}
    frame = traces(["UADM(25)-G"])["UADM(25)-G"].assign(**wide)
    axes = plot_trace({"UADM(25)-G": frame}).axes
    np.testing.assert_array_equal(band(axes[0]), np.tile([0.0, 1.0], (len(ALONG), 1)))
    for axis, quantity in ((axes[1], "gradient_norm"), (axes[3], "guidance_norm")):
        np.testing.assert_allclose(band(axis)[:, 0], frame[quantity] / 10)
        assert axis.get_ylim()[0] > frame[quantity].min() / 20


def test_a_run_whose_guidance_is_nothing_leaves_gaps_and_the_other_lines_alone(tmp_path):
    frames = traces(["UADM(25)", "UADM(25)-G"])
    nothing = {"log10_scale": -np.inf, "log10_scale_std": np.nan, "guidance_norm": 0.0, "guidance_norm_std": 0.0}
    figure = plot_trace(frames | {"UADM(25)": frames["UADM(25)"].assign(**nothing)})
    figure.savefig(tmp_path / "trace.png")
    # A row per denoiser, of which "UADM(25)" has no "-" but the same name.
    scale = figure.axes[2]
    assert [line.get_label() for line in scale.get_lines()] == ["UADM(25)", "UADM(25)-G"]
    assert np.isnan(scale.get_lines()[0].get_ydata()).all()
    given = frames["UADM(25)-G"]["log10_scale"]
    np.testing.assert_array_equal(scale.get_lines()[1].get_ydata(), given)
    assert all(np.isfinite(scale.get_ylim()))
    assert np.ptp(scale.get_ylim()) < 3


# Noise levels -----------------------------------------------------------------------------------------------------


def test_noise_levels_have_a_panel_per_quantity_and_a_line_per_classifier_at_the_middle_of_each_level():
    given = levels(["ce", "ect"])
    figure = plot_noise_levels(given)
    assert legend(figure) == ["ce", "ect"]
    assert len({axis.get_title() for axis in panels(figure)}) == len(MEASURED)
    for axis, quantity in zip(panels(figure), MEASURED, strict=True):
        for line, (classifier, rows) in zip(axis.get_lines(), given.items(), strict=True):
            assert line.get_label() == classifier
            np.testing.assert_array_equal(line.get_xdata(), np.arange(49.5, 1000, 100))
            np.testing.assert_array_equal(line.get_ydata(), rows[quantity])
        left, right = axis.get_xlim()
        assert left > right
        assert axis.get_yscale() == ("log" if quantity == "gradient_norm" else "linear")


# Curves -----------------------------------------------------------------------------------------------------------


def test_scales_have_a_panel_per_metric_headed_with_its_space_and_a_line_per_method_by_rising_scale():
    metrics = [*METRICS, "pixels/unknown"]
    frame = sweep(metrics=metrics)
    figure = plot_scales(frame.sample(frac=1, random_state=1).sort_values("method", kind="stable", key=in_order))
    assert [axis.get_title() for axis in panels(figure)] == [title(metric) for metric in metrics]
    assert legend(figure) == GUIDED
    for axis, metric in zip(panels(figure), metrics, strict=True):
        assert axis.get_xlabel() == "guidance scale"
        assert axis.get_xscale() == "log"
        for line, method in zip(axis.get_lines(), GUIDED, strict=True):
            given = frame[frame["method"] == method]
            assert line.get_label() == method
            np.testing.assert_array_equal(line.get_xdata(), given["scale"])
            np.testing.assert_array_equal(line.get_ydata(), given[metric])


def in_order(methods: pd.Series) -> pd.Series:
    return methods.map(GUIDED.index)


def test_scales_are_ticked_where_they_were_tried():
    (axis,) = plot_scales(sweep(["A"], ["pixels/fid"])).axes
    np.testing.assert_array_equal(axis.get_xticks(), SCALES)
    assert [text.get_text() for text in axis.get_xticklabels()] == ["0.5", "1", "4"]


def test_scales_show_standard_errors_where_they_are_known():
    frame = sweep(["A"], ["pixels/fid", "pixels/recall"]).assign(**{"pixels/fid_se": [0.1, 0.2, np.nan]})
    with_errors, without = plot_scales(frame).axes
    (bars,) = with_errors.collections
    lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments() if len(segment)]
    np.testing.assert_allclose(lengths, [0.2, 0.4])  # an error to each side
    assert not without.collections


def test_precision_is_drawn_against_recall_in_each_space_that_has_both_with_its_scales_at_the_ends():
    frame = sweep(["A", "B"], ["accuracy", "x/precision", "pixels/precision", "pixels/recall", "y/recall"])
    figure = plot_precision_recall(frame.sample(frac=1, random_state=1).sort_values("method", kind="stable"))
    (axis,) = panels(figure)
    assert (axis.get_xlabel(), axis.get_title()) == (title("pixels/recall"), title("pixels/precision"))
    for line, method in zip(axis.get_lines(), ("A", "B"), strict=True):
        given = frame[frame["method"] == method]
        np.testing.assert_array_equal(line.get_xdata(), given["pixels/recall"])
        np.testing.assert_array_equal(line.get_ydata(), given["pixels/precision"])
    marked = {(text.get_text(), *text.xy) for text in axis.texts}
    ends = frame[frame["scale"].isin([0.5, 4.0])]
    values = zip(ends["scale"], ends["pixels/recall"], ends["pixels/precision"], strict=True)
    assert marked == {(f"{scale:g}", recall, precision) for scale, recall, precision in values}
    assert legend(figure) == ["A", "B"]


MISSING = sweep(["A", "B"]).assign(**dict.fromkeys(["scale", *METRICS], np.nan))


@pytest.mark.parametrize("draw", [plot_scales, plot_fronts, plot_precision_recall])
def test_a_method_that_is_not_measured_yet_is_named_as_missing(draw, tmp_path):
    frame = sweep(["A", "B"])
    frame[frame["method"] == "B"] = MISSING[MISSING["method"] == "B"]
    figure = draw(frame)
    figure.savefig(tmp_path / "figure.png")
    assert legend(figure) == ["A", "B (missing)"]


@pytest.mark.parametrize("draw", [plot_scales, plot_fronts, plot_precision_recall])
def test_a_sweep_without_metrics_is_refused(draw):
    with pytest.raises(ArtifactError, match="sweep: no run has the metrics of this figure; measure one first"):
        draw(MISSING[["run", "method", "scale", "seed", "num_images"]])


def test_fronts_show_what_accuracy_costs_in_pixel_space():
    frame = sweep()
    figure = plot_fronts(frame)
    shown = ["pixels/fid", "pixels/precision", "pixels/recall"]
    assert [axis.get_title() for axis in panels(figure)] == [title(metric) for metric in shown]
    for axis, metric in zip(panels(figure), shown, strict=True):
        assert axis.get_xlabel() == title("accuracy")
        assert axis.get_xscale() == "linear"
        for line, method in zip(axis.get_lines(), GUIDED, strict=True):
            given = frame[frame["method"] == method]
            assert line.get_label() == method
            np.testing.assert_array_equal(line.get_xdata(), given["accuracy"])
            np.testing.assert_array_equal(line.get_ydata(), given[metric])
    assert legend(figure) == GUIDED


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (3, 1), (4, 2)])
def test_panels_stand_in_rows_of_three_and_empty_places_show_nothing(count, rows):
    figure = plot_scales(sweep(["A"], METRICS[:count]))
    assert len(panels(figure)) == count
    assert len(figure.axes) == rows * min(count, 3)


# Styles -----------------------------------------------------------------------------------------------------------


def test_methods_are_told_apart_by_colour_and_without_it():
    lines = plot_scales(sweep([f"M{k}" for k in range(12)])).axes[0].get_lines()
    assert len({line.get_color() for line in lines[:6]}) == 6
    assert all(0.1 < np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) < 0.8 for line in lines)  # on white paper
    assert len({(line.get_marker(), line.get_markerfacecolor() == "white") for line in lines}) == 12


def test_no_method_is_left_out_however_many_there_are():
    methods = [f"M{k}" for k in range(14)]
    assert legend(plot_scales(sweep(methods))) == methods
    assert legend(plot_noise_levels(levels(methods))) == methods
    assert [line.get_label() for line in plot_trace(traces([f"U-{m}" for m in methods])).axes[0].get_lines()] == [
        f"U-{m}" for m in methods
    ]
