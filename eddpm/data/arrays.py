"""Data sets that are arrays: scikit-learn's digits, and npz files as the project reads them."""

import math
from pathlib import Path

import numpy as np

from eddpm.artifacts import read_npz
from eddpm.errors import ArtifactError
from eddpm.filekinds import refuse_impostor
from eddpm.paths import listed

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 (N, H, W, C), labels int64 (N,)


def read_digits() -> Arrays:
    """The 1,797 scanned digits of scikit-learn, 8x8 with values 0..16, spread over 0..255."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None], digits.target


def read_arrays(path: Path) -> Arrays:
    """The images and labels of an npz. Raises ArtifactError where they lie otherwise, with what there is."""
    refuse_impostor(path)
    arrays = read_npz(path)
    for key in ("arr_0", "arr_1"):
        if key not in arrays:
            there = listed(f"{name} {array.dtype} {array.shape}" for name, array in arrays.items()) or "nothing"
            raise ArtifactError(
                f"{path}: has no array '{key}', but {there}; save the images as arr_0, uint8 (N, H, W, C), and their"
                " labels as arr_1, integers (N,): numpy.savez(path, arr_0=images, arr_1=labels)"
            )
    images, labels = arrays["arr_0"], arrays["arr_1"]
    if reason := _other_images(images):
        raise ArtifactError(f"{path}: arr_0 {reason}")
    if reason := _other_labels(labels, len(images)):
        raise ArtifactError(f"{path}: arr_1 {reason}")
    return images.reshape(*images.shape[:3], -1), labels.astype(np.int64)


def _other_images(images: np.ndarray) -> str | None:
    """What images are that are no uint8 (N, H, W), which is grey, or (N, H, W, C), and how to save them; else None."""
    shape, is_ = images.shape, f"is {images.dtype} {images.shape}, not uint8 (N, H, W, C)"
    if not images.size:
        return f"is {images.dtype} {shape}, without images; save some"
    if images.ndim == 2 and (side := math.isqrt(shape[1])) ** 2 == shape[1]:
        return f"{is_}; an image is a row: save {_as_bytes(images, f'images.reshape(-1, {side}, {side})')}"
    if images.ndim not in (3, 4):
        return f"{is_}; save one image for each label"
    if images.ndim == 4 and shape[-1] not in (1, 3):
        if shape[1] in (1, 3):
            return f"{is_}; channels come second: save {_as_bytes(images, 'images.transpose(0, 2, 3, 1)')}"
        return f"has {shape[-1]} channels; make them 1 or 3" + ", without alpha" * (shape[-1] in (2, 4))
    return f"{is_}; save {_as_bytes(images)}" if images.dtype != np.uint8 else None


def _as_bytes(images: np.ndarray, saved: str = "images") -> str:
    """The expression that turns `saved` to uint8, by the range of the values of the images."""
    if images.dtype == np.uint8:
        return saved
    if images.dtype.kind not in "biuf" or not np.isfinite(images).all():
        return f"{saved} as numbers from 0 to 255"
    low, high = images.min(), images.max()
    if images.dtype.kind in "iu" and low >= 0 and high <= 255 and high > 1:
        return f"{saved}.astype('uint8')"
    if low >= 0:
        scaled = f"{saved} * 255" if high <= 1 else saved if high <= 255 else f"{saved} * (255 / {high:g})"
    else:
        scaled = (
            f"({saved} + 1) * 127.5" if low >= -1 and high <= 1 else f"({saved} - ({low:g})) * (255 / {high - low:g})"
        )
    return f"({scaled}).round().astype('uint8')"


def _other_labels(labels: np.ndarray, count: int) -> str | None:
    """What is wrong with labels, and the remedy; None where they are integers 0 to C - 1, one for each image."""
    is_, numbers = f"is {labels.dtype} {labels.shape}", "numpy.unique(labels, return_inverse=True)[1]"
    if labels.dtype.kind in "US" and labels.size:
        return f"{is_}, such as {str(labels.flat[0])!r}; number the classes from 0: save {numbers}"
    if labels.ndim == 2 and len(labels) == count:
        remedy = "labels[:, 0]" if labels.shape[1] == 1 else "labels.argmax(axis=1), if they are one-hot"
        return f"{is_}, not one label for each image; save {remedy}"
    if labels.shape != (count,):
        return f"{is_}, not one label for each of {count} images; save as many"
    if labels.dtype.kind not in "iu":
        return f"{is_}, not integers; save labels.astype('int64')"
    found = np.unique(labels)
    if (found != np.arange(len(found))).any():
        return f"holds {found[0]} to {found[-1]}; number the classes from 0 without a gap: save {numbers}"
    return None
