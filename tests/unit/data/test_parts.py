"""Training and validation images: a split that is fair, whole and repeatable, or two sources that fit each other."""

import numpy as np
import pytest
from pictures import CIFAR10, config_of, pack, save_classes

from eddpm.data.containers import Zip
from eddpm.data.parts import open_parts, split
from eddpm.data.sources import FileSource
from eddpm.errors import ConfigError


def refusal(function, *arguments) -> str:
    with pytest.raises(ConfigError) as caught:
        function(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.75])
def test_a_split_is_disjoint_and_complete_and_sorted(fraction):
    train, validation = split(np.repeat([0, 1, 2], [100, 300, 37]), fraction)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(437))
    for part in (train, validation):
        assert (np.diff(part) > 0).all()


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_every_class_is_split_in_the_same_share(fraction):
    counts = [100, 300, 37]
    numbers = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], counts))
    _, validation = split(numbers, fraction)
    assert np.abs(np.bincount(numbers[validation], minlength=3) - fraction * np.array(counts)).max() <= 1
    assert len(validation) == np.ceil(fraction * 437)


def test_the_split_is_the_same_each_time_and_mixes_the_order():
    np.random.seed(1)
    first = split([0] * 50 + [1] * 50, 0.2)[1]
    np.random.seed(2)
    np.testing.assert_array_equal(split([0] * 50 + [1] * 50, 0.2)[1], first)
    assert first.tolist() != list(range(20))
    assert first.tolist() != list(range(80, 100))


@pytest.mark.parametrize(("counts", "fraction"), [([1] * 300, 0.2), ([5, 1], 0.5), ([2, 2, 2], 0.1)])
def test_too_few_images_to_split_are_refused_in_one_line(counts, fraction):
    message = refusal(split, np.repeat(np.arange(len(counts)), counts), fraction)
    assert message.startswith(f"validation_fraction {fraction}: ")


def test_the_parts_of_one_source_share_its_images():
    parts = open_parts(config_of(CIFAR10, num_classes=10, validation_fraction=0.1))
    entries = FileSource(Zip(CIFAR10)).entries
    assert sorted(parts["train"].entries + parts["validation"].entries) == sorted(entries)
    assert np.bincount([entry.label for entry in parts["validation"].entries]).tolist() == [5] * 10


def test_a_validation_source_is_all_of_one_part_and_the_source_all_of_the_other(tmp_path):
    save_classes(tmp_path / "one", {"a": 3, "b": 2})
    other = pack(save_classes(tmp_path / "two", {"a": 1, "b": 1}), tmp_path / "two.zip")
    parts = open_parts(config_of(tmp_path / "one", validation_source=str(other)))
    assert [entry.name for entry in parts["train"].entries] == [f"a/00{k}.png" for k in range(3)] + [
        f"b/00{k}.png" for k in range(2)
    ]
    assert [entry.name for entry in parts["validation"].entries] == ["a/000.png", "b/000.png"]


def test_sources_of_other_classes_do_not_validate_each_other(tmp_path):
    save_classes(tmp_path / "one", {"a": 1, "c": 1})
    save_classes(tmp_path / "two", {"a": 1, "b": 1})
    config = config_of(tmp_path / "one", validation_source=str(tmp_path / "two"))
    assert refusal(open_parts, config).startswith(
        f"dataset '{tmp_path / 'two'}': class 'b' is not in both it and '{tmp_path / 'one'}'"
    )
