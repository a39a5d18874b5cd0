"""The settings of sampling: rules of guidance among them, and steps that leave guided DDIM no signal."""

import pytest
from least_values import ENCODER, SAMPLE, refusal

from eddpm.config.methods import RULES
from eddpm.config.samples import SampleConfig
from eddpm.config.settings import parse_settings
from eddpm.guidance.rule import Pair


@pytest.mark.parametrize("parameters", [{"eds_timesteps": [0, 0], "entropy_classes": 1000}, {"timesteps": [0, 999]}])
def test_parameters_of_a_rule_are_taken_as_they_are_and_read_back_and_others_are_as_published(parameters):
    published = {"rule": "entropy", "timesteps": None, "entropy_classes": None, "eds_timesteps": None}
    config = parse_settings(SampleConfig, {**SAMPLE, "guidance": {"rule": "entropy", **parameters}}, "here")
    dumped = config.model_dump(mode="json")
    assert dumped["guidance"] == [published | parameters]
    assert parse_settings(SampleConfig, dumped, "here") == config


@pytest.mark.parametrize("steps", ["15", "25", "250", "1000"])
@pytest.mark.parametrize(
    "rule", [{"rule": "constant"}, {"rule": "entropy"}, {"rule": "constant", "timesteps": [0, 999]}]
)
def test_guided_ddim_of_steps_that_keep_a_timestep_without_signal_is_refused_with_a_way_out(steps, rule):
    message = refusal(SampleConfig, {**SAMPLE, "steps": steps, "guidance": rule})
    assert message.startswith(
        f"steps '{steps}' keep t = 999, where alpha_bar is 2e-09: there DDIM would move the image"
    )
    assert message.endswith("; take steps that end lower, such as ddim25, or set guided_x0 to clipped")


@pytest.mark.parametrize("steps", ["15", "25", "250", "1000"])
@pytest.mark.parametrize(
    "changes",
    [
        {"sampler": "ddpm"},
        {"scale": 0},
        {"guidance": {"rule": "none"}, "classifier": None},
        {"diffusion": {"noise_schedule": "linear"}},
        {"guided_x0": "clipped"},
        {"guided_x0": "thresholded"},
        {"guidance": {"rule": "interval", "timesteps": [0, 998]}, "steps": "25"},
        {"guidance": [{"rule": "entropy"}, {"rule": "interval", "timesteps": [300, 900]}]},
        {"guidance": {"rule": "entropy", "timesteps": [0, 900]}},
        {"steps": "ddim25"},
        {"steps": "ddim250"},
    ],
)
def test_where_no_step_without_signal_is_guided_by_ddim_nothing_is_refused(steps, changes):
    parse_settings(SampleConfig, {**SAMPLE, "steps": steps, **changes}, "here")


class Other(Pair):
    """A rule of two denoisers."""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"gradient_at": "mean"},
            "gradient_at 'mean' is of a classifier, guidance by test_samples has none; set it to",
        ),
        ({"classifier": ENCODER}, "guidance by test_samples is of two denoisers; name no classifier"),
    ],
)
def test_a_pair_of_denoisers_goes_with_nothing_of_a_classifier(monkeypatch, changes, message):
    monkeypatch.setitem(RULES, "other", Other)
    denoiser = {**SAMPLE["denoiser"], "num_classes": SAMPLE["num_classes"]}
    values = {**SAMPLE, "denoiser": denoiser, "sampler": "ddpm", "classifier": None, "guidance": {"rule": "other"}}
    assert refusal(SampleConfig, values | changes).startswith(message)
    parse_settings(SampleConfig, values, "here")
    parse_settings(
        SampleConfig, values | {"sampler": "ddim", "steps": "25"}, "here"
    )  # its step has a length of its own


def test_a_rule_that_moves_by_a_length_of_its_own_is_not_refused(monkeypatch):
    values = {**SAMPLE, "steps": "25"}
    assert refusal(SampleConfig, values)
    monkeypatch.setattr(RULES["constant"], "bounded", True)
    parse_settings(SampleConfig, values, "here")
