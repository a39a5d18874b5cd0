"""Image i of a run is a function of (seed, i): shards, batch sizes, kills and restarts change nothing."""

import numpy as np
import pytest
import torch
from samples import read_samples
from tiny import write_settings

from eddpm.config.frozen import samples_identity
from eddpm.config.samples import SampleConfig
from eddpm.diffusion.images import to_uint8
from eddpm.errors import ArtifactError, ConfigError, EddpmError
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.files import sha256
from eddpm.stages import sample as stage
from eddpm.stages import sampler


@pytest.fixture
def sample(tiny, tmp_path):
    """Sample images of a run into a shard of its own; gives the shard's path."""

    def sample(run, start, stop, batch_size, name="shard", config=None):
        row = tiny.project.all_runs[run]
        settings = write_settings(tmp_path / name / "settings.yaml", config or tiny.project.sample(run))
        path = tmp_path / name / f"{start}.npz"
        classifier = tiny.weights[row.classifier] if row.classifier else None
        stage.sample_shard([settings], tiny.weights[row.denoiser], classifier, start, stop, batch_size, [path])
        return path

    return sample


@pytest.fixture
def sample_killed(sample, monkeypatch):
    """The same, killed once so many batches are written."""

    def sample_killed(after, *arguments):
        write, finished = stage.write_npz, []

        def write_until(path, **arrays):
            if len(finished) == after:
                raise KeyboardInterrupt
            finished.append(path)
            write(path, **arrays)

        with monkeypatch.context() as patch:
            patch.setattr(stage, "write_npz", write_until)
            with pytest.raises(KeyboardInterrupt):
                sample(*arguments)

    return sample_killed


@pytest.mark.parametrize(
    ("run", "changes"),
    [
        ("uadm25-g-eds", {}),
        ("cadm25-g", {"labels": "random"}),
        ("uadm25-g-eds", {"sampler": "ddpm", "steps": "10"}),
    ],
)
def test_images_do_not_depend_on_shards_and_batches(tiny, sample, monkeypatch, run, changes):
    config, floats = tiny.project.sample(run).model_copy(update=changes), []
    monkeypatch.setattr(sampler, "to_uint8", lambda x: floats.append(x.clone()) or to_uint8(x))
    whole = read_npz(sample(run, 0, 8, 8, "whole", config=config))
    wanted = floats.pop()
    assert (whole["arr_1"] != np.arange(8)).any() == (changes.get("labels") == "random")
    for batch_size in (1, 3):
        floats.clear()
        parts = [
            read_npz(sample(run, start, start + 4, batch_size, f"by {batch_size}", config=config)) for start in (0, 4)
        ]
        torch.testing.assert_close(torch.cat(floats), wanted, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(np.concatenate([part["arr_1"] for part in parts]), whole["arr_1"])
        np.testing.assert_allclose(sum(part["trace"] for part in parts), whole["trace"], rtol=1e-3, atol=1e-6)


@pytest.fixture
def sample_with(tiny, sample):
    """The arrays of four images of the run with EDS, some of its settings being others; of a scale that bytes show."""

    def sample_with(**changes):
        values = tiny.project.sample("uadm25-g-eds").model_dump() | {"scale": 1000.0} | changes
        name = " ".join(map(str, changes.values())) or "plain"
        return read_npz(sample("uadm25-g-eds", 0, 4, 4, name, config=SampleConfig(**values)))

    return sample_with


def log10_scale(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Mean over the four images at each step: (steps,)."""
    return arrays["trace"][:, sampler.TRACED.index("log10_scale"), 0] / 4


def test_eds_at_all_timesteps_is_eds_and_at_none_constant(sample_with):
    eds, constant = sample_with(), sample_with(guidance={"rule": "constant"})
    ranges = ([0, 999], [1, 39])  # steps lie 40 apart
    everywhere, nowhere = (sample_with(guidance={"rule": "entropy", "eds_timesteps": each}) for each in ranges)
    for one, other in ((everywhere, eds), (nowhere, constant)):
        for name in ("arr_0", "arr_1", "trace"):
            np.testing.assert_array_equal(one[name], other[name])
    assert (log10_scale(eds) > log10_scale(constant)).all()


def test_the_class_count_of_the_entropy_moves_the_scale_and_that_of_the_classifier_changes_nothing(sample_with):
    of_classes = [sample_with(guidance={"rule": "entropy", "entropy_classes": count}) for count in (10, 1000)]
    eds, ten, thousand = sample_with(), *of_classes
    np.testing.assert_array_equal(ten["trace"], eds["trace"])
    at_x_T = log10_scale(thousand)[0] - log10_scale(eds)[0]  # which is the same
    assert at_x_T == pytest.approx(np.log10(3))


def test_the_gradient_at_the_mean_asks_the_classifier_one_step_later(sample_with, monkeypatch):
    guidance, asked = sampler.classifier_guidance, []

    def watched(classifier_fn, *arguments):
        return guidance(lambda x, t: asked.append(t.unique().item()) or classifier_fn(x, t), *arguments)

    monkeypatch.setattr(sampler, "classifier_guidance", watched)
    at_x_t = sample_with(sampler="ddpm", steps="10")
    assert asked == at_x_t["timesteps"].tolist()
    asked.clear()
    at_mean = sample_with(sampler="ddpm", steps="10", gradient_at="mean")
    assert asked == [*at_mean["timesteps"][1:], 0]
    assert (at_mean["arr_0"] != at_x_t["arr_0"]).any()


def test_shard_holds_adms_arrays_its_image_numbers_and_the_identity_of_settings_and_weights(tiny, sample):
    arrays = read_npz(sample("uadm25-g", 6, 14, 3))
    assert (arrays["arr_0"].dtype, arrays["arr_0"].shape) == (np.uint8, (8, 8, 8, 1))
    assert arrays["arr_1"].tolist() == [6, 7, 8, 9, 0, 1, 2, 3]
    assert arrays["index"].tolist() == list(range(6, 14))
    assert arrays["timesteps"].tolist() == list(range(960, -1, -40))
    assert arrays["trace"].shape == (25, len(sampler.TRACED), 2)
    assert np.isfinite(arrays["trace"]).all()
    digests = [sha256(tiny.weights[name]) for name in ("uadm", "ce")]
    assert str(arrays["identity"]) == samples_identity(tiny.project.sample("uadm25-g"), digests)


@pytest.mark.parametrize("after", [1, 2])
def test_killed_shard_goes_on_where_it_was(sample, sample_killed, monkeypatch, after):
    wanted = sample("uadm25-g-eds", 0, 8, 3, "whole")
    sample_killed(after, "uadm25-g-eds", 0, 8, 3, "killed")

    sampled = []
    guided = stage.GuidedSampler.sample
    monkeypatch.setattr(stage.GuidedSampler, "sample", lambda self, index: sampled.extend(index) or guided(self, index))
    resumed = sample("uadm25-g-eds", 0, 8, 3, "killed")
    assert sampled == list(range(3 * after, 8))
    assert resumed.read_bytes() == wanted.read_bytes()
    assert [path.name for path in resumed.parent.glob("*unfinished*")] == []


def test_a_job_of_several_runs_gives_what_they_give_alone_and_samples_none_again_after_a_kill(
    tiny, sample, tmp_path, monkeypatch
):
    runs = ["uadm25-g-at-1", "uadm25-g-at-4"]
    settings = [write_settings(tmp_path / f"{run}.yaml", tiny.project.sample(run)) for run in runs]
    samples, weights = [tmp_path / f"{run}.npz" for run in runs], (tiny.weights["uadm"], tiny.weights["ce"])
    with pytest.raises(ConfigError, match="2 --settings and 1 --samples"):
        stage.sample_shard(settings, *weights, 0, 4, 4, samples[:1])
    wanted = [sample(run, 0, 4, 4, run).read_bytes() for run in runs]
    guided, calls = stage.GuidedSampler.sample, []

    def killed_at_the_second(self, index):
        calls.append(self.config.scale)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return guided(self, index)

    monkeypatch.setattr(stage.GuidedSampler, "sample", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        stage.sample_shard(settings, *weights, 0, 4, 4, samples)
    samples[0].unlink()  # as Snakemake does with the outputs of a killed job
    stage.sample_shard(settings, *weights, 0, 4, 4, samples)
    assert calls == [1, 4, 4]
    assert [path.read_bytes() for path in samples] == wanted
    assert not list(tmp_path.glob("*.unfinished"))


def test_a_damaged_batch_is_sampled_again_and_an_image_that_two_batches_have_is_taken_once(
    sample, sample_killed, tmp_path, capsys
):
    arguments, folder = ("uadm25-g", 0, 16, 2), tmp_path / "shard/0.unfinished"
    sample_killed(6, *arguments)
    broken = folder / "00000004.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    # As where a job that was given up still wrote while its retry went on by smaller batches.
    batch = read_npz(folder / "00000008.npz")
    write_npz(folder / "00000009.npz", **batch | {key: batch[key][1:] for key in ("images", "labels", "index")})
    shard = sample("uadm25-g", 0, 16, 6)
    assert f"{broken}: is damaged; its images are sampled again" in capsys.readouterr().err
    found, wanted = read_npz(shard), read_npz(sample(*arguments, "uninterrupted"))
    assert found["index"].tolist() == list(range(16))
    assert np.abs(found["arr_0"].astype(int) - wanted["arr_0"]).max() <= 1


def test_batches_of_other_settings_are_never_reused(tiny, sample, sample_killed):
    sample_killed(1, "uadm25-g", 0, 4, 2, "killed")
    other = tiny.project.sample("uadm25-g").model_copy(update={"seed": 9})
    changed = sample("uadm25-g", 0, 4, 2, "killed", config=other)
    assert changed.read_bytes() == sample("uadm25-g", 0, 4, 2, "fresh", config=other).read_bytes()


def test_half_precision_gives_nearly_the_same_images(tiny, sample):
    config = tiny.project.sample("uadm25-g-eds")
    full, *halves = (
        read_samples(
            sample("uadm25-g-eds", 0, 4, 4, precision, config=config.model_copy(update={"precision": precision}))
        ).images.astype(int)
        for precision in ("float32", "float16", "bfloat16")
    )
    for half in halves:
        assert np.median(np.abs(half - full)) <= 3


def test_compiled_networks_are_those_of_the_run_and_give_its_images(tiny, sample, monkeypatch):
    compiled = []

    def compile_(network):
        compiled.append(type(network).__name__)
        network._compiled_call_impl = torch.compile(network._call_impl, backend="eager")

    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    wanted = read_samples(sample("uadm25-g-eds", 0, 3, 2, "as they are"))
    assert not compiled
    config = tiny.project.sample("uadm25-g-eds").model_copy(update={"compile": True})
    found = read_samples(sample("uadm25-g-eds", 0, 3, 2, "compiled", config=config))
    assert compiled == ["UNet", "EncoderClassifier"]
    np.testing.assert_array_equal(found.images, wanted.images)


def test_networks_that_cannot_be_compiled_end_in_one_line(tiny, sample, monkeypatch):
    def broken(network, inputs):
        raise OSError("No working C++ compiler found\nmore of it")

    def compile_(network):
        network._compiled_call_impl = torch.compile(network._call_impl, backend=broken)

    monkeypatch.setattr(torch.nn.Module, "compile", compile_)
    config = tiny.project.sample("uadm25-g-eds").model_copy(update={"compile": True})
    with pytest.raises(EddpmError, match=r"sampling\.compile: [^\n]*No working C\+\+ compiler found[^\n]*; install"):
        sample("uadm25-g-eds", 0, 3, 3, config=config)


def test_a_batch_too_large_for_the_memory_is_halved_until_it_fits_or_ends_in_one_line(sample, monkeypatch, capsys):
    wanted = read_npz(sample("uadm25-g", 0, 8, 2, "small"))
    tried, fits, sample_batch = [], [2], stage.GuidedSampler.sample

    def sample_in_memory(self, index):
        tried.append(len(index))
        if len(index) > fits[-1]:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return sample_batch(self, index)

    monkeypatch.setattr(stage.GuidedSampler, "sample", sample_in_memory)
    found = read_npz(sample("uadm25-g", 0, 8, 8, "halved"))
    assert tried == [8, 4, 2, 2, 2, 2]
    np.testing.assert_array_equal(found["arr_0"], wanted["arr_0"])
    assert found["index"].tolist() == list(range(8))
    assert "8 images are too many for the memory of this GPU; goes on with 4 at once" in capsys.readouterr().err
    fits.append(0)
    with pytest.raises(ConfigError, match=r"^UADM\(25\)-G: one image is too large for the memory of [^\n]*$"):
        sample("uadm25-g", 0, 3, 2)


def test_the_first_step_that_is_not_finite_is_named_and_nothing_is_written(sample, tmp_path, monkeypatch):
    """The guidance of one image of three breaks in the fourth step."""
    guidance, calls = sampler.classifier_guidance, []

    def breaking(*arguments):
        guide_fn = guidance(*arguments)

        def broken(x_t, t, state):
            calls.append(t)
            found = guide_fn(x_t, t, state)
            if len(calls) == 4:
                found.gradient[1] = float("inf")
            return found

        return broken

    monkeypatch.setattr(sampler, "classifier_guidance", breaking)
    named = r"image 3 and 0 more are not finite, from step 4 of 25 \(t = 840\) at scale 6"
    with pytest.raises(ArtifactError, match=named):
        sample("uadm25-g", 2, 5, 3)
    assert not list(tmp_path.rglob("*.npz"))
