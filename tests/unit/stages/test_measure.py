"""Measuring: references, metrics in every space, traces, grids; and what is refused."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from samples import read_samples
from tiny import write_settings

from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.bootstrap import standard_error
from eddpm.guidance.rules.interval import Interval
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.stages.features import extract_features
from eddpm.stages.measure import measure_samples, num_replicates
from eddpm.stages.sample import sample_shard
from eddpm.stages.sampler import COSTS, TRACED

RUN = "uadm25-g-eds"


@pytest.fixture(scope="module")
def measure(tiny, references, tmp_path_factory):
    """Measures shards of some runs against references of both spaces; gives metrics, replicates, traces and grids."""
    folder = tmp_path_factory.mktemp("measured")

    def measure(runs, samples, features=(), against=references[1]):
        settings = [write_settings(folder / f"{run}.yaml", tiny.project.sample(run)) for run in runs]
        outputs = [
            [folder / f"{len(runs)}-{run}.{kind}" for run in runs] for kind in ("json", "replicates.csv", "csv", "png")
        ]
        weights = [tiny.weights["clean"]]
        measure_samples(references[0], settings, samples, list(features), weights, against, *outputs)
        return outputs

    return measure


def sample_two(tiny, folder, config):
    """Two shards of eight guided images each."""
    settings = write_settings(folder / "run.yaml", config)
    paths = [folder / f"{start}.npz" for start in (0, 8)]
    for start, path in zip((0, 8), paths, strict=True):
        sample_shard([settings], tiny.weights["uadm"], tiny.weights["ce"], start, start + 8, 8, [path])
    return paths


@pytest.fixture(scope="module")
def shards(tiny, tmp_path_factory):
    return sample_two(tiny, tmp_path_factory.mktemp("shards"), tiny.project.sample(RUN))


def metrics_of(measured):
    return json.loads(measured[0][0].read_text())


def test_a_run_has_metrics_named_by_their_space_a_trace_from_noise_to_image_and_a_grid(measure, shards):
    (metrics,), (replicates,), (trace,), (grid,) = measure([RUN], shards)
    metrics = json.loads(metrics.read_text())
    networks = ["fid", "sfid", "kid", "inception_score", "precision", "recall"]
    names = ["accuracy", *(f"classifier:clean/{name}" for name in networks)]
    names += [f"pixels/{name}" for name in ("fid", "kid", "precision", "recall")]
    assert list(metrics["metrics"]) == list(metrics["standard_errors"]) == names
    assert all(math.isfinite(value) for value in metrics["metrics"].values())
    assert (metrics["num_images"], metrics["run"]["guidance"][0]["rule"]) == (16, "entropy")
    assert set(metrics["features"]) == {"pixels", "classifier:clean"}
    assert {metrics["identity"]} == {str(read_npz(path)["identity"]) for path in shards}

    halves = pd.read_csv(replicates)
    assert (list(halves), len(halves)) == (names, 50)
    errors = {name: standard_error(values.to_numpy(), 16) for name, values in halves.items()}
    assert errors == pytest.approx(metrics["standard_errors"], rel=1e-12)

    rows = pd.read_csv(trace)
    assert rows["t"].tolist() == list(range(960, -1, -40))
    assert rows.columns.tolist() == ["t", *(column for name in TRACED for column in (name, f"{name}_std"))]
    assert rows["entropy"].between(0, 1).all()
    assert (rows["log10_scale"] >= math.log10(2) - 1e-9).all()
    sums = sum(read_npz(path)["trace"] for path in shards)
    np.testing.assert_allclose(rows["entropy"], sums[:, 0, 0] / 16, rtol=1e-4)

    with Image.open(grid) as picture:
        assert picture.size == (10 * 32, 32)
        first = np.asarray(picture)[:32:4, :32:4]
    np.testing.assert_array_equal(first, read_samples(shards[0]).images[0, ..., 0])


def test_chosen_metrics_are_measured_and_a_fitted_one_has_the_error_of_its_fit(tiny, references, shards, tmp_path):
    chosen = {"metrics": ("density", "vendi_per_class", "fid_infinity"), "density_neighbours": 2}
    settings = write_settings(tmp_path / "s.yaml", tiny.project.measure().model_copy(update=chosen))
    run = write_settings(tmp_path / "run.yaml", tiny.project.sample(RUN))
    outputs = [[tmp_path / f"0.{kind}"] for kind in ("json", "replicates.csv", "csv", "png")]
    measure_samples(settings, [run], shards, [], [tiny.weights["clean"]], references[1], *outputs)
    found = metrics_of(outputs)
    names = [f"{space}/{name}" for space in ("classifier:clean", "pixels") for name in chosen["metrics"]]
    assert list(found["metrics"]) == names
    assert set(found["standard_errors"]) == set(names)
    assert all(math.isfinite(found[part][name]) for part in ("metrics", "standard_errors") for name in names)
    assert pd.read_csv(outputs[1][0])["pixels/fid_infinity"].isna().all()


def test_training_images_are_at_no_distance_from_themselves(tiny, measure, tmp_path):
    samples = read_samples(tiny.train)
    trace = {"trace": np.zeros((0, len(TRACED), 2)), "timesteps": np.arange(25), "cost": np.zeros(len(COSTS), int)}
    write_samples(tmp_path / "train.npz", Samples(samples.images, samples.labels, trace))
    metrics = metrics_of(measure(["uadm25"], [tmp_path / "train.npz"]))["metrics"]
    for space in ("pixels", "classifier:clean"):
        assert metrics[f"{space}/fid"] == pytest.approx(0, abs=1e-4)
        assert metrics[f"{space}/precision"] == metrics[f"{space}/recall"] == 1


def test_features_extracted_before_give_the_same_metrics(tiny, references, measure, shards, tmp_path):
    features = [tmp_path / f"{k}.npz" for k in range(2)]
    for shard, path in zip(shards, features, strict=True):
        extract_features(references[0], shard, [tiny.weights["clean"]], path)
    a, b = (metrics_of(measure([RUN], shards, features=given)) for given in ((), features))
    for part in ("metrics", "standard_errors"):
        assert a[part] == pytest.approx(b[part], rel=1e-6, abs=1e-8)
    assert a["features"] == b["features"]


def test_several_runs_are_measured_as_each_alone_and_have_one_file_each(measure, shards):
    runs = [RUN, "uadm25-g"]
    for run, shard, *together in zip(runs, shards, *measure(runs, shards), strict=True):
        alone = measure([run], [shard])
        assert [path.read_bytes() for path in together] == [path.read_bytes() for (path,) in alone]
    with pytest.raises(ConfigError, match="--samples: 1 given for 2 runs; name one for each"):
        measure(runs, shards[:1])


@pytest.mark.parametrize(
    ("case", "replicates"), [((None, 10_000), 50), ((None, 10_001), 0), ((7, 10_001), 7), ((0, 50), 0), ((50, 7), 0)]
)
def test_there_are_standard_errors_up_to_10_000_images_above_on_request_and_never_of_too_few(case, replicates):
    assert num_replicates(*case, 3) == replicates


@pytest.mark.filterwarnings("error")
def test_a_scale_of_0_leaves_empty_cells_in_the_trace(tiny, measure, tmp_path):
    config = tiny.project.sample(RUN).model_copy(update={"scale": 0.0})
    _, _, (trace,), _ = measure([RUN], sample_two(tiny, tmp_path, config))
    assert not {"nan", "inf", "-inf"} & set(trace.read_text().replace("\n", ",").split(","))
    frame = pd.read_csv(trace)
    assert frame[["log10_scale", "log10_scale_std"]].isna().all(axis=None)
    assert (frame["guidance_norm"] == 0).all()
    assert frame.drop(columns=["log10_scale", "log10_scale_std"]).notna().all(axis=None)


def test_steps_that_a_method_leaves_unguided_are_empty_in_the_trace_and_cost_no_evaluation(tiny, measure, tmp_path):
    entropy = tiny.project.sample(RUN).guidance
    config = tiny.project.sample(RUN).model_copy(update={"guidance": (*entropy, Interval(timesteps=(300, 900)))})
    paths = sample_two(tiny, tmp_path, config)
    measured = measure([RUN], paths)
    frame = pd.read_csv(measured[2][0])
    guided = frame["t"].between(300, 900)
    assert guided.sum() == 15
    assert frame[guided].notna().all(axis=None)
    assert (frame[guided]["guidance_norm"] > 0).all()
    rest = frame[~guided].drop(columns=["t", "guidance_norm", "guidance_norm_std"])
    assert rest.isna().all(axis=None)
    assert (frame[~guided][["guidance_norm", "guidance_norm_std"]] == 0).all(axis=None)
    cost = metrics_of(measured)["cost"]
    seconds = sum(float(path.with_suffix(".seconds").read_text()) for path in paths)
    assert 0 < cost.pop("seconds") == pytest.approx(seconds / 16)
    assert cost == {"denoiser": 25, "classifier_forward": 15, "classifier_backward": 15}


@pytest.mark.parametrize("left", [None, "", "damaged", b"\xff", "nan"])
def test_metrics_have_the_evaluations_of_an_image_and_no_seconds_where_their_file_is_lost(
    measure, shards, tmp_path, left
):
    for path in shards:
        (tmp_path / path.name).write_bytes(path.read_bytes())
        if left is not None:
            (tmp_path / path.name).with_suffix(".seconds").write_bytes(
                left if isinstance(left, bytes) else left.encode()
            )
    cost = metrics_of(measure([RUN], [tmp_path / path.name for path in shards]))["cost"]
    assert cost == {"denoiser": 25, "classifier_forward": 25, "classifier_backward": 25, "seconds": None}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"trace": np.zeros((30, len(TRACED), 2))}, r"1\.npz: .* are not those of a run's shard"),
        ({"cost": np.zeros(4)}, r"1\.npz: .* and cost \(4,\) are not those of a run's shard"),
        ({"cost": np.array([25, 24, 24])}, r"1\.npz: .* or unlike those of .*0\.npz"),
        ({"timesteps": np.arange(24)}, r"1\.npz: .* or unlike those of .*0\.npz"),
        ({"arr_1": np.zeros(8)}, r"1\.npz: .*not one integer label for each of 8 images"),
        ({"arr_0": np.zeros((8, 16, 16, 1), np.uint8)}, r"1\.npz: images are \(16, 16, 1\), those of .*0\.npz"),
        ({"identity": np.array("of others")}, r"CADM\(25\): its shards were sampled with different"),
    ],
)
def test_shards_of_another_kind_are_refused_by_name(measure, shards, tmp_path, arrays, words):
    write_npz(tmp_path / "1.npz", **read_npz(shards[0]) | arrays)
    with pytest.raises(ArtifactError, match=rf"^[^\n]*{words}[^\n]*$"):
        measure(["cadm25"], [shards[0], tmp_path / "1.npz"])


def test_a_reference_of_another_space_or_of_other_images_never_gives_a_number(references, measure, shards, tmp_path):
    with pytest.raises(ArtifactError, match=r"pixels\.npz: made by .*range.*, not classifier:clean"):
        measure([RUN], shards, against=references[1][::-1])
    write_npz(tmp_path / "mine.npz", arr_0=np.zeros((20, 8, 8, 3), np.uint8))
    with pytest.raises(ArtifactError, match=r"images are \(8, 8, 1\), those of .*mine\.npz \(8, 8, 3\)"):
        measure([RUN], shards, against=[references[1][0], tmp_path / "mine.npz"])
