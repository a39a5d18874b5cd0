"""Image i of a run is a function of (seed, i): shards, batch sizes, kills and restarts change nothing."""

import numpy as np
import pytest
import torch
from samples import read_samples
from tiny import write_settings

from eddpm.config.frozen import samples_identity
from eddpm.config.schema import SampleConfig
from eddpm.diffusion.images import to_uint8
from eddpm.errors import ArtifactError, ConfigError
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.files import sha256
from eddpm.stages import sample as stage


@pytest.fixture
def sample(tiny, tmp_path):
    """Sample images of a run into a shard of its own; gives the shard's path."""

    def sample(run, start, stop, batch_size, name="shard", denoiser=None, config=None):
        row = tiny.project.all_runs[run]
        settings = write_settings(tmp_path / name / "settings.yaml", config or tiny.project.sample(run))
        path = tmp_path / name / f"{start}.npz"
        classifier = tiny.weights[row.classifier] if row.classifier else None
        weights = denoiser or tiny.weights[row.denoiser]
        stage.sample_shard([settings], weights, classifier, start, stop, batch_size, [path])
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


@pytest.fixture
def floats(monkeypatch):
    """The images before their conversion to bytes, as the stage makes them, by number."""
    seen = []
    monkeypatch.setattr(stage, "to_uint8", lambda x: seen.append(x.clone()) or to_uint8(x))

    def collect():
        images = np.concatenate([x.numpy() for x in seen])
        seen.clear()
        return images

    return collect


@pytest.mark.parametrize(
    ("run", "changes"), [("uadm25-g-eds", {}), ("cadm25-g", {}), ("uadm25-g-eds", {"sampler": "ddpm", "steps": "10"})]
)
def test_images_do_not_depend_on_shards_and_batches(tiny, sample, floats, run, changes):
    config = tiny.project.sample(run).model_copy(update=changes)
    sample(run, 0, 8, 8, "whole", config=config)
    whole = floats()
    for batch_size in (1, 3):
        for start in (0, 4):
            sample(run, start, start + 4, batch_size, f"by {batch_size}", config=config)
        np.testing.assert_allclose(floats(), whole, atol=1e-4)


@pytest.fixture
def sample_with(tiny, sample):
    """The arrays of four images of the run with EDS, some of its settings being others; of a scale that bytes show."""

    def sample_with(**changes):
        values = tiny.project.sample("uadm25-g-eds").model_dump() | {"scale": 1000.0} | changes
        name = " ".join(map(str, changes.values())) or "plain"
        return read_npz(sample("uadm25-g-eds", 0, 4, 4, name, config=SampleConfig(**values)))

    return sample_with


def traced(arrays: dict[str, np.ndarray], quantity: str) -> np.ndarray:
    """Sum over the images at each step: (steps,)."""
    return arrays["trace"][:, stage.TRACED.index(quantity), 0]


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """Whether samples are the same, whatever the settings that they name."""
    for name in one.keys() - {"identity"}:
        np.testing.assert_array_equal(one[name], other[name])


def test_eds_at_all_timesteps_is_eds_and_at_none_constant(sample_with):
    eds, constant = sample_with(), sample_with(guidance="constant")
    assert_same(sample_with(eds_timesteps="0-999"), eds)
    assert_same(sample_with(eds_timesteps="1-39"), constant)  # the steps lie 40 apart
    assert (traced(eds, "log10_scale") > traced(constant, "log10_scale")).all()


def test_the_class_count_of_the_entropy_moves_the_scale_and_that_of_the_classifier_changes_nothing(sample_with):
    eds, thousand = sample_with(), sample_with(entropy_classes=1000)
    assert_same(sample_with(entropy_classes=10), eds)
    first = [traced(arrays, "log10_scale")[0] / 4 for arrays in (thousand, eds)]  # at x_T, which is the same
    assert first[0] - first[1] == pytest.approx(np.log10(3))
    assert traced(thousand, "entropy")[0] == traced(eds, "entropy")[0]


def test_the_gradient_at_the_mean_asks_the_classifier_one_step_later(sample_with, monkeypatch):
    guidance, asked = stage.classifier_guidance, []

    def watched(classifier_fn, *arguments):
        return guidance(lambda x, t: asked.append(t.unique().item()) or classifier_fn(x, t), *arguments)

    monkeypatch.setattr(stage, "classifier_guidance", watched)
    at_x_t = sample_with(sampler="ddpm", steps="10")
    assert asked == at_x_t["timesteps"].tolist()
    asked.clear()
    at_mean = sample_with(sampler="ddpm", steps="10", gradient_at="mean")
    assert asked == [*at_mean["timesteps"][1:], 0]
    assert (traced(at_mean, "entropy") != traced(at_x_t, "entropy")).all()
    assert (at_mean["arr_0"] != at_x_t["arr_0"]).any()


def test_random_labels_are_those_of_the_images_and_depend_on_shards_no_more_than_noise_does(tiny, sample, sample_with):
    config = tiny.project.sample("uadm25-g-eds").model_copy(update={"labels": "random"})
    whole = sample_with(labels="random", scale=config.scale)
    assert (whole["arr_1"] != sample_with()["arr_1"]).any()
    np.testing.assert_array_equal(whole["arr_1"], stage.image_labels(np.arange(4), 10, config.seed))
    parts = [
        read_samples(sample("uadm25-g-eds", start, start + 2, 1, f"part {start}", config=config)) for start in (0, 2)
    ]
    np.testing.assert_array_equal(np.concatenate([part.labels for part in parts]), whole["arr_1"])
    images = np.concatenate([part.images for part in parts]).astype(int)
    assert np.abs(images - whole["arr_0"]).max() <= 1


def test_shard_holds_adms_arrays_and_its_image_numbers(sample):
    arrays = read_npz(sample("uadm25-g", 6, 14, 3))
    assert (arrays["arr_0"].dtype, arrays["arr_0"].shape) == (np.uint8, (8, 8, 8, 1))
    assert arrays["arr_1"].tolist() == [6, 7, 8, 9, 0, 1, 2, 3]
    assert arrays["index"].tolist() == list(range(6, 14))
    assert arrays["timesteps"].tolist() == list(range(960, -1, -40))
    assert arrays["trace"].shape == (25, len(stage.TRACED), 2)
    assert np.isfinite(arrays["trace"]).all()


def test_shards_of_the_same_settings_and_weights_name_the_same_identity(tiny, sample):
    digests = [sha256(tiny.weights[name]) for name in ("uadm", "ce")]
    wanted = samples_identity(tiny.project.sample("uadm25-g"), digests)
    named = [str(read_npz(sample("uadm25-g", k, k + 2, 2, f"{k}"))["identity"]) for k in (0, 2)]
    assert named == [wanted] * 2
    other = read_npz(sample("uadm25-g-at-4", 0, 2, 2, "other"))["identity"]
    assert str(other) != wanted


def test_trace_sums_are_those_of_the_images(sample):
    whole, one = (read_npz(sample("uadm25-g", a, b, 8, f"{a}-{b}"))["trace"] for a, b in ((0, 2), (0, 1)))
    other = read_npz(sample("uadm25-g", 1, 2, 8, "other"))["trace"]
    np.testing.assert_allclose(one + other, whole, rtol=1e-4, atol=1e-8)


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


SCALES = ["uadm25-g-at-1", "uadm25-g-at-4"]


def test_a_job_of_several_runs_gives_what_they_give_alone_and_samples_none_again_after_a_kill(
    tiny, sample, tmp_path, monkeypatch
):
    settings = [write_settings(tmp_path / f"{run}.yaml", tiny.project.sample(run)) for run in SCALES]
    samples, weights = [tmp_path / f"{run}.npz" for run in SCALES], (tiny.weights["uadm"], tiny.weights["ce"])
    wanted = [sample(run, 0, 4, 4, run).read_bytes() for run in SCALES]
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


def test_each_run_has_a_file_for_its_samples(tiny, tmp_path):
    with pytest.raises(ConfigError, match="2 --settings and 1 --samples"):
        stage.sample_shard([tmp_path, tmp_path], tiny.weights["uadm"], None, 0, 4, 4, [tmp_path])


def test_a_damaged_batch_is_sampled_again_in_its_place(sample, sample_killed, tmp_path, capsys):
    arguments = ("uadm25-g", 0, 16, 2)
    sample_killed(6, *arguments)
    broken = tmp_path / "shard/0.unfinished/00000004.npz"
    broken.write_bytes(broken.read_bytes()[:100])
    shard = sample("uadm25-g", 0, 16, 6)
    assert f"{broken}: is damaged; its images are sampled again" in capsys.readouterr().err
    found, wanted = read_npz(shard), read_npz(sample(*arguments, "uninterrupted"))
    assert found["index"].tolist() == list(range(16))
    assert np.abs(found["arr_0"].astype(int) - wanted["arr_0"]).max() <= 1
    np.testing.assert_allclose(found["trace"], wanted["trace"], rtol=1e-3, atol=1e-6)


def test_an_image_that_two_batches_have_is_taken_once(sample, sample_killed, tmp_path):
    """As where a job that was given up still wrote while its retry went on by smaller batches."""
    arguments = ("uadm25-g", 0, 8, 2)
    sample_killed(2, *arguments)
    folder = tmp_path / "shard/0.unfinished"
    batch = read_npz(folder / "00000002.npz")
    half = {key: batch[key][1:] for key in ("images", "labels", "index")}
    write_npz(folder / "00000003.npz", **batch | half)
    assert read_npz(sample(*arguments))["index"].tolist() == list(range(8))


def test_batches_of_other_settings_are_never_reused(tiny, sample, sample_killed):
    sample_killed(1, "uadm25-g", 0, 4, 2, "killed")
    other = tiny.project.sample("uadm25-g").model_copy(update={"seed": 9})
    changed = sample("uadm25-g", 0, 4, 2, "killed", config=other)
    assert changed.read_bytes() == sample("uadm25-g", 0, 4, 2, "fresh", config=other).read_bytes()


def test_steps_that_the_schedule_cannot_take_are_refused(tiny, sample):
    config = tiny.project.sample("uadm25-g").model_copy(update={"steps": "ddim300"})
    with pytest.raises(ConfigError, match=r"settings\.yaml: steps 'ddim300': no integer stride"):
        sample("uadm25-g", 0, 2, 2, config=config)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_half_precision_gives_nearly_the_same_images(tiny, sample, precision):
    config = tiny.project.sample("uadm25-g-eds")
    wanted = read_samples(sample("uadm25-g-eds", 0, 4, 4, "full")).images.astype(int)
    half = config.model_copy(update={"precision": precision})
    found = read_samples(sample("uadm25-g-eds", 0, 4, 4, "half", config=half)).images.astype(int)
    assert np.median(np.abs(found - wanted)) <= 3


def with_memory_for(images: int, monkeypatch) -> list[int]:
    """A GPU that holds so many images at once; the sizes of the batches that are tried."""
    tried, sample_batch = [], stage.GuidedSampler.sample

    def sample(self, index):
        tried.append(len(index))
        if len(index) > images:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return sample_batch(self, index)

    monkeypatch.setattr(stage.GuidedSampler, "sample", sample)
    return tried


def test_a_batch_too_large_for_the_memory_is_halved_until_it_fits(sample, monkeypatch, capsys):
    wanted = read_npz(sample("uadm25-g", 0, 8, 2, "small"))
    tried = with_memory_for(2, monkeypatch)
    found = read_npz(sample("uadm25-g", 0, 8, 8, "halved"))
    assert tried == [8, 4, 2, 2, 2, 2]
    np.testing.assert_array_equal(found["arr_0"], wanted["arr_0"])
    assert found["index"].tolist() == list(range(8))
    assert "8 images are too many for the memory of this GPU; goes on with 4 at once" in capsys.readouterr().err


def test_one_image_too_large_for_the_memory_is_an_error_in_one_line(sample, monkeypatch):
    with_memory_for(0, monkeypatch)
    with pytest.raises(ConfigError, match=r"^UADM\(25\)-G: one image is too large for the memory of [^\n]*$"):
        sample("uadm25-g", 0, 3, 2)


@pytest.mark.parametrize("step", [1, 4])
def test_the_first_step_that_is_not_finite_is_named_and_nothing_is_written(sample, tmp_path, monkeypatch, step):
    """The guidance of one image of three breaks in one step."""
    guidance, calls = stage.classifier_guidance, []

    def breaking(*arguments):
        guide_fn = guidance(*arguments)

        def broken(x_t, t):
            calls.append(t)
            found = guide_fn(x_t, t)
            if len(calls) == step:
                found.gradient[1] = float("inf")
            return found

        return broken

    monkeypatch.setattr(stage, "classifier_guidance", breaking)
    t = 1000 - 40 * step
    named = rf"image 3 and 0 more are not finite, from step {step} of 25 \(t = {t}\) at scale 6"
    with pytest.raises(ArtifactError, match=named):
        sample("uadm25-g", 2, 5, 3)
    assert not list(tmp_path.rglob("*.npz"))
