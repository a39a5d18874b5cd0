"""Noise, labels and timesteps by address: the same in every batch, and distributed as they should be."""

import math
import statistics

import numpy as np
import pytest
import torch
from scipy import stats

from eddpm.diffusion.noise import ImageNoise, draw, image_labels, row_fractions, torch_seed

CPU = torch.device("cpu")


def draws(seed: int, index, count: int = 2, shape: tuple[int, ...] = (3, 8, 8)) -> torch.Tensor:
    """The first draws for some images: (B, count, C, H, W)."""
    noise = ImageNoise(seed, index, shape, CPU)
    return torch.stack([noise.draw() for _ in range(count)], dim=1)


# Noise of images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [[41], [40, 41, 42], [3, 1, 41], [41, 0], np.arange(30, 50)])
def test_the_noise_of_an_image_is_the_same_in_every_batch_and_order(index):
    place = list(index).index(41)
    assert torch.equal(draws(7, index, count=3)[place], draws(7, [41], count=3)[0])


def test_no_two_draws_images_or_seeds_share_a_value():
    values = torch.cat([draws(seed, [0, 1, 2, 10, 2**32, 2**62]).flatten() for seed in (0, 1, 2, 2**32)])
    # Of n floats of about 2^24 values each, a few meet by chance; a shared stream would repeat hundreds at once.
    assert len(values) - len(values.unique()) < 20


def test_neither_torch_nor_numpy_seeds_touch_the_noise_and_it_touches_neither():
    expected = draws(3, [5])
    torch.manual_seed(1)
    np.random.seed(1)
    first = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    assert torch.equal(draws(3, [5]), expected)
    assert (torch.rand(1), np.random.rand()) == first


def test_the_noise_is_standard_normal():
    values = draws(11, range(400)).double().flatten()
    n = len(values)  # 153,600; each moment has standard error sqrt(var / n) under N(0, 1)
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(values.pow(power).mean() - expected) < 4.5 * math.sqrt(variance / n)
    normal = statistics.NormalDist()
    for z in (-2, -1, 0, 1, 2):
        share = normal.cdf(z)
        assert abs((values < z).double().mean() - share) < 4.5 * math.sqrt(share * (1 - share) / n)


def test_images_draws_pixels_and_random_labels_are_uncorrelated():
    noise = draws(5, range(2000), shape=(1, 2, 2)).double()
    label = torch.from_numpy(image_labels(np.arange(2000), 2, seed=5)).double()[None]
    by_variable = torch.cat([noise.reshape(2000, 8).T, label])  # 2 draws of 4 pixels, and the label, over the images
    off_diagonal = torch.corrcoef(by_variable) - torch.eye(9)
    assert off_diagonal.abs().max() < 4.5 / math.sqrt(2000)
    neighbours = (noise[1:] * noise[:-1]).mean()  # image i with image i + 1
    assert abs(neighbours) < 4.5 / math.sqrt(noise[1:].numel())


# Labels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "classes"), [(1000, 10), (7, 3), (5, 10), (1001, 1000)])
def test_every_class_comes_equally_often_but_for_a_remainder(total, classes):
    counts = np.bincount(image_labels(np.arange(total), classes), minlength=classes)
    assert (counts.sum(), len(counts)) == (total, classes)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("index", [[41], [99, 41, 0], np.arange(30, 50)])
def test_the_label_of_an_image_is_the_same_in_every_batch_and_order(index, seed):
    whole = image_labels(np.arange(100), 1000, seed)
    assert whole.dtype == np.int64
    np.testing.assert_array_equal(image_labels(np.array(index), 1000, seed), whole[index])


@pytest.mark.parametrize("classes", [2, 10])
def test_random_labels_are_uniform_and_neighbours_are_independent(classes):
    """Chi-square over the classes, and over the pairs of neighbours."""
    labels = image_labels(np.arange(8000), classes, seed=3)
    for values, cells in ((labels, classes), (labels[::2] * classes + labels[1::2], classes**2)):
        found = stats.chisquare(np.bincount(values, minlength=cells))
        assert 1e-4 < found.pvalue < 1 - 1e-4  # balanced labels would be too good


# Timesteps and noise of training ----------------------------------------------------------------------------------


def drawn(rows, seed=0, step=0, timesteps=range(1000), shape=(1, 2, 2)):
    return draw(seed, step, rows, timesteps, torch.empty(len(rows), *shape))


def test_a_row_does_not_depend_on_the_rows_beside_it():
    t, noise = drawn(range(10))
    for rows in (range(3), range(3, 4), range(4, 10)):
        part_t, part_noise = drawn(rows)
        assert torch.equal(part_t, t[rows.start : rows.stop])
        assert torch.equal(part_noise, noise[rows.start : rows.stop])


def test_every_part_of_the_address_counts():
    _, noise = drawn(range(2))
    others = (noise[0], drawn(range(2), seed=1)[1][1], drawn(range(2), step=1)[1][1], drawn(range(1), step=1)[1][0])
    assert not any(torch.equal(noise[1], other) for other in others)


def test_timesteps_are_uniform_over_their_range():
    t, _ = drawn(range(4000), timesteps=range(3, 7))
    counts = torch.bincount(t, minlength=8).tolist()
    assert (counts[:3], counts[7]) == ([0, 0, 0], 0)
    assert counts[3:7] == pytest.approx([1000] * 4, abs=120)


def test_noise_of_training_is_normal_and_unrelated_between_rows_and_to_the_timestep():
    t, noise = drawn(range(4000), shape=(1, 4, 4))
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.var().item() == pytest.approx(1, abs=0.03)
    first = noise[:, 0, 0, 0]
    related = torch.corrcoef(torch.stack([first[1:], first[:-1], t[1:].float()]))
    assert related.fill_diagonal_(0).abs().max() < 0.07


def test_fractions_of_rows_are_uniform_and_unrelated_between_rows_steps_and_to_the_timestep():
    found = row_fractions(0, 3, range(4000)).numpy()
    assert stats.kstest(found, "uniform").pvalue > 1e-4
    np.testing.assert_array_equal(row_fractions(0, 3, range(700, 900)), found[700:900])
    t = drawn(range(4000), step=3)[0].numpy()
    others = [row_fractions(0, 4, range(4000)), row_fractions(1, 3, range(4000)), t, np.roll(found, 1)]
    related = np.corrcoef([found, *others])
    assert abs(related[0, 1:]).max() < 0.07


def test_seeds_of_neighbouring_addresses_share_no_more_bits_than_chance():
    seeds = [torch_seed(0, step, row) for step in range(50) for row in range(50)]
    assert len(set(seeds)) == len(seeds)
    bits = np.array([[seed >> k & 1 for k in range(64)] for seed in seeds])
    assert abs(bits.mean(axis=0) - 0.5).max() < 0.05
    assert abs(np.abs(np.diff(bits, axis=0)).mean() - 0.5) < 0.01
