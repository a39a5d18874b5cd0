"""Settings that cannot be are refused at load, in one line that says where, what and what instead."""

import pytest
from least_values import CLASSIFIER, DATASET, DENOISER, SAMPLE, UNET, changed, refusal

from eddpm.config.methods import RULES
from eddpm.config.networks import UNetConfig
from eddpm.config.samples import Criterion, SampleConfig
from eddpm.config.schema import DatasetConfig, EvaluationConfig, TrainClassifierConfig, TrainDenoiserConfig
from eddpm.config.settings import parse_settings

NAN, INF = float("nan"), float("inf")
EVALUATION = {"spaces": ["pixels", "inception"], "inception": {}, "weights": {"dinov2-b": {"source": "b.pth"}}}
CRITERION = {"minimise": "pixels/fid", "at_least": {}}
EDS = {**SAMPLE, "guidance": {"rule": "entropy"}}
TWO_TARGETS = {"label_smoothing": 0.1, "focal_gamma": 2}
RISING, BEYOND = "write the lowest and the highest timestep", "lie beyond the last timestep; end them at 999"
RESPACINGS = ["abc", "", "0", "ddim0", "25.5", "-25", "10,,5", "ddim10,5", " 25", "25\n"]
RANGES = ["", "500-999", 500, [], [500], [999, 500], [-999, 5], [1, 2, 3], [1.5, 9], [None, 9], ["5", "9"]]


@pytest.mark.parametrize(
    ("cls", "least", "path", "values"),
    [
        (TrainDenoiserConfig, DENOISER, "training.iterations", [0, 1.5, NAN, None]),
        (TrainDenoiserConfig, DENOISER, "training.lr", [0, NAN, INF, "fast"]),
        (TrainDenoiserConfig, DENOISER, "training.weight_decay", [-0.1, INF]),
        (TrainDenoiserConfig, DENOISER, "training.ema_rate", [-0.1, 1, NAN]),
        (TrainDenoiserConfig, DENOISER, "training.seed", [-1]),
        (TrainDenoiserConfig, DENOISER, "diffusion.noise_schedule", ["sigmoid"]),
        (TrainDenoiserConfig, DENOISER, "network", [None, "unet"]),
        (TrainDenoiserConfig, DENOISER, "network.channel_mult", [[], 3]),
        (TrainClassifierConfig, {**CLASSIFIER, "loss": {}}, "loss.ect_weight", [-0.1, INF]),
        (SampleConfig, SAMPLE, "scale", [-1e-9, NAN, INF, "abc", None]),
        (SampleConfig, SAMPLE, "steps", RESPACINGS),
        (SampleConfig, SAMPLE, "sampler", ["DDIM"]),
        (SampleConfig, SAMPLE, "guidance", ["entropy", 3, None, [], ["entropy"]]),
        (SampleConfig, SAMPLE, "guided_x0", ["bounded"]),
        (RULES["entropy"], {}, "entropy_classes", [1, 2.5]),
        (RULES["entropy"], {}, "eds_timesteps", RANGES),
        (RULES["interval"], {}, "timesteps", [*RANGES, None]),
        (SampleConfig, SAMPLE, "gradient_at", ["mu"]),
        (SampleConfig, SAMPLE, "labels", ["uniform"]),
        (DatasetConfig, DATASET, "validation_fraction", [1.0, 0.0, NAN]),
        (DatasetConfig, DATASET, "image_channels", [2]),
        (DatasetConfig, DATASET, "num_classes", [1]),
        (Criterion, CRITERION, "at_least.accuracy", [NAN, INF]),
        (EvaluationConfig, EVALUATION, "inception.sha256", ["abc", None]),
        (EvaluationConfig, EVALUATION, "weights.dinov2-b.sha256", ["abc"]),
        (EvaluationConfig, EVALUATION, "spaces", [[]]),
    ],
)
def test_an_impossible_value_is_named_with_its_key(cls, least, path, values):
    for value in values:
        assert refusal(cls, changed(least, path, value)).startswith(f"{path}: value {value!r}: ")


@pytest.mark.parametrize(
    ("cls", "values", "message"),
    [
        (SampleConfig, {**SAMPLE, "steps": "x"}, "steps: value 'x': write ADM's respacing: '250', 'ddim25' or"),
        (
            SampleConfig,
            changed(EDS, "guidance.eds_timesteps", "9"),
            f"guidance: entropy: eds_timesteps: value '9': {RISING}",
        ),
        (
            SampleConfig,
            changed(EDS, "guidance.eds_timesteps", [50, 1000]),
            f"guidance: eds_timesteps [50, 1000] {BEYOND}",
        ),
        (SampleConfig, changed(EDS, "guidance.timesteps", [50, 1000]), f"guidance: timesteps [50, 1000] {BEYOND}"),
        (
            SampleConfig,
            changed(SAMPLE, "guidance.entropy_classes", 9),
            "guidance: constant: entropy_classes: unknown key; known: timesteps",
        ),
        (SampleConfig, {**SAMPLE, "entropy_classes": 9}, "entropy_classes: unknown key; did you mean"),
        (
            SampleConfig,
            {**SAMPLE, "classifier": None},
            "guidance by constant needs a classifier; name one, or write none",
        ),
        (
            SampleConfig,
            {**SAMPLE, "sampler": "ddpm", "guided_x0": "clipped"},
            "guided_x0 'clipped' is of sampler 'ddim' alone; set that, or leave it out",
        ),
        (SampleConfig, {**SAMPLE, "gradient_at": "mean"}, "gradient_at 'mean' is derived for sampler 'ddpm' alone"),
        (TrainClassifierConfig, {**CLASSIFIER, "loss": TWO_TARGETS}, "loss: label_smoothing and focal_gamma"),
        (EvaluationConfig, {"spaces": ["pixels", "vgg"]}, "spaces.1: value 'vgg': "),
        (EvaluationConfig, {"spaces": ["pixels"], "replicates": 1}, "replicates"),
    ],
)
def test_a_value_that_does_not_go_with_another_is_answered_with_a_way_out(cls, values, message):
    assert refusal(cls, values).startswith(message)


@pytest.mark.parametrize(
    "options",
    [
        {"steps": "10,5,5", "labels": "random", "guided_x0": "clipped"},
        {"guided_x0": "thresholded"},
        {"gradient_at": "mean", "sampler": "ddpm"},
    ],
)
def test_options_are_taken_as_they_are_and_others_as_published(options):
    published = {"gradient_at": "x_t", "labels": "balanced", "guided_x0": "unbounded"}
    config = parse_settings(SampleConfig, SAMPLE | options, "here").model_dump()
    assert config.items() >= (published | options).items()
    assert parse_settings(EvaluationConfig, EVALUATION, "here").inception.resize == "legacy_tensorflow"


# Networks that do not fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel_mult": [1, 1.25]}, "level 1 has 40 channels, not a multiple of 32; change its channel_mult"),
        ({"channel_mult": [1, 0.01]}, "level 1 has 0 channels, not a multiple of 32; change its channel_mult"),
        ({"image_size": 17}, "image_size 17 cannot be halved 1 times; shorten channel_mult"),
        ({"num_head_channels": None, "num_heads": 3}, "level 1 has 64 channels, which num_head(_channel)s 3 do not"),
        # 64 does not divide the 32 channels of level 0, which counts where it attends; the innermost level always does.
        ({"attention_resolutions": [16], "num_head_channels": 64}, "level 0 has 32 channels, which"),
        ({"attention_resolutions": [], "num_head_channels": 48}, "level 1 has 64 channels, which"),
    ],
)
def test_a_unet_that_cannot_be_built_is_refused_with_the_level_and_no_dump_of_its_settings(change, message):
    assert refusal(UNetConfig, {**UNET, **change}).startswith(message)
    network = changed(DENOISER, "network", {**UNET, **change})
    assert refusal(TrainDenoiserConfig, network).startswith(f"network: {message}")


def test_heads_matter_only_where_there_is_attention_and_their_channels_go_before_their_count():
    for change in ({"num_head_channels": 64}, {"num_heads": 3, "num_head_channels": 32}):
        assert parse_settings(UNetConfig, {**UNET, **change}, "here").level_channels == (32, 64)
