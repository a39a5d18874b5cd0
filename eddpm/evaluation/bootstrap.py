"""Standard errors of metrics over the choice of a run's images, from halves of them.

Halves are drawn without replacement: the copies of a plain bootstrap sit in each other's nearest-neighbour balls and
lower the rank of covariances. The spread of a mean over halves, var / (n/2) * (1 - 1/2), is that of the mean itself,
var / n (subsampling: Politis, Romano and Wolf, 1999).
"""

import numpy as np

REPLICATES = 50  # leave a standard error uncertain by a tenth of itself
MOST_IMAGES = 10_000  # up to which standard errors are computed unasked


def half_samples(num_images: int, replicates: int, seed: int = 0) -> np.ndarray:
    """Random halves of num_images images, bool (replicates, num_images); the odd image is left out."""
    order = np.random.default_rng(seed).random((replicates, num_images)).argsort(axis=1)
    return order < num_images // 2


def standard_error(values: np.ndarray, num_images: int) -> np.ndarray:
    """Standard errors (...) of metrics of num_images images, from their values (replicates, ...) on halves of them."""
    half = num_images // 2
    return np.std(values, axis=0, ddof=1) * np.sqrt(half / (num_images - half))
