"""Inception score (Salimans et al., 2016): exp E_x KL(p(y|x) || p(y)), as OpenAI's evaluator splits the samples."""

import numpy as np
from scipy.special import entr

from eddpm.errors import ArtifactError

SPLIT_SIZE = 5000  # of OpenAI's evaluator


def inception_score(probabilities: np.ndarray, split_size: int = SPLIT_SIZE) -> float:
    """Mean over consecutive splits of each split's score, in [1, C]; probabilities (N, C) -> float.

    No shuffle: the order of the images matters where there is more than one split. A last, shorter split counts as
    much as the others. Zero probabilities are fine. ArtifactError for rows which are not distributions.
    """
    assert split_size >= 1
    if np.ndim(probabilities) != 2 or np.size(probabilities) == 0:
        raise ArtifactError(f"probabilities have shape {np.shape(probabilities)}; give them as (images, classes)")
    splits = [probabilities[start : start + split_size] for start in range(0, len(probabilities), split_size)]
    return float(np.mean([_split_score(np.asarray(split, dtype=np.float64)) for split in splits]))


def _split_score(probabilities: np.ndarray) -> float:
    # Written so that NaN fails too.
    if not (probabilities.min() >= 0 and np.abs(probabilities.sum(axis=1) - 1).max() < 1e-3):
        raise ArtifactError("inception score: a row of probabilities is negative, NaN or does not add up to 1")
    # The mean divergence from the marginal is the mutual information H(p(y)) - E H(p(y|x)); entr(0) = 0.
    marginal = probabilities.mean(axis=0)
    return np.exp(entr(marginal).sum() - entr(probabilities).sum(axis=1).mean())
