"""References and features on disk: what they hold, how they are joined, and what is refused."""

import json
import tracemalloc

import numpy as np
import pytest
from inception_standin import write_inception
from pictures import pack, save
from tiny import write_settings

from eddpm.config.schema import MeasureConfig, SpaceConfig
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation import extractors
from eddpm.evaluation.features import Extractor, Features
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.batches import ImageFile, Samples, read_samples, write_samples
from eddpm.stages import features as stage
from eddpm.stages.features import collect, extract_features, extract_references, open_reference, read_features


@pytest.fixture(scope="module")
def inception(tmp_path_factory):
    """The folder of a stand-in for the Inception network."""
    folder = tmp_path_factory.mktemp("inception")
    write_inception(folder)
    return folder


def images_file(path, count, size=8, channels=1, seed=0, **extras):
    images = np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    write_samples(path, Samples(images, np.arange(count) % 10, extras))
    return path


def test_pixel_reference_is_mean_and_covariance_of_the_training_pixels(tiny, references):
    pixels = read_samples(tiny.train).images.reshape(-1, 64) / 127.5 - 1
    reference = read_npz(references[1][1])
    np.testing.assert_allclose(reference["mu"], pixels.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(reference["sigma"], np.cov(pixels, rowvar=False), atol=1e-6)
    np.testing.assert_allclose(reference["features"], pixels, atol=1e-6)
    assert "mu_s" not in reference


def test_a_reference_holds_what_openais_evaluator_reads(tiny, references):
    reference = read_npz(references[1][0], "arr_0", "mu", "sigma", "mu_s", "sigma_s")
    np.testing.assert_array_equal(reference["arr_0"], read_samples(tiny.train).images)
    assert reference["sigma_s"].shape == (len(reference["mu_s"]),) * 2


def test_of_many_images_some_are_kept_evenly_and_the_statistics_are_of_all(tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "REFERENCE_IMAGES", 5)
    images = images_file(tmp_path / "train.npz", 600)
    settings = write_settings(tmp_path / "s.yaml", MeasureConfig(spaces=[SpaceConfig(name="pixels")]))
    extract_references(settings, images, [], [tmp_path / "r.npz"])
    reference, whole = read_npz(tmp_path / "r.npz"), read_samples(images).images
    kept = [0, 150, 300, 449, 599]
    np.testing.assert_array_equal(reference["arr_0"], whole[kept])
    np.testing.assert_allclose(reference["features"], whole[kept].reshape(5, -1) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(reference["mu"], whole.reshape(600, -1).mean(axis=0) / 127.5 - 1, atol=1e-6)


def test_a_reference_of_many_images_holds_the_features_of_few(tmp_path, monkeypatch):
    """As ImageNet: 20,000 images of 512 features are 41 MB; a hundredth of them are kept."""
    monkeypatch.setattr(stage, "REFERENCE_IMAGES", 200)

    def wide(images):
        return Features(np.repeat(images.reshape(len(images), -1), 128, axis=1).astype(np.float32), None, None)

    monkeypatch.setattr(stage, "open_spaces", lambda *_: [Extractor("pixels", {}, wide)])
    images = images_file(tmp_path / "train.npz", 20_000, size=2)
    settings = write_settings(tmp_path / "s.yaml", MeasureConfig(spaces=[SpaceConfig(name="pixels")]))
    tracemalloc.start()
    extract_references(settings, images, [], [tmp_path / "r.npz"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # of which the statistics are 512 x 512 numbers, thrice
    assert read_npz(tmp_path / "r.npz")["features"].shape == (200, 512)


def test_the_images_of_a_reference_are_those_of_its_features_in_a_data_set_as_in_a_file(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "REFERENCE_IMAGES", 250)
    settings = write_settings(tmp_path / "s.yaml", MeasureConfig(spaces=[SpaceConfig(name="pixels")]))
    for source, name in ((tiny.dataset, "of the data set"), (tiny.train, "of a file")):
        extract_references(settings, source, [], [tmp_path / f"{name}.npz"])
    assert (tmp_path / "of the data set.npz").read_bytes() == (tmp_path / "of a file.npz").read_bytes()
    reference = read_npz(tmp_path / "of a file.npz")
    np.testing.assert_array_equal(extractors.pixels()(reference["arr_0"]).pooled, reference["features"])


def test_a_reference_serves_as_one_and_in_its_own_space_alone(references):
    pixels = open_reference(references[1][1], extractors.pixels())
    assert pixels.spatial_stats is None
    assert len(pixels.pooled) == len(ImageFile(references[1][1]))
    with pytest.raises(ArtifactError, match=r"clean\.npz: made by .*weights.*, not pixels"):
        open_reference(references[1][0], extractors.pixels())


def test_a_published_batch_brings_inceptions_statistics_and_images_for_the_rest(inception, tmp_path):
    stats = {"mu": np.zeros(2048), "sigma": np.eye(2048), "mu_s": np.ones(2023), "sigma_s": np.eye(2023)}
    path = images_file(tmp_path / "VIRTUAL.npz", 6, size=16, channels=3, **stats)
    space = extractors.inception(inception, "legacy_tensorflow", "cpu")
    reference = open_reference(path, space)
    np.testing.assert_array_equal(reference.pooled, space(read_samples(path).images).pooled)
    for name, found in (("mu", reference.pooled_stats.mean), ("sigma_s", reference.spatial_stats.covariance)):
        np.testing.assert_array_equal(found, stats[name])
    pixels = open_reference(path, extractors.pixels())
    assert pixels.pooled_stats.mean.shape == (16 * 16 * 3,)
    with pytest.raises(ArtifactError, match=r"VIRTUAL\.npz: its statistics are of resize legacy_tensorflow"):
        open_reference(path, extractors.inception(inception, "clean", "cpu"))


def test_features_of_shards_join_to_those_of_the_whole(tiny, references, tmp_path):
    whole = Samples(*read_samples(tiny.train)[:2], {})
    shards = [Samples(whole.images[part], whole.labels[part], {}) for part in (slice(300), slice(300, 1000))]
    paths = [tmp_path / f"{k}.npz" for k in range(2)]
    for k, shard in enumerate(shards):
        write_samples(tmp_path / f"samples{k}.npz", shard)
        extract_features(references[0], tmp_path / f"samples{k}.npz", [tiny.weights["clean"]], paths[k])
    spaces = stage.open_spaces(tiny.project.measure().spaces, [tiny.weights["clean"]])
    joined = read_features(paths, spaces, 1000, keep_spatial=True)
    direct = collect([tmp_path / "samples0.npz", tmp_path / "samples1.npz"], spaces, keep_spatial=True)
    assert joined.keys() == direct.keys() == {"classifier:clean", "pixels"}
    for space in joined:
        a, b = joined[space], direct[space]
        np.testing.assert_array_equal(a.pooled, b.pooled)
        np.testing.assert_allclose(a.pooled_stats.covariance, b.pooled_stats.covariance, rtol=1e-9, atol=1e-12)
        assert (a.spatial is None) == (space == "pixels")
    np.testing.assert_array_equal(joined["classifier:clean"].spatial, direct["classifier:clean"].spatial)


def test_features_of_other_weights_are_refused(tiny, references, tmp_path):
    samples = images_file(tmp_path / "samples.npz", 6)
    extract_features(references[0], samples, [tiny.weights["clean"]], tmp_path / "f.npz")
    others = stage.open_spaces(tiny.project.measure().spaces, [tiny.weights["ce"]])
    with pytest.raises(ArtifactError, match=r"f\.npz: made by .*; extract them anew"):
        read_features([tmp_path / "f.npz"], others, 6, keep_spatial=False)


def test_shards_of_unequal_image_sizes_are_refused(tmp_path):
    paths = [images_file(tmp_path / "a.npz", 4), images_file(tmp_path / "b.npz", 4, size=16)]
    with pytest.raises(ArtifactError, match=r"b\.npz: images are \(16, 16, 1\), those of .*a\.npz \(8, 8, 1\)"):
        collect(paths, [extractors.pixels()], keep_spatial=False)


@pytest.mark.parametrize(("count", "given"), [(6, 5), (6, 7)])
def test_features_of_another_number_of_images_are_refused(tiny, references, tmp_path, count, given):
    extract_features(references[0], images_file(tmp_path / "s.npz", given), [tiny.weights["clean"]], tmp_path / "f.npz")
    spaces = stage.open_spaces(tiny.project.measure().spaces, [tiny.weights["clean"]])
    with pytest.raises(
        ArtifactError, match=rf"f\.npz: features of {given} images for {count} samples; extract them anew"
    ):
        read_features([tmp_path / "f.npz"], spaces, count, keep_spatial=False)


def test_wrong_number_of_weights_or_references_is_refused(tiny, references, tmp_path):
    with pytest.raises(ConfigError, match="--weights: 0 given for 1 "):
        extract_features(references[0], tiny.train, [], tmp_path / "f.npz")
    with pytest.raises(ConfigError, match="--references: 1 given for 2 "):
        extract_references(references[0], tiny.train, [tiny.weights["clean"]], [tmp_path / "r.npz"])


@pytest.mark.parametrize(
    ("has", "lacks"), [("mu", "sigma"), ("sigma", "mu"), ("features", "mu"), ("mu_s", "sigma_s"), ("sigma_s", "mu_s")]
)
def test_a_reference_with_half_of_its_statistics_is_refused(tmp_path, has, lacks):
    images = np.zeros((4, 8, 8, 1), np.uint8)
    write_npz(tmp_path / "r.npz", arr_0=images, **{has: np.zeros(64)})
    with pytest.raises(ArtifactError, match=rf"r\.npz: has '{has}' but no '{lacks}'"):
        open_reference(tmp_path / "r.npz", extractors.pixels())


def test_images_without_spatial_statistics_serve_sfid_themselves(inception, tmp_path):
    path = images_file(tmp_path / "r.npz", 6, size=16, channels=3, mu=np.zeros(2048), sigma=np.eye(2048))
    space = extractors.inception(inception, "legacy_tensorflow", "cpu")
    reference = open_reference(path, space)
    np.testing.assert_array_equal(reference.pooled_stats.covariance, np.eye(2048))
    spatial = space(read_samples(path).images).spatial
    np.testing.assert_allclose(reference.spatial_stats.mean, spatial.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_statistics_alone_serve_inception_whatever_their_precision(inception, tmp_path, kind):
    stats = {"mu": np.arange(2048), "sigma": 2 * np.eye(2048)}
    write_npz(tmp_path / "fid.npz", **{name: array.astype(kind) for name, array in stats.items()})
    for resize in ("legacy_tensorflow", "clean"):
        reference = open_reference(tmp_path / "fid.npz", extractors.inception(inception, resize, "cpu"))
        assert (reference.pooled, reference.spatial_stats) == (None, None)
        np.testing.assert_array_equal(reference.pooled_stats.mean, stats["mu"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: {"mu": np.zeros(64), "sigma": np.eye(64)}, "mu has 64 dimensions, not 2048"),
        (lambda: {"mu": np.zeros(192), "sigma": np.eye(192)}, "mu has 192 dimensions, not 2048"),
        (lambda: {"mu": np.zeros((1, 2048))}, "are not a mean"),
        (lambda: {"sigma": np.eye(2047)}, "are not a mean"),
        (lambda: {"sigma": np.ones(2048)}, "are not a mean"),
        (lambda: {"mu": np.array(0.0), "sigma": np.array(1.0)}, "are not a mean"),
        (lambda: {"mu": np.zeros(2048, complex)}, "are not a mean"),
        (lambda: {"sigma": np.full((2048, 2048), np.inf)}, "NaN or infinite"),
        (lambda: {"sigma": -np.eye(2048)}, "no covariance"),
        (lambda: {"sigma": np.triu(np.ones((2048, 2048)))}, "no covariance"),
        (lambda: {"mu_s": np.zeros(2048), "sigma_s": np.eye(2048)}, "mu_s has 2048 dimensions, not 2023"),
    ],
)
def test_statistics_that_cannot_be_are_refused(tmp_path, change, words):
    write_npz(tmp_path / "fid.npz", **{"mu": np.zeros(2048), "sigma": np.eye(2048)} | change())
    space = extractors.Extractor("inception", {"resize": "legacy_tensorflow"}, None)
    with pytest.raises(ArtifactError, match=rf"^[^\n]*fid\.npz: [^\n]*{words}[^\n]*$"):
        open_reference(tmp_path / "fid.npz", space)


def test_a_zip_of_images_gives_the_reference_of_their_batch(tmp_path):
    images = read_samples(images_file(tmp_path / "batch.npz", 6, channels=3)).images
    for k, image in enumerate(images):
        save(tmp_path / f"images/{k}.png", image)
    settings = write_settings(tmp_path / "s.yaml", MeasureConfig(spaces=[SpaceConfig(name="pixels")]))
    for given in (tmp_path / "batch.npz", pack(tmp_path / "images", tmp_path / "images.zip")):
        extract_references(settings, given, [], [tmp_path / f"of-{given.stem}.npz"])
    assert (tmp_path / "of-batch.npz").read_bytes() == (tmp_path / "of-images.npz").read_bytes()


def test_a_reference_of_the_pipeline_needs_images(references, tiny, tmp_path):
    write_npz(tmp_path / "fid.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    outputs = [tmp_path / "a.npz", tmp_path / "b.npz"]
    with pytest.raises(ArtifactError, match=r"fid\.npz: holds statistics \(mu, sigma\), no images"):
        extract_references(references[0], tmp_path / "fid.npz", [tiny.weights["clean"]], outputs)


def test_features_without_their_origin_are_refused(tmp_path):
    write_npz(tmp_path / "f.npz", **{"pixels/pooled": np.zeros((2, 3))})
    with pytest.raises(ArtifactError, match="has no array 'extractors'"):
        read_features([tmp_path / "f.npz"], [extractors.pixels()], 2, keep_spatial=False)


def test_the_origin_of_features_is_readable(tiny, references, tmp_path):
    extract_features(references[0], images_file(tmp_path / "s.npz", 4), [tiny.weights["clean"]], tmp_path / "f.npz")
    assert json.loads(str(read_npz(tmp_path / "f.npz")["extractors"])).keys() == {"classifier:clean", "pixels"}
