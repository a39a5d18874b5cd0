"""The score in closed cases, by its definition written out, and against OpenAI's number."""

from pathlib import Path

import numpy as np
import pytest

from eddpm.errors import ArtifactError
from eddpm.evaluation.inception_score import inception_score

GOLDEN = Path(__file__).parents[2] / "golden" / "metrics.npz"


def distributions(count, num_classes, seed):
    return np.random.default_rng(seed).dirichlet(np.full(num_classes, 0.5), size=count)


def score_of_one_split(probabilities):
    """exp of the mean KL divergence, for probabilities without zeros."""
    divergence = (probabilities * (np.log(probabilities) - np.log(probabilities.mean(axis=0)))).sum(axis=1)
    return np.exp(divergence.mean())


def test_equal_predictions_score_one_and_certain_and_diverse_ones_the_number_of_classes_despite_the_zeros():
    assert inception_score(np.tile(distributions(1, 5, seed=1), (20, 1))) == pytest.approx(1.0, abs=1e-12)
    assert inception_score(np.eye(6)) == pytest.approx(6.0, rel=1e-12)
    assert inception_score(np.eye(6)[[0, 0, 1, 1]]) == pytest.approx(2.0, rel=1e-12)  # classes nobody predicts


def test_zero_probabilities_are_the_limit_of_small_ones():
    probabilities = distributions(20, 4, seed=2)
    probabilities[3] = [0.0, 0.5, 0.5, 0.0]
    nearly = np.maximum(probabilities, 1e-14)
    assert inception_score(probabilities) == pytest.approx(score_of_one_split(nearly), rel=1e-10)


def test_score_is_the_plain_mean_over_consecutive_splits_and_a_short_last_one():
    probabilities = distributions(25, 5, seed=3)
    parts = probabilities[:10], probabilities[10:20], probabilities[20:]
    expected = np.mean([score_of_one_split(part) for part in parts])
    assert inception_score(probabilities, split_size=10) == pytest.approx(expected, rel=1e-12)
    assert inception_score(probabilities[::-1], split_size=10) != pytest.approx(expected, rel=1e-3)


def test_splits_have_5000_images_unless_told():
    probabilities = distributions(5001, 2, seed=5)
    assert inception_score(probabilities) == inception_score(probabilities, split_size=5000)
    assert inception_score(probabilities) != inception_score(probabilities, split_size=5001)


def test_score_agrees_with_openai():
    golden = np.load(GOLDEN)
    expected = golden["inception_score/n100_c10/score"].item()
    assert inception_score(golden["inception_score/n100_c10/probs"]) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("row", [[2.0, -1.0, 3.0], [np.nan, 0.5, 0.5], [0.2, 0.2, 0.2]])
def test_rows_which_are_no_distributions_and_other_shapes_are_refused(row):
    with pytest.raises(ArtifactError, match="does not add up to 1"):
        inception_score(np.array([[0.2, 0.3, 0.5], row]))
    with pytest.raises(ArtifactError, match="images, classes"):
        inception_score(np.array(row))
