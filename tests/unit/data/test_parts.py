"""Training and validation images: a split that is fair, whole and repeatable, or two sources that fit each other."""

from pathlib import Path

import numpy as np
import pytest
from pictures import CIFAR10, config_of, pack, random_picture, save, save_classes

from eddpm.data.containers import Zip
from eddpm.data.parts import open_parts, split
from eddpm.data.sources import FileSource
from eddpm.errors import ConfigError
from eddpm.io.batches import Samples, write_samples


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


@pytest.mark.parametrize(
    ("counts", "fraction", "words"),
    [
        ([5, 1, 1], 0.5, "not cats (1 image), dogs (1 image); add some"),
        ([5, 5, 5], 0.1, "makes 2 of 15 images validate, but each of 3 classes needs one to train and one to validate"),
        ([5, 5, 5], 0.1, "take 0.2 to 0.8, or name a dataset.validation_source"),
        ([5, 5, 5], 0.9, "makes 14 of 15 images validate"),
        ([2, 50, 50], 0.1, "leaves no image to validate in birds (2 images)"),
        ([50, 50, 2], 0.95, "leaves no image to train in dogs (2 images)"),
    ],
)
def test_a_class_that_a_part_would_lack_is_named_with_the_remedy(counts, fraction, words):
    labels = np.repeat(np.arange(3), counts).tolist()
    assert words in refusal(split, labels, fraction, ["birds", "cats", "dogs"])


@pytest.mark.parametrize(("counts", "low", "high"), [([5, 5, 5], 0.2, 0.8), ([7, 4], 0.182, 0.818), ([2, 2], 0.5, 0.5)])
def test_the_shares_that_are_proposed_can_be_taken(counts, low, high):
    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    assert f"take {low:g} to {high:g}," in refusal(split, labels, 0.001)
    for fraction in (low, high):
        assert {labels[i] for i in split(labels, fraction)[1]} == set(labels)


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


def linked(folder: Path, of: Path) -> Path:
    for image in sorted(of.glob("*/*.png"))[::3]:
        (folder / image.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / image.parent.name / f"linked {image.name}").symlink_to(image)
    return folder


@pytest.mark.parametrize("other", ["the same", "a link to it", "links to some images", "the same zip", "the same npz"])
def test_images_that_would_train_and_validate_are_refused(tmp_path, other):
    one = save_classes(tmp_path / "one", {"a": 4, "b": 4})
    if other == "the same":
        two = one
    elif other == "a link to it":
        (two := tmp_path / "two").symlink_to(one)
    elif other == "links to some images":
        two = linked(save_classes(tmp_path / "two", {"a": 2, "b": 2}), one)
    elif other == "the same zip":
        one = two = pack(one, tmp_path / "one.zip")
    else:
        one = two = tmp_path / "one.npz"
        write_samples(one, Samples(np.zeros((4, 8, 8, 3), np.uint8), np.arange(4) % 2, {}))
    message = refusal(open_parts, config_of(one, validation_source=str(two)))
    assert message.startswith(f"dataset.validation_source: '{two}' shares ")
    assert "would train and validate; name other images" in message


def test_files_beside_the_images_may_be_shared(tmp_path):
    for name in ("one", "two"):
        save_classes(tmp_path / name, {"a": 2, "b": 2})
        (tmp_path / name / "LICENSE.txt").symlink_to(tmp_path / "LICENSE.txt")
    (tmp_path / "LICENSE.txt").write_text("CC0")
    assert len(open_parts(config_of(tmp_path / "one", validation_source=str(tmp_path / "two")))["train"].entries) == 4


def test_both_sources_are_read_by_prefixes(tmp_path):
    for name in ("one", "two"):
        for k in range(4):
            save(tmp_path / name / f"{'ab'[k % 2]}_{k}.png", random_picture(8, 8))
    config = config_of(tmp_path / "one", validation_source=str(tmp_path / "two"), classes="prefixes")
    for part in open_parts(config).values():
        assert part.source.classes == ("a", "b")
        assert len(part.entries) == 4
