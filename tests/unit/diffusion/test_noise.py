"""Draws by address: the same whoever asks for them, and distributed as they should be."""

import numpy as np
import pytest
import torch

from eddpm.diffusion.noise import draw, torch_seed


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
    assert not torch.equal(noise[0], noise[1])
    assert not torch.equal(noise, drawn(range(2), seed=1)[1])
    assert not torch.equal(noise, drawn(range(2), step=1)[1])
    assert not torch.equal(noise[1], drawn(range(1), step=1)[1][0])


def test_timesteps_are_uniform_over_their_range():
    t, _ = drawn(range(4000), timesteps=range(3, 7))
    counts = torch.bincount(t, minlength=8).tolist()
    assert counts[:3] == [0, 0, 0]
    assert counts[7] == 0
    assert counts[3:7] == pytest.approx([1000] * 4, abs=120)


def test_noise_is_normal_and_unrelated_between_rows_and_to_the_timestep():
    t, noise = drawn(range(4000), shape=(1, 4, 4))
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.var().item() == pytest.approx(1, abs=0.03)
    first = noise[:, 0, 0, 0]
    related = torch.corrcoef(torch.stack([first[1:], first[:-1], t[1:].float()]))
    assert related.fill_diagonal_(0).abs().max() < 0.07


def test_noise_takes_the_type_of_what_it_is_like():
    _, noise = draw(0, 0, range(2), range(5), torch.empty(2, 3, 1, 1, dtype=torch.float64))
    assert noise.shape == (2, 3, 1, 1)
    assert noise.dtype == torch.float64


def test_seeds_of_neighbouring_addresses_share_no_more_bits_than_chance():
    seeds = [torch_seed(0, step, row) for step in range(50) for row in range(50)]
    assert len(set(seeds)) == len(seeds)
    bits = np.array([[seed >> k & 1 for k in range(64)] for seed in seeds])
    assert abs(bits.mean(axis=0) - 0.5).max() < 0.05
    assert abs(np.abs(np.diff(bits, axis=0)).mean() - 0.5) < 0.01
