"""Schedules against their closed forms; respacing against the timesteps that ADM keeps."""

import math

import pytest
import torch

from eddpm.diffusion.respacing import noise_alpha_bars, noise_betas
from eddpm.diffusion.schedule import make_schedule, respace


def test_linear_schedule_runs_from_1e_4_to_0_02():
    betas = make_schedule("linear").betas
    assert betas[0].item() == pytest.approx(1e-4)
    assert betas[-1].item() == pytest.approx(0.02)
    assert torch.allclose(betas.diff(), betas.diff()[0], rtol=1e-6)


def test_cosine_alpha_bar_follows_the_squared_cosine():
    alpha_bar = make_schedule("cosine").alpha_bar
    u = torch.arange(1, 999, dtype=torch.float64) / 1000
    f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    torch.testing.assert_close(alpha_bar[:998], f / math.cos(0.008 / 1.008 * math.pi / 2) ** 2)
    assert make_schedule("cosine").betas.max().item() == 0.999


@pytest.mark.parametrize("total", [1, 21, 1000, 4000])
def test_schedules_in_plain_numbers_are_those_of_torch(total):
    exact = {"rtol": 1e-12, "atol": 0}
    linear = torch.linspace(0.1 / total, 20 / total, total, dtype=torch.float64)
    u = torch.arange(total + 1, dtype=torch.float64) / total
    f = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    for name, betas in (("linear", linear), ("cosine", (1 - f[1:] / f[:-1]).clamp_max(0.999))):
        torch.testing.assert_close(
            torch.tensor(noise_betas(name, total), dtype=torch.float64), betas, rtol=1e-9, atol=0
        )
        schedule = make_schedule(name, total)
        assert schedule.betas.tolist() == noise_betas(name, total)
        bars = torch.tensor(noise_alpha_bars(name, total), dtype=torch.float64)
        torch.testing.assert_close(bars, schedule.alpha_bar, **exact)
        assert len(bars) == total
    with pytest.raises(ValueError, match="noise_schedule must be 'linear' or 'cosine', not 'sigmoid'"):
        noise_betas("sigmoid", total)


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ("ddim25", list(range(0, 1000, 40))),
        ("ddim50", list(range(0, 1000, 20))),
        ("ddim250", list(range(0, 1000, 4))),
        ("10", [0, 111, 222, 333, 444, 555, 666, 777, 888, 999]),
        ("1", [0]),
        ("2,1,1", [0, 333, 334, 667]),
        ("1000", list(range(1000))),
        # Ten strides of 49.95 sum to a hair below 499.5, where the product would round up.
        ("21", [*range(0, 500, 50), 499, 549, 599, 649, 699, 749, 799, 849, 899, 949, 999]),
    ],
)
def test_respacing_keeps_the_timesteps_of_adm(steps, kept):
    assert respace(make_schedule("linear"), steps).timesteps.tolist() == kept


@pytest.mark.parametrize("steps", ["250", "ddim25", "10,5,5"])
def test_respaced_alpha_bar_is_the_full_schedules(steps):
    full = make_schedule("cosine")
    short = respace(full, steps)
    torch.testing.assert_close(short.alpha_bar, full.alpha_bar[short.timesteps])


def test_respacing_of_a_respaced_schedule_keeps_original_timesteps():
    assert respace(respace(make_schedule("linear"), "ddim50"), "ddim25").timesteps.tolist() == list(range(0, 1000, 40))


@pytest.mark.parametrize(("total", "steps"), [(1000, "ddim300"), (1000, "2000"), (10, "5,6")])
def test_impossible_respacing_is_refused(total, steps):
    with pytest.raises(ValueError, match="timesteps"):
        respace(make_schedule("linear", total), steps)


def test_posterior_variance_closed_form_for_two_steps():
    schedule = respace(make_schedule("linear"), "2")
    abar0, abar1 = schedule.alpha_bar.tolist()
    expected = (1 - abar0) / (1 - abar1) * (1 - abar1 / abar0)
    assert schedule.posterior_variance.tolist() == pytest.approx([0, expected])
    assert schedule.posterior_log_variance.exp().tolist() == pytest.approx([expected, expected])
