"""Extractors against hand-made pixels and a stand-in network; the pass over a set against the set at once."""

import numpy as np
import pytest
import torch

from eddpm.errors import ArtifactError
from eddpm.evaluation.features import Features, classifier_features, collect_features, pixel_features


def random_images(count, size=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, size=(count, size, size, 3), dtype=np.uint8)


def stand_in(x):
    """(B, 3, H, W) -> pooled (B, 3), spatial (B, 7, H, W), logits (B, 5): closed forms of each image alone."""
    channels = torch.arange(1, 8, dtype=x.dtype, device=x.device).view(1, 7, 1, 1)
    return x.mean(dim=(2, 3)), channels * x[:, :1], 30 * x.flatten(1)[:, :5]


def test_pixels_are_flattened_and_scaled_to_minus_one_to_one():
    images = np.array([0, 255, 51, 204], dtype=np.uint8).reshape(1, 2, 2, 1)
    features = pixel_features(images)
    assert features.pooled.dtype == np.float32
    np.testing.assert_allclose(features.pooled, [[-1, 1, -0.6, 0.6]], atol=1e-6)
    assert features.spatial is None
    assert features.probabilities is None


def test_network_sees_float_nchw_in_minus_one_to_one():
    seen = []

    def spy(x):
        seen.append(x)
        return stand_in(x)

    images = random_images(3)
    classifier_features(spy)(images)
    (x,) = seen
    assert x.dtype == torch.float32
    assert x.is_contiguous()
    np.testing.assert_allclose(x.permute(0, 2, 3, 1).numpy(), images / 127.5 - 1, atol=1e-6)


def test_classifier_features_are_float32_of_their_shapes():
    features = classifier_features(stand_in)(random_images(3))
    assert [values.shape for values in features] == [(3, 3), (3, 7 * 16), (3, 5)]
    assert all(values.dtype == np.float32 for values in features)


def test_spatial_features_are_in_nhwc_order():
    y, x, c, width = 2, 1, 5, 4
    images = random_images(2)
    spatial = classifier_features(stand_in)(images).spatial
    expected = (c + 1) * (images[:, y, x, 0] / 127.5 - 1)
    np.testing.assert_allclose(spatial[:, (y * width + x) * 7 + c], expected, rtol=1e-5)


def test_probabilities_are_the_softmax_of_the_logits():
    images = random_images(6)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    logits = stand_in(x)[2].numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = classifier_features(stand_in)(images).probabilities
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)


def test_no_gradients_are_recorded_and_half_precision_outputs_are_converted():
    weight = torch.ones((), requires_grad=True)

    def half(x):
        assert not (weight * x).requires_grad
        return tuple((weight * values).half() for values in stand_in(x))

    features = classifier_features(half)(random_images(2))
    assert all(values.dtype == np.float32 for values in features)
    np.testing.assert_allclose(features.probabilities.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("sizes", "batch_size"), [([20], 7), ([20], 20), ([20], 100), ([3, 0, 16, 1], 5), ([1] * 20, 4)]
)
def test_collecting_in_batches_gives_what_the_whole_set_gives(sizes, batch_size):
    images, extract = random_images(20), classifier_features(stand_in)
    whole = extract(images)
    arrays = iter(np.split(images, np.cumsum(sizes)[:-1]))  # any iterable will do, once through
    found = collect_features(extract, arrays, batch_size)
    np.testing.assert_allclose(found.pooled, whole.pooled, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.probabilities, whole.probabilities, rtol=1e-5)
    for stats, features in ((found.pooled_stats, whole.pooled), (found.spatial_stats, whole.spatial)):
        assert stats.count == 20
        np.testing.assert_allclose(stats.mean, features.mean(axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(stats.covariance, np.cov(features, rowvar=False), rtol=1e-4, atol=1e-6)


def test_extractor_gets_the_images_in_order_and_never_more_than_a_batch():
    seen = []

    def spy(images):
        seen.append(images)
        return pixel_features(images)

    images = random_images(10)
    collect_features(spy, [images[:7], images[7:]], batch_size=3)
    assert [len(batch) for batch in seen] == [3, 3, 1, 3]
    assert np.array_equal(np.concatenate(seen), images)


def test_what_the_space_has_not_is_none():
    found = collect_features(pixel_features, [random_images(5)])
    assert found.pooled.shape == (5, 48)
    assert found.spatial_stats is None
    assert found.probabilities is None


def test_extractor_may_give_spatial_features_without_probabilities():
    found = collect_features(
        lambda images: Features(np.ones((len(images), 2)), np.ones((len(images), 3))), [random_images(4)]
    )
    assert found.spatial_stats.mean.tolist() == [1, 1, 1]
    assert found.probabilities is None


@pytest.mark.parametrize("arrays", [[], [random_images(0)]])
def test_a_set_without_images_is_refused(arrays):
    with pytest.raises(ArtifactError, match="no images"):
        collect_features(pixel_features, arrays)


@pytest.mark.parametrize("images", [np.zeros((2, 4, 4, 3), np.float32), np.zeros((4, 4, 3), np.uint8)])
def test_other_than_uint8_nhwc_images_are_refused(images):
    for extract in (pixel_features, classifier_features(stand_in)):
        with pytest.raises(ArtifactError, match="uint8"):
            extract(images)
