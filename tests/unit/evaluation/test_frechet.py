"""Statistics over batches against numpy's over the whole; distances against closed forms and OpenAI's."""

from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import linregress

from eddpm.errors import ArtifactError
from eddpm.evaluation.frechet import GaussianStats, fid_infinity, frechet_distance, frechet_replicates

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics.npz"


def correlated(count, dim, seed, offset=0.0):
    """Random features (count, dim) with a random, well-conditioned covariance."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, dim)) @ rng.normal(size=(dim, dim)) / np.sqrt(dim) + offset


def distance(samples, reference):
    first, second = GaussianStats.of(samples), GaussianStats.of(reference)
    return frechet_distance(first.mean, first.covariance, second.mean, second.covariance)


def distance_of_points(samples, reference):
    """The same from the centred points alone: tr (C1 C2)^(1/2) is the nuclear norm of X Y^T / sqrt((n-1)(m-1))."""
    x = (samples - samples.mean(axis=0)) / np.sqrt(len(samples) - 1)
    y = (reference - reference.mean(axis=0)) / np.sqrt(len(reference) - 1)
    cross = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return np.sum((samples.mean(axis=0) - reference.mean(axis=0)) ** 2) + np.sum(x**2) + np.sum(y**2) - 2 * cross


def test_merging_shards_gives_the_statistics_of_the_whole_in_any_order_and_far_from_zero():
    features = correlated(90, 4, seed=1)
    first, second, third = (GaussianStats.of(shard) for shard in np.split(features, [11, 50]))
    for stats in (first.merge(second).merge(third), third.merge(first.merge(second))):
        assert stats.count == 90
        np.testing.assert_allclose(stats.mean, features.mean(axis=0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(stats.covariance, np.cov(features, rowvar=False), rtol=1e-10, atol=1e-12)
    shifted = reduce(GaussianStats.merge, map(GaussianStats.of, np.split(features + 1e6, 6)))
    np.testing.assert_allclose(shifted.covariance, np.cov(features, rowvar=False), rtol=1e-7)


def test_bad_features_and_moments_are_refused():
    one, other = GaussianStats.of(np.zeros((1, 3))), GaussianStats.of(np.zeros((2, 4)))
    with pytest.raises(ArtifactError, match="at least 2 images, here are 1"):
        _ = one.covariance
    with pytest.raises(ArtifactError, match="3 and of 4 dimensions"):
        one.merge(other)
    with pytest.raises(ArtifactError, match=r"\(2, 3, 4\)"):
        GaussianStats.of(np.zeros((2, 3, 4)))
    mean, covariance = np.zeros(3), np.eye(3)
    with pytest.raises(ArtifactError, match="dimensions differ"):
        frechet_distance(mean, covariance, mean, np.eye(4))
    with pytest.raises(ArtifactError, match="mean 2 has NaN"):
        frechet_distance(mean, covariance, np.array([0, np.nan, 0]), covariance)
    with pytest.raises(ArtifactError, match="covariance 1 has NaN"):
        frechet_distance(mean, np.full((3, 3), np.inf), mean, covariance)


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-5, 1.0), (1e4, 1e-4)])
def test_diagonal_gaussians_have_their_closed_form(scales):
    rng = np.random.default_rng(6)
    mu1, mu2 = rng.normal(size=(2, 7)) * np.sqrt(scales)[:, None]
    var1, var2 = rng.uniform(0.1, 2.0, size=(2, 7)) * np.array(scales)[:, None]
    expected = np.sum((mu1 - mu2) ** 2) + np.sum((np.sqrt(var1) - np.sqrt(var2)) ** 2)
    assert frechet_distance(mu1, np.diag(var1), mu2, np.diag(var2)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("counts", [(40, 50), (30, 400), (400, 30), (2, 2), (300, 64)])
def test_rank_deficient_covariances_give_what_the_points_give(counts):
    samples, reference = correlated(counts[0], 64, seed=12), correlated(counts[1], 64, seed=13, offset=0.3)
    assert distance(samples, reference) == pytest.approx(distance_of_points(samples, reference), rel=1e-10)
    assert 0 <= distance(samples, samples[::-1]) < 1e-9


def test_small_variances_are_not_taken_for_round_off():
    # Variances of 1e-14 of the largest: singular by the eigenvalues, but not by Cholesky's pivots.
    variances, zeros = np.array([1e7, 1.0, 1e-7]), np.zeros(3)
    expected = np.sum((np.sqrt(variances) - np.sqrt(variances[::-1])) ** 2)
    found = frechet_distance(zeros, np.diag(variances), zeros, np.diag(variances[::-1]))
    assert found == pytest.approx(expected, rel=1e-14)


def test_features_of_very_different_scales_do_not_give_nan():
    # The product's eigenvalues reach down to 1e-44 of the largest: some come out negative.
    samples, reference = (correlated(100, 12, seed=16) @ np.diag(10.0 ** (np.arange(12) - 11)) * a for a in (1, 3))
    assert 0 <= distance(samples, samples[::-1]) < 1e-6
    assert distance(samples, reference) == pytest.approx(distance_of_points(samples, reference), rel=1e-6)


@pytest.mark.parametrize("case", ["d8_generic", "d64_rank_deficient"])
def test_distance_agrees_with_openai(case):
    golden = np.load(GOLDEN)
    expected = golden[f"frechet/{case}/fid"].item()
    found = distance(golden[f"frechet/{case}/sample"], golden[f"frechet/{case}/ref"])
    assert abs(found - expected) <= 1e-6 * expected + 2e-5


@pytest.mark.parametrize(("count", "dim"), [(60, 5), (12, 20)])
@pytest.mark.parametrize("reference_count", [80, 6])
def test_replicates_are_the_distances_of_the_subsets(count, dim, reference_count):
    rng = np.random.default_rng(20)
    features, reference = rng.normal(size=(count, dim)) * 1.3, GaussianStats.of(rng.normal(size=(reference_count, dim)))
    subsets = np.stack([rng.permutation(count) < count // 2 for _ in range(4)])
    found = frechet_replicates(features.astype(np.float32), reference.mean, reference.covariance, subsets)
    for value, subset in zip(found, subsets, strict=True):
        stats = GaussianStats.of(features[subset])
        expected = frechet_distance(stats.mean, stats.covariance, reference.mean, reference.covariance)
        assert value == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dim", [5, 300])  # full rank, and fewer images than dimensions
def test_fid_infinity_is_where_the_line_of_dgm_evals_sizes_meets_zero(dim):
    features = np.random.default_rng(40).normal(size=(250, dim))
    mu, sigma = np.zeros(dim), np.eye(dim)
    random, sizes, fids = np.random.default_rng(0), np.linspace(25, 250, 15).astype(int), []
    for size in sizes:
        subset = features[random.permutation(250) < size]
        fids.append(frechet_distance(subset.mean(axis=0), np.cov(subset, rowvar=False), mu, sigma))
    line = linregress(1 / sizes, fids)
    assert fid_infinity(features, mu, sigma) == pytest.approx((line.intercept, line.intercept_stderr), rel=1e-6)


def test_fid_infinity_of_two_images_is_refused():
    with pytest.raises(ArtifactError, match="at least 3 images, samples have 2"):
        fid_infinity(np.eye(2), np.zeros(2), np.eye(2))
    assert np.isfinite(fid_infinity(np.eye(3)[:, :2], np.zeros(2), np.eye(2))).all()


def test_fid_infinity_of_one_source_is_nearly_nothing_where_fid_is_biased():
    mu, sigma, found = np.zeros(8), np.eye(8), []
    for seed in range(10):
        features = np.random.default_rng(seed).normal(size=(500, 8))
        fid = frechet_distance(features.mean(axis=0), np.cov(features, rowvar=False), mu, sigma)
        found.append((fid, fid_infinity(features, mu, sigma)[0]))
    fid, at_infinity = np.mean(found, axis=0)
    assert abs(at_infinity) < fid / 4
