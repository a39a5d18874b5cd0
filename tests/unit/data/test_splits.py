"""Names of folders that look like splits of a data set, and names of classes that do not."""

from pathlib import Path

import pytest
from pictures import save_classes

from eddpm.data.containers import Folder
from eddpm.data.sources import open_source
from eddpm.data.splits import named_like_splits
from eddpm.errors import ArtifactError


@pytest.mark.parametrize(
    "names",
    [
        "train test",
        "Train Valid",
        "TRAINING TESTING",
        "training validation",
        "train val test",
        "train dev",
        "train holdout",
        "train hold-out",
        "train eval",
        "trainset testset",
        "training_set test_set",
        "train_images test_images",
        "train2017 val2017",
        "train-256 val-256",
        "01_train 02_test",
        "seg_train seg_test",
        "cifar_train cifar_test",
        "imagenet-train imagenet-val",
        "TrainImages TestImages",
        "trainA trainB testA testB",
        "train-clean-100 test-clean",
        "train1 train2",
        "dev test",
    ],
)
def test_names_like_splits_are_known_among_others(names):
    names = set(names.split())
    assert named_like_splits(names).keys() == names
    assert named_like_splits(names | {"cats", "trainer"}).keys() == names


@pytest.mark.parametrize(
    "names",
    [
        "train car plane",
        "bullet_train freight_train",
        "train_station train_interior test_tube",
        "valley evaluator testimony trainee",
        "trains tests",
        "vale dever",
        "val cats",
        "cats dogs",
        "train testify",
    ],
)
def test_names_of_classes_are_not_taken_for_splits(names):
    assert named_like_splits(set(names.split())) == {}


def refusal(folder: Path, *images: str) -> str:
    save_classes(folder, dict.fromkeys(images, 2))
    with pytest.raises(ArtifactError, match="look like splits") as caught:
        open_source(str(folder), 2)
    return str(caught.value)


def test_the_remedy_names_folders_that_hold_class_folders(tmp_path):
    message = refusal(tmp_path / "a", "x/train/cats", "x/train/dogs", "x/val/cats", "x/val/dogs", "x/test")
    assert f"name dataset.source: {tmp_path}/a/x/train and dataset.validation_source: {tmp_path}/a/x/val " in message
    message = refusal(tmp_path / "b", "train/cats", "train/dogs", "val", "test/cats")
    assert f"name dataset.source: {tmp_path}/b/train and dataset.validation_source: {tmp_path}/b/test " in message
    message = refusal(tmp_path / "c", "trainA", "trainB", "testA", "testB")
    assert "name a folder that holds one folder of images for each class" in message


def test_what_the_remedy_names_is_taken(tmp_path):
    refusal(tmp_path, "train/cats", "train/dogs", "test/cats", "test/dogs")
    assert len(open_source(str(tmp_path / "train"), 2).entries) == 4
    assert Folder(tmp_path / "test").files.keys() == Folder(tmp_path / "train").files.keys()
