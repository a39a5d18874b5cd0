"""Precision and recall against a brute-force reading of the definition, OpenAI's numbers, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eddpm.errors import ArtifactError
from eddpm.evaluation import manifold
from eddpm.evaluation.manifold import precision_recall, precision_recall_replicates

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics.npz"


def squared(a, b):
    """Squared distances by differences, (n, D), (m, D) -> (n, m)."""
    return ((a[:, None].astype(np.float64) - b[None].astype(np.float64)) ** 2).sum(axis=-1)


def brute_radii(features, k):
    return np.sort(squared(features, features), axis=1)[:, k]


def brute_precision_recall(reference, samples, k):
    distances = squared(reference, samples)
    precision = (distances <= brute_radii(reference, k)[:, None]).any(axis=0).mean()
    recall = (distances <= brute_radii(samples, k)[None, :]).any(axis=1).mean()
    return precision, recall


def points(count, dim, seed, spread=1.0, offset=0.0):
    return (np.random.default_rng(seed).normal(size=(count, dim)) * spread + offset).astype(np.float32)


@pytest.mark.parametrize("closer", [False, True])
@pytest.mark.parametrize("dim", [1, 2048])
def test_what_float32_cannot_tell_apart_is_decided_in_float64(dim, closer):
    # Each sample lies on the edge of its own reference's ball, but for 1e-9 of the radius; other balls are far away.
    rng = np.random.default_rng(3)
    centers = rng.normal(size=(40, dim)) * 100 + 1000 * np.arange(40)[:, None]
    twins = centers + rng.normal(size=(40, dim))
    direction = rng.normal(size=(40, dim))
    reach = np.linalg.norm(twins - centers, axis=1) / np.linalg.norm(direction, axis=1)
    samples = centers + direction * (reach * (1 - 1e-9 if closer else 1 + 1e-9))[:, None]
    if dim == 1:  # keep out of the twin's ball, which lies on one side
        samples = centers - (twins - centers) * (1 - 1e-9 if closer else 1 + 1e-9)
    reference = np.concatenate([centers, twins])
    expected = brute_precision_recall(reference, samples, 1)
    assert precision_recall(reference, samples, k=1) == expected
    assert precision_recall(reference.astype(np.float32), samples, k=1)[0] == pytest.approx(expected[0], abs=1)
    if dim == 1:
        assert expected[0] == closer


@pytest.mark.parametrize("inside", [True, False])
def test_more_neighbours_than_float32_can_rank_are_ranked_in_float64(inside):
    # A hub with 40 neighbours on a quarter of the circle, at distances 1, 1 + 1e-9, ...: the third is at 1 + 2e-9.
    reach, angles = 1 + 1e-9 * np.random.default_rng(20).permutation(40), np.linspace(0, np.pi / 2, 40)
    circle = reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reference = np.concatenate([np.zeros((1, 2)), circle])
    samples = np.array([[-1.0 - (1.5e-9 if inside else 2.5e-9), 0.0], [50.0, 0.0], [60.0, 0.0], [70.0, 0.0]])
    assert brute_precision_recall(reference, samples, 3)[0] == 0.25 * inside
    assert precision_recall(reference, samples, k=3) == brute_precision_recall(reference, samples, 3)


def test_open_pairs_are_settled_however_many_at_a_time(monkeypatch):
    rng = np.random.default_rng(21)
    reference, samples = (rng.integers(0, 3, size=(n, 4)).astype(np.float32) for n in (60, 50))
    samples[:, 0] += 2
    expected = brute_precision_recall(reference, samples, 1)
    assert 0 < expected[0] < 1
    for pairs in (1, 12, 2**20):
        monkeypatch.setattr(manifold, "PAIRS", pairs)
        assert precision_recall(reference, samples, k=1) == expected


def test_what_underflows_beside_outliers_is_decided_in_float64():
    near = points(30, 3, seed=22).astype(np.float64), points(30, 3, seed=23, spread=2.0).astype(np.float64)
    # Four copies of the outlier, so that its ball is the point itself.
    reference, samples = (np.concatenate([each, np.full((4, 3), 1e30)]) for each in near)
    expected = brute_precision_recall(reference, samples, 3)
    assert min(expected) < 1
    assert precision_recall(reference, samples, k=3) == expected


def test_integers_beyond_float32_are_exact():
    # Pixels: squared distances up to 2048 * 255^2 > 2^24, with ties between rows and their shifted copies.
    rng = np.random.default_rng(4)
    reference = rng.integers(0, 256, size=(60, 2048)).astype(np.float32)
    samples = np.concatenate([reference[:30] + rng.choice([-1, 1], size=(30, 2048)), reference[30:, ::-1]])
    found = precision_recall(reference, samples.astype(np.float32), k=3)
    assert found == pytest.approx(brute_precision_recall(reference, samples, 3), abs=1e-12)


@pytest.mark.parametrize(("count", "dim"), [(300, 8), (150, 2048)])
def test_counts_agree_with_torch_fidelity(count, dim):
    from torch_fidelity.metric_prc import calculate_precision_recall_part

    reference, samples = points(count, dim, seed=10), points(count, dim, seed=11, spread=1.02)
    theirs = calculate_precision_recall_part(torch.from_numpy(samples), torch.from_numpy(reference))
    assert precision_recall(reference, samples, k=3) == pytest.approx(theirs, abs=1e-6)
    assert 0 < theirs[0] < 1


# Replicates -------------------------------------------------------------------------------------------------------


def halves(count, replicates=6):
    rng = np.random.default_rng(12)
    return np.stack([rng.permutation(count) < count // 2 for _ in range(replicates)])


@pytest.mark.parametrize("chunk", [7, 1000])
@pytest.mark.parametrize("k", [1, 3])
def test_replicates_are_the_metrics_of_the_subsets(k, chunk):
    reference, samples = points(40, 5, seed=13), points(4 * k + 13, 5, seed=14, spread=1.2)
    subsets = halves(len(samples))
    expected = [precision_recall(reference, samples[subset], k) for subset in subsets]
    np.testing.assert_allclose(precision_recall_replicates(reference, samples, subsets, k, chunk), expected)


def test_replicates_of_many_samples_need_the_nearest_of_them_alone():
    reference, samples = points(200, 4, seed=15), points(300, 4, seed=16, spread=1.2)
    subsets = halves(300)
    expected = [precision_recall(reference, samples[subset]) for subset in subsets]
    np.testing.assert_allclose(precision_recall_replicates(reference, samples, subsets), expected, atol=0.005)


def test_a_sample_left_out_covers_not_even_its_own_place():
    samples = points(12, 3, seed=24)
    subset = np.arange(12) < 6
    apart = samples + np.float32(100) * ~subset[:, None]
    found = precision_recall_replicates(apart, apart, subset[None], k=1)
    np.testing.assert_allclose(found, [[1.0, 0.5]])


def test_a_ball_ends_at_the_last_stored_neighbour_where_members_are_rare():
    # On a line of 60 points, the ends are members: each one's other members are beyond its 16 nearest.
    line = np.arange(60, dtype=np.float32)[:, None]
    subset = np.isin(np.arange(60), [0, 59])
    (found,) = precision_recall_replicates(line, line, subset[None], k=1)
    assert found.tolist() == [1.0, 34 / 60]  # 0 to 16, and 43 to 59


# Definitions ------------------------------------------------------------------------------------------------------


def test_balls_are_closed():
    reference = np.array([[0.0], [1.0], [2.0], [3.0]])  # radii for k=1: all 1
    samples = np.array([[-1.0], [4.0], [4.001], [9.0]])
    assert precision_recall(reference, samples, k=1)[0] == 0.5


def test_precision_and_recall_by_hand():
    reference = np.array([[0.0], [1.0], [10.0], [11.0]])
    samples = np.array([[0.5], [0.6], [0.7], [0.8]])  # one of the two modes only
    assert precision_recall(reference, samples, k=1) == (1.0, 0.0)
    assert precision_recall(samples, reference, k=1) == (0.0, 1.0)  # what is one is the other with the sets swapped


@pytest.mark.parametrize("spread", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("dim", [1, 2, 16])
def test_float_features_agree_with_brute_force_to_the_count(dim, spread):
    reference, samples = points(150, dim, seed=1), points(130, dim, seed=2, spread=spread, offset=0.3)
    for k, chunk in ((1, 31), (3, 2000), (7, 7)):
        expected = brute_precision_recall(reference, samples, k)
        assert precision_recall(reference, samples, k, chunk) == expected
    assert 0 < sum(brute_precision_recall(reference, samples, 1)) < 2


@pytest.mark.parametrize("offset", [0, 5000])
def test_ties_of_integers_are_exact_for_any_chunk(offset):
    rng = np.random.default_rng(3)
    reference, samples = (offset + rng.integers(0, [6, 6, 9], size=(n, 3)).astype(np.float32) for n in (90, 80))
    samples = samples + np.float32(2)
    expected = brute_precision_recall(reference, samples, k=3)
    for chunk in (7, 13, 80, 1000):
        assert precision_recall(reference, samples, k=3, chunk=chunk) == expected
    # The ties decide: with open balls fewer points would be inside.
    assert (squared(reference, samples) < brute_radii(reference, 3)[:, None]).any(axis=0).mean() < expected[0]


@pytest.mark.parametrize("chunk", [4, 7, 1000])
def test_copies_are_at_distance_zero_though_their_norms_are_rounded(chunk):
    # Every point five times: all radii are zero, and only true copies are inside.
    originals = points(12, 300, seed=7)
    reference, samples = np.repeat(originals, 5, axis=0), np.concatenate([originals[:6]] * 5 + [originals[6:] + 1e-3])
    assert precision_recall(reference, samples, k=3, chunk=chunk)[0] == pytest.approx(30 / 36)


@pytest.mark.parametrize(("case", "tolerance"), [("exact_int_d3_dense_ties", 1e-12), ("float_d16_wide_sample", 0.004)])
def test_precision_and_recall_agree_with_openai(case, tolerance):
    golden = np.load(GOLDEN)
    arrays = {name: golden[f"prec_recall/{case}/{name}"] for name in ("ref", "sample", "precision", "recall")}
    found = precision_recall(arrays["ref"], arrays["sample"], k=3, chunk=100)
    assert found == pytest.approx((arrays["precision"].item(), arrays["recall"].item()), rel=0, abs=tolerance)


def test_bad_features_are_refused():
    good = points(5, 2, seed=15)
    with pytest.raises(ArtifactError, match="k=5 need at least 6 images, reference have 5"):
        precision_recall(good, points(9, 2, seed=16), k=5)
    with pytest.raises(ArtifactError, match="k=3 need at least 4 images, samples have 3"):
        precision_recall(good, good[:3], k=3)
    with pytest.raises(ArtifactError, match="2 dimensions, samples 3"):
        precision_recall(good, points(5, 3, seed=17), k=3)
    with pytest.raises(ArtifactError, match=r"shape \(5,\)"):
        precision_recall(good[:, 0], good)
    for value in (np.nan, np.inf):
        bad = good.copy()
        bad[3, 1] = value
        with pytest.raises(ArtifactError, match="samples have NaN or infinite"):
            precision_recall(good, bad, k=3, chunk=2)


@pytest.mark.gpu
def test_gpu_gives_the_counts_of_the_cpu():
    reference, samples = points(500, 64, seed=18), points(400, 64, seed=19, spread=1.05)
    tensors = torch.from_numpy(reference).cuda(), torch.from_numpy(samples)
    assert precision_recall(*tensors, k=3, chunk=128) == precision_recall(reference, samples, k=3)
