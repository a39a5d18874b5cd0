"""The functions of the metrics: which ones a pair supports, which features each is of, and their standard errors."""

from dataclasses import replace

import numpy as np
import pytest

from eddpm.config.metrics import METRICS
from eddpm.errors import ArtifactError
from eddpm.evaluation.bootstrap import half_samples, standard_error
from eddpm.evaluation.features import FeatureCollector, Features, FeatureSet
from eddpm.evaluation.frechet import Gaussian, GaussianStats, fid_infinity
from eddpm.evaluation.inception_score import inception_score
from eddpm.evaluation.manifold import Radii, manifold_metrics, precision_recall
from eddpm.evaluation.metrics import Pair, Reference, correct, measure, measure_halves
from eddpm.evaluation.vendi import vendi_per_class

SIX = ["fid", "sfid", "kid", "inception_score", "precision", "recall"]


def feature_set(count: int, seed: int, spread: float = 1.0, networks: bool = True) -> FeatureSet:
    """All three kinds of features of random images, or the pooled ones alone."""
    pooled = (np.random.default_rng(seed).uniform(-1, 1, (count, 12)) * spread).astype(np.float32)
    probabilities = np.exp(pooled[:, :4])
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    collector = FeatureCollector(count, keep_spatial=True)
    collector.add(Features(pooled, 2 * pooled[:, :5], probabilities) if networks else Features(pooled))
    return collector.finish()


@pytest.fixture(scope="module")
def samples():
    return feature_set(40, seed=0, spread=0.3)


@pytest.fixture(scope="module")
def reference():
    return feature_set(50, seed=1)


def test_each_metric_is_of_its_own_features(samples, reference):
    metrics = measure(Pair(samples, reference, k=5))
    assert list(metrics) == SIX
    assert all(type(value) is float for value in metrics.values())
    assert metrics["inception_score"] == inception_score(samples.probabilities)
    assert (metrics["precision"], metrics["recall"]) == precision_recall(reference.pooled, samples.pooled, k=5)
    assert metrics["precision"] > metrics["recall"] + 0.3  # samples are narrower than the reference
    # All spatial features are twice pooled ones here; a squared distance is four times as large.
    few = replace(samples, pooled_stats=GaussianStats.of(samples.pooled[:, :5]))
    many = replace(reference, pooled_stats=GaussianStats.of(reference.pooled[:, :5]))
    assert metrics["sfid"] == pytest.approx(4 * measure(Pair(few, many, k=3))["fid"], rel=1e-4)


@pytest.mark.parametrize("spatial", [True, False])
def test_statistics_alone_give_what_needs_no_images(samples, reference, spatial):
    pooled = Gaussian(reference.pooled_stats.mean, reference.pooled_stats.covariance)
    alone = Reference(None, pooled, reference.spatial_stats if spatial else None)
    found, whole = (measure(Pair(samples, against, k=3)) for against in (alone, reference))
    assert list(found) == ["fid", *["sfid"] * spatial, "inception_score"]
    assert found == {name: whole[name] for name in found}
    on_halves, all_on_halves = (measure_halves(Pair(samples, a, 3), half_samples(40, 8)) for a in (alone, reference))
    assert list(on_halves) == list(found)
    for name, values in on_halves.items():
        np.testing.assert_array_equal(values, all_on_halves[name])


def test_features_of_different_spaces_are_refused(samples, reference):
    pixels = feature_set(40, seed=4, networks=False)
    assert list(measure(Pair(pixels, pixels, k=3))) == ["fid", "kid", "precision", "recall"]
    with pytest.raises(ArtifactError, match="the reference have no spatial"):
        measure(Pair(samples, pixels, k=3))
    with pytest.raises(ArtifactError, match="the samples have no spatial"):
        measure(Pair(pixels, reference, k=3))


def test_standard_errors_are_the_spread_over_independent_samples(reference):
    """Of each metric: the mean of the errors found within sets against the spread between sets."""
    labels = np.arange(120) % 4
    asked = [name for name in METRICS if name != "fid_infinity"]
    pairs = [Pair(feature_set(120, seed=100 + k), reference, 3, labels, metrics=asked) for k in range(60)]
    values = [measure(pair) for pair in pairs]
    on_halves = [measure_halves(pair, half_samples(120, 30)) for pair in pairs[:12]]
    assert list(values[0]) == list(on_halves[0]) == asked
    for name in values[0]:
        spread = np.std([value[name] for value in values], ddof=1)
        # Coverage and the Vendi scores are near their largest values here. On halves they are less so, and vary more.
        within = 0.8 if name in ("coverage", "vendi", "vendi_per_class") else 0.35
        found = np.mean([standard_error(each[name], 120) for each in on_halves])
        assert found == pytest.approx(spread, rel=within), name


def test_what_is_asked_for_is_measured_where_its_needs_are_met(samples, reference):
    labels = np.arange(40) % 4
    asked = ["density", "vendi", "vendi_per_class", "fid_infinity", "accuracy"]
    found = measure(Pair(samples, reference, 3, labels, metrics=asked))
    assert list(found) == sorted(asked, key=list(METRICS).index)
    assert found["vendi_per_class"] == vendi_per_class(samples.pooled, labels) < found["vendi"]
    assert list(measure(Pair(samples, reference, 3, labels, judges=False, metrics=asked))) == list(found)[1:]
    assert list(measure(Pair(samples, reference, 3, metrics=asked))) == ["density", "vendi", "fid_infinity"]
    alone = Reference(None, reference.pooled_stats)
    assert list(measure(Pair(samples, alone, 3, metrics=["mmd", "coverage", "fid_infinity"]))) == ["fid_infinity"]
    assert list(measure(Pair(samples, alone, 3, metrics=["kid"]))) == []  # no word of spatial features


def test_the_neighbours_of_density_are_its_own(samples, reference):
    asked = ["precision", "density", "coverage"]
    for k, density_k in ((3, 5), (2, 7)):
        found = measure(Pair(samples, reference, k, metrics=asked, density_k=density_k))
        pooled = reference.pooled, samples.pooled
        assert found == manifold_metrics(*pooled, asked, Radii(k, density_k))
        assert found["precision"] == manifold_metrics(*pooled, asked, Radii(k, 1))["precision"]


def test_the_error_of_a_fitted_metric_is_that_of_its_fit(samples, reference):
    pair = Pair(samples, reference, 3, metrics=["fid", "fid_infinity"])
    found, on_halves = measure(pair), measure_halves(pair, half_samples(40, 5))
    stats = reference.pooled_stats
    value, error = fid_infinity(samples.pooled, stats.mean, stats.covariance)
    assert (found["fid_infinity"], found["fid_infinity"].error) == (value, error)
    assert np.isnan(on_halves["fid_infinity"]).all()
    assert not np.isnan(on_halves["fid"]).any()


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(3, int), "do not go together"),
        (np.array([0, 1, 2, 3]), "has 3 classes"),
        (np.array([0.0, 1.0, np.nan, 2.0]), "not integers"),
    ],
)
def test_accuracy_counts_the_likeliest_labels_and_refuses_what_does_not_go_together(labels, words):
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
    assert correct(probabilities, np.array([0, 2, 2, 1])).tolist() == [True, True, False, False]
    with pytest.raises(ArtifactError, match=words):
        correct(probabilities, labels)
