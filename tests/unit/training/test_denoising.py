"""The denoiser's losses against closed forms, torch's distributions and sums that must be 1."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from eddpm.diffusion.process import learned_log_variance, posterior_mean, q_sample
from eddpm.diffusion.schedule import make_schedule
from eddpm.training.denoising import bound_term, denoising_loss, pixel_log_likelihood

DOUBLE = {"dtype": torch.float64}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def schedule():
    return make_schedule("linear", 100)


def noisy(schedule, t, shape=(2, 3, 3), **options):
    """t (B,), and x0 (pixel values of 8 bits), noise and x_t (B, C, H, W)."""
    t = torch.tensor(t)
    x0 = torch.randint(256, (len(t), *shape)).to(**options) / 127.5 - 1
    noise = torch.randn(len(t), *shape, **options)
    return t, x0, noise, q_sample(schedule, x0, t, noise)


def test_without_learned_variance_it_is_the_mean_over_each_image(schedule):
    t, x0, _, x_t = noisy(schedule, [3, 70])
    noise = torch.zeros_like(x0)
    noise[1] = 2.0
    assert denoising_loss(schedule, x0, t, noise, x_t, torch.zeros_like(x0)).tolist() == [0, 4]


@pytest.mark.parametrize("steps", [100, 1000])
def test_hybrid_loss_is_the_error_of_eps_plus_a_thousandth_of_the_bounds_sum_which_teaches_the_variance_alone(steps):
    schedule = make_schedule("cosine", steps)
    t, x0, noise, x_t = noisy(schedule, [0, 5, 60], **DOUBLE)
    output = torch.randn(3, 4, 3, 3, **DOUBLE, requires_grad=True)
    eps, learned = output.detach().chunk(2, dim=1)
    bound = steps * bound_term(schedule, x0, t, x_t, eps, learned)  # t being uniform, one term stands for all
    loss = denoising_loss(schedule, x0, t, noise, x_t, output)
    torch.testing.assert_close(loss, ((eps - noise) ** 2).mean(dim=(1, 2, 3)) + 0.001 * bound)
    loss.sum().backward()
    to_eps, to_variance = output.grad.chunk(2, dim=1)
    torch.testing.assert_close(to_eps, 2 * (eps - noise) / noise[0].numel())
    assert (to_variance != 0).all()


@pytest.mark.parametrize("t", [1, 99])
def test_term_is_the_divergence_from_bayes_posterior_in_bits(schedule, t):
    """q(x_{t-1} | x_t, x0) multiplied out of q(x_t | x_{t-1}) and q(x_{t-1} | x0), p from the sampler's formulas."""
    ts, x0, _, x_t = noisy(schedule, [t], **DOUBLE)
    eps, learned = torch.randn(2, *x0.shape, **DOUBLE)
    beta, previous = schedule.betas[t], schedule.alpha_bar_prev[t]
    precision = (1 - beta) / beta + 1 / (1 - previous)
    q = Normal(
        ((1 - beta).sqrt() * x_t / beta + previous.sqrt() * x0 / (1 - previous)) / precision,
        torch.full_like(x0, precision.item() ** -0.5),
    )
    alpha_bar = schedule.alpha_bar[t]
    predicted = (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    variance = beta ** ((1 + learned) / 2) * (1 / precision) ** ((1 - learned) / 2)
    p = Normal(posterior_mean(schedule, predicted, x_t, t), variance.sqrt())
    wanted = kl_divergence(q, p).mean() / math.log(2)
    torch.testing.assert_close(bound_term(schedule, x0, ts, x_t, eps, learned), wanted[None])


def test_best_variance_is_the_posteriors_plus_the_squared_error_of_the_mean(schedule):
    t, x0, noise, x_t = noisy(schedule, [2], shape=(1, 1, 1), **DOUBLE)
    eps = noise + 0.3
    learned = torch.linspace(-2, 2, 4001, **DOUBLE).view(-1, 1, 1, 1)
    many = [each.expand(4001, 1, 1, 1) for each in (x0, x_t, eps)]
    terms = bound_term(schedule, many[0], t.expand(4001), *many[1:], learned)
    best = learned_log_variance(schedule, x_t, 2, learned[terms.argmin()]).exp()
    off = (1 - schedule.alpha_bar[2]).sqrt() * 0.3 / schedule.alpha_bar[2].sqrt()  # of the predicted x0
    off_mean = posterior_mean(schedule, off, torch.zeros(1, **DOUBLE), 2)
    assert best.item() == pytest.approx((schedule.posterior_variance[2] + off_mean**2).item(), rel=2e-3)


def test_term_at_0_is_the_likelihood_of_the_8_bit_image(schedule):
    t, x0, _, x_t = noisy(schedule, [0], **DOUBLE)
    eps, learned = torch.randn(2, *x0.shape, **DOUBLE)
    log_variance = learned_log_variance(schedule, x_t, 0, learned)
    alpha_bar = schedule.alpha_bar[0]
    mean = (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    wanted = -pixel_log_likelihood(x0, mean, log_variance).mean() / math.log(2)
    torch.testing.assert_close(bound_term(schedule, x0, t, x_t, eps, learned), wanted[None])


@pytest.mark.parametrize("deviation", [1e-3, 0.3, 10.0])
def test_likelihoods_of_all_256_values_sum_to_1(deviation):
    values, log_variance = torch.arange(256) / 127.5 - 1, torch.tensor(2 * math.log(deviation))
    for mean in (-1.4, -1.0, -0.2, 1.0):
        mass = pixel_log_likelihood(values, torch.tensor(mean), log_variance).exp()
        assert mass.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("side", [-1, 1])
@pytest.mark.parametrize("deviations", [0.5, 6.0])
def test_likelihood_is_the_integral_over_the_values_bin_and_precise_in_float32_far_from_the_mean(deviations, side):
    value, log_variance = torch.tensor(1 / 255), torch.tensor(2 * math.log(0.01))
    near, far = ((deviations + half) / math.sqrt(2) for half in (-1 / 2.55, 1 / 2.55))
    wanted = math.log((math.erfc(near) - math.erfc(far)) / 2)
    found = pixel_log_likelihood(value, value + side * 0.01 * deviations, log_variance).item()
    assert found == pytest.approx(wanted, abs=1e-4)


def test_loss_and_gradient_stay_finite_far_from_any_sense(schedule):
    t, x0, noise, x_t = noisy(schedule, [0, 0, 1, 99])
    for scale in (30.0, -30.0):
        output = torch.full((4, 4, 3, 3), scale, requires_grad=True)
        loss = denoising_loss(schedule, x0, t, noise, x_t, output)
        loss.sum().backward()
        assert loss.isfinite().all()
        assert output.grad.isfinite().all()
