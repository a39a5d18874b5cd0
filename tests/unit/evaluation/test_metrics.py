"""The table of metrics: which ones a space supports, which argument is which, and accuracy."""

from dataclasses import replace

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.evaluation.features import Features, collect_features, pixel_features
from eddpm.evaluation.frechet import Gaussian, GaussianStats
from eddpm.evaluation.inception_score import inception_score
from eddpm.evaluation.manifold import precision_recall
from eddpm.evaluation.metrics import Reference, accuracy, measure


def random_images(count, seed, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, size=(count, 2, 2, 3), dtype=np.uint8)


def extract(images):
    """A stand-in with all three kinds of features."""
    pooled = pixel_features(images).pooled
    probabilities = np.exp(pooled[:, :4])
    return Features(pooled, 2 * pooled[:, :5], probabilities / probabilities.sum(axis=1, keepdims=True))


@pytest.fixture
def samples():
    return collect_features(extract, [random_images(40, seed=0, low=90, high=166)])


@pytest.fixture
def reference():
    return collect_features(extract, [random_images(50, seed=1)])


def test_a_space_with_everything_has_all_five(samples, reference):
    assert sorted(measure(samples, reference, k=3)) == ["fid", "inception_score", "precision", "recall", "sfid"]


def test_pixels_have_fid_precision_and_recall():
    first, second = (collect_features(pixel_features, [random_images(40, seed=seed)]) for seed in (2, 3))
    assert sorted(measure(first, second, k=3)) == ["fid", "precision", "recall"]


def test_values_are_plain_floats(samples, reference):
    assert all(type(value) is float for value in measure(samples, reference, k=3).values())


def test_each_metric_is_of_its_own_features(samples, reference):
    metrics = measure(samples, reference, k=3)
    assert metrics["inception_score"] == inception_score(samples.probabilities)
    assert (metrics["precision"], metrics["recall"]) == precision_recall(reference.pooled, samples.pooled, k=3)
    assert metrics["precision"] > metrics["recall"] + 0.3  # samples are narrower than the reference
    # All spatial features are twice pooled ones here; a squared distance is four times as large.
    few = replace(samples, pooled_stats=GaussianStats.of(samples.pooled[:, :5]))
    many = replace(reference, pooled_stats=GaussianStats.of(reference.pooled[:, :5]))
    assert metrics["sfid"] == pytest.approx(4 * measure(few, many, k=3)["fid"], rel=1e-4)


def test_k_reaches_precision_and_recall(reference):
    alike = collect_features(extract, [random_images(40, seed=5)])
    few, many = measure(alike, reference, k=1), measure(alike, reference, k=9)
    assert few["precision"] < many["precision"]
    assert few["recall"] < many["recall"]


def test_identical_sets_are_perfect(samples):
    metrics = measure(samples, samples, k=3)
    assert (metrics["precision"], metrics["recall"]) == (1.0, 1.0)
    assert metrics["fid"] == pytest.approx(0, abs=1e-6)
    assert metrics["sfid"] == pytest.approx(0, abs=1e-6)


def test_published_statistics_serve_as_reference(samples, reference):
    pooled, spatial = (Gaussian(s.mean, s.covariance) for s in (reference.pooled_stats, reference.spatial_stats))
    published = Reference(reference.pooled, pooled, spatial)
    assert measure(samples, published, k=3) == measure(samples, reference, k=3)


def test_features_of_different_spaces_are_refused(samples, reference):
    pixels = collect_features(pixel_features, [random_images(40, seed=4)])
    with pytest.raises(ArtifactError, match="the reference have no spatial"):
        measure(samples, pixels, k=3)
    with pytest.raises(ArtifactError, match="the samples have no spatial"):
        measure(pixels, reference, k=3)


def test_accuracy_is_the_share_of_labels_hit():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
    assert accuracy(probabilities, np.array([0, 2, 1, 0])) == 1.0
    assert accuracy(probabilities, np.array([0, 2, 2, 1])) == 0.5
    assert accuracy(probabilities, np.array([1, 1, 2, 1])) == 0.0


def test_accuracy_of_what_does_not_go_together_is_refused():
    probabilities = np.full((4, 3), 1 / 3)
    for labels in (np.zeros(3, int), np.zeros((4, 1), int), np.zeros(0, int)):
        with pytest.raises(ArtifactError, match="do not go together"):
            accuracy(probabilities, labels)
    for labels in ([0, 1, 2, 3], [0, 1, 2, -1]):
        with pytest.raises(ArtifactError, match="has 3 classes"):
            accuracy(probabilities, np.array(labels))
    with pytest.raises(ArtifactError, match="do not go together"):
        accuracy(probabilities[:0], np.zeros(0, int))
