"""Standard errors from halves: exact for means, and right for what is no mean."""

import numpy as np
import pytest

from eddpm.evaluation.bootstrap import half_samples, standard_error


@pytest.mark.parametrize(("count", "half"), [(2, 1), (1001, 500)])
def test_halves_have_half_the_images_and_are_the_same_each_time(count, half):
    halves = half_samples(count, 20)
    assert halves.shape == (20, count)
    assert (halves.sum(axis=1) == half).all()
    np.testing.assert_array_equal(halves, half_samples(count, 20))


def test_every_image_is_drawn_equally_often():
    share = half_samples(40, 4000).mean(axis=0)
    np.testing.assert_allclose(share, 0.5, atol=5 * 0.5 / np.sqrt(4000))


@pytest.mark.parametrize("count", [50, 51])
def test_the_error_of_a_mean_is_the_textbook_one(count):
    values = np.random.default_rng(0).exponential(size=count)
    of_halves = np.array([values[half].mean() for half in half_samples(count, 20_000)])
    assert standard_error(of_halves, count) == pytest.approx(values.std(ddof=1) / np.sqrt(count), rel=0.03)
