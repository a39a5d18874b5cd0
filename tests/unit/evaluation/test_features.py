"""The check of what an extractor gets and gives; the pass over a set against the set at once."""

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.evaluation.features import Extractor, FeatureCollector, Features


@pytest.mark.parametrize("images", [np.zeros((2, 4, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8)])
def test_other_than_uint8_nhwc_images_are_refused_before_any_work(images):
    with pytest.raises(ArtifactError, match=r"space: images are .*uint8 \(N, H, W, C\)"):
        Extractor("space", {}, None)(images)


@pytest.mark.parametrize(("kind", "value"), [("pooled", np.nan), ("spatial", np.inf), ("probabilities", -np.inf)])
def test_features_that_are_not_finite_are_refused_with_the_first_such_image(kind, value):
    features = Features(np.ones((5, 3)), np.ones((5, 8)), np.ones((5, 4)))
    getattr(features, kind)[[2, 4], -1] = value
    with pytest.raises(ArtifactError, match="space: features of image 2 of a batch of 5"):
        Extractor("space", {}, lambda images: features)(np.zeros((5, 4, 4, 3), np.uint8))


@pytest.mark.parametrize("size", [100, 251])
@pytest.mark.parametrize("rows", [None, [0, 99, 100, 101, 250], []])
def test_the_features_asked_for_are_kept_and_the_statistics_are_of_all(rows, size):
    whole = Features(*(np.random.default_rng(k).random((251, k), dtype=np.float32) for k in (7, 3, 2)))
    kept = FeatureCollector(251, keep_spatial=True, rows=rows if rows is None else np.array(rows, int))
    without_spatial = FeatureCollector(251)
    for start in range(0, 251, size):
        batch = Features(*(values[start : start + size] for values in whole))
        kept.add(batch)
        without_spatial.add(batch)
    found = kept.finish()
    for name, values in whole._asdict().items():
        np.testing.assert_array_equal(getattr(found, name), values if rows is None else values[rows])
    for stats, features in ((found.pooled_stats, whole.pooled), (found.spatial_stats, whole.spatial)):
        assert stats.count == 251
        np.testing.assert_allclose(stats.mean, features.mean(axis=0), rtol=1e-4)
        np.testing.assert_allclose(stats.covariance, np.cov(features, rowvar=False), rtol=1e-4, atol=1e-6)
    assert without_spatial.finish().spatial is None


def test_what_the_space_has_not_is_none_and_batches_of_other_dimensions_are_refused():
    collector = FeatureCollector(5, keep_spatial=True)
    collector.add(Features(np.ones((5, 3))))
    found = collector.finish()
    assert (found.spatial_stats, found.spatial, found.probabilities) == (None, None, None)
    with pytest.raises(ArtifactError, match="dimensions"):
        collector.add(Features(np.ones((3, 12))))
