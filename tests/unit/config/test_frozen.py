"""The settings that lie beside outputs, and how they and samples are told apart."""

import pytest
from least_values import SAMPLE
from tiny import tiny_project, tiny_values

from eddpm.config.frozen import difference, frozen_parts, frozen_text, samples_identity
from eddpm.config.samples import SampleConfig
from eddpm.config.settings import load_settings, parse_settings
from eddpm.guidance.rules.entropy import Entropy


def test_frozen_settings_read_back_as_they_were(tmp_path):
    for settings in frozen_parts(tiny_project()).values():
        (tmp_path / "settings.yaml").write_text(frozen_text(settings))
        assert load_settings(type(settings), tmp_path / "settings.yaml") == settings


def test_samples_keep_their_identity_and_those_of_other_settings_or_weights_have_another():
    config = parse_settings(SampleConfig, SAMPLE, "here")
    made = "28aa9e8508cd57828849c6033c30b9f172bcce63e149517315f584d7402dfe81"
    assert samples_identity(config, ["a"]) == made
    other = config.model_copy(update={"guidance": (Entropy(),)})
    identities = {
        samples_identity(settings, digests)
        for settings in (config, other)
        for digests in (["a", "b"], ["b", "a"], ["a"], ["ab"])
    }
    assert len(identities) == 8


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1, "b": {"c": 1, "d": 2}}, {"a": 1, "b": {"c": 1, "d": 3}}, "b.d 2, now 3"),
        ({"a": 1}, {"a": 1, "b": None}, "b absent, now None"),
        ({"a": 1, "b": 2}, {"a": 1}, "b 2, now absent"),
        ({"a": [1, 2]}, {"a": [1, 3]}, "a has changed"),
    ],
)
def test_a_difference_is_told_by_its_first_key(old, new, told):
    assert difference(old, new) == told


def test_costs_in_tables_measure_nothing_again():
    values = tiny_values()
    shown = tiny_project(evaluation=values["evaluation"] | {"costs": True})
    assert shown.evaluation.costs
    texts = ({part: frozen_text(each) for part, each in frozen_parts(each).items()} for each in (shown, tiny_project()))
    assert next(texts) == next(texts)


def test_samples_that_were_made_before_networks_could_be_compiled_stay():
    before, compiled = (SampleConfig(**SAMPLE, compile=each) for each in (False, True))
    assert "compile" not in frozen_text(before)
    assert "compile: true" in frozen_text(compiled)
    assert samples_identity(before, []) != samples_identity(compiled, [])
