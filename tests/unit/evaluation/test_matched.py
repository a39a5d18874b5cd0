"""Methods at matched strength: sweeps known in closed form, with images that are drawn again and again."""

import numpy as np
import pytest

from eddpm.evaluation.bootstrap import half_samples
from eddpm.evaluation.matched import Sweep, matched_frame

METRICS = ["accuracy", "pixels/fid"]
SCALES = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
LEVEL = [("accuracy", 0.8)]


def of_curves(method="A", denoiser="uadm", halves=(), **curves) -> Sweep:
    """A sweep with these values of its metrics at each scale, (S,) or (T, S), and on halves (R, S, M)."""
    values = np.stack([np.atleast_2d(curve) for curve in curves.values()], axis=-1).astype(float)
    on_halves = np.broadcast_to(
        np.reshape(halves, (-1, *values.shape[1:])), (len(values), len(halves), *values.shape[1:])
    )
    return Sweep(method, denoiser, SCALES[: values.shape[1]], values, on_halves, 100, tuple(range(len(values))))


def of_images(rng, noise, rise=0.1, method="A", denoiser="uadm", num_images=400) -> Sweep:
    """A sweep of images whose chance to be right is 0.65 + rise log2(scale), and whose other metric is a mean.

    They share `noise`, a uniform and a normal number of each image, and half of their variance is their own.
    """
    steps = np.log2(SCALES)[:, None]
    right = noise[0] < 0.65 + rise * steps
    other = 3 * rise * steps + noise[1] + rng.normal(size=(len(SCALES), num_images))
    images = np.stack([right, other], axis=-1)
    halves = half_samples(num_images, 50)
    on_halves = np.einsum("rn,snm->rsm", halves, images) / (num_images // 2)
    return Sweep(method, denoiser, SCALES, images.mean(axis=1)[None], on_halves[None], num_images, (0,))


def noise_of(rng, num_images=400):
    return rng.uniform(size=num_images), rng.normal(size=num_images)


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["accuracy", "inception/inception_score", "inception/precision"])
def test_what_is_linear_in_the_logarithm_of_the_scale_is_found_exactly(metric):
    logarithms = np.log(SCALES)
    names = [metric, "pixels/fid", "pixels/recall"]
    sweep = of_curves(**{metric: 0.5 + 0.1 * logarithms, "fid": 3 - logarithms, "recall": 7 * logarithms})
    levels = [(metric, level) for level in (0.5, 0.61, 0.7, 0.5 + 0.1 * logarithms[-1])]
    for (_, level), (_, row) in zip(levels, matched_frame([sweep], names, levels).iterrows(), strict=True):
        at = (level - 0.5) / 0.1
        found = [row["scale"], row[metric], row["pixels/fid"], row["pixels/recall"]]
        assert found == pytest.approx([np.exp(at), level, 3 - at, 7 * at])


def test_a_metric_without_values_on_halves_has_no_error_and_takes_none_from_others():
    sweep = of_images(np.random.default_rng(50), noise_of(np.random.default_rng(51)))
    lacking = sweep._replace(on_halves=sweep.on_halves * [1, np.nan])
    (whole,), (found,) = (matched_frame([each], METRICS, LEVEL).to_dict("records") for each in (sweep, lacking))
    assert (found["pixels/fid"], found["accuracy_se"]) == (whole["pixels/fid"], whole["accuracy_se"])
    assert np.isnan(found["pixels/fid_se"])
    assert found["halves_beyond"] == whole["halves_beyond"]


def test_a_level_of_a_metric_that_guidance_lowers_is_reached_from_above():
    sweep = of_curves(recall=[0.9, 0.8, 0.6, 0.3, 0.1], fid=[1, 2, 3, 4, 5])
    names = ["pixels/recall", "pixels/fid"]
    frame = matched_frame([sweep], names, [("pixels/recall", 0.7), ("pixels/recall", 0.05), ("pixels/recall", 0.95)])
    assert frame["scale"].iloc[0] == pytest.approx(2**1.5)
    assert frame["fault"].tolist() == ["", "not reached: at least 0.1", "below it from the lowest scale: 0.9"]


def test_of_several_crossings_the_first_by_rising_scale_counts():
    sweep = of_curves(accuracy=[0.5, 0.9, 0.7, 0.9, 0.5], fid=[0, 1, 2, 3, 4])
    (scale,) = matched_frame([sweep], METRICS, LEVEL)["scale"]
    assert scale == pytest.approx(2**0.75)


@pytest.mark.parametrize(
    ("accuracy", "fault"),
    [
        ([0.5, 0.6, 0.7, 0.79, 0.78], "not reached: at most 0.79"),
        ([0.97, 0.98, 0.6, 0.9, 0.9], "above it from the lowest scale: 0.97"),
        ([[0.5, 0.9], [0.5, 0.7], [0.5, 0.75]], "not reached in 2 of 3 trainings: at most 0.7"),
        ([[0.5, 0.9], [0.85, 0.9]], "above it from the lowest scale in 1 of 2 trainings: 0.85"),
    ],
)
def test_nothing_is_extrapolated_and_the_reason_stands_in_its_place(accuracy, fault):
    sweep = of_curves(accuracy=accuracy, fid=np.ones_like(accuracy))
    other = of_curves("B", accuracy=[0.5, 0.6, 0.7, 0.9, 0.9], fid=SCALES)
    frame = matched_frame([sweep, other], METRICS, LEVEL)
    assert frame["fault"].tolist() == [fault, ""]
    assert frame.loc[0, ["scale", "pixels/fid", "pixels/fid_se"]].isna().all()
    assert frame["difference_to"].tolist() == ["", ""]  # there is no other method that reaches the level


# Errors -----------------------------------------------------------------------------------------------------------


def test_errors_cover_the_truth_in_two_of_three_repetitions_and_pairs_have_the_smaller_ones():
    """Of the scale, the metric beside it, and its difference between two methods that share noise."""
    rng, found = np.random.default_rng(0), []
    for _ in range(200):
        noise = noise_of(rng)
        sweeps = [of_images(rng, noise, method="A"), of_images(rng, noise, rise=0.08, method="B")]
        a, b = (row for _, row in matched_frame(sweeps, METRICS, LEVEL).iterrows())
        fid = "pixels/fid"
        errors = a[f"{fid}_se"], b[f"{fid}_difference_se"]
        found.append(
            [
                abs(np.log2(a["scale"]) - 1.5) < a["scale_se"] / a["scale"] / np.log(2),
                abs(a[fid] - 0.45) < errors[0],
                abs(b[f"{fid}_difference"]) < errors[1],
                errors[1] / np.hypot(a[f"{fid}_se"], b[f"{fid}_se"]),
            ]
        )
    *coverage, ratio = np.mean(found, axis=0)
    assert coverage == pytest.approx([0.683] * 3, abs=0.1)
    assert ratio < 0.75


def test_a_difference_is_to_the_first_method_of_the_same_denoiser_that_reaches_the_level():
    curves = {"A": 0.79, "B": 0.9, "C": 0.9, "D": 0.9}
    sweeps = [
        of_curves(name, "cadm" if name == "C" else "uadm", accuracy=[0.5, top], fid=[0, k])
        for k, (name, top) in enumerate(curves.items())
    ]
    frame = matched_frame(sweeps, METRICS, LEVEL)
    assert frame["difference_to"].tolist() == ["", "", "", "B"]
    assert frame["pixels/fid_difference"].iloc[3] == pytest.approx(0.75 * (3 - 1))


def test_a_method_has_a_row_for_each_of_its_baselines_that_reach_the_level_and_the_same_values_in_each():
    sweeps = [
        of_curves(name, denoiser, accuracy=[0.5, top], fid=[0, k])
        for k, (name, denoiser, top) in enumerate(
            [("A", "uadm", 0.9), ("B", "cadm", 1.0), ("C", "uadm", 0.79), ("D", "uadm", 0.8), ("E", "uadm", 0.9)]
        )
    ]
    frame = matched_frame(sweeps, METRICS, LEVEL, {"D": ["B", "A", "C"], "A": ["E"]})
    assert frame["run"].tolist() == ["A", "B", "C", "D", "D", "D", "E"]
    assert frame["difference_to"].tolist() == ["E", "", "", "B", "A", "", "A"]  # C does not reach it; E has no choice
    values = frame.set_index("run")["pixels/fid"]
    of_d = frame[frame["run"] == "D"]
    assert of_d["pixels/fid"].tolist() == [3, 3, 3]
    assert of_d["scale"].nunique() == 1
    for _, row in frame[frame["difference_to"] != ""].iterrows():
        expected = row["pixels/fid"] - values[[row["difference_to"]]].iloc[0]
        assert row["pixels/fid_difference"] == pytest.approx(expected)
    assert frame.loc[frame["difference_to"] == "", "pixels/fid_difference"].isna().all()


def test_the_error_of_a_mean_over_trainings_is_that_over_images_and_the_spread_of_trainings():
    rng = np.random.default_rng(1)
    sweep = of_images(rng, noise_of(rng))
    shifts = np.array([0.0, 0.3, 0.9])
    values = np.repeat(sweep.values, 3, axis=0)
    values[..., 1] += shifts[:, None]
    several = sweep._replace(values=values, on_halves=np.repeat(sweep.on_halves, 3, axis=0), trainings=(0, 1, 2))
    one, three = (matched_frame([each], METRICS, LEVEL).iloc[0] for each in (sweep, several))
    assert three["pixels/fid"] == pytest.approx(one["pixels/fid"] + shifts.mean())
    expected = np.hypot(one["pixels/fid_se"], shifts.std(ddof=1) / np.sqrt(3))
    assert three["pixels/fid_se"] == pytest.approx(expected)
    assert three["scale_se"] == pytest.approx(one["scale_se"])
    assert (one["training_seeds"], three["training_seeds"]) == (1, 3)
    # With the same shifts in both, a difference has no spread; to a method of one training, it has that of the three.
    for first, spread in ((several, 0), (sweep, shifts.std(ddof=1) / np.sqrt(3))):
        row = matched_frame([first, several._replace(method="B")], METRICS, LEVEL).iloc[1]
        assert row["pixels/fid_difference_se"] == pytest.approx(spread)


def test_halves_that_are_biased_as_those_of_fid_are_have_no_part_in_where_a_level_is_reached():
    rng = np.random.default_rng(2)
    sweep = of_images(rng, noise_of(rng))
    biased = sweep._replace(on_halves=sweep.on_halves - 0.3)
    plain, shifted = (matched_frame([each], METRICS, LEVEL).iloc[0] for each in (sweep, biased))
    assert shifted["scale_se"] == pytest.approx(plain["scale_se"])
    assert (plain["halves"], plain["halves_beyond"], shifted["halves_beyond"]) == (50, 0, 0)


def test_halves_that_do_not_pass_through_the_level_count_at_the_end_of_the_grid_and_are_counted():
    accuracy, spread = np.array([0.5, 0.82]), np.array([-0.1, -0.1, 0.1, 0.1])
    halves = [np.stack([accuracy + each, [0, 1]], axis=-1) for each in spread]
    (row,) = matched_frame([of_curves(accuracy=accuracy, fid=[0, 1], halves=halves)], METRICS, LEVEL).to_dict("records")
    assert (row["halves"], row["halves_beyond"]) == (4, 2)
    assert row["pixels/fid_se"] == pytest.approx(np.std([1, 1, 0.625, 0.625], ddof=1))


def test_without_halves_errors_are_those_of_trainings_or_there_are_none():
    one = of_curves(accuracy=[0.5, 0.9], fid=[0, 1])
    two = of_curves(accuracy=[[0.5, 0.9]] * 2, fid=[[0, 1], [0, 3]])
    rows = [matched_frame([sweep], METRICS, LEVEL).iloc[0] for sweep in (one, two)]
    assert [row["pixels/fid"] for row in rows] == pytest.approx([0.75, 1.5])
    assert np.isnan([rows[0]["pixels/fid_se"], rows[0]["scale_se"]]).all()
    assert rows[1]["pixels/fid_se"] == pytest.approx(0.75)
