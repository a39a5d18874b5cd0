"""Settings that cannot be are refused at load, in one line that says where, what and what instead."""

import subprocess
import sys

import pytest
from least_values import CLASSIFIER, DATASET, DENOISER, ENCODER, SAMPLE, UNET, changed, refusal
from tiny import REPO

from eddpm.config.schema import (
    Criterion,
    DatasetConfig,
    EncoderConfig,
    EvaluationConfig,
    SampleConfig,
    TrainClassifierConfig,
    TrainDenoiserConfig,
    UNetConfig,
)
from eddpm.config.settings import parse_settings

NAN, INF = float("nan"), float("inf")


# Wrong types and impossible values --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("training.iterations", [0, -1, 1.5, NAN, "ten", None, [1]]),
        ("training.batch_size", [0, -1, 0.5]),
        ("training.lr", [0, -1e-3, NAN, INF, "fast", None]),
        ("training.weight_decay", [-0.1, NAN, INF]),
        ("training.ema_rate", [-0.1, 1, 1.5, NAN]),
        ("training.save_interval", [0]),
        ("training.seed", [-1, 0.5]),
        ("diffusion.noise_schedule", ["sigmoid", None, 1]),
        ("diffusion.diffusion_steps", [0, -5, 2.5, INF]),
        ("network.dropout", [1.0, 1.5, -0.1, NAN]),
        ("network.num_classes", [0, -1]),
        ("network.learn_sigma", ["perhaps", 2]),
        ("network", [None, 3, [1, 2], "unet"]),
        ("network.channel_mult", [[], 3, None]),
    ],
)
def test_an_impossible_value_of_a_training_is_named_with_its_key(path, values):
    for value in values:
        assert refusal(TrainDenoiserConfig, changed(DENOISER, path, value)).startswith(f"{path}: value {value!r}: ")


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("scale", [-1, -1e-9, NAN, INF, "abc", None, [4]]),
        ("steps", ["abc", "", "0", "ddim0", "ddim", "25.5", "-25", "10,,5", "10,5,", "ddim10,5", " 25", "25\n", 250]),
        ("sampler", ["euler", "DDIM", None]),
        ("guidance", ["entrpy", True]),
        ("precision", ["fp16", 32]),
        ("num_classes", [1, 0, 2.5]),
        ("seed", [-1, "x"]),
        ("entropy_classes", [1, 0, -10, 2.5, "C"]),
        ("eds_timesteps", ["", "500", "999-500", "500-", "-999", "1-2-3", "5:9", " 5-9", "5-9\n", "a-b", 500, [5, 9]]),
        ("gradient_at", ["mu", "x_T", None]),
        ("labels", ["uniform", None]),
    ],
)
def test_an_impossible_value_of_a_run_is_named_with_its_key(path, values):
    for value in values:
        assert refusal(SampleConfig, changed(SAMPLE, path, value)).startswith(f"{path}: value {value!r}: ")


def test_steps_that_are_no_respacing_are_answered_with_examples():
    assert "write ADM's respacing: '250', 'ddim25' or '10,5,5'" in refusal(SampleConfig, {**SAMPLE, "steps": "abc"})


@pytest.mark.parametrize("steps", ["1", "250", "ddim25", "10,5,5"])
def test_adms_respacings_are_taken_as_they_are(steps):
    assert parse_settings(SampleConfig, {**SAMPLE, "steps": steps}, "here").steps == steps


@pytest.mark.parametrize("timesteps", ["999-500", "500", "half"])
def test_timesteps_that_are_no_range_are_answered_with_an_example(timesteps):
    message = refusal(SampleConfig, {**SAMPLE, "guidance": "entropy", "eds_timesteps": timesteps})
    wanted = "write the lowest and the highest timestep, both included: '500-999'"
    assert message == f"eds_timesteps: value '{timesteps}': {wanted}"


@pytest.mark.parametrize("timesteps", ["0-999", "500-999", "0-0", "99-100"])
def test_a_range_of_timesteps_is_taken_as_it_is(timesteps):
    values = {**SAMPLE, "guidance": "entropy", "eds_timesteps": timesteps}
    assert parse_settings(SampleConfig, values, "here").eds_timesteps == timesteps


def test_a_range_of_timesteps_ends_with_the_schedule():
    values = {**SAMPLE, "guidance": "entropy", "diffusion": {"noise_schedule": "cosine", "diffusion_steps": 100}}
    message = refusal(SampleConfig, {**values, "eds_timesteps": "50-100"})
    assert message == "eds_timesteps '50-100' lies beyond the last timestep; end it at 99"
    assert parse_settings(SampleConfig, {**values, "eds_timesteps": "50-99"}, "here").eds_timesteps == "50-99"


@pytest.mark.parametrize("guidance", ["none", "constant"])
@pytest.mark.parametrize("option", [{"entropy_classes": 1000}, {"eds_timesteps": "0-999"}])
def test_options_of_eds_are_refused_where_guidance_is_another(guidance, option):
    message = refusal(SampleConfig, {**SAMPLE, "guidance": guidance, **option})
    assert message == "entropy_classes and eds_timesteps need guidance 'entropy'; set it, or both to null"
    parse_settings(SampleConfig, {**SAMPLE, "guidance": "entropy", **option}, "here")


def test_the_gradient_at_the_mean_is_refused_for_ddim():
    message = refusal(SampleConfig, {**SAMPLE, "gradient_at": "mean"})
    assert message == "gradient_at 'mean' is derived for sampler 'ddpm' alone; set that, or gradient_at 'x_t'"
    parse_settings(SampleConfig, {**SAMPLE, "gradient_at": "mean", "sampler": "ddpm"}, "here")


def test_settings_of_a_run_without_options_mean_the_method_as_published():
    config = parse_settings(SampleConfig, SAMPLE, "here")
    options = config.entropy_classes, config.eds_timesteps, config.gradient_at, config.labels
    assert options == (None, None, "x_t", "balanced")


@pytest.mark.parametrize("value", [1.5, 1.0, 0.0, -0.2, NAN, INF, "half"])
def test_a_validation_fraction_lies_strictly_between_0_and_1(value):
    message = refusal(DatasetConfig, {**DATASET, "validation_fraction": value})
    assert message.startswith(f"validation_fraction: value {value!r}: ")


@pytest.mark.parametrize(("key", "value"), [("image_channels", 2), ("image_channels", 4), ("num_classes", 1)])
def test_a_data_set_of_impossible_shape_is_refused(key, value):
    assert refusal(DatasetConfig, {**DATASET, key: value}).startswith(f"{key}: value {value}: ")


@pytest.mark.parametrize("value", [-0.1, NAN, INF, "strong"])
def test_an_ect_weight_is_a_number_from_0(value):
    assert refusal(TrainClassifierConfig, {**CLASSIFIER, "loss": {"ect_weight": value}}).startswith(
        f"loss.ect_weight: value {value!r}"
    )


def test_label_smoothing_and_focal_loss_exclude_each_other():
    message = refusal(TrainClassifierConfig, {**CLASSIFIER, "loss": {"label_smoothing": 0.1, "focal_gamma": 2}})
    assert message.startswith("loss: label_smoothing and focal_gamma")


def test_bounds_of_a_criterion_are_numbers():
    for value in (NAN, INF, "high"):
        message = refusal(Criterion, {"minimise": "pixels/fid", "at_least": {"accuracy": value}})
        assert message.startswith(f"at_least.accuracy: value {value!r}: ")


def test_an_unknown_feature_space_is_named_with_its_place_in_the_list():
    message = refusal(EvaluationConfig, {"spaces": ["pixels", "vgg"]})
    assert message.startswith("spaces.1: value 'vgg': ")


@pytest.mark.parametrize("value", [1, -1, "many"])
def test_standard_errors_need_two_replicates_or_none(value):
    assert "replicates" in refusal(EvaluationConfig, {"spaces": ["pixels"], "replicates": value})
    assert EvaluationConfig(spaces=["pixels"], replicates=0).replicates == 0


def test_the_inception_network_is_the_published_one_fed_as_in_adm_unless_told_otherwise():
    inception = EvaluationConfig(spaces=["inception"]).inception
    assert inception.source.endswith("/inception-2015-12-05.pt")
    assert inception.resize == "legacy_tensorflow"
    message = refusal(EvaluationConfig, {"spaces": ["inception"], "inception": {"sha256": "abc"}})
    assert message.startswith("inception.sha256: value 'abc'")


# Networks that do not fit -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_channels": 48}, "level 0 has 48 channels, not a multiple of 32; change its channel_mult"),
        ({"channel_mult": [1, 1.25]}, "level 1 has 40 channels, not a multiple of 32; change its channel_mult"),
        ({"channel_mult": [1, 0.01]}, "level 1 has 0 channels, not a multiple of 32; change its channel_mult"),
        ({"channel_mult": [1, 1, 1, 1, 1, 1]}, "image_size 16 cannot be halved 5 times; shorten channel_mult"),
        ({"image_size": 17}, "image_size 17 cannot be halved 1 times; shorten channel_mult"),
        ({"num_head_channels": 48}, "level 1 has 64 channels, which num_head(_channel)s 48 do not divide"),
        (
            {"num_head_channels": None, "num_heads": 3},
            "level 1 has 64 channels, which num_head(_channel)s 3 do not divide",
        ),
        (
            {"attention_resolutions": [16], "num_head_channels": 64},
            "level 0 has 32 channels, which num_head(_channel)s 64 do not divide",
        ),
    ],
)
def test_a_unet_that_cannot_be_built_is_refused_with_the_level_and_no_dump_of_its_settings(change, message):
    assert refusal(UNetConfig, {**UNET, **change}) == message
    assert refusal(TrainDenoiserConfig, changed(DENOISER, "network", {**UNET, **change})) == f"network: {message}"


def test_heads_matter_only_where_there_is_attention():
    # 64 does not divide the 32 channels of level 0, which has none; the innermost level always has.
    config = parse_settings(UNetConfig, {**UNET, "num_head_channels": 64}, "here")
    assert config.level_channels == (32, 64)
    middle = {**UNET, "channel_mult": [1, 3, 2], "num_head_channels": 64}  # level 1 is 8 pixels wide
    assert refusal(UNetConfig, middle).startswith("level 1 has 96 channels, ")
    innermost = {**UNET, "attention_resolutions": [], "num_head_channels": 48}
    assert refusal(UNetConfig, innermost).startswith("level 1 has 64 channels, ")


def test_an_encoder_is_checked_by_its_own_width():
    message = "level 0 has 40 channels, not a multiple of 32; change its channel_mult"
    assert refusal(EncoderConfig, {**ENCODER, "classifier_width": 40}) == message


def test_a_head_takes_precedence_over_the_count_of_heads_as_in_adm():
    parse_settings(UNetConfig, {**UNET, "num_heads": 3, "num_head_channels": 32}, "here")


# Imports ----------------------------------------------------------------------------------------------------------


def test_importing_the_configuration_and_the_project_loads_no_torch():
    program = "import sys, eddpm.config.project; print('torch' in sys.modules, 'eddpm.config.project' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
