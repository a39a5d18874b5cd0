"""Where images come from: scikit-learn's digits, a folder or a zip of class folders, or an npz.

A source lists its images without decoding any, and reads them one at a time, in whichever process asks.
"""

import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from eddpm.data.classes import Entry, by_folders, by_prefixes
from eddpm.data.containers import Container, open_container, open_image, own_limits
from eddpm.data.pictures import Picture, convert
from eddpm.data.refusals import hints, refuse_class_count, refuse_loose_names, refuse_no_images, refuse_other_file
from eddpm.data.splits import refuse_splits
from eddpm.errors import ArtifactError, ConfigError, reason_of
from eddpm.io.batches import ImageFile


class Unreadable(Exception):
    """Why an image cannot be read, on one line."""


class Source(ABC):
    """Images with their classes, in an order that depends on their names alone."""

    classes: tuple[str, ...]
    entries: list[Entry]
    not_counted: dict[str, str]  # files among them that are no images: their kinds
    passed_over: dict[str, str]  # what was not looked at, with the reason
    remarks: list[str]  # on what was decided, a line each

    @property
    @abstractmethod
    def origins(self) -> set:
        """Identities of the files that hold images: two sources that share images share some."""

    @abstractmethod
    def _open(self, entry: Entry) -> Image.Image:
        """The image as it is stored; raises whatever Pillow or the file system does."""

    def read(self, entry: Entry, channels: int) -> Picture:
        """The decoded image; as in ADM, alpha is dropped. Raises Unreadable."""
        try:
            with own_limits(), self._open(entry) as image:
                return convert(image, channels)
        except Exception as error:  # of nearly any kind where bytes of the file are damaged
            raise Unreadable(reason_of(error)) from None


class FileSource(Source):
    """Images in class folders, in a folder or a zip; or, by `layout` "prefixes", with their class in their names."""

    def __init__(self, container: Container, layout: str = "folders"):
        self._container = container
        self.listing = by_prefixes(container) if layout == "prefixes" else by_folders(container)
        self.classes, self.entries = self.listing.classes, self.listing.entries
        self.not_counted, self.remarks = self.listing.not_counted, self.listing.remarks
        self.passed_over = container.passed_over

    @property
    def origins(self) -> set:
        return self._container.origins

    def _open(self, entry: Entry) -> Image.Image:
        return open_image(self._container.read(entry.name))


class ArraySource(Source):
    """Images uint8 (N, H, W, C) in memory, named by their number, of which labels (N,) number the classes."""

    not_counted, passed_over = {}, {}

    def __init__(self, images: np.ndarray, labels: np.ndarray, origin: str, remarks: Iterable[str] = ()):
        self._images, self._origin, self.remarks = images, origin, list(remarks)
        self.classes = tuple(str(label) for label in range(labels.max(initial=-1) + 1))
        stamps = ((zlib.crc32(np.ascontiguousarray(image)),) for image in images)
        self.entries = [Entry(str(i), int(labels[i]), stamp) for i, stamp in enumerate(stamps)]

    @property
    def origins(self) -> set:
        return {self._origin}

    def _open(self, entry: Entry) -> Image.Image:
        image = self._images[int(entry.name)]
        return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


# Opening ----------------------------------------------------------------------------------------------------------


def open_source(source: str, num_classes: int, layout: str = "folders") -> Source:
    """The images that `source` names. Raises ArtifactError if there are none, ConfigError for another class count."""
    path = Path(source)
    if source != "digits" and (container := open_container(path)):
        found = FileSource(container, layout)
        listing = found.listing
        refuse_splits(source, listing, layout)
        if layout == "prefixes":
            refuse_loose_names(source, listing)
        if not found.entries:
            refuse_no_images(source, listing)
        refuse_class_count(source, found.classes, found.entries, num_classes, hints(listing, num_classes))
        return found
    if layout != "folders":
        raise ConfigError(f"dataset.classes: '{layout}' is for the names of files, and '{source}' holds none; drop it")
    if source == "digits":
        found = _digits()
    elif path.suffix.lower() == ".npz":
        found = _npz(path)
    else:
        refuse_other_file(source)
    refuse_class_count(source, found.classes, found.entries, num_classes, "")
    return found


def _digits() -> ArraySource:
    """The 1,797 scanned digits of scikit-learn, 8x8 with values 0..16, spread over 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    return ArraySource(images, digits.target, "digits")


def _npz(path: Path) -> ArraySource:
    """Raises ArtifactError where images lie otherwise than `ImageFile` reads them, or labels do not number classes."""
    file = ImageFile(path)
    labels = file.labels
    if labels is None:
        raise ArtifactError(
            f"{path}: has no labels beside its images; save the class of each as arr_1, integers from 0"
        )
    found = np.unique(labels)
    if (found != np.arange(len(found))).any():
        raise ArtifactError(
            f"{path}: its labels are {found[0]} to {found[-1]}; number the classes from 0 without a gap:"
            " save numpy.unique(labels, return_inverse=True)[1]"
        )
    return ArraySource(np.concatenate(list(file.batches())), labels, os.path.realpath(path), file.notes)
