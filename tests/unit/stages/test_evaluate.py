"""Measuring: references, metrics in every space, traces, grids; and what is refused."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import write_settings

from eddpm.artifacts import Samples, read_npz, read_samples, write_samples
from eddpm.errors import ArtifactError, ConfigError
from eddpm.stages.evaluate import compute_metrics, extract_references
from eddpm.stages.sample import TRACED, sample_shard


@pytest.fixture(scope="module")
def measured(tiny, tmp_path_factory):
    """References of both spaces, and a way to measure shards of a run against them."""
    folder = tmp_path_factory.mktemp("measured")
    settings = write_settings(folder / "measure.yaml", tiny.project.measure())
    references = [folder / "clean.npz", folder / "pixels.npz"]
    extract_references(settings, tiny.train, [tiny.weights["clean"]], references)

    def measure(run, samples, classifiers=(tiny.weights["clean"],), references=references):
        run_settings = write_settings(folder / f"{run}.yaml", tiny.project.sample(run))
        outputs = [folder / f"{run}.{kind}" for kind in ("json", "csv", "png")]
        compute_metrics(settings, run_settings, samples, list(classifiers), references, *outputs)
        return outputs

    return folder, references, measure


@pytest.fixture(scope="module")
def shards(tiny, measured):
    """Two shards of eight guided images each."""
    folder, settings = measured[0], None
    settings = write_settings(folder / "run.yaml", tiny.project.sample("uadm25-g-eds"))
    paths = [folder / f"{start}.npz" for start in (0, 8)]
    for start, path in zip((0, 8), paths, strict=True):
        sample_shard(settings, tiny.weights["uadm"], tiny.weights["ce"], start, start + 8, 8, path)
    return paths


def test_pixel_reference_is_mean_and_covariance_of_the_training_pixels(tiny, measured):
    pixels = read_samples(tiny.train).images.reshape(-1, 64) / 127.5 - 1
    reference = read_npz(measured[1][1])
    np.testing.assert_allclose(reference["mu"], pixels.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(reference["sigma"], np.cov(pixels, rowvar=False), atol=1e-6)
    np.testing.assert_allclose(reference["features"], pixels, atol=1e-6)
    assert "mu_s" not in reference


def test_metrics_are_finite_and_named_by_their_space(measured, shards):
    metrics = json.loads(measured[2]("uadm25-g-eds", shards)[0].read_text())
    four = ("fid", "precision", "recall")
    names = ["accuracy", *(f"pixels/{name}" for name in four)]
    names += [f"classifier:clean/{name}" for name in (*four, "sfid", "inception_score")]
    assert set(metrics["metrics"]) == set(names)
    assert all(math.isfinite(value) for value in metrics["metrics"].values())
    assert metrics["num_images"] == 16
    assert metrics["run"]["guidance"] == "entropy"
    assert set(metrics["features"]) == {"pixels", "classifier:clean"}


def test_training_images_are_at_no_distance_from_themselves(tiny, measured):
    samples = read_samples(tiny.train)
    trace = {"trace": np.zeros((0, len(TRACED), 2)), "timesteps": np.arange(25)}
    write_samples(measured[0] / "train.npz", Samples(samples.images, samples.labels, trace))
    metrics = json.loads(measured[2]("uadm25", [measured[0] / "train.npz"])[0].read_text())["metrics"]
    for space in ("pixels", "classifier:clean"):
        assert metrics[f"{space}/fid"] == pytest.approx(0, abs=1e-4)
        assert metrics[f"{space}/precision"] == metrics[f"{space}/recall"] == 1


def test_metrics_do_not_depend_on_the_shards(measured, shards):
    parts = [read_samples(path) for path in shards]
    joined = Samples(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "labels")),
        {"trace": sum(part.extras["trace"] for part in parts), "timesteps": parts[0].extras["timesteps"]},
    )
    write_samples(measured[0] / "joined.npz", joined)
    by_shards = [path.read_bytes() for path in measured[2]("uadm25-g-eds", shards)]
    whole = [path.read_bytes() for path in measured[2]("uadm25-g-eds", [measured[0] / "joined.npz"])]
    a, b = (json.loads(text[0])["metrics"] for text in (by_shards, whole))
    assert a == pytest.approx(b, rel=1e-6)
    assert by_shards[1] == whole[1]


def test_trace_has_a_row_per_step_from_noise_to_image(measured, shards):
    trace = pd.read_csv(measured[2]("uadm25-g-eds", shards)[1])
    assert trace["t"].tolist() == list(range(960, -1, -40))
    assert trace.columns.tolist() == ["t", *(column for name in TRACED for column in (name, f"{name}_std"))]
    assert trace["entropy"].between(0, 1).all()
    assert (trace["log10_scale"] >= math.log10(2) - 1e-9).all()
    sums = sum(read_npz(path)["trace"] for path in shards)
    np.testing.assert_allclose(trace["entropy"], sums[:, 0, 0] / 16, rtol=1e-4)


def test_grid_shows_each_image_enlarged(measured, shards):
    with Image.open(measured[2]("uadm25-g-eds", shards)[2]) as grid:
        assert grid.size == (10 * 32, 1 * 32)
        first = np.asarray(grid)[:32:4, :32:4]
    np.testing.assert_array_equal(first, read_samples(shards[0]).images[0, ..., 0])


def test_truncated_shard_is_refused_by_name_and_leaves_no_metrics(tiny, measured, shards, tmp_path):
    broken = tmp_path / "broken.npz"
    broken.write_bytes(shards[0].read_bytes()[:-100])
    (measured[0] / "uadm25-g.json").unlink(missing_ok=True)
    with pytest.raises(ArtifactError, match=r"broken\.npz: not a readable npz"):
        measured[2]("uadm25-g", [shards[1], broken])
    assert not (measured[0] / "uadm25-g.json").exists()


def test_wrong_number_of_classifiers_is_refused(measured, shards):
    with pytest.raises(ConfigError, match="0 given, the settings have 1"):
        measured[2]("uadm25-g-eds", shards, classifiers=())


def test_weights_of_another_network_are_refused(tiny, measured, shards):
    with pytest.raises(ArtifactError, match=r"uadm\.safetensors: not the weights of this network"):
        measured[2]("uadm25-g-eds", shards, classifiers=[tiny.weights["uadm"]])


def test_reference_of_another_space_is_refused(measured, shards):
    with pytest.raises(ArtifactError, match=r"UADM\(25\)-G\+EDS against .*pixels\.npz: sfid"):
        measured[2]("uadm25-g-eds", shards, references=list(reversed(measured[1])))
