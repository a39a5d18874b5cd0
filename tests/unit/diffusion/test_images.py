"""The way between bytes and floats."""

import numpy as np
import torch

from eddpm.diffusion.images import to_float, to_uint8


def test_floats_become_bytes_by_truncation_and_clamping():
    x = torch.tensor([-9.0, -1.001, -1.0, -0.999, -0.5, 0.0, 0.25, 0.5, 0.999, 1.0, 1.001, 9.0])
    expected = [0, 0, 0, 0, 63, 127, 159, 191, 254, 255, 255, 255]  # 0 is 127.5: truncated, not rounded
    assert to_uint8(x.reshape(1, 1, 1, -1)).flatten().tolist() == expected


def test_bytes_become_floats_from_minus_1_to_1_in_equal_steps():
    x = to_float(torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)).flatten()
    assert x.dtype == torch.float32
    assert (x[0], x[-1]) == (-1, 1)
    torch.testing.assert_close(x.double(), torch.linspace(-1, 1, 256, dtype=torch.float64), atol=1e-7, rtol=0)


def test_bytes_come_back_from_floats_but_for_one_lost_to_truncation():
    # In float32 (v / 127.5 - 1 + 1) * 127.5 may fall just short of v, and ADM's truncation then takes v - 1.
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    lost = images.astype(int) - to_uint8(to_float(torch.from_numpy(images)))
    assert set(lost.flatten()) <= {0, 1}
    assert (lost[images >= 128] == 0).all()  # there, x + 1 rounds no more coarsely than x


def test_channels_rows_and_columns_stay_where_they_belong():
    images = np.random.default_rng(0).integers(128, 256, (2, 4, 5, 3), dtype=np.uint8)
    x = to_float(torch.from_numpy(images))
    assert x.shape == (2, 3, 4, 5)
    assert x[1, 2, 3, 4] == images[1, 3, 4, 2] / np.float32(127.5) - 1
    np.testing.assert_array_equal(to_uint8(x), images)
