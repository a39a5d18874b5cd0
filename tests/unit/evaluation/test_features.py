"""The check of what an extractor gets and gives; the pass over a set against the set at once."""

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.evaluation.features import Extractor, FeatureCollector, Features


def random_images(count, size=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(count, size, size, 3), dtype=np.uint8)


def stand_in(images):
    """Pooled (N, 3), spatial (N, 2H), four numbers as probabilities: closed forms of each image alone."""
    values = images.astype(np.float32)
    rows = values[..., :2].mean(axis=2)
    return Features(values.mean(axis=(1, 2)), rows.reshape(len(rows), 2 * rows.shape[1]), values[:, 0, :4, 0])


@pytest.mark.parametrize("images", [np.zeros((2, 4, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8)])
def test_other_than_uint8_nhwc_images_are_refused_before_any_work(images):
    with pytest.raises(ArtifactError, match=r"space: images are .*uint8 \(N, H, W, C\)"):
        Extractor("space", {}, None)(images)


@pytest.mark.parametrize(("kind", "value"), [("pooled", np.nan), ("spatial", np.inf), ("probabilities", -np.inf)])
def test_features_that_are_not_finite_are_refused_with_the_first_such_image(kind, value):
    def extract(images):
        features = stand_in(images)
        getattr(features, kind)[[2, 4], -1] = value
        return features

    with pytest.raises(ArtifactError, match="space: features of image 2 of a batch of 5"):
        Extractor("space", {}, extract)(random_images(5))


@pytest.mark.parametrize("sizes", [[20], [7, 7, 6]])
def test_collecting_in_batches_gives_what_the_whole_set_gives(sizes):
    images = random_images(20)
    whole, collector = stand_in(images), FeatureCollector(20)
    extract = Extractor("space", {}, stand_in)
    for batch in np.split(images, np.cumsum(sizes)[:-1]):
        collector.add(extract(batch))
    found = collector.finish()
    assert np.array_equal(found.pooled, whole.pooled)
    assert np.array_equal(found.probabilities, whole.probabilities)
    assert found.spatial is None  # not asked for
    for stats, features in ((found.pooled_stats, whole.pooled), (found.spatial_stats, whole.spatial)):
        assert stats.count == 20
        np.testing.assert_allclose(stats.mean, features.mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(stats.covariance, np.cov(features, rowvar=False), rtol=1e-4, atol=1e-6)


def test_what_the_space_has_not_is_none_and_batches_of_other_dimensions_are_refused():
    collector = FeatureCollector(5, keep_spatial=True)
    collector.add(Features(np.ones((5, 3))))
    found = collector.finish()
    assert (found.spatial_stats, found.spatial, found.probabilities) == (None, None, None)
    with pytest.raises(ArtifactError, match="dimensions"):
        collector.add(Features(np.ones((3, 12))))


@pytest.mark.parametrize("rows", [[0, 99, 100, 101, 250], []])
def test_features_of_some_images_are_kept_and_the_statistics_are_of_all(rows):
    pooled = np.random.default_rng(0).random((251, 7), dtype=np.float32)
    some = FeatureCollector(251, keep_spatial=True, rows=np.array(rows, int))
    whole = FeatureCollector(251, keep_spatial=True)
    for start in range(0, 251, 100):
        batch = Features(pooled[start : start + 100], pooled[start : start + 100, :3], pooled[start : start + 100, :2])
        some.add(batch)
        whole.add(batch)
    found, wanted = some.finish(), whole.finish()
    for name in Features._fields:
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name)[rows])
    np.testing.assert_array_equal(found.pooled_stats.scatter, wanted.pooled_stats.scatter)
