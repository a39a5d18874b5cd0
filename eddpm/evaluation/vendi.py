"""The Vendi score (Friedman and Dieng, 2023): the effective number of different images, by the cosine of features."""

import numpy as np
import torch
from scipy.special import entr
from torch import Tensor

from eddpm.errors import ArtifactError


def unit_rows(features: Tensor) -> Tensor:
    """Features (N, D) in float64, each of length 1; those of length 0 stay."""
    rows = features.double()
    lengths = rows.norm(dim=1, keepdim=True)
    return rows / torch.where(lengths > 0, lengths, 1)


def vendi(features: np.ndarray | Tensor, chunk: int = 2000) -> float:
    """exp of the entropy of the eigenvalues of X X^T / N, for the rows X of length 1: from 1, all alike, to N.

    Features are (N, D); computed in float64 on their device, as X^T X where N > D. Fewer images have a lower score:
    compare equal numbers. ArtifactError for no images, NaN, or infinities.
    """
    features = torch.as_tensor(features)
    if features.ndim != 2 or not len(features):
        raise ArtifactError(f"Vendi score: features have shape {tuple(features.shape)}; give (images, dimensions)")
    if len(features) > features.shape[1]:
        gram = sum(rows.T @ rows for rows in map(unit_rows, features.split(chunk)))
    else:
        rows = unit_rows(features)
        gram = rows @ rows.T
    if not torch.isfinite(gram).all():
        raise ArtifactError("Vendi score: features have NaN or infinite entries; extract the features anew")
    shares = torch.linalg.eigvalsh(gram / len(features)).clamp(min=0)
    return float(np.exp(entr(shares.cpu().numpy()).sum()))


def vendi_per_class(features: np.ndarray | Tensor, labels: np.ndarray) -> float:
    """The mean over the classes of the Vendi score of their images; labels (N,). A class without images has none."""
    features = torch.as_tensor(features)
    return float(np.mean([vendi(features[torch.from_numpy(labels == label)]) for label in np.unique(labels)]))
