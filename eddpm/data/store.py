"""Prepared images, read from their shards wherever they are needed: memory-mapped, never all at once."""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eddpm.config.networks import EncoderConfig, UNetConfig
from eddpm.errors import ArtifactError, first_line
from eddpm.io.arrays import map_array
from eddpm.io.files import read_json

OPEN_FILES = 448  # of a store, each with a file descriptor; a process may have 1024
_REMEDY = "prepare the data set again (snakemake --forcerun prepare_dataset), which keeps the shards that are sound"


class Shard(NamedTuple):
    """The arrays of a shard of n images; the last two where they are kept uncropped."""

    images: np.ndarray  # uint8 (n, H, W, C)
    labels: np.ndarray  # int64 (n,)
    sizes: np.ndarray | None = None  # int64 (n, 2), heights and widths
    pixels: np.ndarray | None = None  # uint8, all (h, w, C) one after the other


def array_path(folder: Path, name: str, kind: str) -> Path:
    return folder / f"{name}-{kind}.npy"


def open_shard(folder: Path, name: str, shape: tuple[int, ...], uncropped: bool) -> Shard:
    """Map the arrays of a shard of images `shape` (n, H, W, C). Raises ArtifactError if one is missing or misshapen."""

    def open_array(kind: str, dtype: type, *shape: int) -> np.ndarray:
        path = array_path(folder, name, kind)
        array = map_array(path, _REMEDY)
        if array.dtype != dtype or array.shape != shape:
            raise ArtifactError(f"{path}: is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}; {_REMEDY}")
        return array

    count, channels = shape[0], shape[-1]
    images, labels = open_array("images", np.uint8, *shape), open_array("labels", np.int64, count)
    if not uncropped:
        return Shard(images, labels)
    sizes = open_array("sizes", np.int64, count, 2)
    return Shard(images, labels, sizes, open_array("pixels", np.uint8, int(sizes.prod(axis=1).sum()) * channels))


def recorded_files(dataset: Path) -> dict[Path, str]:
    """The files of every shard with their SHA-256, as dataset.json has them; none where it cannot be read."""
    try:
        parts = read_json(dataset, "parts")["parts"]
        return {
            array_path(dataset.parent / part, shard["name"], kind): digest
            for part, record in parts.items()
            for shard in record["shards"]
            for kind, digest in shard["sha256"].items()
        }
    except (ArtifactError, KeyError, TypeError, AttributeError):
        return {}


class Store:
    """One part of a prepared data set."""

    notes = ()  # nothing is decided about its images

    def __init__(self, dataset: Path, part: str):
        """`dataset` is the path of dataset.json, `part` "train" or "validation".

        Raises ArtifactError if the description, or a shard that it names, is missing or damaged.
        """
        self.path, self._part = Path(dataset), part  # the path of dataset.json
        try:
            self._open(read_json(dataset, "classes", "shape", "parts"))
        except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise ArtifactError(f"{dataset}: does not describe a prepared data set ({reason}); {_REMEDY}") from None

    def _open(self, record: dict) -> None:
        part_record, folder = record["parts"][self._part], self.path.parent / self._part
        self.classes = tuple(record["classes"])
        self.shape = tuple(record["shape"])  # (H, W, C) of the centre crops
        self.uncropped = part_record["uncropped"]  # whether `read_uncropped` can be asked
        self._images, self._pixels, labels, sizes, offsets = [], [], [], [], []
        for entry in part_record["shards"]:
            shard = open_shard(folder, entry["name"], (entry["images"], *self.shape), self.uncropped)
            self._images.append(array_path(folder, entry["name"], "images"))
            self._pixels.append(array_path(folder, entry["name"], "pixels"))
            labels.append(np.array(shard.labels))
            if self.uncropped:
                sizes.append(np.array(shard.sizes))
                bytes_each = shard.sizes.prod(axis=1) * self.shape[-1]
                offsets.append(bytes_each.cumsum() - bytes_each)
        self.labels = np.concatenate(labels)  # int64 (N,)
        self._starts = np.cumsum([0, *map(len, labels)])
        if self.uncropped:
            self._sizes, self._offsets = np.concatenate(sizes), np.concatenate(offsets)
        self._map = lru_cache(OPEN_FILES)(partial(map_array, remedy=_REMEDY))

    def __reduce__(self):
        return Store, (self.path, self._part)  # a process that it is sent to maps files of its own

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, index: np.ndarray) -> np.ndarray:
        """The centre crops of these image numbers, in this order: uint8 (n, H, W, C)."""
        images, shards = np.empty((len(index), *self.shape), np.uint8), self._shard_of(index)
        for row, (shard, place) in enumerate(zip(shards, index - self._starts[shards], strict=True)):
            images[row] = self._map(self._images[shard])[place]
        return images

    def read_uncropped(self, i: int) -> np.ndarray:
        """The whole image of number i: uint8 (h, w, C)."""
        height, width = self._sizes[i]
        start, channels = self._offsets[i], self.shape[-1]
        pixels = self._map(self._pixels[self._shard_of(i)])[start : start + height * width * channels]
        return pixels.reshape(height, width, channels).copy()

    def _shard_of(self, index: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._starts, index, side="right") - 1

    def batches(self, size: int = 100) -> Iterator[np.ndarray]:
        """All centre crops in order, uint8 (size, H, W, C) at a time, the last batch as many as remain."""
        for start in range(0, len(self), size):
            yield self.read(np.arange(start, min(start + size, len(self))))


def open_store(dataset: Path, part: str, network: UNetConfig | EncoderConfig, spare: int = 0) -> Store:
    """One part of a prepared data set, for a network. Raises ArtifactError if the network takes other images.

    `spare` is the number of the network's classes that no image has.
    """
    store = Store(dataset, part)
    wanted = (network.image_size, network.image_size, network.image_channels)
    if store.shape != wanted:
        raise ArtifactError(f"{dataset}: images are {store.shape}, the network takes {wanted}; prepare them again")
    if network.num_classes not in (None, len(store.classes) + spare):
        raise ArtifactError(
            f"{dataset}: has {len(store.classes)} classes, the network {network.num_classes}; prepare the data again"
        )
    return store
