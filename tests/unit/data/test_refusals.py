"""Names of folders that look like splits of a data set, and names of classes that do not."""

from pathlib import Path

import pytest
from pictures import save_classes

from eddpm.data.refusals import named_like_splits
from eddpm.data.sources import open_source
from eddpm.errors import ArtifactError


@pytest.mark.parametrize(
    "names",
    [
        "train test",
        "Train Valid",
        "TRAINING TESTING",
        "train val test",
        "train dev",
        "train hold-out",
        "train eval",
        "trainset testset",
        "training_set test_set",
        "train2017 val2017",
        "train-256 val-256",
        "01_train 02_test",
        "seg_train seg_test",
        "cifar_train cifar_test",
        "imagenet-train imagenet-val",
        "TrainImages TestImages",
        "trainA trainB testA testB",
        "train-clean-100 test-clean",
        "dev test",
    ],
)
def test_names_like_splits_are_known_among_others(names):
    names = set(names.split())
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
        "train testify",
    ],
)
def test_names_of_classes_are_not_taken_for_splits(names):
    assert named_like_splits(set(names.split())) == {}


def test_the_remedy_names_folders_that_hold_class_folders(tmp_path):
    def refusal(folder: Path, *images: str) -> str:
        save_classes(folder, dict.fromkeys(images, 2))
        with pytest.raises(ArtifactError, match="look like splits") as caught:
            open_source(str(folder), 2)
        return str(caught.value)

    message = refusal(tmp_path / "a", "x/train/cats", "x/train/dogs", "x/val/cats", "x/val/dogs", "x/test")
    assert f"name dataset.source: {tmp_path}/a/x/train and dataset.validation_source: {tmp_path}/a/x/val " in message
    message = refusal(tmp_path / "b", "train/cats", "train/dogs", "val", "test/cats")
    assert f"name dataset.source: {tmp_path}/b/train and dataset.validation_source: {tmp_path}/b/test " in message
    assert len(open_source(str(tmp_path / "b/train"), 2).entries) == 4
    message = refusal(tmp_path / "c", "trainA", "trainB", "testA", "testB")
    assert "name a folder that holds one folder of images for each class" in message
