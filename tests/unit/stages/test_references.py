"""References: what they hold, what serves as one, and what is refused."""

import json
import tracemalloc

import numpy as np
import pytest
from inception_standin import write_inception
from pictures import pack, save
from samples import read_samples
from tiny import write_settings

from eddpm.config.schema import MeasureConfig, SpaceConfig
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.extractors import open_space
from eddpm.evaluation.features import Extractor, Features
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import sha256
from eddpm.stages import references as stage
from eddpm.stages.references import ReferenceFile, extract_references

PIXELS = SpaceConfig(name="pixels")


@pytest.fixture
def settings(tmp_path):
    """Of the space of pixels alone."""
    return write_settings(tmp_path / "s.yaml", MeasureConfig(spaces=[PIXELS]))


pixels = open_space(PIXELS, None, "cpu")


def images_file(path, count, size=8, channels=1, **extras):
    images = np.random.default_rng(0).integers(0, 256, (count, size, size, channels), dtype=np.uint8)
    write_samples(path, Samples(images, np.arange(count) % 10, extras))
    return path


def in_space(path, space):
    return ReferenceFile(path).in_space(space)


def test_a_reference_is_mean_and_covariance_with_the_keys_of_openais_evaluator(tiny, references):
    images = read_samples(tiny.train).images
    values = images.reshape(-1, 64) / 127.5 - 1
    clean, reference = (read_npz(path) for path in references[1])
    np.testing.assert_allclose(reference["mu"], values.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(reference["sigma"], np.cov(values, rowvar=False), atol=1e-6)
    np.testing.assert_allclose(reference["features"], values, atol=1e-6)
    np.testing.assert_array_equal(clean["arr_0"], images)
    assert clean["sigma_s"].shape == (len(clean["mu_s"]),) * 2
    assert "mu_s" not in reference


def test_of_many_images_some_are_kept_evenly_and_the_statistics_are_of_all(tmp_path, settings, monkeypatch):
    monkeypatch.setattr(stage, "REFERENCE_IMAGES", 5)
    images = images_file(tmp_path / "train.npz", 600)
    extract_references(settings, images, [], [tmp_path / "r.npz"])
    reference, whole = read_npz(tmp_path / "r.npz"), read_samples(images).images
    kept = [0, 150, 300, 449, 599]
    np.testing.assert_array_equal(reference["arr_0"], whole[kept])
    np.testing.assert_allclose(reference["features"], whole[kept].reshape(5, -1) / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(reference["mu"], whole.reshape(600, -1).mean(axis=0) / 127.5 - 1, atol=1e-6)


def test_a_reference_of_many_images_holds_the_features_of_few(tmp_path, settings, monkeypatch):
    """As ImageNet: 20,000 images of 512 features are 41 MB; a hundredth of them are kept."""
    monkeypatch.setattr(stage, "REFERENCE_IMAGES", 200)

    def wide(images):
        return Features(np.repeat(images.reshape(len(images), -1), 128, axis=1).astype(np.float32), None, None)

    monkeypatch.setattr(stage, "open_spaces", lambda *_: [Extractor("pixels", {}, wide)])
    images = images_file(tmp_path / "train.npz", 20_000, size=2)
    tracemalloc.start()
    extract_references(settings, images, [], [tmp_path / "r.npz"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # of which the statistics are 512 x 512 numbers, thrice
    assert read_npz(tmp_path / "r.npz")["features"].shape == (200, 512)


def test_a_data_set_and_a_zip_give_the_references_of_their_images(tiny, tmp_path, settings, monkeypatch):
    monkeypatch.setattr(stage, "REFERENCE_IMAGES", 250)
    batch = images_file(tmp_path / "batch.npz", 6, channels=3)
    for k, image in enumerate(read_samples(batch).images):
        save(tmp_path / f"images/{k}.png", image)
    archive = pack(tmp_path / "images", tmp_path / "images.zip")
    for k, sources in enumerate([(tiny.dataset, tiny.train), (archive, batch)]):
        made = [tmp_path / f"{k}-of-{source.stem}.npz" for source in sources]
        for source, output in zip(sources, made, strict=True):
            extract_references(settings, source, [], [output])
        assert made[0].read_bytes() == made[1].read_bytes()


def test_a_reference_of_the_pipeline_needs_images_and_one_output_for_each_space(references, tiny, tmp_path):
    write_npz(tmp_path / "fid.npz", mu=np.zeros(2048), sigma=np.eye(2048))
    clean, outputs = [tiny.weights["clean"]], [tmp_path / "a.npz", tmp_path / "b.npz"]
    with pytest.raises(ArtifactError, match=r"fid\.npz: holds statistics \(mu, sigma\), no images"):
        extract_references(references[0], tmp_path / "fid.npz", clean, outputs)
    with pytest.raises(ConfigError, match="--references: 1 given for 2 feature spaces"):
        extract_references(references[0], tiny.train, clean, outputs[:1])


def test_a_reference_serves_in_its_own_space_alone(references):
    reference = in_space(references[1][1], pixels)
    assert reference.spatial_stats is None
    assert len(reference.pooled) == len(read_npz(references[1][1])["arr_0"])
    with pytest.raises(ArtifactError, match=r"clean\.npz: made by .*weights.*, not pixels"):
        in_space(references[1][0], pixels)


def test_a_published_batch_brings_inceptions_statistics_and_images_for_the_rest(tmp_path):
    weights = write_inception(tmp_path)
    known = {"name": "inception", "inception_sha256": sha256(weights)}
    space, other = (
        open_space(SpaceConfig(inception_resize=resize, **known), weights, "cpu")
        for resize in ("legacy_tensorflow", "clean")
    )
    stats = {"mu": np.zeros(2048), "sigma": np.eye(2048), "mu_s": np.ones(2023), "sigma_s": np.eye(2023)}
    path = images_file(tmp_path / "VIRTUAL.npz", 6, size=16, channels=3, **stats)
    reference, features = in_space(path, space), space(read_samples(path).images)
    np.testing.assert_array_equal(reference.pooled, features.pooled)
    for name, found in (("mu", reference.pooled_stats.mean), ("sigma_s", reference.spatial_stats.covariance)):
        np.testing.assert_array_equal(found, stats[name])
    assert in_space(path, pixels).pooled_stats.mean.shape == (16 * 16 * 3,)
    with pytest.raises(ArtifactError, match=r"VIRTUAL\.npz: its statistics are of resize legacy_tensorflow"):
        in_space(path, other)
    pooled_alone = images_file(tmp_path / "r.npz", 6, size=16, channels=3, mu=stats["mu"], sigma=stats["sigma"])
    of_images = in_space(pooled_alone, space).spatial_stats.mean
    np.testing.assert_allclose(of_images, features.spatial.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize(("kind", "resize"), [(np.float32, "legacy_tensorflow"), (np.float64, "clean")])
def test_statistics_alone_serve_inception_whatever_their_precision(tmp_path, kind, resize):
    stats = {"mu": np.arange(2048), "sigma": 2 * np.eye(2048)}
    write_npz(tmp_path / "fid.npz", **{name: array.astype(kind) for name, array in stats.items()})
    reference = in_space(tmp_path / "fid.npz", Extractor("inception", {"resize": resize}, None))
    assert (reference.pooled, reference.spatial_stats) == (None, None)
    np.testing.assert_array_equal(reference.pooled_stats.mean, stats["mu"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mu": np.zeros(2048, complex)}, "are not a mean"),
        ({"mu": np.zeros(0), "sigma": np.zeros((0, 0))}, "are not a mean"),
        ({"sigma": -np.eye(2048)}, "no covariance"),
        ({"mu_s": np.zeros(2048), "sigma_s": np.eye(2048)}, "mu_s has 2048 dimensions, not 2023"),
    ],
)
def test_statistics_that_cannot_be_are_refused(tmp_path, change, words):
    write_npz(tmp_path / "fid.npz", **{"mu": np.zeros(2048), "sigma": np.eye(2048)} | change)
    space = Extractor("inception", {"resize": "legacy_tensorflow"}, None)
    with pytest.raises(ArtifactError, match=rf"^[^\n]*fid\.npz: [^\n]*{words}[^\n]*$"):
        in_space(tmp_path / "fid.npz", space)


@pytest.mark.parametrize(
    "features",
    [np.ones((5, 3)), np.ones((6, 4)), np.ones(6), np.ones((6, 3), int), np.full((6, 3), np.nan), np.ones((0, 3))],
)
def test_features_that_do_not_go_with_images_and_statistics_are_refused(tmp_path, features):
    space = Extractor("tiny", {"of": "tests"}, None)
    stats = {"mu": np.zeros(3), "sigma": np.eye(3), "extractor": np.array(json.dumps(space.identity))}
    path = images_file(tmp_path / "r.npz", 6, **stats, features=features)
    with pytest.raises(ArtifactError, match=r"r\.npz: features .* are not finite numbers \(6, 3\)"):
        in_space(path, space)
