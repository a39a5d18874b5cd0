"""The table of metrics: which ones a space supports, which argument is which, and accuracy."""

from dataclasses import replace

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.evaluation.bootstrap import half_samples
from eddpm.evaluation.extractors import pixels
from eddpm.evaluation.features import Extractor, Features, collect_features
from eddpm.evaluation.frechet import Gaussian, GaussianStats
from eddpm.evaluation.inception_score import inception_score
from eddpm.evaluation.manifold import precision_recall
from eddpm.evaluation.metrics import Reference, correct, measure, standard_errors


def random_images(count, seed, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, size=(count, 2, 2, 3), dtype=np.uint8)


def extract(images):
    """A stand-in with all three kinds of features."""
    pooled = pixels()(images).pooled
    probabilities = np.exp(pooled[:, :4])
    return Features(pooled, 2 * pooled[:, :5], probabilities / probabilities.sum(axis=1, keepdims=True))


SPACE = Extractor("space", {}, extract)


@pytest.fixture
def samples():
    return collect_features(SPACE, [random_images(40, seed=0, low=90, high=166)], 40, keep_spatial=True)


@pytest.fixture
def reference():
    return collect_features(SPACE, [random_images(50, seed=1)], 50)


def test_a_space_with_everything_has_all_six(samples, reference):
    assert sorted(measure(samples, reference, k=3)) == ["fid", "inception_score", "kid", "precision", "recall", "sfid"]


def test_pixels_have_no_spatial_features_and_no_classes():
    first, second = (collect_features(pixels(), [random_images(40, seed=seed)], 40) for seed in (2, 3))
    assert sorted(measure(first, second, k=3)) == ["fid", "kid", "precision", "recall"]


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
    alike = collect_features(SPACE, [random_images(40, seed=5)], 40)
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


@pytest.mark.parametrize("spatial", [True, False])
def test_statistics_alone_give_what_needs_no_images(samples, reference, spatial):
    pooled = Gaussian(reference.pooled_stats.mean, reference.pooled_stats.covariance)
    alone = Reference(None, pooled, reference.spatial_stats if spatial else None)
    found, whole = measure(samples, alone, k=3), measure(samples, reference, k=3)
    assert list(found) == ["fid", *["sfid"] * spatial, "inception_score"]
    assert found == {name: whole[name] for name in found}
    halves = half_samples(40, 8)
    errors = standard_errors(samples, alone, 3, halves)
    assert errors == {name: standard_errors(samples, reference, 3, halves)[name] for name in found}


def test_features_of_different_spaces_are_refused(samples, reference):
    of_pixels = collect_features(pixels(), [random_images(40, seed=4)], 40)
    with pytest.raises(ArtifactError, match="the reference have no spatial"):
        measure(samples, of_pixels, k=3)
    with pytest.raises(ArtifactError, match="the samples have no spatial"):
        measure(of_pixels, reference, k=3)


def test_every_metric_has_a_standard_error(samples, reference):
    errors = standard_errors(samples, reference, 3, half_samples(40, 8))
    assert sorted(errors) == sorted(measure(samples, reference, k=3))
    assert all(type(error) is float and error >= 0 for error in errors.values())
    assert all(errors[name] > 0 for name in ("fid", "sfid", "kid", "inception_score"))


def test_standard_errors_are_the_spread_over_independent_samples(reference):
    """Of each metric: the mean of the errors found within sets against the spread between sets."""
    sets = [collect_features(SPACE, [random_images(120, seed=100 + k)], 120, keep_spatial=True) for k in range(60)]
    values = [measure(each, reference, k=3) for each in sets]
    errors = [standard_errors(each, reference, 3, half_samples(120, 30)) for each in sets[:12]]
    for name in values[0]:
        spread = np.std([value[name] for value in values], ddof=1)
        assert np.mean([error[name] for error in errors]) == pytest.approx(spread, rel=0.35), name


def test_a_hit_is_a_label_that_is_likeliest():
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
    assert correct(probabilities, np.array([0, 2, 1, 0])).tolist() == [True] * 4
    assert correct(probabilities, np.array([0, 2, 2, 1])).tolist() == [True, True, False, False]
    assert correct(probabilities, np.array([1, 1, 2, 1])).mean() == 0.0


def test_accuracy_of_what_does_not_go_together_is_refused():
    probabilities = np.full((4, 3), 1 / 3)
    for labels in (np.zeros(3, int), np.zeros((4, 1), int), np.zeros(0, int)):
        with pytest.raises(ArtifactError, match="do not go together"):
            correct(probabilities, labels)
    for labels in ([0, 1, 2, 3], [0, 1, 2, -1]):
        with pytest.raises(ArtifactError, match="has 3 classes"):
            correct(probabilities, np.array(labels))
    for labels in ([0.0, 1.0, np.nan, 2.0], ["a", "b", "c", "a"]):
        with pytest.raises(ArtifactError, match="not integers"):
            correct(probabilities, np.array(labels))
    with pytest.raises(ArtifactError, match="do not go together"):
        correct(probabilities[:0], np.zeros(0, int))
