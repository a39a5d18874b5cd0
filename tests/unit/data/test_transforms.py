"""Crops against their definitions: exact where nothing is interpolated, else against bicubic by the book."""

import numpy as np
import pytest
from pictures import random_picture
from PIL import Image

from eddpm.data.transforms import center_crop, keep_whole, random_crop


def bicubic(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Keys' kernel with a = -1/2, widened by the factor of shrinking and normed; bytes after each of both passes."""
    for axis, length in ((1, width), (0, height)):
        factor = pixels.shape[axis] / length
        centres = (np.arange(length)[:, None] + 0.5) * factor - 0.5
        x = np.abs(np.arange(pixels.shape[axis]) - centres) / max(factor, 1)
        weights = np.where(x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2) * (x < 2)
        weights /= weights.sum(axis=1, keepdims=True)
        pixels = np.rint(np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)).clip(0, 255)
    return pixels


def distance(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max()


@pytest.mark.parametrize("factor", [2, 8])
def test_a_picture_larger_by_a_power_of_two_becomes_the_means_of_its_blocks(factor):
    # Each block is a constant, so its mean is exact however often it is rounded on the way.
    blocks = random_picture(6, 10)
    pixels = blocks.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(center_crop(Image.fromarray(pixels), 6), blocks[:, 2:8])


@pytest.mark.parametrize(("height", "width"), [(13, 9), (9, 15), (5, 7)])
def test_what_remains_after_halving_is_bicubic(height, width):
    pixels = random_picture(height, width)
    ratio = 8 / min(height, width)
    scaled = bicubic(pixels.astype(float), round(height * ratio), round(width * ratio))
    top, left = (scaled.shape[0] - 8) // 2, (scaled.shape[1] - 8) // 2
    assert distance(center_crop(Image.fromarray(pixels), 8), scaled[top : top + 8, left : left + 8]) <= 1


def test_a_large_picture_is_halved_first_and_then_scaled():
    pixels = random_picture(40, 52)
    halved = pixels.astype(float)
    for _ in range(2):  # 40 and 20 are twice 8 or more, 10 is not
        halved = (halved[:, ::2] + halved[:, 1::2] + 1) // 2
        halved = (halved[::2] + halved[1::2] + 1) // 2
    assert distance(center_crop(Image.fromarray(pixels), 8), bicubic(halved, 8, 10)[:, 1:9]) <= 1


@pytest.mark.parametrize(("height", "width"), [(8, 8), (100, 37), (1, 20)])
def test_any_picture_becomes_a_square_of_the_size_and_a_plain_one_stays_plain(height, width):
    plain = np.full((height, width, 3), (200, 100, 7), dtype=np.uint8)
    found = center_crop(Image.fromarray(plain), 8)
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)
    assert (found == plain[0, 0]).all()


@pytest.mark.parametrize(("height", "width"), [(40, 70), (33, 50), (12, 9)])
def test_a_picture_that_a_random_crop_would_never_shrink_is_kept_as_it_is(height, width):
    pixels = random_picture(height, width)  # up to 40 pixels for crops of 32, which are 0.8 of it
    np.testing.assert_array_equal(keep_whole(Image.fromarray(pixels), 32), pixels)


@pytest.mark.parametrize(("height", "width", "kept"), [(41, 82, (40, 80)), (300, 205, (59, 40))])
def test_a_larger_picture_keeps_the_pixels_of_the_widest_random_crop(height, width, kept):
    found = keep_whole(Image.fromarray(random_picture(height, width)), 32)
    assert found.shape == (*kept, 3)
    # Its middle is the centre crop of that size.
    top, left = (kept[0] - 40) // 2, (kept[1] - 40) // 2
    middle = center_crop(Image.fromarray(random_picture(height, width)), 40)
    np.testing.assert_array_equal(found[top : top + 40, left : left + 40], middle)


LAST = 1 - 2**-32  # the largest number that can be drawn


@pytest.mark.parametrize("draws", [(0.99, 0, 0), (0.5, 0.2, 0.7), (LAST, LAST, 0)])
@pytest.mark.parametrize(("height", "width"), [(40, 53), (47, 40), (20, 33)])
def test_a_random_crop_is_cut_from_the_picture_scaled_as_by_the_book(height, width, draws):
    pixels = random_picture(height, width)
    short = 32 + int(draws[0] * 9)
    scaled = bicubic(pixels.astype(float), *(round(side * short / min(height, width)) for side in (height, width)))
    top, left = (int(draw * (side - 31)) for draw, side in zip(draws[1:], scaled.shape[:2], strict=True))
    found = random_crop(pixels, 32, draws)
    assert found.dtype == np.uint8
    assert distance(found, scaled[top : top + 32, left : left + 32]) <= 1
