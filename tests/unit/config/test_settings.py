"""Settings are read strictly and never change; a mistake is one line that says where, what and what instead."""

import copy
import re

import pytest
import yaml
from least_values import DATASET, DENOISER, ENCODER, SAMPLE, changed, refusal

from eddpm.config.samples import SampleConfig
from eddpm.config.schema import DatasetConfig, DiffusionConfig, MeasureConfig, TrainDenoiserConfig
from eddpm.config.settings import load_settings, merged, parse_settings, read_yaml
from eddpm.errors import ConfigError

PIXELS = {"name": "pixels", "classifier": None}
CLASSIFIER = {"name": "clean", "classifier": {**ENCODER, "num_clases": 2}}


# Keys and values --------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_answered_with_the_one_that_was_meant_or_all_and_a_missing_one_with_its_path():
    values = copy.deepcopy(DENOISER)
    values["training"]["iteration"] = values["training"].pop("iterations")
    message = "training.iteration: unknown key; did you mean 'iterations'?"
    assert refusal(TrainDenoiserConfig, values) == message
    del values["training"]["iteration"]
    assert refusal(TrainDenoiserConfig, values) == "training.iterations: missing; add this key"
    values = changed(DENOISER, "diffusion.zzz", 1)
    message = "diffusion.zzz: unknown key; known: noise_schedule, diffusion_steps, sigma_small"
    assert refusal(TrainDenoiserConfig, values) == message


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ([PIXELS, CLASSIFIER], "spaces.1.classifier.num_clases: unknown key; did you mean 'num_classes'?"),
        (3, "spaces: value 3: input should be a valid list"),
        ([3], "spaces.0: value 3: input should be a valid mapping"),
    ],
)
def test_a_mistake_within_a_list_and_behind_none_is_named_by_its_whole_path(spaces, message):
    assert refusal(MeasureConfig, {"spaces": spaces}).startswith(message)


def test_numbers_are_read_from_text_as_tables_and_yaml_give_them():
    training = parse_settings(TrainDenoiserConfig, changed(DENOISER, "training.lr", "1e-3"), "here").training
    assert training.lr == 1e-3  # YAML 1.1 reads 1e-3, without a point, as text
    assert parse_settings(SampleConfig, {**SAMPLE, "scale": "6.0", "seed": "3"}, "here").scale == 6.0


def test_what_yaml_takes_for_another_kind_is_answered_with_how_to_write_it():
    for value, kind in ((2.5, "number"), (yaml.safe_load("2024-01-31"), "date")):
        message = f"steps: value {value!r}: is a {kind}, and should be text; put it in quotes"
        assert refusal(SampleConfig, {**SAMPLE, "steps": value}) == message
    message = refusal(TrainDenoiserConfig, changed(DENOISER, "training.iterations", "1e5"))
    assert message.startswith("training.iterations: value '1e5': input should be a valid integer")
    assert message.endswith("; write it in digits alone, as 20000")


# Files ------------------------------------------------------------------------------------------------------------


TEXT = yaml.safe_dump(DATASET)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1", "not valid YAML ("),
        ("a: 2020-13-45", "not valid YAML ("),
        ("- 1\n- 2", "holds list, not key: value pairs"),
        ("<!DOCTYPE html>\n<html>", "is a web page"),
        (f"a: 1\n# é\n{TEXT}".encode("latin-1"), "byte 0xe9 in line 2 is no UTF-8; save it as UTF-8"),
        (TEXT.encode("utf-16-le"), "is no text, or of an unknown encoding; save it as UTF-8"),
        ("", "holds NoneType, not key: value pairs"),
        ("a: " + "{a: " * 500, "not valid YAML (maximum recursion depth exceeded"),
        ("a: !!bool maybe", "not valid YAML ('maybe')"),
        ("a: !!timestamp never", "not valid YAML ("),
        ("a: !!int ''", "not valid YAML ("),
        ("a: [" + "1, " * 700_000 + "]", "holds 2,100,005 bytes, more than such a file can need"),
    ],
)
def test_a_file_that_holds_no_such_settings_is_refused(tmp_path, content, message):
    path = tmp_path / "settings.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        load_settings(DatasetConfig, path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert len(str(caught.value).splitlines()) == 1


def test_tabs_are_answered_with_spaces_and_a_folder_with_its_name(tmp_path):
    (tmp_path / "settings.yaml").write_text("a:\n\tb: 1\n")
    with pytest.raises(ConfigError, match=r"; indent by spaces, not tabs$"):
        read_yaml(tmp_path / "settings.yaml")
    with pytest.raises(ConfigError, match=rf"^{tmp_path}: cannot be read \(Is a directory"):
        read_yaml(tmp_path)


@pytest.mark.parametrize("text", ["a\nb", "a\u2028b", "a\0b"])
def test_keys_and_texts_of_several_lines_are_told_of_in_one(text):
    assert refusal(DatasetConfig, {**DATASET, text: 1}).startswith(f"{repr(text)[1:-1]}: unknown key; known: ")
    fault = "has a line break, a tab or another control character; remove it"
    assert refusal(DatasetConfig, {**DATASET, "source": text}) == f"source: value {text!r}: {fault}"


def test_a_long_value_is_told_of_in_short():
    assert len(refusal(DatasetConfig, {**DATASET, "image_size": "9" * 4000})) < 250


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"], ids=["Unix", "Windows"])
def test_settings_are_read_from_any_unicode_that_says_which_it_is(tmp_path, encoding, newline):
    text = "# für é and 日本\n" + TEXT
    (tmp_path / "settings.yaml").write_bytes(text.replace("\n", newline).encode(encoding))
    assert load_settings(DatasetConfig, tmp_path / "settings.yaml") == parse_settings(DatasetConfig, DATASET, "here")


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", "1 and 3"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n  d: 2\n", "d", "4 and 5"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_both_lines(tmp_path, text, key, lines):
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(ConfigError, match=rf"\(key '{key}' is there twice, in lines {lines}: drop one\); mend the"):
        read_yaml(tmp_path / "settings.yaml")


def test_what_anchors_merge_may_be_said_again(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "one: &one {lr: 1, seed: 1}\ntwo: &two\n  <<: *one\n  lr: 2\nthree:\n  <<: *two\n  seed: 3\n"
        "four:\n  <<: *one\n  <<: {ema: 1}\nfive: *one\n"
    )
    one, two = {"lr": 1, "seed": 1}, {"lr": 2, "seed": 1}
    three, four = two | {"seed": 3}, one | {"ema": 1}
    assert read_yaml(tmp_path / "a.yaml") == {"one": one, "two": two, "three": three, "four": four, "five": one}


def test_changes_reach_one_of_two_mappings_that_a_file_shares_by_an_anchor():
    values = yaml.safe_load("{a: &a {x: {y: 1, z: 2}}, b: *a, c: [1]}")
    changed = merged(values, {"a": {"x": {"y": 3}}, "c": {"d": 4}, "e": 5})
    assert changed == {"a": {"x": {"y": 3, "z": 2}}, "b": {"x": {"y": 1, "z": 2}}, "c": {"d": 4}, "e": 5}
    assert values["a"] == values["b"] == {"x": {"y": 1, "z": 2}}


def test_a_change_to_null_takes_a_key_away_and_a_null_of_the_file_stays():
    values = {"a": {"x": 1, "y": 2}, "b": None}
    assert merged(values, {"a": {"x": None, "z": {"w": None}}, "c": None}) == {"a": {"y": 2, "z": {}}, "b": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: " + "[" * 50_000, "not valid YAML (maximum recursion depth exceeded"),
        ("a: 1\n" * 60_000, "holds 300,000 bytes, more than such a file can need"),
    ],
    ids=["deep", "large"],
)
def test_yaml_that_is_too_deep_or_too_large_is_one_line(tmp_path, text, words):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_yaml(tmp_path / "a.yaml")


def test_a_value_that_aliases_make_gigantic_is_shown_in_part(tmp_path):
    value = "[x, x]"
    for k in range(12):
        value = f"[&a{k} {value}{f', *a{k}' * 9}]"
    (tmp_path / "a.yaml").write_text(f"noise_schedule: {value}\n")
    with pytest.raises(ConfigError, match=r"noise_schedule: value \[\[\[\.\.\.\]") as caught:
        load_settings(DiffusionConfig, tmp_path / "a.yaml")
    assert len(str(caught.value)) < 1000
