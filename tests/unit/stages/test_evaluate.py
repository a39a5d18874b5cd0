"""Any images against any others: the numbers of the pipeline, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from inception_standin import write_inception
from pictures import pack, save
from tiny import write_settings
from vit_standin import random_network, small, write_dinov2

from eddpm.cli import main
from eddpm.config.schema import MeasureConfig, SpaceConfig
from eddpm.config.spaces import SPACES, Download
from eddpm.data.imagesets import open_images
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.extractors import open_space
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.files import sha256
from eddpm.models.device import pick_device
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
    assert "not measured" not in caplog.text
    assert len(printed(capsys, tmp_path / "bare.npz", tiny.train, ["pixels"], **chosen)) == 3
    assert "not measured, for want of what they need: vendi_per_class (labels)" in caplog.text
    with pytest.raises(ArtifactError, match=r"--metrics: nothing here has what they need: sfid \(spatial\); choose"):
        printed(capsys, samples[0], tiny.train, ["pixels"], metrics=["sfid"])


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
        (
            {"spaces": ["inception", "dinov2"]},
            "--weights: belongs to one file, but each of the spaces",
        ),
        ({"spaces": ["clip", "dinov2"], "digest": "0" * 64}, "--weights-sha256: belongs to one file"),
        ({"spaces": ["clip"], "digest": "abc"}, "options: weights_sha256: value 'abc'"),
        ({"spaces": ["vgg"]}, "'vgg' is unknown; give inception, efficientnet-lite0, pixels"),
    ],
)
def test_impossible_options_are_refused(capsys, tmp_path, options, message):
    write_npz(tmp_path / "a.npz", arr_0=np.zeros((20, 4, 4, 3), np.uint8))
    with pytest.raises(ConfigError, match=message):
        printed(capsys, tmp_path / "a.npz", tmp_path / "a.npz", **{"spaces": ["pixels"], **options})


# The networks of published files ----------------------------------------------------------------------------------


@pytest.fixture
def dinov2(tmp_path, monkeypatch):
    """A small network in place of DINOv2, published at an address of its own; the cache of the user is empty."""
    pytest.importorskip("timm")
    small(monkeypatch)
    network = random_network("vit_large_patch14_dinov2", img_size=518, num_classes=0)
    path = write_dinov2(tmp_path / "published.pth", network)
    download = Download("vit.pth", path.as_uri(), sha256(path))
    monkeypatch.setitem(SPACES, "dinov2", SPACES["dinov2"]._replace(download=download, numbers=24))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    write_npz(tmp_path / "a.npz", arr_0=images[:30])
    write_npz(tmp_path / "b.npz", arr_0=images[10:])
    return path


def run(*options, samples="a.npz", reference="b.npz", spaces=("dinov2",)):
    """The exit code of the verb."""
    return main(["evaluate", "--samples", samples, "--reference", reference, "--spaces", *spaces, *options])


def test_a_published_file_is_fetched_into_the_cache_once(dinov2, capsys):
    digest = sha256(dinov2)
    assert run("--replicates", "0") == 0
    fetched = capsys.readouterr()
    assert f"cache/eddpm/vit.pth: is fetched from {dinov2.as_uri()}" in fetched.err
    assert f"cache/eddpm/vit.pth: SHA-256 {digest}, as published" in fetched.err
    assert "FID ↓ (dinov2)" in fetched.out
    dinov2.rename("elsewhere.pth")
    for option in ((), ("--weights", "elsewhere.pth"), ("--weights", "cache/eddpm")):
        assert run("--replicates", "0", *option) == 0
        again = capsys.readouterr()
        assert again.out == fetched.out
        assert "fetched" not in again.err


@pytest.mark.parametrize(
    ("options", "place", "words"),
    [
        ({}, "file:", "cache/eddpm/vit.pth, or anywhere as --weights"),
        ({"weights": "none.pth"}, "none.pth: ", "does not exist; fetch file:"),
        ({"weights": "."}, "vit.pth: ", "does not exist; fetch file:"),
        ({"weights": "a.npz"}, "a.npz: ", "give its SHA-256: --weights-sha256 of `eddpm evaluate`, evaluation.weights"),
        ({"json": "a.npz", "spaces": "pixels"}, "a.npz: ", "is there, and no earlier result; name another file"),
        ({"json": ".", "spaces": "pixels"}, ".: ", "is there, and no earlier result; name another file as --json"),
        ({"reference": "mu.npz", "weights": "moved.pth"}, "mu.npz: ", "mu has 5 dimensions, not 24: of another layer"),
    ],
)
def test_without_the_right_file_the_end_is_one_line_with_the_remedy(dinov2, capsys, options, place, words):
    dinov2.rename("moved.pth")
    write_npz(Path("mu.npz"), mu=np.zeros(5), sigma=np.eye(5))
    before = sha256(Path("a.npz"))
    options = {"samples": "a.npz", "reference": "b.npz", "spaces": "dinov2", **options}
    assert main(["evaluate", *(f"--{name}={value}" for name, value in options.items())]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith(f"eddpm evaluate: {place}")
    assert words in last
    assert sha256(Path("a.npz")) == before


def test_statistics_of_dinov2_alone_give_the_fid_of_their_images(dinov2, capsys):
    assert run("--json", "images.json") == 0
    extractor = open_space(SpaceConfig(name="dinov2"), dinov2, pick_device())
    features = extractor(next(open_images(Path("b.npz")).batches())).pooled.astype(np.float64)
    write_npz(Path("mu.npz"), mu=features.mean(axis=0), sigma=np.cov(features, rowvar=False))
    assert run("--json", "mu.json", reference="mu.npz") == 0
    of_images, alone = (json.loads(Path(name).read_text()) for name in ("images.json", "mu.json"))
    assert list(alone["metrics"]) == ["dinov2/fid"]
    assert alone["metrics"]["dinov2/fid"] == pytest.approx(of_images["metrics"]["dinov2/fid"], rel=1e-6)
    assert "KID, precision and recall need images" in capsys.readouterr().err


def test_the_numbers_in_full_say_what_they_compare_with(dinov2, capsys):
    assert run("--json", "out/full.json", spaces=("pixels", "dinov2")) == 0
    captured, found = capsys.readouterr(), json.loads(Path("out/full.json").read_text())
    assert found["samples"] == {"path": "a.npz", "num_images": 30}
    assert found["reference"] == {"path": "b.npz", "num_images": 30}
    assert found["features"]["dinov2"] == {"weights": sha256(dinov2), "resize": "bicubic to 224"}
    assert found["metrics"].keys() == found["standard_errors"].keys()
    rows = captured.out.splitlines()[2:]
    assert len(rows) == len(found["metrics"])
    assert f"{found['metrics']['pixels/recall']:.3f}" in next(row for row in rows if "recall ↑ (pixels)" in row)
    compared, few, few_images, of_dinov2, fewer, _ = found["compare"]
    assert compared.startswith(
        "pixels: compare these numbers only with those of 30 samples against the same reference (30"
    )
    assert few == few_images.replace("reference images", "samples")
    assert few.startswith("pixels: 30 samples are few for 48 dimensions, which biases FID and sFID upwards")
    assert of_dinov2.endswith(f"in the same space (weights {sha256(dinov2)[:8]}, resize bicubic to 224)")
    assert fewer.startswith("dinov2: 30 samples are fewer than 10,000, which biases FID and sFID upwards")
    assert all(line in captured.err for line in found["compare"])
    assert run("--json", "out/full.json", spaces=("pixels",)) == 0  # an earlier result is replaced
