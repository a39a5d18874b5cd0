"""Features on disk: how they are joined, and what is refused."""

import json

import numpy as np
import pytest

from eddpm.data.imagesets import Joined, open_images
from eddpm.errors import ArtifactError
from eddpm.evaluation.features import Extractor
from eddpm.io.arrays import write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.stages.features import extract_features, features_of, open_spaces, read_features


@pytest.fixture
def extracted(tiny, references, tmp_path):
    """Extracts the features of so many random images; returns their path and that of the images."""

    def extract(count, seed=0):
        samples, path = tmp_path / f"samples-{seed}.npz", tmp_path / f"features-{seed}.npz"
        images = np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
        write_samples(samples, Samples(images, np.arange(count) % 10, {}))
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


def test_features_of_other_weights_or_of_none_named_are_refused(tiny, extracted, tmp_path):
    path, _ = extracted(6)
    others = open_spaces(tiny.project.measure().spaces, [tiny.weights["ce"]])
    with pytest.raises(ArtifactError, match=r"features-0\.npz: made by .*; extract them anew"):
        read_features([path], others, 6, keep_spatial=False)
    write_npz(tmp_path / "f.npz", **{"pixels/pooled": np.zeros((2, 3))})
    with pytest.raises(ArtifactError, match="has no array 'extractors'"):
        read_features([tmp_path / "f.npz"], others, 2, keep_spatial=False)


@pytest.mark.parametrize("given", [5, 7])
def test_features_of_another_number_of_images_are_refused(extracted, spaces, given):
    path, _ = extracted(given)
    with pytest.raises(ArtifactError, match=rf"features of {given} images for 6 samples; extract them anew"):
        read_features([path], spaces, 6, keep_spatial=False)


SPACE = Extractor("tiny", {"of": "tests"}, None)
POOLED, OTHERS = np.ones((6, 3), np.float32), {"tiny/probabilities": np.ones((6, 4), np.float32)}


@pytest.mark.parametrize(
    "change",
    [
        {"tiny/pooled": np.ones(6, np.float32)},
        {"tiny/pooled": np.array(1.0)},
        {"tiny/pooled": np.ones((6, 3), int)},
        {"tiny/pooled": np.full((6, 3), np.inf)},
        {"tiny/pooled": np.ones((6, 4), np.float32)},
        {"tiny/probabilities": np.ones((5, 4), np.float32)},
        {"tiny/probabilities": np.ones((6, 5), np.float32)},
    ],
)
def test_features_that_do_not_go_together_are_refused(tmp_path, change):
    made_by = {"extractors": np.array(json.dumps({"tiny": SPACE.identity}))}
    write_npz(tmp_path / "0.npz", **made_by, **OTHERS, **{"tiny/pooled": POOLED})
    write_npz(tmp_path / "1.npz", **made_by, **OTHERS | {"tiny/pooled": POOLED} | change)
    with pytest.raises(ArtifactError):
        read_features([tmp_path / "0.npz", tmp_path / "1.npz"], [SPACE], 12, keep_spatial=True)
