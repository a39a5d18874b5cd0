"""Both samplers against the published code's trajectories, and against a denoiser whose answer is known."""

from functools import partial

import numpy as np
import pytest
import torch
from golden_cases import CASES, load_case, relative_error

from eddpm.config.methods import RULES
from eddpm.diffusion.process import predict_eps
from eddpm.diffusion.sampling import clipped, sample_ddim, sample_ddpm, thresholded
from eddpm.diffusion.schedule import NoiseSchedule, make_schedule, respace
from eddpm.guidance.guide import Guidance, classifier_guidance

DOUBLE = {"dtype": torch.float64}
STOCHASTIC = {"ddim eta 1": partial(sample_ddim, eta=1.0), "ddpm small": partial(sample_ddpm, sigma_small=True)}
SAMPLERS = {"ddim": sample_ddim, "ddpm": sample_ddpm, **STOCHASTIC}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def schedule():
    return respace(make_schedule("linear"), "50")


# Published code ---------------------------------------------------------------------------------------------------


@pytest.fixture(params=CASES)
def golden(request):
    """A case's arrays and schedule, and a function that samples with its networks, guidance and sampler."""
    case = load_case(request.param)
    schedule = respace(make_schedule(case.cfg["schedule"]), case.cfg["respacing"])
    rule = RULES["entropy" if case.cfg["eds"] else "constant"]()
    guide_fn = classifier_guidance(case.classifier, case.arrays["y"].long(), rule, case.cfg["scale"])
    denoise_fn = lambda x, t: case.unet(x, t, case.label)  # noqa: E731

    def sample(schedule, x_T, noises, on_step):
        return SAMPLERS[case.cfg["sampler"]](denoise_fn, schedule, x_T, lambda k: noises[k], guide_fn, on_step)

    return case.arrays, schedule, sample


def test_trajectory_equals_the_published_code(golden):
    arrays, schedule, sample = golden
    assert torch.equal(schedule.timesteps, arrays["timestep_map"].long())
    torch.testing.assert_close(schedule.betas, arrays["betas"].double())
    steps = []
    result = sample(schedule, arrays["x_T"], arrays["noises"], steps.append)
    assert torch.equal(result, steps[-1].x_t)
    assert [step.t for step in steps] == schedule.timesteps.flip(0).tolist()
    # The published order of operations, run again, drifts by 6e-3 from its own record in the last step of one case.
    for step, wanted in zip(steps, arrays["trajectory"], strict=True):
        assert relative_error(step.x_t, wanted) < (1e-3 if step.t > 0 else 1e-2), f"step {step.k}"


class FirstStep(Exception):
    pass


def stop_after_one(step):
    raise FirstStep(step)


def test_each_step_from_the_published_state_equals_the_published_code(golden):
    arrays, schedule, sample = golden
    states = [arrays["x_T"], *arrays["trajectory"]]
    for k in range(len(schedule) - 1):
        rest = NoiseSchedule(schedule.betas[: len(schedule) - k], schedule.timesteps[: len(schedule) - k])
        with pytest.raises(FirstStep) as first:
            sample(rest, states[k], arrays["noises"][k:], stop_after_one)
        assert relative_error(first.value.args[0].x_t, states[k + 1]) < 1e-4, f"step {k}"


# Known answers ----------------------------------------------------------------------------------------------------


def step_of(schedule, t) -> int:
    return int((schedule.timesteps == t[0]).nonzero())


def point_mass_denoiser(schedule, x0):
    """The exact eps for data that is the one image x0."""

    def denoise_fn(x_t, t):
        abar = schedule.alpha_bar[step_of(schedule, t)]
        return (x_t - abar.sqrt() * x0) / (1 - abar).sqrt()

    return denoise_fn


VARIANCE, PULL = 0.04, 2.0  # of Gaussian data, and of a classifier log p(y | x0) = PULL * x0 that tilts their mean


def gaussian_denoiser(schedule):
    """The exact eps for data of N(0, VARIANCE), which is linear in x_t."""

    def denoise_fn(x_t, t):
        abar = schedule.alpha_bar[step_of(schedule, t)]
        return (1 - abar).sqrt() / (abar * VARIANCE + 1 - abar) * x_t

    return denoise_fn


def gaussian_guide(schedule):
    """E[exp(PULL x0) | x_t] has the log gradient PULL * d E[x0 | x_t] / d x_t."""

    def guide_fn(x_t, t, state):
        abar = schedule.alpha_bar[step_of(schedule, t)]
        slope = abar.sqrt() * VARIANCE / (abar * VARIANCE + 1 - abar)
        return Guidance(torch.full_like(x_t, PULL) * slope, *[torch.zeros(len(x_t))] * 5)

    return guide_fn


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_exact_denoiser_of_one_image_finds_it(schedule, sampler):
    x0, x_T = torch.rand(1, 1, 2, 2, **DOUBLE) * 1.8 - 0.9, torch.randn(5, 1, 2, 2, **DOUBLE)
    found = SAMPLERS[sampler](point_mass_denoiser(schedule, x0), schedule, x_T, lambda k: torch.randn_like(x_T))
    torch.testing.assert_close(found, x0.expand_as(found))


@pytest.mark.parametrize("sampler", STOCHASTIC)
def test_noise_keeps_the_variance_of_gaussian_data(sampler):
    schedule, x_T = respace(make_schedule("linear"), "500"), torch.randn(20_000, 1, 1, 1, **DOUBLE)
    found = SAMPLERS[sampler](gaussian_denoiser(schedule), schedule, x_T, lambda k: torch.randn_like(x_T))
    assert found.std().item() == pytest.approx(VARIANCE**0.5, rel=0.05)


def test_eta_one_is_ancestral_sampling_with_the_posterior_variance(schedule):
    x_T, noises = torch.randn(3, 1, 2, 2, **DOUBLE), torch.randn(50, 3, 1, 2, 2, **DOUBLE)
    denoise_fn = lambda x_t, t: 0.9 * x_t.tanh()  # noqa: E731
    torch.testing.assert_close(*(f(denoise_fn, schedule, x_T, lambda k: noises[k]) for f in STOCHASTIC.values()))


@pytest.mark.parametrize("rule", ["constant", "entropy"])
def test_scale_zero_is_no_guidance(schedule, rule):
    x_T, y = torch.randn(3, 1, 2, 2), torch.tensor([0, 1, 2])
    guide_fn = classifier_guidance(lambda x, t: x.flatten(1), y, RULES[rule](), 0.0)
    denoise_fn = lambda x_t, t: 0.5 * x_t  # noqa: E731
    plain = sample_ddim(denoise_fn, schedule, x_T)
    torch.testing.assert_close(sample_ddim(denoise_fn, schedule, x_T, guide_fn=guide_fn), plain)


# Where guidance is asked ------------------------------------------------------------------------------------------


def recording(calls: list):
    """A `guide_fn` that notes where it is asked, and guides."""

    def guide_fn(x, t, state):
        calls.append((x.clone(), t.tolist()))
        return Guidance(0.3 * x.sin(), *[torch.zeros(len(x))] * 5)

    return guide_fn


@pytest.mark.parametrize("steps", ["10", "10,5,5", "ddim25", "1"])
def test_guidance_at_the_mean_is_asked_at_mu_and_at_the_timestep_of_the_state_after_it(steps):
    """For data that is one image, mu is DDIM's mean with the posterior's variance (DDIM eq. 12)."""
    schedule = respace(make_schedule("linear"), steps)
    x0, x_T = torch.rand(1, 1, 2, 2, **DOUBLE) * 1.8 - 0.9, torch.randn(3, 1, 2, 2, **DOUBLE)
    denoise_fn = point_mass_denoiser(schedule, x0)
    calls, states = [], [x_T]
    options = {"guide_fn": recording(calls), "on_step": lambda step: states.append(step.x_t), "guide_at_mean": True}
    sample_ddpm(denoise_fn, schedule, x_T, lambda k: torch.randn_like(x_T), **options)
    kept = schedule.timesteps.flip(0).tolist()
    assert [t for _, t in calls] == [[t] * 3 for t in [*kept[1:], 0]]
    for step, x_t, (mu, _) in zip(reversed(range(len(schedule))), states, calls, strict=False):
        eps = denoise_fn(x_t, schedule.timesteps[step].expand(3))
        abar_prev, variance = schedule.alpha_bar_prev[step], schedule.posterior_variance[step]
        torch.testing.assert_close(mu, abar_prev.sqrt() * x0 + (1 - abar_prev - variance).sqrt() * eps)


def test_guidance_at_x_t_is_asked_at_each_state_and_its_own_timestep(schedule):
    x_T, calls, states = torch.randn(3, 1, 2, 2), [], []
    sample_ddpm(lambda x, t: 0.5 * x, schedule, x_T, lambda k: torch.randn_like(x_T), recording(calls), states.append)
    assert [t for _, t in calls] == [[t] * 3 for t in schedule.timesteps.flip(0).tolist()]
    for (asked, _), state in zip(calls, [x_T, *(step.x_t for step in states)], strict=False):
        assert torch.equal(asked, state)


@pytest.mark.parametrize(("steps", "share"), [("10", (0, 0.5)), ("250", (0.9, 0.99))])
def test_guidance_at_the_mean_is_bayes_rule_for_gaussian_data_even_in_few_steps(steps, share):
    """Bayes' rule tilts N(0, s^2) to mean s^2 PULL. With the exact mean and variance of p(x_{t-1} | x_t), adding
    variance * gradient at x_{t-1} is exact; at x_t, of more noise, it is but a share."""
    schedule = respace(make_schedule("linear"), steps)
    abar, abar_prev = schedule.alpha_bar, schedule.alpha_bar_prev
    of_x0 = schedule.betas**2 * abar_prev / (1 - abar) ** 2  # share of the variance of x0 given x_t
    exact = schedule.posterior_variance + of_x0 * VARIANCE * (1 - abar) / (abar * VARIANCE + 1 - abar)
    smallest, largest = schedule.posterior_log_variance, schedule.betas.log()
    learned = 2 * (exact.log() - smallest) / (largest - smallest) - 1

    def denoise_fn(x_t, t):
        variance = torch.full_like(x_t, learned[step_of(schedule, t)])
        return torch.cat([gaussian_denoiser(schedule)(x_t, t), variance], dim=1)

    # All is linear, so without noise the mean of the tilted x_T becomes that of the images.
    x_T, guide_fn = (abar[-1].sqrt() * VARIANCE * PULL).reshape(1, 1, 1, 1), gaussian_guide(schedule)
    at_x_t, at_mean = (
        sample_ddpm(denoise_fn, schedule, x_T, lambda k: 0 * x_T, guide_fn, guide_at_mean=at).item()
        for at in (False, True)
    )
    assert at_mean == pytest.approx(VARIANCE * PULL, rel=1e-4)
    assert share[0] < at_x_t / (VARIANCE * PULL) < share[1]


def test_guidance_shifts_the_mean_of_gaussian_data_as_bayes_rule_does(schedule):
    x_T = torch.randn(20_000, 1, 1, 1, **DOUBLE)
    found = sample_ddim(gaussian_denoiser(schedule), schedule, x_T, guide_fn=gaussian_guide(schedule))
    assert found.mean().item() == pytest.approx(VARIANCE * PULL, rel=0.1)


# The state of a step ----------------------------------------------------------------------------------------------


def states_after(sampler, schedule, at: int, learned: bool, push=0.0, x0_push=0.0):
    """The image after step `at`, where the gradient is `push` and x0 is moved by `x0_push`, and the state there."""
    torch.manual_seed(3)
    x_T, noise = torch.randn(2, 1, 2, 2, **DOUBLE), torch.randn(2, 1, 2, 2, **DOUBLE)
    full, after, states = make_schedule("linear"), {}, {}

    def denoise_fn(x_t, t):
        x0 = 0.5 * x_t.tanh() + (x0_push if t[0] == schedule.timesteps[len(schedule) - 1 - at] else 0.0)
        eps = predict_eps(full, x_t, t, x0)
        return torch.cat([eps, x_t.cos()], dim=1) if learned else eps

    def guide_fn(x_t, t, state):
        states[state.k] = state
        return Guidance(torch.full_like(x_t, push if state.k == at else 0.0), *[torch.zeros(len(x_t))] * 5)

    sampler(denoise_fn, schedule, x_T, lambda k: noise, guide_fn, lambda step: after.update({step.k: step.x_t}))
    return after[at], states[at]


@pytest.mark.parametrize("at", [0, 1, 12, 24])
@pytest.mark.parametrize(("sampler", "learned"), [*((name, False) for name in SAMPLERS), ("ddpm", True)])
def test_the_state_of_a_step_says_how_far_a_gradient_and_a_change_of_x0_move_the_next_image(sampler, learned, at):
    schedule, tiny = respace(make_schedule("linear"), "25"), 1e-3
    sample = partial(states_after, SAMPLERS[sampler], schedule, at, learned)
    plain, state = sample()
    exact = {"rtol": 1e-6, "atol": 1e-12}
    torch.testing.assert_close(sample(push=tiny)[0] - plain, torch.ones_like(plain) * state.gain * tiny, **exact)
    torch.testing.assert_close(sample(x0_push=tiny)[0] - plain, torch.ones_like(plain) * state.x0_gain * tiny, **exact)
    assert (state.k, state.num_steps, state.timestep) == (at, 25, int(schedule.timesteps[24 - at]))
    assert state.x0.abs().max() <= 1
    assert state.x_t.shape == state.x0.shape == plain.shape


# Guidance without signal ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("pull", [1.0, 1e30])
def test_bounded_x0_keeps_ddim_finite_where_guidance_moves_x0_thousands_of_times_as_far(dtype, pull):
    schedule = respace(make_schedule("cosine"), "25")
    x_T, sizes = torch.randn(2, 1, 4, 4, dtype=dtype), []

    def guide_fn(x_t, t, state):
        return Guidance(pull * x_t.sin(), *[torch.zeros(len(x_t))] * 5) if state.timestep == 999 else None

    for bound in (None, clipped, thresholded):
        after: list[torch.Tensor] = []
        watch = lambda step, after=after: after.append(step.x_t)  # noqa: E731
        sample_ddim(lambda x, t: 0.5 * x, schedule, x_T, None, guide_fn, watch, guided_x0=bound)
        sizes.append(after[0].abs().max().item())
        assert after[-1].isfinite().all()
    assert sizes[0] > 300 * pull
    assert max(sizes[1:]) < 1.1 * x_T.abs().max()


def test_dynamic_thresholding_divides_by_the_percentile_of_each_image_where_that_is_above_1():
    torch.manual_seed(0)
    x0 = torch.randn(3, 1, 20, 20, **DOUBLE) * torch.tensor([0.1, 1.0, 50.0]).view(3, 1, 1, 1)
    found = thresholded(x0)
    assert torch.equal(found[0], x0[0])
    for image, wanted in zip(found[1:].numpy(), x0[1:].numpy(), strict=True):
        bound = np.percentile(np.abs(wanted), 99.5)
        np.testing.assert_allclose(image, np.clip(wanted, -bound, bound) / bound, rtol=1e-6)
    assert torch.equal(clipped(x0), x0.clamp(-1, 1))
