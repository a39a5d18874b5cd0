"""ADM's crops: the centre for evaluation; for training a random square of the image, perhaps mirrored."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

MIN_CROP = 0.8  # the least share of the short side that a random crop takes


def center_crop(image: Image.Image, size: int) -> np.ndarray:
    """The middle square of the image at the scale where its short side is `size`: uint8 (size, size[, C])."""
    image = _resize(image, size)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return np.asarray(image.crop((left, top, left + size, top + size)))


def keep_whole(image: Image.Image, size: int) -> np.ndarray:
    """All of the image, no larger than `random_crop` to `size` makes use of: uint8 (h, w[, C])."""
    return np.asarray(_resize(image, min(longest_side(size), *image.size)))


def longest_side(size: int) -> int:
    """The largest length to which a random crop to `size` scales the short side."""
    return math.ceil(size / MIN_CROP)


def _resize(image: Image.Image, short: int) -> Image.Image:
    """To a short side of `short` as in ADM: halve by box filter while twice too large, the rest bicubic."""
    while min(image.size) >= 2 * short:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    ratio = short / min(image.size)
    return image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)


def random_crop(image: np.ndarray, size: int, draws: Sequence[float]) -> np.ndarray:
    """ADM's random crop of uint8 (h, w, C) to (size, size, C).

    `draws` are three numbers of [0, 1): the length of the short side, uniform in size .. size / 0.8, and the place of
    the square, from the top and from the left.
    """
    from torch import from_numpy  # only training needs it; several times as fast as Pillow
    from torch.nn.functional import interpolate

    short = size + int(draws[0] * (longest_side(size) - size + 1))
    height, width = (round(side * short / min(image.shape[:2])) for side in image.shape[:2])
    scaled = interpolate(from_numpy(image).permute(2, 0, 1)[None], size=(height, width), mode="bicubic", antialias=True)
    top, left = int(draws[1] * (height - size + 1)), int(draws[2] * (width - size + 1))
    return scaled[0, :, top : top + size, left : left + size].permute(1, 2, 0).numpy()
