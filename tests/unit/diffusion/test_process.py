"""The forward process against its moments and the published code, and its inversions against each other."""

import pytest
import torch
from golden_cases import CASES, load_case, relative_error

from eddpm.diffusion.process import learned_log_variance, posterior_mean, predict, predict_eps, predict_x0, q_sample
from eddpm.diffusion.schedule import make_schedule, respace


@pytest.fixture
def schedule():
    return respace(make_schedule("linear"), "10")


@pytest.mark.parametrize("name", CASES)
def test_q_sample_equals_the_published_code(name):
    case = load_case(name)
    a = case.arrays
    full = make_schedule(case.cfg["schedule"])
    assert relative_error(q_sample(full, a["x"].clamp(-1, 1), a["t"], a["q_noise"]), a["q_sample"]) < 1e-5


def posterior_mean_of(schedule, x0, step, x_t):
    return posterior_mean(schedule, x0, x_t, step)


@pytest.mark.parametrize("function", [q_sample, predict_x0, predict_eps, learned_log_variance, posterior_mean_of])
def test_each_sample_of_a_batch_has_its_own_step(schedule, function):
    one, other = torch.randn(2, 3, 1, 2, 2)
    apart = [function(schedule, one[k : k + 1], step, other[k : k + 1]) for k, step in enumerate([0, 4, 9])]
    torch.testing.assert_close(function(schedule, one, torch.tensor([0, 4, 9]), other), torch.cat(apart))


def test_x0_and_eps_are_two_views_of_x_t(schedule):
    torch.manual_seed(0)
    x0, eps = torch.rand(4, 3, 2, 2, dtype=torch.float64) * 2 - 1, torch.randn(4, 3, 2, 2, dtype=torch.float64)
    for step in range(len(schedule)):
        x_t = q_sample(schedule, x0, step, eps)
        torch.testing.assert_close(predict_x0(schedule, x_t, step, eps), x0)
        torch.testing.assert_close(predict_eps(schedule, x_t, step, x0), eps)


def test_a_perfect_denoiser_gives_the_posterior_of_bayes_rule(schedule):
    """q(x_{t-1} | x_t, x0) by multiplying the two Gaussians q(x_t | x_{t-1}) and q(x_{t-1} | x0)."""
    step = 6
    x0, eps = torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64), torch.full((1, 1, 1, 1), -0.7, dtype=torch.float64)
    x_t = q_sample(schedule, x0, step, eps)
    beta, abar_prev = schedule.betas[step], schedule.alpha_bar_prev[step]
    precision = (1 - beta) / beta + 1 / (1 - abar_prev)
    mean = ((1 - beta).sqrt() * x_t / beta + abar_prev.sqrt() * x0 / (1 - abar_prev)) / precision
    prediction = predict(schedule, x_t, step, eps, sigma_small=True)
    torch.testing.assert_close(prediction.x0, x0)
    torch.testing.assert_close(prediction.mean, mean)
    assert prediction.variance.item() == pytest.approx(1 / precision.item())


def test_x0_is_clipped(schedule):
    prediction = predict(schedule, torch.full((1, 1, 1, 1), 50.0), 3, torch.zeros(1, 1, 1, 1))
    assert prediction.x0.item() == 1


@pytest.mark.parametrize("step", [0, 1, 9])
def test_learned_variance_runs_from_the_posteriors_to_beta(schedule, step):
    x_t = torch.zeros(1, 2, 1, 1, dtype=torch.float64)
    low, high = (
        predict(schedule, x_t, step, torch.cat([x_t, torch.full_like(x_t, v)], dim=1)).variance for v in (-1.0, 1.0)
    )
    assert low.flatten()[0].item() == pytest.approx(schedule.posterior_log_variance[step].exp().item())
    assert high.flatten()[0].item() == pytest.approx(schedule.betas[step].item())


def test_fixed_variance_is_beta_but_for_the_last_step(schedule):
    x_t = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    assert predict(schedule, x_t, 5, x_t).variance.item() == pytest.approx(schedule.betas[5].item())
    assert predict(schedule, x_t, 0, x_t).variance.item() == pytest.approx(schedule.posterior_variance[1].item())
    small = predict(schedule, x_t, 5, x_t, sigma_small=True).variance.item()
    assert small == pytest.approx(schedule.posterior_variance[5].item())
