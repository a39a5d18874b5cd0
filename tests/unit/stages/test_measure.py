"""Measuring: references, metrics in every space, traces, grids; and what is refused."""

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from samples import read_samples
from tiny import write_settings

from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.stages.features import extract_features
from eddpm.stages.figures import plot_figure
from eddpm.stages.measure import measure_samples, num_replicates
from eddpm.stages.sample import TRACED, sample_shard


@pytest.fixture(scope="module")
def measured(tiny, references, tmp_path_factory):
    """References of both spaces, and a way to measure shards of a run against them."""
    folder = tmp_path_factory.mktemp("measured")
    settings, references = references

    def measure(run, samples, weights=(tiny.weights["clean"],), references=references, features=()):
        run_settings = write_settings(folder / f"{run}.yaml", tiny.project.sample(run))
        outputs = [folder / f"{run}.{kind}" for kind in ("json", "csv", "png")]
        each = ([output] for output in outputs)
        measure_samples(settings, [run_settings], samples, list(features), list(weights), references, *each)
        return outputs

    return folder, references, measure


@pytest.fixture(scope="module")
def shards(tiny, measured):
    """Two shards of eight guided images each."""
    folder = measured[0]
    settings = write_settings(folder / "run.yaml", tiny.project.sample("uadm25-g-eds"))
    paths = [folder / f"{start}.npz" for start in (0, 8)]
    for start, path in zip((0, 8), paths, strict=True):
        sample_shard([settings], tiny.weights["uadm"], tiny.weights["ce"], start, start + 8, 8, [path])
    return paths


def test_metrics_are_finite_and_named_by_their_space(measured, shards):
    metrics = json.loads(measured[2]("uadm25-g-eds", shards)[0].read_text())
    networks = ["fid", "sfid", "kid", "inception_score", "precision", "recall"]
    names = ["accuracy", *(f"classifier:clean/{name}" for name in networks)]
    names += [f"pixels/{name}" for name in ("fid", "kid", "precision", "recall")]
    assert list(metrics["metrics"]) == list(metrics["standard_errors"]) == names
    assert all(math.isfinite(value) for value in metrics["metrics"].values())
    assert metrics["num_images"] == 16
    assert metrics["run"]["guidance"] == "entropy"
    assert set(metrics["features"]) == {"pixels", "classifier:clean"}
    (named,) = {str(read_npz(path)["identity"]) for path in shards}
    assert metrics["identity"] == named


def test_shards_of_different_settings_or_weights_are_not_measured_together(measured, shards, tmp_path):
    others = read_npz(shards[1]) | {"identity": np.array("of others")}
    write_npz(tmp_path / "others.npz", **others)
    with pytest.raises(ArtifactError, match=r"UADM\(25\)-G\+EDS: its shards were sampled with different"):
        measured[2]("uadm25-g-eds", [shards[0], tmp_path / "others.npz"])


def test_training_images_are_at_no_distance_from_themselves(tiny, measured):
    samples = read_samples(tiny.train)
    trace = {"trace": np.zeros((0, len(TRACED), 2)), "timesteps": np.arange(25)}
    write_samples(measured[0] / "train.npz", Samples(samples.images, samples.labels, trace))
    metrics = json.loads(measured[2]("uadm25", [measured[0] / "train.npz"])[0].read_text())["metrics"]
    for space in ("pixels", "classifier:clean"):
        assert metrics[f"{space}/fid"] == pytest.approx(0, abs=1e-4)
        assert metrics[f"{space}/precision"] == metrics[f"{space}/recall"] == 1


def test_features_extracted_before_give_the_same_metrics(tiny, references, measured, shards, tmp_path):
    measure = measured[2]
    features = [tmp_path / f"{k}.npz" for k in range(2)]
    for shard, path in zip(shards, features, strict=True):
        extract_features(references[0], shard, [tiny.weights["clean"]], path)
    a, b = (json.loads(measure("uadm25-g-eds", shards, features=f)[0].read_text()) for f in ((), features))
    for part in ("metrics", "standard_errors"):
        assert a[part] == pytest.approx(b[part], rel=1e-6, abs=1e-8)
    assert a["features"] == b["features"]


def test_there_are_standard_errors_up_to_10_000_images_above_on_request_and_never_of_too_few():
    asked = [num_replicates(*case, 3) for case in ((None, 10_000), (None, 10_001), (7, 10_001), (0, 50), (50, 7))]
    assert asked == [50, 0, 7, 0, 0]


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


def test_several_runs_are_measured_as_each_alone(tiny, references, measured, shards, tmp_path):
    runs, kinds = ["uadm25-g-eds", "uadm25-g"], ("json", "csv", "png")
    settings = [write_settings(tmp_path / f"{run}.yaml", tiny.project.sample(run)) for run in runs]
    outputs = [[tmp_path / f"{run}.{kind}" for run in runs] for kind in kinds]
    measure_samples(references[0], settings, shards, [], [tiny.weights["clean"]], references[1], *outputs)
    for run, shard, *together in zip(runs, shards, *outputs, strict=True):
        alone = measured[2](run, [shard])
        assert [path.read_bytes() for path in together] == [path.read_bytes() for path in alone]


@pytest.mark.parametrize(("option", "given"), [("metrics", 3), ("samples", 1), ("features", 1)])
def test_several_runs_have_one_file_each(tiny, references, tmp_path, option, given):
    run = write_settings(tmp_path / "run.yaml", tiny.project.sample("uadm25-g-eds"))
    lists = dict.fromkeys(("samples", "features", "metrics", "traces", "grids"), [tmp_path / "x"] * 2)
    lists[option] = [tmp_path / "x"] * given
    with pytest.raises(ConfigError, match=f"--{option}: {given} given for 2 runs; name one for each"):
        measure_samples(references[0], [run] * 2, weights=[], references=references[1], **lists)


def test_reference_of_another_space_is_refused(measured, shards):
    with pytest.raises(ArtifactError, match=r"pixels\.npz: made by .*range.*, not classifier:clean"):
        measured[2]("uadm25-g-eds", shards, references=list(reversed(measured[1])))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("guidance", ["entropy", "constant", "none"])
def test_a_scale_of_0_leaves_empty_cells_in_the_trace_and_a_figure(tiny, measured, tmp_path, guidance):
    config = tiny.project.sample("uadm25-g-eds").model_copy(update={"scale": 0.0, "guidance": guidance})
    settings, shards = write_settings(tmp_path / "run.yaml", config), [tmp_path / f"{start}.npz" for start in (0, 8)]
    for start, path in zip((0, 8), shards, strict=True):
        sample_shard([settings], tiny.weights["uadm"], tiny.weights["ce"], start, start + 8, 8, [path])
    _, trace, _ = measured[2]("uadm25-g-eds", shards)
    assert not {"nan", "inf", "-inf"} & set(trace.read_text().replace("\n", ",").split(","))
    frame = pd.read_csv(trace)
    assert frame[["log10_scale", "log10_scale_std"]].isna().all(axis=None)
    assert (frame["guidance_norm"] == 0).all()
    assert frame.drop(columns=["log10_scale", "log10_scale_std"]).notna().all(axis=None)
    plot_figure("trace", [trace], ["UADM(25)-G+EDS"], tmp_path / "trace.png", tmp_path / "trace.pdf")
    assert (tmp_path / "trace.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"trace": np.zeros((3, 2))}, r"trace float64 \(3, 2\) and timesteps"),
        ({"trace": np.zeros((30, len(TRACED), 2))}, "are not those of a run's shard"),
        ({"trace": np.zeros((5, len(TRACED), 2))}, "or unlike those of .*0\\.npz"),
        ({"trace": np.zeros((0, len(TRACED), 2), int)}, "are not those of a run's shard"),
        ({"timesteps": np.arange(24)}, "or unlike those of .*0\\.npz"),
        ({"timesteps": np.zeros((2, 2))}, "are not those of a run's shard"),
        ({"arr_1": np.zeros(4)}, "not one integer label for each of 4 images"),
        ({"arr_0": np.zeros((4, 16, 16, 1), np.uint8)}, r"images are \(16, 16, 1\), those of .*0\.npz \(8, 8, 1\)"),
        ({"arr_0": np.zeros((4, 1, 8, 8), np.uint8)}, r"its axes are \(N, C, H, W\)"),
    ],
)
def test_shards_of_another_kind_are_refused_by_name(tiny, measured, tmp_path, arrays, words):
    shard = {"arr_0": np.zeros((4, 8, 8, 1), np.uint8), "arr_1": np.zeros(4, int), "timesteps": np.arange(25)}
    shard["trace"] = np.zeros((0, len(TRACED), 2))
    write_npz(tmp_path / "0.npz", **shard)
    write_npz(tmp_path / "1.npz", **shard | arrays)
    with pytest.raises(ArtifactError, match=rf"^[^\n]*1\.npz: [^\n]*{words}[^\n]*$"):
        measured[2]("uadm25", [tmp_path / "0.npz", tmp_path / "1.npz"], weights=[tiny.weights["clean"]])


@pytest.mark.parametrize("shape", [(16, 16, 1), (8, 8, 3)])
def test_a_reference_of_other_images_never_gives_a_number(measured, shards, tmp_path, shape):
    write_npz(tmp_path / "mine.npz", arr_0=np.zeros((20, *shape), np.uint8))
    message = rf"images are \(8, 8, 1\), those of .*mine\.npz {re.escape(str(shape))}"
    with pytest.raises(ArtifactError, match=message):
        measured[2]("uadm25-g-eds", shards, references=[measured[1][0], tmp_path / "mine.npz"])
