"""Any images against any others: the numbers of the pipeline, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from inception_standin import write_inception
from pictures import pack, save
from tiny import write_settings

from eddpm.config.schema import MeasureConfig, SpaceConfig
from eddpm.errors import ConfigError
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.files import sha256
from eddpm.stages import references as references_stage
from eddpm.stages.evaluate import evaluate
from eddpm.stages.measure import measure_samples
from eddpm.stages.sample import sample_shard


@pytest.fixture(scope="module")
def samples(tiny, tmp_path_factory):
    """Eight guided images, and the settings of their run."""
    folder = tmp_path_factory.mktemp("samples")
    settings = write_settings(folder / "run.yaml", tiny.project.sample("uadm25-g-eds"))
    sample_shard([settings], tiny.weights["uadm"], tiny.weights["ce"], 0, 8, 8, [folder / "0.npz"])
    return folder / "0.npz", settings


def printed(capsys, samples, reference, spaces, weights="none.pt", k=3, replicates=None, digest=None, **more):
    """The table that `eddpm evaluate` prints: values by heading."""
    evaluate(samples, reference, spaces, Path(weights), "legacy_tensorflow", k, replicates, digest, **more)
    rows = [line.strip("|").split("|") for line in capsys.readouterr().out.splitlines()[2:]]
    return {metric.strip(): value.strip() for metric, value in rows}


def test_any_pair_is_measured_as_in_the_pipeline(tiny, references, samples, capsys, tmp_path):
    clean = write_settings(tmp_path / "clean/settings.yaml", tiny.project.train_classifier("clean")).parent
    (clean / "model.safetensors").symlink_to(tiny.weights["clean"])
    outputs = [[tmp_path / f"0.{kind}"] for kind in ("json", "replicates.csv", "csv", "png")]
    shard, run = samples
    measure_samples(references[0], [run], [shard], [], [tiny.weights["clean"]], references[1], *outputs)
    metrics = json.loads(outputs[0][0].read_text())["metrics"]
    table = printed(capsys, shard, tiny.train, ["pixels", str(clean)])
    assert len(table) == len(metrics)
    assert table["FID ↓ (pixels)"].startswith(f"{metrics['pixels/fid']:.1f}")
    assert "±" in table["FID ↓ (classifier:clean)"]
    assert "±" not in printed(capsys, shard, tiny.train, ["pixels"], replicates=0)["FID ↓ (pixels)"]
    assert printed(capsys, shard, references[1][1], ["pixels"])["KID ↓ (pixels)"] == table["KID ↓ (pixels)"]


def test_metrics_are_chosen_and_those_that_lack_labels_say_so(tiny, samples, capsys, tmp_path, caplog):
    caplog.set_level("INFO")
    chosen = {"metrics": ["vendi_per_class", "fid_infinity", "density", "nearer"]}
    table = printed(capsys, samples[0], tiny.train, ["pixels"], **chosen)
    assert list(table) == [f"{name} (pixels)" for name in ("density ↑", "nearer ↓", "Vendi per class ↑", "FID∞ ↓")]
    assert "±" in table["FID∞ ↓ (pixels)"]
    np.savez(tmp_path / "bare.npz", arr_0=read_npz(samples[0])["arr_0"])
    assert "no labels, so no vendi_per_class" not in caplog.text
    assert len(printed(capsys, tmp_path / "bare.npz", tiny.train, ["pixels"], **chosen)) == 3
    assert "no labels, so no vendi_per_class" in caplog.text


def test_a_data_set_as_reference_counts_as_in_the_pipeline(tiny, samples, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(references_stage, "REFERENCE_IMAGES", 100)
    settings = write_settings(tmp_path / "s.yaml", MeasureConfig(spaces=[SpaceConfig(name="pixels")]))
    references_stage.extract_references(settings, tiny.dataset, [], [tmp_path / "r.npz"])
    table = printed(capsys, samples[0], tiny.dataset, ["pixels"])
    assert table == printed(capsys, samples[0], tmp_path / "r.npz", ["pixels"])
    assert table != printed(capsys, samples[0], tiny.train, ["pixels"])  # a file of images counts whole


def test_inception_is_the_space_of_published_batches(capsys, tmp_path):
    weights = write_inception(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    write_npz(tmp_path / "samples.npz", arr_0=images[:8])
    stats = {"mu": np.zeros(2048), "sigma": np.eye(2048), "mu_s": np.zeros(2023), "sigma_s": np.eye(2023)}
    write_npz(tmp_path / "VIRTUAL.npz", arr_0=images, **stats)
    table = printed(
        capsys, tmp_path / "samples.npz", tmp_path / "VIRTUAL.npz", ["inception"], weights, digest=sha256(weights)
    )
    headings = ["FID ↓", "sFID ↓", "KID ↓", "IS ↑", "precision ↑", "recall ↑"]
    assert list(table) == [f"{heading} (inception)" for heading in headings]
    assert table["precision ↑ (inception)"] == "1.000"  # the samples are among the reference's images


@pytest.mark.parametrize("kind", ["folder", "zip", "npy"])
def test_pictures_give_the_numbers_of_their_npz(capsys, tmp_path, kind):
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    for k in range(8):
        save(tmp_path / f"folder/{k}.png", images[k])
    pack(tmp_path / "folder", tmp_path / "images.zip")
    np.save(tmp_path / "images.npy", images[:8])
    write_npz(tmp_path / "images.npz", arr_0=images[:8])
    write_npz(tmp_path / "reference.npz", arr_0=images[4:])
    given = {"folder": "folder", "zip": "images.zip", "npy": "images.npy"}[kind]
    for pair in ((given, "reference.npz"), ("reference.npz", given)):
        paths = [tmp_path / name for name in pair]
        of_npz = [tmp_path / name.replace(given, "images.npz") for name in pair]
        assert printed(capsys, *paths, ["pixels"]) == printed(capsys, *of_npz, ["pixels"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "options: nearest_neighbours: value 0"),
        ({"metrics": ["fids"]}, "options: metrics.0: value 'fids': input should be 'accuracy', 'fid', 'sfid'"),
        ({"replicates": 1}, "options: replicates"),
        ({"spaces": ["inception"], "digest": "abc"}, "options: inception_sha256: value 'abc'"),
        ({"spaces": ["pixels", "pixels"]}, "two of pixels pixels have one name"),
        ({"spaces": ["vgg"]}, "'vgg' is unknown; give inception, efficientnet-lite0, pixels"),
    ],
)
def test_impossible_options_are_refused(capsys, tmp_path, options, message):
    write_npz(tmp_path / "a.npz", arr_0=np.zeros((20, 4, 4, 3), np.uint8))
    with pytest.raises(ConfigError, match=message):
        printed(capsys, tmp_path / "a.npz", tmp_path / "a.npz", **{"spaces": ["pixels"], **options})
