"""Radii, precision and recall against a brute-force reading of the definition, OpenAI's numbers, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eddpm.errors import ArtifactError
from eddpm.evaluation.manifold import manifold_radii, precision_recall

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


def test_radii_by_hand():
    line = np.array([[0.0], [1.0], [3.0], [7.0]])
    assert manifold_radii(line, k=1).tolist() == [1, 1, 4, 16]
    assert manifold_radii(line, k=2).tolist() == [9, 4, 9, 36]
    assert manifold_radii(line, k=3).tolist() == [49, 36, 16, 49]


def test_near_neighbours_far_from_the_others_are_not_taken_for_copies():
    pairs = np.array([[0.0], [0.01], [1000.0], [1000.01], [3000.0], [3000.01]])
    np.testing.assert_allclose(manifold_radii(pairs, k=1), np.full(6, 1e-4), rtol=1e-4)


@pytest.mark.parametrize("k", [1, 3, 7])
@pytest.mark.parametrize("chunk", [1, 2, 7, 30, 31, 1000])
def test_radii_agree_with_brute_force_for_any_chunk(k, chunk):
    features = points(31, 5, seed=0)
    np.testing.assert_allclose(manifold_radii(features, k, chunk), brute_radii(features, k), rtol=1e-12)


def test_balls_are_closed():
    reference = np.array([[0.0], [1.0], [2.0], [3.0]])  # radii for k=1: all 1
    samples = np.array([[-1.0], [4.0], [4.001], [9.0]])
    assert precision_recall(reference, samples, k=1)[0] == 0.5


def test_precision_and_recall_by_hand():
    reference = np.array([[0.0], [1.0], [10.0], [11.0]])
    samples = np.array([[0.5], [0.6], [0.7], [0.8]])  # one of the two modes only
    assert precision_recall(reference, samples, k=1) == (1.0, 0.0)
    assert precision_recall(samples, reference, k=1) == (0.0, 1.0)  # what is one is the other with the sets swapped


def test_k_widens_the_manifold():
    reference = np.array([[0.0], [1.0], [3.0], [4.0]])
    samples = reference + 6.0
    assert precision_recall(reference, samples, k=1) == (0.0, 0.0)
    assert precision_recall(reference, samples, k=3) == (0.5, 0.5)  # radii 4, 3, 3, 4: up to 8, down to 2


@pytest.mark.parametrize("spread", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("dim", [1, 2, 16])
def test_float_features_agree_with_brute_force_to_the_count(dim, spread):
    reference, samples = points(150, dim, seed=1), points(130, dim, seed=2, spread=spread, offset=0.3)
    expected = brute_precision_recall(reference, samples, k=3)
    assert precision_recall(reference, samples, k=3) == expected
    assert 0 < sum(expected) < 2


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


def test_a_far_offset_does_not_change_the_result():
    reference, samples = (np.round(points(60, 4, seed=s) * 256) / 256 for s in (4, 5))
    near = precision_recall(reference, samples, k=3)
    assert precision_recall(reference.astype(np.float64) + 2**30, samples.astype(np.float64) + 2**30, k=3) == near
    assert 0 < near[0] < 1


@pytest.mark.parametrize("dim", [1, 3, 2048])
def test_identical_sets_have_full_precision_and_recall(dim):
    features = points(40, dim, seed=6)
    assert precision_recall(features, features[::-1].copy(), k=3) == (1.0, 1.0)


@pytest.mark.parametrize("chunk", [4, 7, 1000])
def test_copies_are_at_distance_zero_though_their_norms_are_rounded(chunk):
    # Every point five times: all radii are zero, and only true copies are inside.
    originals = points(12, 300, seed=7)
    reference, samples = np.repeat(originals, 5, axis=0), np.concatenate([originals[:6]] * 5 + [originals[6:] + 1e-3])
    assert manifold_radii(reference, 3, chunk).tolist() == [0.0] * 60
    assert precision_recall(reference, samples, k=3, chunk=chunk)[0] == pytest.approx(30 / 36)


def test_constant_features_are_one_point():
    constant = np.full((5, 7), 0.1, dtype=np.float32)
    assert precision_recall(constant, constant, k=3) == (1.0, 1.0)
    assert precision_recall(constant, constant + np.float32(1e-3), k=3) == (0.0, 0.0)


def test_order_of_the_points_does_not_matter():
    reference, samples = points(50, 3, seed=8), points(60, 3, seed=9, spread=1.3)
    rng = np.random.default_rng(10)
    shuffled = precision_recall(rng.permutation(reference), rng.permutation(samples), k=3, chunk=17)
    assert shuffled == precision_recall(reference, samples, k=3)


def test_tensors_and_arrays_give_the_same():
    reference, samples = points(30, 3, seed=11), points(30, 3, seed=12)
    tensors = torch.from_numpy(reference), torch.from_numpy(samples)
    assert precision_recall(*tensors, k=3) == precision_recall(reference, samples, k=3)


def test_blocks_are_no_larger_than_the_chunk(monkeypatch):
    largest = []
    addmm = torch.addmm

    def spy(*args, **kwargs):
        block = addmm(*args, **kwargs)
        largest.append(max(block.shape))
        return block

    monkeypatch.setattr(torch, "addmm", spy)
    precision_recall(points(50, 2, seed=13), points(70, 2, seed=14), k=3, chunk=16)
    assert max(largest) == 16


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
        manifold_radii(good[:, 0])
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
