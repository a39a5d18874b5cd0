"""KID against its definition, torch-fidelity, and the expectation that makes it unbiased."""

import numpy as np
import pytest
import torch

from eddpm.errors import ArtifactError
from eddpm.evaluation.kid import kid, kid_replicates, mmd, mmd_replicates


def points(count, dim, seed, spread=1.0, offset=0.0):
    return np.random.default_rng(seed).normal(size=(count, dim)) * spread + offset


def brute_kid(x, y):
    def kernel(a, b):
        return np.array([[(u @ v / len(u) + 1) ** 3 for v in b] for u in a])

    def within(a):
        values = kernel(a, a)
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    return within(x) + within(y) - 2 * kernel(x, y).mean()


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_any_chunk_agrees_with_the_definition_in_either_order(chunk):
    x, y = points(11, 3, seed=0), points(8, 3, seed=1, spread=1.5, offset=0.3)
    assert kid(x, y, chunk) == pytest.approx(brute_kid(x, y), rel=1e-12)
    assert kid(y, x, chunk) == pytest.approx(brute_kid(x, y), rel=1e-12)


def test_it_agrees_with_torch_fidelity_also_in_float32():
    from torch_fidelity.metric_kid import kernel_mmd

    x, y = (points(150, 64, seed=seed, spread=spread) for seed, spread in ((2, 1.0), (3, 1.1)))
    theirs = kernel_mmd(
        x, y, kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1
    )
    assert kid(x, y) == pytest.approx(theirs, rel=1e-10)
    assert kid(torch.from_numpy(x).float(), y.astype(np.float32)) == pytest.approx(theirs, rel=1e-4)


def test_over_draws_of_one_source_it_is_zero_on_average():
    values = [kid(points(20, 4, seed=2 * k), points(20, 4, seed=2 * k + 1)) for k in range(300)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(300)
    assert min(values) < 0 < max(values)


def test_replicates_are_the_distances_of_the_subsets():
    x, y = points(30, 4, seed=6), points(25, 4, seed=7, spread=1.3)
    subsets = np.stack([np.random.default_rng(seed).permutation(25) < 12 for seed in range(5)])
    expected = [kid(x, y[subset]) for subset in subsets]
    np.testing.assert_allclose(kid_replicates(x, y, subsets, chunk=9), expected, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16])
def test_pixels_neither_wrap_around_nor_overflow(dtype):
    x, y = (np.random.default_rng(seed).integers(0, 256, size=(12, 8)) for seed in (10, 11))
    assert kid(x.astype(dtype), y.astype(dtype), chunk=5) == pytest.approx(brute_kid(x, y), rel=1e-10)


def test_bad_features_are_refused():
    good = points(5, 2, seed=8)
    with pytest.raises(ArtifactError, match="needs at least 2 images, samples have 1"):
        kid(good, good[:1])
    with pytest.raises(ArtifactError, match="2 dimensions, samples 3"):
        kid(good, points(5, 3, seed=9))
    with pytest.raises(ArtifactError, match=r"shape \(5,\)"):
        kid(good[:, 0], good)
    with pytest.raises(ArtifactError, match="samples have NaN"):
        kid(good, np.where(good == good[2, 1], np.nan, good), chunk=2)


@pytest.mark.parametrize("chunk", [7, 1000])
def test_the_mmd_of_cmmd_is_the_biased_one_of_unit_features(chunk):
    from torch_fidelity.metric_kid import kernel_rbf, mmd2

    x, y = points(20, 6, seed=8), points(20, 6, seed=9, offset=0.5)
    units = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (x, y)]
    kernels = [kernel_rbf(units[i], units[j], kid_kernel_rbf_sigma=10.0) for i, j in ((0, 0), (0, 1), (1, 1))]
    assert mmd(x, y * 3, chunk) == pytest.approx(1000 * mmd2(*kernels, mmd_est="biased"), rel=1e-6)
    assert mmd(x, x, chunk) == pytest.approx(0, abs=1e-9)
    subset = np.arange(20) < 12
    (found,) = mmd_replicates(x, y, subset[None], chunk)
    assert found == pytest.approx(mmd(x, y[subset]), rel=1e-9)
