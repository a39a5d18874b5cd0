"""A run's shards as the one file that OpenAI's evaluator reads."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eddpm.data.imagesets import Joined
from eddpm.errors import ArtifactError
from eddpm.io.arrays import read_npz
from eddpm.io.batches import ImageFile, write_sample_batch

logger = logging.getLogger(__name__)


def export_npz(samples: list[Path], exported: Path) -> None:
    """Join shards into one sample batch: `arr_0` uint8 (N, H, W, 3), grey repeated, `arr_1` labels, by image number.

    ArtifactError where an image is missing or comes twice.
    """
    found = [(read_npz(path, "arr_0", "arr_1", "index", skip=("arr_0",)), ImageFile(path)) for path in samples]
    for arrays, images in found:
        complete = arrays["index"].shape == arrays["arr_1"].shape == (len(images),)
        if not complete or arrays["index"].dtype.kind not in "iu":
            raise ArtifactError(
                f"{images.path}: {len(images)} images, {arrays['arr_1'].shape} labels and {arrays['index'].dtype}"
                f" {arrays['index'].shape} numbers do not go together; name shards of a run"
            )
    found.sort(key=lambda shard: shard[0]["index"][0])
    index = np.concatenate([arrays["index"] for arrays, _ in found])
    wrong = np.flatnonzero(index != np.arange(len(index)))
    if len(wrong):
        raise ArtifactError(
            f"{exported}: the shards hold image {index[wrong[0]]} where {wrong[0]} should come; name each shard once"
        )
    images = Joined(samples[0].parent, [images for _, images in found])
    shape = (len(index), *images.shape[:2], 3)
    write_sample_batch(exported, shape, _rgb(images), arr_1=images.labels)
    logger.info(f"{len(index)} images of {shape[1]}x{shape[2]} -> {exported}")


def _rgb(images: Joined) -> Iterator[np.ndarray]:
    for batch in images.batches():
        yield batch if batch.shape[3] == 3 else batch.repeat(3, axis=3)
