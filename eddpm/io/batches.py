"""Batches of images in files, as ADM's sample batches: `arr_0` images uint8 (N, H, W, C), `arr_1` int64 labels.

Other arrays are taken where no pixel has to be guessed; else the refusal names what they are.
"""

import zipfile
from collections.abc import Iterable, Iterator
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eddpm.errors import ArtifactError
from eddpm.io.arrays import Arrays, Header, open_arrays, write_npz
from eddpm.io.files import atomic

_LABELS = ("arr_1", "labels", "label", "y", "y_train", "targets", "arr_0")  # names of labels, the likeliest first


LARGEST_IMAGE = 2**30  # bytes, and of as many images as are read together


class Samples(NamedTuple):
    """Images with their classes and numbers."""

    images: np.ndarray  # uint8 (N, H, W, C)
    labels: np.ndarray  # int64 (N,)
    extras: dict[str, np.ndarray]  # further arrays of the file, such as `index`, the numbers of a run's images


def write_samples(path: Path, samples: Samples) -> None:
    write_npz(path, arr_0=samples.images, arr_1=samples.labels, **samples.extras)


def write_sample_batch(path: Path, shape: tuple[int, ...], batches: Iterable[np.ndarray], **arrays: np.ndarray) -> None:
    """Write `arrays`, and as `arr_0` images uint8 `shape` (N, H, W, C) which come in batches, never all at once."""
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open("arr_0.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            written = sum(member.write(np.ascontiguousarray(images).data) for images in batches)
            assert written == np.prod(shape), f"{path}: {written} bytes for images of {shape}"
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


class StatisticsAlone(ArtifactError):
    """A file of statistics (mu, sigma) where images are needed."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path}: holds statistics (mu, sigma), no images; give images: statistics alone serve as --reference of"
            " `eddpm evaluate` only"
        )
        self.path = path


class ImageFile:
    """The images of a sample batch, read a few at a time: a batch of 50 000 need not fit in memory."""

    def __init__(self, path: Path):
        """Reads headers. Raises ArtifactError unless `arr_0`, or the only array of three axes or more, holds images:
        bytes uint8 (N, H, W, C) or (N, H, W), N > 0."""
        self.path = path
        with open_arrays(path, single="arr_0") as arrays:
            self._name = _images_of(arrays)
            header = arrays.headers[self._name]
        _refuse_other_images(path, self._name, header)
        if not prod(header.shape):
            raise ArtifactError(f"{path}: {self._name} {header.shape} holds no images; is it the right file?")
        if prod(header.shape[1:]) > LARGEST_IMAGE:
            raise ArtifactError(f"{path}: {self._name} {header.shape} is of images too large to measure; reduce them")
        if header.is_fortran:
            raise ArtifactError(f"{path}: {self._name} lies in Fortran order; save numpy.ascontiguousarray of it")
        is_grey = len(header.shape) == 3
        self._count, self.shape = header.shape[0], (*header.shape[1:3], 1 if is_grey else header.shape[3])  # (H, W, C)
        taken = "" if self._name == "arr_0" else f"the images are its array '{self._name}'"
        grey = f"{header.shape} is taken as (N, H, W), grey" if is_grey else ""
        self.notes = tuple(filter(None, (taken, grey)))  # what was decided of them, for the log

    def __len__(self) -> int:
        return self._count

    @property
    def labels(self) -> np.ndarray | None:
        """The labels beside the images, int64 (N,); None without any. ArtifactError where they are something else."""
        with open_arrays(self.path, single="arr_0") as arrays:
            name = next((name for name in _LABELS if name in arrays and name != self._name), None)
            return name and _labels(arrays, name, len(self))

    def batches(self, size: int = 100) -> Iterator[np.ndarray]:
        """All images in order, uint8 (size, H, W, C) at a time, the last batch as many as remain."""
        image_bytes = prod(self.shape)
        size = max(1, min(size, LARGEST_IMAGE // image_bytes))
        with open_arrays(self.path, single="arr_0") as arrays, arrays.stream(self._name) as data:
            for start in range(0, len(self), size):
                wanted = min(size, len(self) - start)
                images = data.read(wanted * image_bytes)
                if len(images) < wanted * image_bytes:
                    raise EOFError(f"{self._name} ends within image {start + len(images) // image_bytes}")
                # Copied, since torch asks for writable arrays.
                yield np.frombuffer(images, np.uint8).reshape(wanted, *self.shape).copy()


# Arrays that are taken for images, or for labels ------------------------------------------------------------------


def _images_of(arrays: Arrays) -> str:
    """The name of the array that holds the images. Raises ArtifactError where that is not certain."""
    likely = [name for name, header in arrays.headers.items() if len(header.shape) >= 3]
    if "arr_0" in likely:
        return "arr_0"
    if len(likely) == 1:
        return likely[0]
    if likely:
        raise ArtifactError(
            f"{arrays.path}: the images may be {' or '.join(likely)}; save those that are meant as 'arr_0'"
        )
    if "mu" in arrays or "sigma" in arrays:
        raise StatisticsAlone(arrays.path)
    arrays.require("arr_0")
    return "arr_0"


def _refuse_other_images(path: Path, name: str, header: Header) -> None:
    """Raises ArtifactError, which names what the array is and how it is mended, unless it is bytes of images."""
    remedies = [remedy for remedy in (_byte_remedy(header.dtype), _axes_remedy(header.shape)) if remedy]
    if header.dtype.kind not in "fbiu":
        remedies = remedies[:1]
    if remedies:
        how = " and ".join(remedies).replace("IMAGES", name)
        raise ArtifactError(f"{path}: {name} is {header}, not uint8 (N, H, W, C); {how}")


def _byte_remedy(dtype: np.dtype) -> str | None:
    """How arrays of this type become bytes; None where they are."""
    if dtype == np.uint8:
        return None
    if dtype.hasobject:
        return "it is of Python objects, which are never loaded: save numpy.stack of images of one size"
    if dtype.kind == "f":
        return (
            "make values in [-1, 1] bytes by ((IMAGES + 1) * 127.5).clip(0, 255).astype('uint8'), as ADM does, and"
            " values in [0, 1] by (IMAGES * 255).round().clip(0, 255).astype('uint8')"
        )
    if dtype.kind == "b":
        return "make black and white bytes by (IMAGES * 255).astype('uint8')"
    if dtype.kind in "iu":
        return "make values in 0..255 bytes by IMAGES.astype('uint8'), and 16 bits by (IMAGES // 257).astype('uint8')"
    return "these are no images; is it the right array?"


def _axes_remedy(shape: tuple[int, ...]) -> str | None:
    """How an array of this shape becomes (N, H, W, C) with 1 or 3 channels, or (N, H, W); None where it is that."""
    if len(shape) == 3:
        is_one = shape[2] in (1, 2, 3, 4)
        return "it is one image (H, W, C): numpy.stack all of them" if is_one else None
    if len(shape) != 4:
        return "give it the axes of images: IMAGES.reshape(-1, height, width, channels)"
    if shape[3] in (1, 3):
        return None
    if shape[3] in (2, 4):
        return f"drop alpha: IMAGES[..., :{shape[3] - 1}]"
    if shape[1] in (1, 2, 3, 4):
        return "its axes are (N, C, H, W): save IMAGES.transpose(0, 2, 3, 1)"
    return f"images of {shape[3]} channels are not known: make them 1 (grey) or 3 (RGB), the last axis"


def _labels(arrays: Arrays, name: str, count: int) -> np.ndarray:
    """Labels as int64 (count,). Raises ArtifactError, which names what they are instead."""
    header = arrays.headers[name]
    if header.shape == (count,) and header.dtype.kind in "iu":
        return arrays[name].astype(np.int64)
    remedy = "save the class of each image as a number"
    if len(header.shape) == 2 and header.shape[0] == count:
        remedy = f"save {name}[:, 0]" if header.shape[1] == 1 else f"save {name}.argmax(axis=1) of one-hot labels"
    raise ArtifactError(
        f"{arrays.path}: {name} is {header}, not one integer label for each of {count} images; {remedy}"
    )
