"""Metrics of nearest neighbours against a brute-force reading of the definitions, numbers of others, and by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from eddpm.errors import ArtifactError
from eddpm.evaluation import balls
from eddpm.evaluation.bootstrap import half_samples
from eddpm.evaluation.manifold import RADII, Radii, closest, manifold_metrics, manifold_replicates, precision_recall

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics.npz"


ALL = ("precision", "recall", "density", "coverage", "authpct", "nearer")


def distances(a, b):
    return ((a[:, None].astype(np.float64) - b[None].astype(np.float64)) ** 2).sum(axis=-1)


def brute_radii(features, k):
    return np.sort(distances(features, features), axis=1)[:, k]


def brute_precision_recall(reference, samples, k):
    between = distances(reference, samples)
    precision = (between <= brute_radii(reference, k)[:, None]).any(axis=0).mean()
    return precision, (between <= brute_radii(samples, k)).any(axis=1).mean()


def brute(reference, samples, radii=RADII):
    between, near = distances(reference, samples), brute_radii(reference, 1)
    held = between < brute_radii(reference, radii.density)[:, None]
    authentic = [near[column.argmin()] < column.min() for column in between.T]
    return dict(zip(ALL[:2], brute_precision_recall(reference, samples, radii.k), strict=True)) | {
        "density": held.sum(axis=0).mean() / radii.density,
        "coverage": held.any(axis=1).mean(),
        "authpct": 100 * np.mean(authentic),
        "nearer": (between <= near[:, None]).any(axis=0).mean(),
    }


def points(count, dim, seed, spread=1.0, offset=0.0):
    return (np.random.default_rng(seed).normal(size=(count, dim)) * spread + offset).astype(np.float32)


@pytest.mark.parametrize("closer", [False, True])
@pytest.mark.parametrize("dim", [1, 2048])
def test_what_float32_cannot_tell_apart_is_decided_in_float64(dim, closer):
    # Each sample lies opposite its reference's twin, on the edge of the ball but for 1e-9 of the radius.
    rng = np.random.default_rng(3)
    centers = rng.normal(size=(40, dim)) * 100 + 1000 * np.arange(40)[:, None]
    twins = centers + rng.normal(size=(40, dim))
    samples = centers - (twins - centers) * (1 - 1e-9 if closer else 1 + 1e-9)
    reference = np.concatenate([centers, twins])
    expected = brute_precision_recall(reference, samples, 1)
    assert expected[0] == closer
    assert precision_recall(reference, samples, k=1) == expected


@pytest.mark.parametrize("inside", [True, False])
def test_more_neighbours_than_float32_can_rank_are_ranked_in_float64(inside):
    # A hub with 40 neighbours on a quarter of the circle, at distances 1, 1 + 1e-9, ...: the third is at 1 + 2e-9.
    reach, angles = 1 + 1e-9 * np.random.default_rng(20).permutation(40), np.linspace(0, np.pi / 2, 40)
    circle = reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    reference = np.concatenate([np.zeros((1, 2)), circle])
    samples = np.array([[-1.0 - (1.5e-9 if inside else 2.5e-9), 0.0], [50.0, 0.0], [60.0, 0.0], [70.0, 0.0]])
    assert brute_precision_recall(reference, samples, 3)[0] == 0.25 * inside
    assert precision_recall(reference, samples, k=3) == brute_precision_recall(reference, samples, 3)


def test_what_underflows_beside_outliers_is_decided_in_float64():
    # Four copies of the outlier, so that its ball is the point itself.
    outliers = np.full((4, 3), 1e30)
    reference, samples = (np.concatenate([points(30, 3, seed), outliers]) for seed in (22, 23))
    expected = brute_precision_recall(reference, samples, 3)
    assert min(expected) < 1
    assert precision_recall(reference, samples, k=3) == expected


@pytest.mark.parametrize("pairs", [7, 2**20])
def test_integers_beyond_float32_are_exact_however_many_pairs_are_settled_at_a_time(monkeypatch, pairs):
    # Pixels: squared distances up to 2048 * 255^2 > 2^24, with ties between rows and their shifted copies.
    rng = np.random.default_rng(4)
    reference = rng.integers(0, 256, size=(60, 2048)).astype(np.float32)
    samples = np.concatenate([reference[:30] + rng.choice([-1, 1], size=(30, 2048)), reference[30:, ::-1]])
    monkeypatch.setattr(balls, "PAIRS", 2048 * pairs)
    assert precision_recall(reference, samples.astype(np.float32), k=3) == brute_precision_recall(reference, samples, 3)


def test_counts_agree_with_torch_fidelity():
    from torch_fidelity.metric_prc import calculate_precision_recall_part

    reference, samples = points(150, 2048, seed=10), points(150, 2048, seed=11, spread=1.02)
    theirs = calculate_precision_recall_part(torch.from_numpy(samples), torch.from_numpy(reference))
    assert precision_recall(reference, samples, k=3) == pytest.approx(theirs, abs=1e-6)
    assert 0 < theirs[0] < 1


@pytest.mark.parametrize("kind", ["floats", "integers", "copies", "far clusters"])
@pytest.mark.parametrize("chunk", [1000, 13])
def test_all_metrics_of_neighbours_are_those_of_brute_force_ties_and_copies_included(kind, chunk):
    rng = np.random.default_rng(30)
    reference, samples = points(90, 6, seed=31), points(80, 6, seed=32, spread=1.1)
    if kind == "integers":  # nearly every distance is tied with another
        reference, samples = (rng.integers(0, 3, size=(count, 4)).astype(np.float32) for count in (90, 80))
    elif kind == "copies":
        reference[:20], samples[:40] = reference[40:60], reference[rng.integers(0, 90, 40)]
    elif kind == "far clusters":  # which float32 cannot tell apart
        reference, samples = (each + 1e4 * rng.integers(0, 4, (len(each), 1)) for each in (reference, samples))
    radii = Radii(2, 4)
    expected = brute(reference, samples, radii)
    assert manifold_metrics(reference, samples, ALL, radii, chunk) == pytest.approx(expected, rel=1e-12)
    assert 0 < expected["coverage"] < 1
    for name in ALL:  # each alone is what it is among the others
        assert manifold_metrics(reference, samples, [name], radii, chunk) == pytest.approx({name: expected[name]})


def test_density_and_coverage_agree_with_prdc():
    from prdc import compute_prdc

    reference, samples = points(150, 8, seed=33), points(140, 8, seed=34, spread=0.6)
    theirs = compute_prdc(reference, samples, nearest_k=5)
    # Its precision and recall have open balls, which differs on ties alone.
    found = manifold_metrics(reference, samples, ALL[:4], Radii(k=5, density=5))
    assert found == pytest.approx(theirs, rel=1e-6)
    assert 0 < found["coverage"] < 1


def test_balls_of_density_and_coverage_are_open_and_all_others_closed():
    line, samples = np.arange(4, dtype=np.float32)[:, None], np.array([[-1.0], [4.0], [9.0]])  # radii for k=1: all 1
    found = manifold_metrics(line, samples, ALL, Radii(1, 1))
    assert (found["density"], found["coverage"]) == (0, 0)
    assert found["precision"] == found["nearer"] == pytest.approx(2 / 3)
    assert found["authpct"] == pytest.approx(100 / 3)


def test_the_nearest_reference_of_a_copy_is_the_first_of_its_twins_at_distance_zero():
    reference = points(50, 8, seed=35) * 1000
    reference[30] = reference[7]
    found = closest(reference, reference[[30, 12]] + np.array([[0.0], [1.0]]), chunk=9)
    assert found.index.tolist() == [7, 12]
    assert found.distance == pytest.approx([0, np.sqrt(8)])
    assert found.radius == pytest.approx(np.sqrt(brute_radii(reference, 1)[[7, 12]]))


@pytest.mark.parametrize("count", [7, 60])
def test_more_ties_than_candidates_are_told_apart_in_float64(count):
    # All are at one distance from the origin but the last, which is nearer by less than float32 can tell.
    circle = np.stack([np.cos(np.arange(count)), np.sin(np.arange(count))], axis=1)
    circle[-1] *= 1 - 1e-12
    found = closest(circle, np.array([[0.0, 0.0], [3.0, 3.0]]), chunk=5)
    assert found.index[0] == count - 1


@pytest.mark.parametrize(("k", "chunk"), [(1, 1000), (3, 7)])
def test_replicates_are_the_metrics_of_the_subsets(k, chunk):
    reference, samples = points(40, 5, seed=13), points(4 * k + 13, 5, seed=14, spread=1.2)
    subsets = half_samples(len(samples), 6)
    radii = Radii(k, k + 1)
    expected = [manifold_metrics(reference, samples[subset], ALL, radii) for subset in subsets]
    found = manifold_replicates(reference, samples, subsets, ALL, radii, chunk)
    assert set(found) == set(ALL)
    for name, values in found.items():
        np.testing.assert_allclose(values, [each[name] for each in expected], err_msg=name)


def test_a_ball_ends_at_the_last_stored_neighbour_where_members_are_rare():
    # On a line of 60 points, the ends are members: each one's other members are beyond its 16 nearest.
    line = np.arange(60, dtype=np.float32)[:, None]
    subset = np.isin(np.arange(60), [0, 59])
    found = manifold_replicates(line, line, subset[None], ("precision", "recall"), Radii(1))
    assert found == {"precision": 1.0, "recall": 34 / 60}  # 0 to 16, and 43 to 59


def test_precision_and_recall_by_hand():
    reference = np.array([[0.0], [1.0], [2.0], [3.0]])  # radii for k=1: all 1
    assert precision_recall(reference, np.array([[-1.0], [4.0], [4.001], [9.0]]), k=1)[0] == 0.5  # balls are closed
    reference = np.array([[0.0], [1.0], [10.0], [11.0]])
    samples = np.array([[0.5], [0.6], [0.7], [0.8]])  # one of the two modes only
    assert precision_recall(reference, samples, k=1) == (1.0, 0.0)
    assert precision_recall(samples, reference, k=1) == (0.0, 1.0)  # what is one is the other with the sets swapped


@pytest.mark.parametrize(("dim", "spread"), [(1, 1.5), (16, 0.5)])
def test_float_features_agree_with_brute_force_to_the_count(dim, spread):
    reference, samples = points(150, dim, seed=1), points(130, dim, seed=2, spread=spread, offset=0.3)
    for k, chunk in ((1, 31), (3, 2000), (7, 7)):
        assert precision_recall(reference, samples, k, chunk) == brute_precision_recall(reference, samples, k)


def test_copies_are_at_distance_zero_though_their_norms_are_rounded():
    # Every point five times: all radii are zero, and only true copies are inside.
    originals = points(12, 300, seed=7)
    reference, samples = np.repeat(originals, 5, axis=0), np.concatenate([originals[:6]] * 5 + [originals[6:] + 1e-3])
    assert precision_recall(reference, samples, k=3, chunk=7)[0] == pytest.approx(30 / 36)


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
    with pytest.raises(ArtifactError, match="samples have NaN or infinite"):
        precision_recall(good, np.where(good == good[3, 1], np.inf, good), k=3, chunk=2)


@pytest.mark.gpu
def test_gpu_gives_the_counts_of_the_cpu():
    reference, samples = points(500, 64, seed=18), points(400, 64, seed=19, spread=1.05)
    tensors = torch.from_numpy(reference).cuda(), torch.from_numpy(samples)
    assert manifold_metrics(*tensors, ALL, chunk=128) == manifold_metrics(reference, samples, ALL)
    subsets = half_samples(len(samples), 4)
    on_cpu, on_gpu = (manifold_replicates(*pair, subsets, ALL) for pair in ((reference, samples), tensors))
    assert {name: pytest.approx(values) for name, values in on_cpu.items()} == on_gpu
