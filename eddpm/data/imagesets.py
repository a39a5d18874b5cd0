"""Images to be measured: a batch, a folder or a zip of pictures, shards, a prepared data set.

Each has `path`, `shape` (H, W, C), a length, `batches`, `labels` (None without any), and `notes` for the log.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eddpm.data.containers import open_container
from eddpm.data.imagefolder import Pictures
from eddpm.data.pictures import is_image
from eddpm.data.store import Store
from eddpm.errors import ArtifactError
from eddpm.io.batches import ImageFile, StatisticsAlone
from eddpm.io.filekinds import SPECIAL, kind_of, refuse_impostor
from eddpm.io.names import shown


class Joined:
    """Several batches as one, such as the shards of a run."""

    def __init__(self, path: Path, parts: list["Images"]):
        """Raises ArtifactError where the images of one differ from the others' in size or channels."""
        self.path, self._parts, self.shape = path, parts, parts[0].shape
        for part in parts:
            refuse_unlike(part, parts[0])
        together = f"its images are those of {parts[0].path.name} to {parts[-1].path.name}, {len(parts)} files"
        self.notes = (together, *dict.fromkeys(note for part in parts for note in part.notes))

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    @property
    def labels(self) -> np.ndarray | None:
        labels = [part.labels for part in self._parts]
        return None if any(of_part is None for of_part in labels) else np.concatenate(labels)

    def batches(self, size: int = 100) -> Iterator[np.ndarray]:
        """All images in order, uint8 (n, H, W, C) at a time."""
        for part in self._parts:
            yield from part.batches(size)


Images = ImageFile | Pictures | Joined | Store


def open_images(path: Path) -> Images:
    """Images of an npz or npy, a folder or a zip of pictures, a folder of npz shards, or a dataset.json (its training
    images), read a few at a time. Raises ArtifactError where it is something else; StatisticsAlone for an npz of these.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return Store(path, "train")
    container = open_container(path)
    if container is None:
        return _open_file(path)
    arrays = sorted(filter(_is_array, container.files))
    if arrays and any(map(is_image, container.files)):
        raise ArtifactError(
            f"{path}: holds images and arrays ({arrays[0]}); name a folder with one of the two, or a file"
        )
    if not arrays:
        return Pictures(path, container)
    if path.is_dir():
        for name, why in container.passed_over.items():
            if why == SPECIAL and _is_array(name):
                raise ArtifactError(f"{path}: {shown(name)} is {why}; name a folder of files alone")
        return _open_arrays(path, arrays)
    if not all(name.lower().endswith(".npy") for name in arrays):
        raise ArtifactError(f"{path}: is a zip of arrays ({arrays[0]}); unpack it, and name the folder")
    return ImageFile(path)  # an npz by another name


def _is_array(name: str) -> bool:
    return name.lower().endswith((".npz", ".npy"))


def _open_arrays(folder: Path, names: list[str]) -> Images:
    """A folder with npz files, such as the shards of a run."""
    if (folder / "dataset.json").exists():
        raise ArtifactError(f"{folder}: is a prepared data set; name its dataset.json")
    inside = [name for name in names if "/" not in name]
    if not inside:
        raise ArtifactError(f"{folder}: holds arrays in folders only ({names[0]}); name the folder that they lie in")
    if len(inside) == 1:
        return ImageFile(folder / inside[0])
    try:
        return Joined(folder, [ImageFile(folder / name) for name in inside])
    except StatisticsAlone as alone:
        raise ArtifactError(f"{folder}: holds statistics ({alone.path.name}) beside others; name one file") from None


def _open_file(path: Path) -> ImageFile:
    kind = kind_of(refuse_impostor(path))
    if kind not in ("a zip archive", "a single array (.npy)"):
        raise ArtifactError(f"{path}: is {kind}; give images as npz, npy, a folder, a zip, or a dataset.json")
    return ImageFile(path)


def refuse_unlike(images: Images, others: Images) -> None:
    """Raises ArtifactError where images differ from others in size or channels: no number would compare them."""
    if images.shape != others.shape:
        raise ArtifactError(
            f"{images.path}: images are {images.shape}, those of {others.path} {others.shape} (height, width,"
            " channels); bring both to one size, and both to grey or both to RGB"
        )
