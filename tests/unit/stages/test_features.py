"""Features on disk: how they are joined, and what is refused."""

import json

import numpy as np
import pytest

from eddpm.data.imagesets import Joined, open_images
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.stages.features import extract_features, features_of, open_spaces, read_features


def images_file(path, count, seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
    write_samples(path, Samples(images, np.arange(count) % 10, {}))
    return path


@pytest.fixture
def extracted(tiny, references, tmp_path):
    """Extracts the features of so many images; returns their path and that of the images."""

    def extract(count, seed=0):
        samples, path = images_file(tmp_path / f"samples-{seed}.npz", count, seed), tmp_path / f"features-{seed}.npz"
        extract_features(references[0], samples, [tiny.weights["clean"]], path)
        return path, samples

    return extract


@pytest.fixture
def spaces(tiny):
    return open_spaces(tiny.project.measure().spaces, [tiny.weights["clean"]])


def test_features_of_shards_join_to_those_of_the_whole(extracted, spaces, tmp_path):
    paths, shards = zip(extracted(300), extracted(700, seed=1), strict=True)
    joined = read_features(paths, spaces, 1000, keep_spatial=True)
    direct = features_of(Joined(tmp_path, [open_images(path) for path in shards]), spaces, keep_spatial=True)
    assert joined.keys() == direct.keys() == {"classifier:clean", "pixels"}
    for space in joined:
        a, b = joined[space], direct[space]
        np.testing.assert_array_equal(a.pooled, b.pooled)
        np.testing.assert_allclose(a.pooled_stats.covariance, b.pooled_stats.covariance, rtol=1e-9, atol=1e-12)
        assert (a.spatial is None) == (space == "pixels")
    np.testing.assert_array_equal(joined["classifier:clean"].spatial, direct["classifier:clean"].spatial)
    identities = json.loads(str(read_npz(paths[0])["extractors"]))
    assert identities == {space.name: space.identity for space in spaces}


def test_features_of_other_weights_are_refused(tiny, extracted):
    path, _ = extracted(6)
    others = open_spaces(tiny.project.measure().spaces, [tiny.weights["ce"]])
    with pytest.raises(ArtifactError, match=r"features-0\.npz: made by .*; extract them anew"):
        read_features([path], others, 6, keep_spatial=False)


@pytest.mark.parametrize(("count", "given"), [(6, 5), (6, 7)])
def test_features_of_another_number_of_images_are_refused(extracted, spaces, count, given):
    path, _ = extracted(given)
    with pytest.raises(ArtifactError, match=rf"features of {given} images for {count} samples; extract them anew"):
        read_features([path], spaces, count, keep_spatial=False)


def test_features_without_their_origin_are_refused(spaces, tmp_path):
    write_npz(tmp_path / "f.npz", **{"pixels/pooled": np.zeros((2, 3))})
    with pytest.raises(ArtifactError, match="has no array 'extractors'"):
        read_features([tmp_path / "f.npz"], spaces, 2, keep_spatial=False)


def test_wrong_number_of_weights_is_refused(tiny, references, tmp_path):
    with pytest.raises(ConfigError, match="--weights: 0 given for 1 feature spaces"):
        extract_features(references[0], tiny.train, [], tmp_path / "f.npz")
