"""Settings that cannot be are refused at load, in one line that says where, what and what instead."""

import subprocess
import sys

import pytest
from least_values import CLASSIFIER, DATASET, DENOISER, ENCODER, SAMPLE, UNET, changed, refusal
from tiny import REPO

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.config.schema import (
    Criterion,
    DatasetConfig,
    EvaluationConfig,
    SampleConfig,
    TrainClassifierConfig,
    TrainDenoiserConfig,
)
from eddpm.config.settings import parse_settings

NAN, INF = float("nan"), float("inf")
EVALUATION = {"spaces": ["pixels", "inception"], "inception": {}}
CRITERION = {"minimise": "pixels/fid", "at_least": {}}
EDS = {**SAMPLE, "guidance": "entropy"}
RESPACINGS = ["abc", "", "0", "ddim0", "ddim", "25.5", "-25", "10,,5", "10,5,", "ddim10,5", " 25", "25\n", 250]
RANGES = ["", "500", "999-500", "500-", "-999", "1-2-3", "5:9", " 5-9", "5-9\n", "a-b", 500, [5, 9]]


@pytest.mark.parametrize(
    ("cls", "least", "path", "values"),
    [
        (TrainDenoiserConfig, DENOISER, "training.iterations", [0, -1, 1.5, NAN, "ten", None, [1]]),
        (TrainDenoiserConfig, DENOISER, "training.lr", [0, -1e-3, NAN, INF, "fast", None]),
        (TrainDenoiserConfig, DENOISER, "training.weight_decay", [-0.1, NAN, INF]),
        (TrainDenoiserConfig, DENOISER, "training.ema_rate", [-0.1, 1, 1.5, NAN]),
        (TrainDenoiserConfig, DENOISER, "training.seed", [-1, 0.5]),
        (TrainDenoiserConfig, DENOISER, "diffusion.noise_schedule", ["sigmoid", None, 1]),
        (TrainDenoiserConfig, DENOISER, "network.learn_sigma", ["perhaps", 2]),
        (TrainDenoiserConfig, DENOISER, "network", [None, 3, [1, 2], "unet"]),
        (TrainDenoiserConfig, DENOISER, "network.channel_mult", [[], 3, None]),
        (TrainClassifierConfig, {**CLASSIFIER, "loss": {}}, "loss.ect_weight", [-0.1, NAN, INF, "strong"]),
        (SampleConfig, SAMPLE, "scale", [-1, -1e-9, NAN, INF, "abc", "best", None, [4]]),
        (SampleConfig, SAMPLE, "steps", RESPACINGS),
        (SampleConfig, SAMPLE, "sampler", ["euler", "DDIM", None]),
        (SampleConfig, SAMPLE, "guidance", ["entrpy", True]),
        (SampleConfig, EDS, "entropy_classes", [1, 0, -10, 2.5, "C"]),
        (SampleConfig, EDS, "eds_timesteps", RANGES),
        (SampleConfig, SAMPLE, "gradient_at", ["mu", "x_T", None]),
        (SampleConfig, SAMPLE, "labels", ["uniform", None]),
        (DatasetConfig, DATASET, "validation_fraction", [1.5, 1.0, 0.0, -0.2, NAN, "half"]),
        (DatasetConfig, DATASET, "image_channels", [2, 4]),
        (DatasetConfig, DATASET, "num_classes", [1]),
        (Criterion, CRITERION, "at_least.accuracy", [NAN, INF, "high"]),
        (EvaluationConfig, EVALUATION, "inception.sha256", ["abc"]),
    ],
)
def test_an_impossible_value_is_named_with_its_key(cls, least, path, values):
    for value in values:
        assert refusal(cls, changed(least, path, value)).startswith(f"{path}: value {value!r}: ")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (SampleConfig, {**SAMPLE, "steps": "x"}, "steps: value 'x': write ADM's respacing: '250', 'ddim25' or"),
        (SampleConfig, {**EDS, "eds_timesteps": "9"}, "eds_timesteps: value '9': write the lowest and the highest"),
        (SampleConfig, {**EDS, "eds_timesteps": "50-1000"}, "eds_timesteps '50-1000' lies beyond the last timestep"),
        (SampleConfig, {**SAMPLE, "entropy_classes": 9}, "entropy_classes and eds_timesteps need guidance 'entropy'"),
        (SampleConfig, {**SAMPLE, "gradient_at": "mean"}, "gradient_at 'mean' is derived for sampler 'ddpm' alone"),
        (
            TrainClassifierConfig,
            {**CLASSIFIER, "loss": {"label_smoothing": 0.1, "focal_gamma": 2}},
            "loss: label_smoothing and focal_gamma",
        ),
        (EvaluationConfig, {"spaces": ["pixels", "vgg"]}, "spaces.1: value 'vgg': "),
        (EvaluationConfig, {"spaces": ["pixels"], "replicates": 1}, "replicates"),
    ],
)
def test_a_value_that_does_not_go_with_another_is_answered_with_a_way_out(cls, values, message):
    assert refusal(cls, values).startswith(message)


@pytest.mark.parametrize(
    "values",
    [
        *({**SAMPLE, "steps": steps} for steps in ("1", "250", "ddim25", "10,5,5")),
        *({**EDS, "eds_timesteps": timesteps} for timesteps in ("0-999", "0-0", "99-100")),
        {**EDS, "entropy_classes": 1000},
        {**SAMPLE, "gradient_at": "mean", "sampler": "ddpm"},
    ],
)
def test_options_are_taken_as_they_are(values):
    config = parse_settings(SampleConfig, values, "here")
    assert config.model_dump(include=values.keys() - {"denoiser", "classifier", "diffusion"}) == {
        key: value for key, value in values.items() if key not in ("denoiser", "classifier", "diffusion")
    }


def test_defaults_are_the_methods_as_published():
    config = parse_settings(SampleConfig, SAMPLE, "here")
    options = config.entropy_classes, config.eds_timesteps, config.gradient_at, config.labels
    assert options == (None, None, "x_t", "balanced")
    inception = parse_settings(EvaluationConfig, EVALUATION, "here").inception
    assert inception.source.endswith("/inception-2015-12-05.pt")
    assert inception.resize == "legacy_tensorflow"


# Networks that do not fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_channels": 48}, "level 0 has 48 channels, not a multiple of 32; change its channel_mult"),
        ({"channel_mult": [1, 1.25]}, "level 1 has 40 channels, not a multiple of 32; change its channel_mult"),
        ({"channel_mult": [1, 0.01]}, "level 1 has 0 channels, not a multiple of 32; change its channel_mult"),
        ({"image_size": 17}, "image_size 17 cannot be halved 1 times; shorten channel_mult"),
        ({"num_head_channels": 48}, "level 1 has 64 channels, which num_head(_channel)s 48 do not divide"),
        (
            {"num_head_channels": None, "num_heads": 3},
            "level 1 has 64 channels, which num_head(_channel)s 3 do not divide",
        ),
        # 64 does not divide the 32 channels of level 0, which counts where it attends; the innermost level always does.
        ({"attention_resolutions": [16], "num_head_channels": 64}, "level 0 has 32 channels, which"),
        ({"channel_mult": [1, 3, 2], "num_head_channels": 64}, "level 1 has 96 channels, which"),
        ({"attention_resolutions": [], "num_head_channels": 48}, "level 1 has 64 channels, which"),
    ],
)
def test_a_unet_that_cannot_be_built_is_refused_with_the_level_and_no_dump_of_its_settings(change, message):
    assert refusal(UNetConfig, {**UNET, **change}).startswith(message)
    network = changed(DENOISER, "network", {**UNET, **change})
    assert refusal(TrainDenoiserConfig, network).startswith(f"network: {message}")


@pytest.mark.parametrize("change", [{"num_head_channels": 64}, {"num_heads": 3, "num_head_channels": 32}])
def test_heads_matter_only_where_there_is_attention_and_their_channels_go_before_their_count(change):
    assert parse_settings(UNetConfig, {**UNET, **change}, "here").level_channels == (32, 64)


def test_an_encoder_is_checked_by_its_own_width():
    message = "level 0 has 40 channels, not a multiple of 32; change its channel_mult"
    assert refusal(EncoderConfig, {**ENCODER, "classifier_width": 40}) == message


def test_importing_the_configuration_and_the_project_loads_no_torch():
    program = "import sys, eddpm.config.projectfile; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
