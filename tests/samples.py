"""Sample batches as they lie on disk."""

from pathlib import Path

from eddpm.io.arrays import read_npz
from eddpm.io.batches import Samples


def read_samples(path: Path) -> Samples:
    arrays = read_npz(path)
    return Samples(arrays.pop("arr_0"), arrays.pop("arr_1"), arrays)
