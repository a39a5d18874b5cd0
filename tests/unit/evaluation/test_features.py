"""The check of what an extractor gets and gives; the pass over a set against the set at once."""

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.evaluation.features import Extractor, FeatureCollector, Features, collect_features


def random_images(count, size=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(count, size, size, 3), dtype=np.uint8)


def stand_in(images):
    """Pooled (N, 3), spatial (N, 2H), four numbers as probabilities: closed forms of each image alone."""
    values = images.astype(np.float32)
    rows = values[..., :2].mean(axis=2)
    return Features(values.mean(axis=(1, 2)), rows.reshape(len(rows), 2 * rows.shape[1]), values[:, 0, :4, 0])


def space(extract=stand_in):
    return Extractor("space", {"weights": "0"}, extract)


def test_extractor_gives_what_its_function_gives():
    images = random_images(3)
    for found, expected in zip(space()(images), stand_in(images), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("images", [np.zeros((2, 4, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8)])
def test_other_than_uint8_nhwc_images_are_refused_before_any_work(images):
    with pytest.raises(ArtifactError, match=r"space: images are .*uint8 \(N, H, W, C\)"):
        space(extract=None)(images)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", Features._fields)
def test_features_that_are_not_finite_are_refused_with_the_first_such_image(kind, value):
    def extract(images):
        features = stand_in(images)
        getattr(features, kind)[[2, 4], -1] = value
        return features

    with pytest.raises(ArtifactError, match="space: features of image 2 of a batch of 5"):
        space(extract)(random_images(5))


def test_the_first_bad_image_counts_whichever_its_features():
    def extract(images):
        features = stand_in(images)
        features.pooled[3], features.probabilities[1] = np.nan, np.nan
        return features

    with pytest.raises(ArtifactError, match="image 1 of"):
        space(extract)(random_images(5))


@pytest.mark.parametrize("sizes", [[20], [7, 7, 6], [3, 0, 16, 1], [1] * 20])
def test_collecting_in_batches_gives_what_the_whole_set_gives(sizes):
    images = random_images(20)
    whole = stand_in(images)
    batches = iter(np.split(images, np.cumsum(sizes)[:-1]))  # any iterable will do, once through
    found = collect_features(space(), batches, 20)
    assert np.array_equal(found.pooled, whole.pooled)
    assert np.array_equal(found.probabilities, whole.probabilities)
    for stats, features in ((found.pooled_stats, whole.pooled), (found.spatial_stats, whole.spatial)):
        assert stats.count == 20
        np.testing.assert_allclose(stats.mean, features.mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(stats.covariance, np.cov(features, rowvar=False), rtol=1e-4, atol=1e-6)


def test_spatial_features_are_kept_only_where_they_are_wanted():
    images = random_images(7)
    batches = [images[:4], images[4:]]
    assert collect_features(space(), batches, 7).spatial is None
    found = collect_features(space(), batches, 7, keep_spatial=True)
    assert np.array_equal(found.spatial, stand_in(images).spatial)


def test_what_the_space_has_not_is_none():
    extract = space(lambda images: Features(stand_in(images).pooled))
    found = collect_features(extract, [random_images(5)], 5, keep_spatial=True)
    assert found.pooled.shape == (5, 3)
    assert found.spatial_stats is None
    assert found.spatial is None
    assert found.probabilities is None


def test_extractor_may_give_spatial_features_without_probabilities():
    extract = space(lambda images: Features(np.ones((len(images), 2)), np.ones((len(images), 3))))
    found = collect_features(extract, [random_images(4)], 4)
    assert found.spatial_stats.mean.tolist() == [1, 1, 1]
    assert found.probabilities is None


def test_batches_of_other_dimensions_are_refused():
    extract = space(lambda images: Features(images.reshape(len(images), -1).astype(np.float32)))
    with pytest.raises(ArtifactError, match="dimensions"):
        collect_features(extract, [random_images(3, size=4), random_images(3, size=2)], 6)


@pytest.mark.parametrize("rows", [None, [0, 99, 100, 101, 250], []])
def test_features_of_some_images_are_kept_and_the_statistics_are_of_all(rows):
    pooled = np.random.default_rng(0).random((251, 7), dtype=np.float32)
    collector = FeatureCollector(251, keep_spatial=True, rows=None if rows is None else np.array(rows, int))
    whole = FeatureCollector(251, keep_spatial=True)
    for start in range(0, 251, 100):
        batch = Features(pooled[start : start + 100], pooled[start : start + 100, :3], pooled[start : start + 100, :2])
        collector.add(batch)
        whole.add(batch)
    found, wanted, kept = collector.finish(), whole.finish(), slice(None) if rows is None else rows
    for name in ("pooled", "spatial", "probabilities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name)[kept])
    np.testing.assert_array_equal(found.pooled_stats.scatter, wanted.pooled_stats.scatter)
