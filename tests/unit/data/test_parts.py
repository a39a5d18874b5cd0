"""Training and validation images: a split that is fair, whole and repeatable, or two sources that fit each other."""

import numpy as np
import pytest
from pictures import CIFAR10, config_of, pack, random_picture, save, save_classes

from eddpm.data.parts import open_parts, split
from eddpm.data.sources import open_source
from eddpm.errors import ConfigError


@pytest.mark.parametrize("fraction", [0.1, 0.75])
def test_a_split_is_whole_sorted_repeatable_and_of_every_class_the_same_share(fraction):
    counts = [100, 300, 37]
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], counts))
    train, validation = split(labels, fraction)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(437))
    assert (np.diff(train) > 0).all()
    assert (np.diff(validation) > 0).all()
    assert np.abs(np.bincount(labels[validation], minlength=3) - fraction * np.array(counts)).max() <= 1
    assert len(validation) == np.ceil(fraction * 437)
    np.testing.assert_array_equal(split(labels, fraction)[1], validation)


@pytest.mark.parametrize(("counts", "low", "high"), [([7, 4], 0.182, 0.818), ([2, 2], 0.5, 0.5)])
def test_the_shares_that_are_proposed_can_be_taken(counts, low, high):
    labels = np.repeat(np.arange(len(counts)), counts).tolist()
    with pytest.raises(ConfigError, match=f"take {low:g} to {high:g},"):
        split(labels, 0.001)
    for fraction in (low, high):
        assert {labels[i] for i in split(labels, fraction)[1]} == set(labels)


def test_the_parts_of_one_source_share_its_images():
    parts = open_parts(config_of(CIFAR10, num_classes=10, validation_fraction=0.1))
    assert sorted(parts["train"].entries + parts["validation"].entries) == sorted(open_source(str(CIFAR10), 10).entries)
    assert np.bincount([entry.label for entry in parts["validation"].entries]).tolist() == [5] * 10


@pytest.mark.parametrize("classes", ["folders", "prefixes"])
def test_a_validation_source_is_all_of_one_part_and_the_source_all_of_the_other(tmp_path, classes):
    for folder, count in (("one", 3), ("two", 1)):
        for name in "ab":
            for k in range(count):
                image = f"{name}_{k}.png" if classes == "prefixes" else f"{name}/{k}.png"
                save(tmp_path / folder / image, random_picture(8, 8))
        (tmp_path / folder / "LICENSE.txt").symlink_to(tmp_path / "LICENSE.txt")  # which both may share
    (tmp_path / "LICENSE.txt").write_text("CC0")
    for two in (tmp_path / "two", pack(tmp_path / "two", tmp_path / "two.zip")):
        parts = open_parts(config_of(tmp_path / "one", validation_source=str(two), classes=classes))
        assert [entry.label for entry in parts["train"].entries] == [0, 0, 0, 1, 1, 1]
        assert [entry.label for entry in parts["validation"].entries] == [0, 1]


def test_images_that_would_train_and_validate_are_refused(tmp_path):
    folder = save_classes(tmp_path / "one", {"a": 4, "b": 4})
    (tmp_path / "link").symlink_to(folder)
    some = save_classes(tmp_path / "some", {"a": 2, "b": 2})
    (some / "b/linked.png").symlink_to(folder / "b/003.png")
    packed = pack(folder, tmp_path / "one.zip")
    np.savez(tmp_path / "one.npz", arr_0=np.zeros((4, 8, 8, 3), np.uint8), arr_1=np.arange(4) % 2)
    for one, two in [(folder, tmp_path / "link"), (folder, some), (packed, packed), [tmp_path / "one.npz"] * 2]:
        with pytest.raises(ConfigError, match="would train and validate; name other images"):
            open_parts(config_of(one, validation_source=str(two)))
