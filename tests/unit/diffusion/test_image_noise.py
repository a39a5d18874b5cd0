"""Noise that belongs to an image and to nothing else, labels in equal shares, and the way between bytes and floats."""

import logging
import math
import statistics

import numpy as np
import pytest
import torch
from scipy import stats

from eddpm.diffusion.images import to_float, to_uint8
from eddpm.diffusion.noise import ImageNoise, image_labels
from eddpm.io.log import progress
from eddpm.models.device import device_name, pick_device

CPU = torch.device("cpu")
SHAPE = (3, 8, 8)


def draws(seed: int, index, count: int = 2, shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    """The first draws for some images: (B, count, C, H, W)."""
    noise = ImageNoise(seed, index, shape, CPU)
    return torch.stack([noise.draw() for _ in range(count)], dim=1)


# Noise ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [[41], [40, 41, 42], [3, 1, 41], [41, 0], np.arange(30, 50)])
def test_the_noise_of_an_image_is_the_same_in_every_batch_and_order(index):
    place = list(index).index(41)
    assert torch.equal(draws(7, index, count=3)[place], draws(7, [41], count=3)[0])


def test_a_batch_of_eight_is_two_of_four():
    whole = draws(0, range(8))
    assert torch.equal(whole, torch.cat([draws(0, range(4)), draws(0, range(4, 8))]))
    assert torch.equal(whole.flip(0), draws(0, range(7, -1, -1)))


def test_no_two_draws_images_or_seeds_share_a_value():
    values = torch.cat([draws(seed, [0, 1, 2, 10, 2**32, 2**62]).flatten() for seed in (0, 1, 2, 2**32)])
    # Of n floats of about 2^24 values each, a few meet by chance; a shared stream would repeat hundreds at once.
    assert len(values) - len(values.unique()) < 20


def test_seed_and_image_are_not_interchangeable():
    assert not torch.isin(draws(1, [2]), draws(2, [1])).any()
    assert not torch.isin(draws(0, [1]), draws(1, [0])).any()


def test_neither_torch_nor_numpy_seeds_touch_the_noise_and_it_touches_neither():
    expected = draws(3, [5])
    torch.manual_seed(1)
    np.random.seed(1)
    first = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(draws(3, [5]), expected)
    assert (torch.rand(1), np.random.rand()) == first


def test_a_draw_is_float32_of_the_shape_asked_for():
    noise = ImageNoise(0, [4, 5], (1, 2, 3), CPU).draw()
    assert (noise.shape, noise.dtype, noise.device) == ((2, 1, 2, 3), torch.float32, CPU)


def test_the_noise_is_standard_normal():
    values = draws(11, range(400), count=2).double().flatten()
    n = len(values)  # 153,600; each moment has standard error sqrt(var / n) under N(0, 1)
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(values.pow(power).mean() - expected) < 4.5 * math.sqrt(variance / n)
    normal = statistics.NormalDist()
    for z in (-2, -1, 0, 1, 2):
        share = normal.cdf(z)
        assert abs((values < z).double().mean() - share) < 4.5 * math.sqrt(share * (1 - share) / n)


def test_images_draws_and_pixels_are_uncorrelated():
    noise = draws(5, range(2000), count=2, shape=(1, 2, 2)).double()
    by_variable = noise.reshape(2000, 8).T  # 2 draws of 4 pixels, over the images
    for correlations in (torch.corrcoef(by_variable), torch.corrcoef(noise[:8].reshape(8, 8))):
        assert correlations.shape == (8, 8)
    off_diagonal = torch.corrcoef(by_variable) - torch.eye(8)
    assert off_diagonal.abs().max() < 4.5 / math.sqrt(2000)
    neighbours = (noise[1:] * noise[:-1]).mean()  # image i with image i + 1
    assert abs(neighbours) < 4.5 / math.sqrt(noise[1:].numel())


# Labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "classes"), [(1000, 10), (7, 3), (5, 10), (1001, 1000)])
def test_every_class_comes_equally_often_but_for_a_remainder(total, classes):
    counts = np.bincount(image_labels(np.arange(total), classes), minlength=classes)
    assert counts.sum() == total
    assert counts.max() - counts.min() <= 1
    assert len(counts) == classes


def test_the_label_of_an_image_is_the_same_in_every_batch():
    whole = image_labels(np.arange(100), 10)
    picked = np.array([99, 3, 41])
    np.testing.assert_array_equal(image_labels(picked, 10), whole[picked])
    assert whole.dtype == np.int64


@pytest.mark.parametrize("index", [[41], [40, 41, 42], [99, 41, 0], np.arange(30, 50)])
def test_the_random_label_of_an_image_is_the_same_in_every_batch_and_order(index):
    whole = image_labels(np.arange(100), 1000, seed=7)
    np.testing.assert_array_equal(image_labels(np.array(index), 1000, seed=7), whole[index])
    assert whole.dtype == np.int64


def test_random_labels_of_two_seeds_are_those_of_two_draws():
    one, other = (image_labels(np.arange(4000), 10, seed=seed) for seed in (0, 1))
    assert abs((one == other).mean() - 0.1) < 4.5 * math.sqrt(0.09 / 4000)


@pytest.mark.parametrize("classes", [2, 10])
def test_random_labels_are_uniform_and_neighbours_are_independent(classes):
    """Chi-square over the classes, and over the pairs of neighbours."""
    labels = image_labels(np.arange(8000), classes, seed=3)
    for values, cells in ((labels, classes), (labels[::2] * classes + labels[1::2], classes**2)):
        counts = np.bincount(values, minlength=cells)
        expected = len(values) / cells
        statistic = ((counts - expected) ** 2 / expected).sum()
        assert len(counts) == cells
        assert stats.chi2(cells - 1).sf(statistic) > 1e-4
        assert stats.chi2(cells - 1).cdf(statistic) > 1e-4  # balanced labels would be too good


def test_no_random_label_is_read_from_the_noise_of_its_image():
    """The words behind the labels are none of the first ten thousand behind the noise, which has the same key."""
    for i in (0, 41):
        labels = np.random.Philox(key=np.array([5, i], np.uint64), counter=2**192).random_raw(4)
        noise = np.random.Philox(key=np.array([5, i], np.uint64)).random_raw(10_000)
        assert not np.isin(labels, noise).any()
        word = int(labels[0]) & 0xFFFFFFFF  # a label is drawn from 32 bits, by multiplication and shift
        assert image_labels(np.array([i]), 1024, seed=5) == [word >> 22]


# Bytes and floats -------------------------------------------------------------------------------------------------


def to_uint8_exactly(x: float) -> int:
    """((x + 1) * 127.5) clamped and truncated, in double precision."""
    return int(min(max((x + 1) * 127.5, 0.0), 255.0))


def test_floats_become_bytes_by_truncation_and_clamping():
    x = torch.tensor([-9.0, -1.001, -1.0, -0.999, -0.5, 0.0, 0.25, 0.5, 0.999, 1.0, 1.001, 9.0])
    expected = [to_uint8_exactly(value) for value in x.tolist()]
    assert to_uint8(x.reshape(1, 1, 1, -1)).flatten().tolist() == expected
    assert expected == [0, 0, 0, 0, 63, 127, 159, 191, 254, 255, 255, 255]  # 0 is 127.5: truncated, not rounded


def test_bytes_become_floats_from_minus_1_to_1_in_equal_steps():
    x = to_float(torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1)).flatten()
    assert x.dtype == torch.float32
    assert (x[0], x[-1]) == (-1, 1)
    torch.testing.assert_close(x.double(), torch.linspace(-1, 1, 256, dtype=torch.float64), atol=1e-7, rtol=0)


def test_bytes_come_back_from_floats_but_for_one_lost_to_truncation():
    # In float32 (v / 127.5 - 1 + 1) * 127.5 may fall just short of v, and ADM's truncation then takes v - 1.
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    back = to_uint8(to_float(torch.from_numpy(images)))
    lost = images.astype(int) - back
    assert set(lost.flatten()) <= {0, 1}
    assert (lost[images >= 128] == 0).all()  # there, x + 1 rounds no more coarsely than x
    nudged = to_uint8(to_float(torch.from_numpy(images)) + 1e-5)
    np.testing.assert_array_equal(nudged, images)


def test_channels_rows_and_columns_stay_where_they_belong():
    images = np.random.default_rng(0).integers(128, 256, (2, 4, 5, 3), dtype=np.uint8)
    x = to_float(torch.from_numpy(images))
    assert x.shape == (2, 3, 4, 5)
    assert x[1, 2, 3, 4] == images[1, 3, 4, 2] / np.float32(127.5) - 1
    back = to_uint8(x)
    assert back.dtype == np.uint8
    assert back.flags["C_CONTIGUOUS"]
    np.testing.assert_array_equal(back, images)


# The machine ------------------------------------------------------------------------------------------------------


def test_the_device_is_a_gpu_exactly_where_there_is_one():
    assert pick_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert device_name(CPU) == f"cpu, {torch.get_num_threads()} threads"


def test_a_message_is_one_line_with_the_time_and_leaves_standard_output_alone(capsys):
    logging.getLogger("eddpm.stages").info("100 images")
    captured = capsys.readouterr()
    assert captured.out == ""
    clock, _, text = captured.err.partition(" ")
    assert text == "100 images\n"
    assert [len(part) for part in clock.split(":")] == [2, 2, 2]


def test_progress_is_silent_where_there_is_no_terminal_and_gives_every_item(capsys):
    assert list(progress(range(5), unit="batch")) == [0, 1, 2, 3, 4]
    assert capsys.readouterr() == ("", "")
