"""The Vendi score against its authors' code, and by hand."""

import numpy as np
import pytest
import torch
from vendi_score import vendi as theirs

from eddpm.errors import ArtifactError
from eddpm.evaluation.vendi import vendi, vendi_per_class


def points(count, dim, seed=0):
    return np.random.default_rng(seed).normal(0.5, 1, size=(count, dim)).astype(np.float32)


@pytest.mark.parametrize(("count", "dim"), [(200, 12), (12, 200), (50, 50)])
@pytest.mark.parametrize("chunk", [7, 2000])
def test_both_sides_agree_with_the_authors_code(count, dim, chunk):
    features = points(count, dim)
    assert vendi(features, chunk) == pytest.approx(theirs.score_dual(features.astype(float)), rel=1e-6)


def test_images_count_as_often_as_they_differ_and_their_length_does_not_matter():
    axes = np.eye(5)[[0, 1, 1, 2]] * [[1], [2], [3], [1e-30]]
    assert vendi(axes[:1]) == pytest.approx(1)
    assert vendi(axes[1:3]) == pytest.approx(1)
    assert vendi(axes[[0, 1, 3]]) == pytest.approx(3)
    assert vendi(np.zeros((3, 2))) == 1  # nothing to tell them apart


def test_the_score_per_class_is_the_mean_over_the_classes_that_have_images():
    features, labels = points(60, 8), np.arange(60) % 3 * 2
    expected = np.mean([theirs.score_dual(features[labels == label].astype(float)) for label in (0, 2, 4)])
    assert vendi_per_class(features, labels) == pytest.approx(expected, rel=1e-6)


def test_bad_features_are_refused():
    with pytest.raises(ArtifactError, match=r"shape \(5,\)"):
        vendi(np.ones(5))
    with pytest.raises(ArtifactError, match="NaN or infinite"):
        vendi(torch.tensor([[1.0, torch.nan], [1.0, 2.0]]))
