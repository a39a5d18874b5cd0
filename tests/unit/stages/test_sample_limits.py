"""Sampling that leaves the range of numbers, or of the memory: the cause is named, and what is cut is counted."""

import pytest
import torch
from tiny import write_settings

from eddpm.errors import ArtifactError, ConfigError
from eddpm.guidance.rules.entropy import Entropy
from eddpm.guidance.rules.none import Unguided
from eddpm.io.files import load_checkpoint, save_model
from eddpm.models.encoder import EncoderClassifier
from eddpm.stages.sample import sample_shard


@pytest.fixture
def sample(tiny, tmp_path):
    """Sample images of UADM(25)-G, some settings being others; of one network the last layer has diverged."""

    def sample(start, stop, diverged=None, **changes):
        config = tiny.project.sample("uadm25-g").model_copy(update=changes)
        settings = write_settings(tmp_path / "settings.yaml", config)
        for name in ("uadm", "ce"):
            factors = {"out": 1e37 if name == diverged else 1.0}
            tensors = load_checkpoint(tiny.weights[name]).items()
            save_model(tmp_path / name, {key: value * factors.get(key.split(".")[0], 1) for key, value in tensors})
        sample_shard([settings], tmp_path / "uadm", tmp_path / "ce", start, stop, 3, [tmp_path / "0.npz"])

    return sample


ANEW = "; train the {} anew, or name other weights of it"
OUTPUT, LOGITS = (
    "the denoiser's output" + ANEW.format("denoiser"),
    "the classifier's logits" + ANEW.format("classifier"),
)


@pytest.mark.parametrize(
    ("changes", "diverged", "told"),
    [
        ({}, "uadm", OUTPUT),
        ({}, "ce", LOGITS),
        ({"guidance": (Unguided(),), "scale": 0.0}, "ce", LOGITS),
        ({"precision": "float16"}, "uadm", f"{OUTPUT}, or sample in float32"),
        ({"precision": "bfloat16"}, "uadm", OUTPUT),
        pytest.param(
            *({"scale": 1e30}, None, "the denoiser's output, of an image that has grown to 9e+24; lower the scale"),
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="norms on a GPU bear such an image"),
        ),
    ],
)
def test_the_cause_of_what_is_not_finite_is_named_and_the_scale_only_where_it_is_one(
    sample, capsys, changes, diverged, told
):
    with pytest.raises(ArtifactError) as caught:
        sample(0, 2, diverged, **changes)
    assert str(caught.value).partition("; it begins with ")[2] == told
    of_scale = "scale 1e+30 is more than float32 can use; guidance is cut from 7e+29 on"
    assert (of_scale in capsys.readouterr().err) == (changes.get("scale") == 1e30)


def test_cut_guidance_is_counted_by_images_and_steps(sample, monkeypatch, capsys):
    """Of a classifier that is certain of class 3, where EDS grows without bound for every other class."""
    certain = torch.eye(10)[3] * 200
    monkeypatch.setattr(EncoderClassifier, "forward", lambda self, x, t: certain.to(x) + 0 * x.flatten(1)[:, :10])
    sample(2, 7, guidance=(Entropy(),))
    told = "the guidance of 4 images was cut to the most that float32 can use, in 25 of 25 steps"
    assert told in capsys.readouterr().err
    sample(3, 4, guidance=(Entropy(),))
    assert "was cut" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("start", "told"), [(0, "; sample them in several shards"), (10**30, " give --start < --stop")]
)
def test_a_shard_that_no_memory_holds_is_refused_at_once(sample, start, told):
    with pytest.raises(ConfigError, match=told):
        sample(start, start + 10**12)
