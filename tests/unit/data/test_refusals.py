"""Names of folders that look like splits of a data set, and names of classes that do not."""

import pytest

from eddpm.data.refusals import named_like_splits


@pytest.mark.parametrize(
    "names",
    [
        "TRAINING TESTING",
        "train hold-out",
        "train2017 val2017",
        "01_train 02_test",
        "TrainImages TestImages",
        "train-clean-100 test-clean",
        "dev test",
    ],
)
def test_names_like_splits_are_known_among_others(names):
    names = set(names.split())
    assert named_like_splits(names | {"cats", "trainer"}).keys() == names


@pytest.mark.parametrize(
    "names",
    ["train_station train_interior test_tube", "valley evaluator testimony trainee vale dever", "train testify"],
)
def test_names_of_classes_are_not_taken_for_splits(names):
    assert named_like_splits(set(names.split())) == {}
