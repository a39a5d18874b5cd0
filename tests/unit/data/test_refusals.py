"""Names of folders that look like splits of a data set, and names of classes that do not."""

import pytest

from eddpm.data.refusals import named_like_splits


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
