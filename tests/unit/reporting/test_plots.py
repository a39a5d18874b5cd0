"""Figures show every method given, once, with the data given, and can be told apart without colour."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from eddpm.reporting.plots import plot_fronts, plot_noise_levels, plot_samples, plot_scales, plot_trace
from eddpm.reporting.tables import title

GUIDED = [f"{kind}(25)-{method}" for kind in ("UADM", "CADM") for method in ("G", "G+EDS", "G+EDS+ECT")]
TRACED = ["entropy", "gradient_norm", "log10_scale", "guidance_norm"]
MEASURED = ["accuracy", "entropy", "ece", "gradient_norm"]
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


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


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
    return {
        method: pd.DataFrame({"t": t} | {name: np.random.default_rng(k).random(len(t)) + 0.1 for name in TRACED})
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


def images(methods: list[str], channels: int, count: int = 30) -> dict[str, np.ndarray]:
    shape = (count, 8, 8, channels)
    return {m: np.random.default_rng(k).integers(0, 256, shape, dtype=np.uint8) for k, m in enumerate(methods)}


def panels(figure: Figure) -> list:
    """The axes that show something."""
    return [axis for axis in figure.axes if axis.axison]


def legend(figure: Figure) -> list[str]:
    """The entries of the one legend of a figure."""
    (found,) = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    return [text.get_text() for text in found.get_texts()]


FIGURES = {
    "samples": lambda: plot_samples(images(["UADM(25)", *GUIDED], 1)),
    "trace": lambda: plot_trace(traces(GUIDED[:3])),
    "noise_levels": lambda: plot_noise_levels(levels(["ce", "ect"])),
    "fronts": lambda: plot_fronts(sweep()),
    "scales": lambda: plot_scales(sweep(metrics=METRICS[:2])),
}


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_saved_as_a_picture_that_is_not_blank(draw, tmp_path):
    figure = draw()
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png", dpi=40)
    with Image.open(tmp_path / "figure.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert min(pixels.shape) > 50
    assert 0.002 < (pixels < 200).mean() < 0.8


# Samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_samples_are_a_row_per_method_with_the_pictures_side_by_side(channels):
    pictures = images(["UADM(25)", "UADM(25)-G"], channels)
    figure = plot_samples(pictures, per_method=5)
    assert [axis.get_ylabel() for axis in figure.axes] == list(pictures)
    for axis, given in zip(figure.axes, pictures.values(), strict=True):
        (shown,) = axis.get_images()
        row = np.asarray(shown.get_array()).reshape(9, 5, 9, channels)  # a gap of one pixel, right and below
        for k in range(5):
            np.testing.assert_array_equal(row[:8, k, :8], given[k])
        assert (row[8] == 255).all()
        assert (row[:, :, 8] == 255).all()


def test_grey_samples_are_shown_from_black_to_white_whatever_they_hold():
    dim = {"dim": np.full((3, 8, 8, 1), 100, dtype=np.uint8)}
    (shown,) = plot_samples(dim).axes[0].get_images()
    assert shown.get_clim() == (0, 255)


def test_fewer_samples_than_asked_for_are_all_shown():
    (shown,) = plot_samples(images(["A"], 1, count=3), per_method=20).axes[0].get_images()
    assert np.asarray(shown.get_array()).shape == (9, 27)


# Trace ------------------------------------------------------------------------------------------------------------


def test_a_trace_has_a_row_of_panels_per_denoiser_and_a_line_per_method():
    figure = plot_trace(traces())
    axes = np.array(figure.axes).reshape(2, len(TRACED))
    for row, kind in zip(axes, ("UADM", "CADM"), strict=True):
        methods = [method for method in GUIDED if method.startswith(kind)]
        for axis in row:
            assert [line.get_label() for line in axis.get_lines()] == methods
        assert [text.get_text() for text in row[0].get_legend().get_texts()] == methods
    assert len({axis.get_title() for axis in axes[0]}) == len(TRACED)


def test_a_trace_shows_the_values_given_with_noise_on_the_left():
    given = traces(["UADM(25)-G"])
    for axis, quantity in zip(plot_trace(given).axes, TRACED, strict=True):
        (line,) = axis.get_lines()
        np.testing.assert_array_equal(line.get_xdata(), given["UADM(25)-G"]["t"])
        np.testing.assert_array_equal(line.get_ydata(), given["UADM(25)-G"][quantity])
        left, right = axis.get_xlim()
        assert left > right
        assert axis.get_yscale() == ("log" if quantity.endswith("norm") else "linear")


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


def test_scales_have_a_panel_per_metric_headed_with_its_space_and_a_line_per_method():
    figure = plot_scales(sweep())
    assert [axis.get_title() for axis in panels(figure)] == [title(metric) for metric in METRICS]
    for axis in panels(figure):
        assert [line.get_label() for line in axis.get_lines()] == GUIDED
        assert axis.get_xlabel() == "guidance scale"
        assert axis.get_xscale() == "log"
    assert legend(figure) == GUIDED


def test_scales_show_the_values_given_by_rising_scale():
    frame = sweep(["A", "B"], ["pixels/fid"])
    shuffled = frame.sample(frac=1, random_state=1).sort_values("method", kind="stable")
    (axis,) = plot_scales(shuffled).axes
    for line, method in zip(axis.get_lines(), ("A", "B"), strict=True):
        given = frame[frame["method"] == method]
        np.testing.assert_array_equal(line.get_xdata(), given["scale"])
        np.testing.assert_array_equal(line.get_ydata(), given["pixels/fid"])


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


def test_the_six_guided_methods_are_told_apart_by_colour_and_without_it():
    lines = plot_scales(sweep()).axes[0].get_lines()
    assert len({line.get_color() for line in lines}) == len(GUIDED)
    assert len({line.get_marker() for line in lines}) == len(GUIDED)
    assert all(0.1 < np.dot(to_rgb(line.get_color()), (0.299, 0.587, 0.114)) < 0.8 for line in lines)  # on white paper


def test_no_method_is_left_out_however_many_there_are():
    methods = [f"M{k}" for k in range(14)]
    assert legend(plot_scales(sweep(methods))) == methods
    assert legend(plot_noise_levels(levels(methods))) == methods
    assert [line.get_label() for line in plot_trace(traces([f"U-{m}" for m in methods])).axes[0].get_lines()] == [
        f"U-{m}" for m in methods
    ]
