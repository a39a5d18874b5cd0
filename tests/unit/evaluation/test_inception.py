"""TensorFlow 1's resizing, which feeds the Inception network."""

import numpy as np
import pytest
import torch

from eddpm.evaluation.inception import resize_tf1


def tf1_pixel_by_pixel(image, size):
    """float32 (H, W) -> (size, size), each output pixel by itself, as TensorFlow 1's kernel orders the arithmetic."""
    height, width = image.shape
    out = np.empty((size, size), np.float32)
    for i in range(size):
        y = np.float32(i) * (np.float32(height) / np.float32(size))
        above, below = int(y), min(int(y) + 1, height - 1)
        for j in range(size):
            x = np.float32(j) * (np.float32(width) / np.float32(size))
            left, right = int(x), min(int(x) + 1, width - 1)
            across = x - np.float32(left)
            top = image[above, left] + (image[above, right] - image[above, left]) * across
            bottom = image[below, left] + (image[below, right] - image[below, left]) * across
            out[i, j] = top + (bottom - top) * (y - np.float32(above))
    return out


@pytest.mark.parametrize(("height", "width", "size"), [(37, 50, 19), (1, 3, 10)])
def test_resizing_is_tf1s_bit_for_bit(height, width, size):
    # Neither clipped nor rounded.
    image = np.random.default_rng(0).uniform(-50, 300, (height, width)).astype(np.float32)
    found = resize_tf1(torch.from_numpy(image)[None, None], size)
    assert found.dtype == torch.float32
    assert np.array_equal(found[0, 0].numpy(), tf1_pixel_by_pixel(image, size))
