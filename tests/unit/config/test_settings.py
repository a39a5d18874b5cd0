"""Settings are read strictly and never change; a mistake is one line that says where, what and what instead."""

import copy
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from least_values import CLASSIFIER, DATASET, DENOISER, ENCODER, SAMPLE, changed, refusal
from pydantic import Discriminator, Tag

from eddpm.config.schema import (
    DatasetConfig,
    MeasureConfig,
    Name,
    SampleConfig,
    TrainClassifierConfig,
    TrainDenoiserConfig,
    UNetArchitecture,
)
from eddpm.config.settings import Settings, load_settings, merged, parse_settings, read_yaml
from eddpm.errors import ConfigError

NETWORK = {"num_channels": 32, "channel_mult": [1]}


class Zoo(Settings):
    """Settings within a dict, within a tuple, and behind `| None`; an entry may be named like a field."""

    animals: dict[Name, "Animal"]


class Animal(Settings):
    network: UNetArchitecture | None = None
    parts: tuple[UNetArchitecture, ...] = ()


def renamed(values: dict, path: str, key: str) -> dict:
    """A copy of `values` with the key at the dotted `path` misspelled as `key`."""
    values = copy.deepcopy(values)
    *parents, old = path.split(".")
    place = values
    for parent in parents:
        place = place[parent]
    place[key] = place.pop(old)
    return values


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (TrainDenoiserConfig, DENOISER),
        (TrainClassifierConfig, CLASSIFIER),
        (SampleConfig, SAMPLE),
        (SampleConfig, {**SAMPLE, "classifier": None}),
        (DatasetConfig, DATASET),
    ],
)
def test_settings_come_back_from_the_file_they_are_written_to(cls, values, tmp_path):
    settings = parse_settings(cls, values, "here")
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    assert load_settings(cls, tmp_path / "settings.yaml") == settings


def test_settings_do_not_change_after_the_check():
    config = parse_settings(DatasetConfig, DATASET, "here")
    with pytest.raises(ValueError, match="frozen"):
        config.image_size = 16


# Unknown and missing keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "wrong", "right"),
    [
        ("training", "trainings", "training"),
        ("training.iterations", "iteration", "iterations"),
        ("training.lr", "lrr", "lr"),
        ("network.num_channels", "num_chanels", "num_channels"),
        ("network.image_size", "image_sise", "image_size"),
        ("diffusion.noise_schedule", "noise_shedule", "noise_schedule"),
    ],
)
def test_a_misspelled_key_is_named_with_the_right_one_and_not_as_missing(path, wrong, right):
    place = ".".join([*path.split(".")[:-1], wrong])
    expected = f"{place}: unknown key; did you mean '{right}'?"
    assert refusal(TrainDenoiserConfig, renamed(DENOISER, path, wrong)) == expected


def test_a_key_like_no_other_is_answered_with_the_keys_of_its_own_level():
    assert (
        refusal(TrainDenoiserConfig, {**DENOISER, "zzz": 1}) == "zzz: unknown key; known: network, diffusion, training"
    )
    assert refusal(TrainDenoiserConfig, changed(DENOISER, "diffusion.zzz", 1)) == (
        "diffusion.zzz: unknown key; known: noise_schedule, diffusion_steps, sigma_small"
    )


@pytest.mark.parametrize("entry", ["cat", "network", "parts"])
def test_a_misspelled_key_within_an_entry_of_a_dict_is_named_with_the_right_one(entry):
    zoo = {"animals": {"dog": {}, entry: {"network": {**NETWORK, "droput": 0.1}}}}
    assert refusal(Zoo, zoo) == f"animals.{entry}.network.droput: unknown key; did you mean 'dropout'?"
    zoo = {"animals": {entry: {"networks": NETWORK}}}
    assert refusal(Zoo, zoo) == f"animals.{entry}.networks: unknown key; did you mean 'network'?"


def test_a_misspelled_key_within_a_list_is_named_with_its_number_and_the_right_one():
    zoo = {"animals": {"cat": {"parts": [NETWORK, {**NETWORK, "droput": 0.1}]}}}
    assert refusal(Zoo, zoo) == "animals.cat.parts.1.droput: unknown key; did you mean 'dropout'?"
    spaces = [{"name": "pixels", "classifier": None}, {"name": "clean", "classifier": {**ENCODER, "num_clases": 2}}]
    message = refusal(MeasureConfig, {"spaces": spaces, "nearest_neighbours": 3})
    assert message == "spaces.1.classifier.num_clases: unknown key; did you mean 'num_classes'?"


@pytest.mark.parametrize("path", ["training", "training.lr", "network.image_size", "diffusion.noise_schedule"])
def test_a_missing_key_is_named_by_its_path(path):
    values = copy.deepcopy(DENOISER)
    *parents, key = path.split(".")
    del (values[parents[0]] if parents else values)[key]
    assert refusal(TrainDenoiserConfig, values) == f"{path}: missing; add this key"


def test_the_name_of_an_entry_must_be_fit_for_a_path():
    for name in ("Big", "a/b", "", "..", "-a", "a b"):
        assert refusal(Zoo, {"animals": {name: {}}}).startswith(f"animals.{name}: value {name!r}: string should match")


# Values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [None, 3, "text", [1, 2]])
def test_what_is_no_mapping_is_no_settings(values):
    assert refusal(DatasetConfig, values).startswith(f"value {values!r}: ")


def test_numbers_are_read_from_text_as_tables_and_yaml_give_them():
    training = parse_settings(TrainDenoiserConfig, changed(DENOISER, "training.lr", "1e-3"), "here").training
    assert training.lr == 1e-3  # YAML 1.1 reads 1e-3, without a point, as text
    assert parse_settings(SampleConfig, {**SAMPLE, "scale": "6.0", "seed": "3"}, "here").scale == 6.0


@pytest.mark.parametrize("value", [250, 2.5, True])
def test_a_number_where_text_is_wanted_is_answered_with_quotes(value):
    message = refusal(SampleConfig, {**SAMPLE, "steps": value})
    assert message == f"steps: value {value!r}: is a number, and should be text; put it in quotes"


def test_kinds_are_called_as_in_yaml():
    assert refusal(Zoo, {"animals": [1]}) == "animals: value [1]: input should be a valid mapping"
    assert (
        refusal(Zoo, {"animals": {"cat": {"parts": 3}}}) == "animals.cat.parts: value 3: input should be a valid list"
    )


class Meal(Settings):
    """One size for all, or one for each guest."""

    sizes: Annotated[
        Annotated[tuple[int, ...], Tag("[all]")] | Annotated[dict[str, tuple[int, ...]], Tag("[each]")],
        Discriminator(lambda sizes: "[each]" if isinstance(sizes, dict) else "[all]"),
    ]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("big", "sizes: value 'big': input should be a valid list"),
        ([1, "x"], "sizes.1: value 'x': input should be a valid integer"),
        ({"Ann": [1, "x"]}, "sizes.Ann.1: value 'x': input should be a valid integer"),
    ],
)
def test_a_mistake_in_one_of_two_kinds_is_named_by_its_place_within_that_kind(sizes, message):
    assert refusal(Meal, {"sizes": sizes}).startswith(message)


# Files ------------------------------------------------------------------------------------------------------------


def refusal_of_file(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(DatasetConfig, path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refusal_of_file(tmp_path / "none.yaml").startswith("cannot be read (No such file")
    assert refusal_of_file(tmp_path).startswith("cannot be read (Is a directory")


@pytest.mark.parametrize("text", [b"a: [1", b"a: b: c", b"\t- x", b"\xff\xfe\x00", b"a: \x00", b"a: 2020-13-45"])
def test_a_file_that_is_no_yaml_is_refused(text, tmp_path):
    (tmp_path / "settings.yaml").write_bytes(text)
    assert refusal_of_file(tmp_path / "settings.yaml").startswith("not valid YAML (")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!DOCTYPE html>\n<html>", "is a web page"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "is a Git LFS pointer"),
    ],
)
def test_what_was_saved_instead_of_settings_is_named(text, words, tmp_path):
    (tmp_path / "settings.yaml").write_text(text)
    assert refusal_of_file(tmp_path / "settings.yaml").startswith(words)


@pytest.mark.parametrize(("text", "kind"), [("", "NoneType"), ("- 1\n- 2", "list"), ("42", "int"), ("word", "str")])
def test_a_file_that_holds_no_keys_is_refused(text, kind, tmp_path):
    (tmp_path / "settings.yaml").write_text(text)
    assert refusal_of_file(tmp_path / "settings.yaml").startswith(f"holds {kind}, not key: value pairs")


def test_a_mistake_in_a_file_is_named_with_the_file_and_the_key(tmp_path):
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump({**DATASET, "image_size": "big"}))
    assert refusal_of_file(tmp_path / "settings.yaml").startswith("image_size: value 'big': ")


def test_changes_reach_one_of_two_mappings_that_a_file_shares_by_an_anchor():
    values = yaml.safe_load("{a: &a {x: {y: 1, z: 2}}, b: *a, c: [1]}")
    changed = merged(values, {"a": {"x": {"y": 3}}, "c": {"d": 4}, "e": 5})
    assert changed == {"a": {"x": {"y": 3, "z": 2}}, "b": {"x": {"y": 1, "z": 2}}, "c": {"d": 4}, "e": 5}
    assert values["a"] == values["b"] == {"x": {"y": 1, "z": 2}}


# Encodings and repetitions ----------------------------------------------------------------------------------------

TEXT = yaml.safe_dump(DATASET)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["Unix", "Windows", "Mac"])
def test_settings_are_read_from_any_unicode_that_says_which_it_is_in_any_locale(tmp_path, encoding, newline):
    text = "# für é and 日本\n" + TEXT
    (tmp_path / "settings.yaml").write_bytes(text.replace("\n", newline).encode(encoding))
    assert load_settings(DatasetConfig, tmp_path / "settings.yaml") == parse_settings(DatasetConfig, DATASET, "here")


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        ("latin-1", "byte 0xe9 in line 2 is no UTF-8: save it as UTF-8"),
        ("cp1252", "byte 0xe9 in line 2 is no UTF-8: save it as UTF-8"),
        ("mac-roman", "byte 0x8e in line 2 is no UTF-8: save it as UTF-8"),
        ("utf-16-le", "save it as UTF-8"),
        ("utf-32", "save it as UTF-8"),
    ],
)
def test_another_encoding_is_one_line_that_says_what_to_save(tmp_path, encoding, reason):
    (tmp_path / "settings.yaml").write_bytes(f"a: 1\n# é\n{TEXT}".encode(encoding))
    message = refusal_of_file(tmp_path / "settings.yaml")
    assert message.startswith("not valid YAML (")
    assert reason in message


@pytest.mark.parametrize(
    ("text", "key", "lines"),
    [
        ("a: 1\nb: 2\na: 3\n", "a", "1 and 3"),
        ("a: 1\n'a': 1\n", "a", "1 and 2"),
        ("a:\n  b: 1\n  c: 2\n\n  b: 1\n", "b", "2 and 5"),
        ("a: {b: 1, b: 2}\n", "b", "1 and 1"),
        ("a:\n- b: 1\n  b: 2\n", "b", "2 and 3"),
        ("1: a\n1: b\n", "1", "1 and 2"),
        ("a: &x\n  b: 1\n  b: 2\nc: *x\n", "b", "2 and 3"),
        ("a: &x {b: 1}\nc:\n  <<: *x\n  d: 1\n  d: 2\n", "d", "4 and 5"),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_both_lines(tmp_path, text, key, lines):
    (tmp_path / "settings.yaml").write_text(text)
    reason = f"not valid YAML (key '{key}' is there twice, in lines {lines}: drop one); mend the file"
    assert refusal_of_file(tmp_path / "settings.yaml") == reason


def test_what_anchors_merge_may_be_said_again(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "one: &one {lr: 1, seed: 1}\ntwo: &two\n  <<: *one\n  lr: 2\nthree:\n  <<: *two\n  seed: 3\n"
        "four:\n  <<: *one\n  <<: {ema: 1}\nfive: *one\n"
    )
    one, two = {"lr": 1, "seed": 1}, {"lr": 2, "seed": 1}
    three, four = two | {"seed": 3}, one | {"ema": 1}
    assert read_yaml(tmp_path / "a.yaml") == {"one": one, "two": two, "three": three, "four": four, "five": one}


def test_tabs_are_answered_with_spaces(tmp_path):
    (tmp_path / "settings.yaml").write_text("a:\n\tb: 1\n")
    assert refusal_of_file(tmp_path / "settings.yaml").endswith("; indent by spaces, not tabs")


@pytest.mark.parametrize("value", ["1e5", "1,000"])
def test_an_integer_as_yaml_does_not_know_it_is_answered_with_digits(value):
    message = refusal(TrainDenoiserConfig, changed(DENOISER, "training.iterations", value))
    assert message.startswith(f"training.iterations: value '{value}': input should be a valid integer")
    assert message.endswith("; write it in digits alone, as 20000")


def test_a_date_where_text_is_wanted_is_answered_with_quotes():
    value = yaml.safe_load("2024-01-31")
    assert refusal(SampleConfig, {**SAMPLE, "name": value}).endswith("is a date, and should be text; put it in quotes")
