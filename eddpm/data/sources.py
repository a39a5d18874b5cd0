"""Where images come from: scikit-learn's digits, a folder or a zip of class folders, or an npz.

A source lists its images without decoding any, and reads them one at a time, in whichever process asks.
"""

import zlib
from abc import ABC, abstractmethod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from eddpm.batches import read_samples
from eddpm.data.containers import Container, is_image, open_container, open_image
from eddpm.errors import ArtifactError, ConfigError


class Entry(NamedTuple):
    """An image of a source, as yet unread."""

    name: str  # within the source, folders divided by "/"
    label: int
    stamp: tuple[int, ...]  # differs where the bytes may differ


class Unreadable(Exception):
    """Why an image cannot be read, on one line."""


class Source(ABC):
    """Images with their classes, in an order that depends on their names alone."""

    classes: tuple[str, ...]
    entries: list[Entry]

    @abstractmethod
    def _open(self, entry: Entry) -> Image.Image:
        """The image as it is stored; raises whatever Pillow or the file system does."""

    def read(self, entry: Entry, channels: int) -> Image.Image:
        """The decoded image, of mode L (1 channel) or RGB (3); as in ADM, alpha is dropped. Raises Unreadable."""
        try:
            with self._open(entry) as image:
                if image.mode[0] in "IF":  # convert() would clip these, not scale them
                    raise ValueError(f"mode {image.mode} has more than 8 bits per channel")
                if image.mode == "P" and "transparency" in image.info:
                    image = image.convert("RGBA")  # since Pillow warns where it is dropped in one step
                return image.convert("L" if channels == 1 else "RGB")
        except UnidentifiedImageError:
            raise Unreadable("not an image of any known format") from None
        except Exception as error:  # of nearly any kind where bytes of the file are damaged
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Unreadable(" ".join(reason.split())) from None


class FileSource(Source):
    """Images in class folders, in a folder or a zip."""

    def __init__(self, container: Container):
        self._container = container
        self.classes, self.entries = _sort_into_classes(container.files)

    def _open(self, entry: Entry) -> Image.Image:
        return open_image(self._container.read(entry.name))


class ArraySource(Source):
    """Images uint8 (N, H, W, C) in memory, named by their number, of which labels (N,) number the classes."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        self._images = images
        self.classes = tuple(str(label) for label in range(labels.max(initial=-1) + 1))
        stamps = ((zlib.crc32(np.ascontiguousarray(image)),) for image in images)
        self.entries = [Entry(str(i), int(labels[i]), stamp) for i, stamp in enumerate(stamps)]

    def _open(self, entry: Entry) -> Image.Image:
        image = self._images[int(entry.name)]
        return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


# Listing ----------------------------------------------------------------------------------------------------------


def _sort_into_classes(files: dict[str, tuple[int, ...]]) -> tuple[tuple[str, ...], list[Entry]]:
    """The sorted names of the class folders, and the images within them, sorted. Images in no folder do not count.

    `files` holds stamps by name. A folder that all class folders lie in, as people pack them, is no class itself.
    """
    inner, depth, classes = [name.split("/") for name in files if is_image(name)], -1, []
    while len(classes) <= 1 and (inner := [path for path in inner if len(path) > depth + 2]):
        depth, paths = depth + 1, sorted(inner)
        classes = list(dict.fromkeys(path[depth] for path in paths))
    if not classes:
        return (), []
    labels = {name: label for label, name in enumerate(classes)}
    named = (("/".join(path), labels[path[depth]]) for path in paths)
    return tuple(classes), [Entry(name, label, files[name]) for name, label in named]


# Opening ----------------------------------------------------------------------------------------------------------


def open_source(source: str, num_classes: int) -> Source:
    """The images that `source` names. Raises ArtifactError if there are none, ConfigError for another class count."""
    path = Path(source)
    if source == "digits":
        found = _digits()
    elif container := open_container(path):
        found = FileSource(container)
    elif path.suffix.lower() == ".npz":
        found = _npz(path)
    else:
        kind = "is no folder, .zip or .npz" if path.exists() else "does not exist"
        raise ArtifactError(f"dataset '{source}': {kind}; give one folder of images per class, their zip, or an npz")
    if not found.entries:
        raise ArtifactError(f"dataset '{source}': holds no images in class folders; check it")
    if len(found.classes) != num_classes:
        raise ConfigError(
            f"dataset '{source}': has {len(found.classes)} classes, but num_classes is {num_classes}; change either"
        )
    return found


def _digits() -> ArraySource:
    """The 1,797 scanned digits of scikit-learn, 8x8 with values 0..16, spread over 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return ArraySource(np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target)


def _npz(path: Path) -> ArraySource:
    images, labels, _ = read_samples(path)
    if images.shape[-1] not in (1, 3):
        raise ArtifactError(f"{path}: arr_0 has {images.shape[-1]} channels; make them 1 or 3")
    found = np.unique(labels)
    if (found != np.arange(len(found))).any():
        raise ArtifactError(f"{path}: arr_1 holds {found[0]} to {found[-1]}; number the classes from 0 without a gap")
    return ArraySource(images, labels)
