"""Both samplers against the published code's trajectories, and against a denoiser whose answer is known."""

import pytest
import torch
from golden_cases import CASES, load_case, relative_error

from eddpm.diffusion.guidance import RULES, Guidance, classifier_guidance
from eddpm.diffusion.sampling import sample_ddim, sample_ddpm
from eddpm.diffusion.schedule import NoiseSchedule, make_schedule, respace


def golden_sampler(case):
    """A case's schedule, and a function that samples with its networks, guidance and sampler."""
    schedule = respace(make_schedule(case.cfg["schedule"]), case.cfg["respacing"])
    rule = RULES["entropy" if case.cfg["eds"] else "constant"]
    guide_fn = classifier_guidance(case.classifier, case.arrays["y"].long(), rule, case.cfg["scale"])
    sample = {"ddpm": sample_ddpm, "ddim": sample_ddim}[case.cfg["sampler"]]
    denoise_fn = lambda x, t: case.unet(x, t, case.label)  # noqa: E731
    return schedule, lambda schedule, x_T, noises, on_step: sample(
        denoise_fn, schedule, x_T, lambda k: noises[k], guide_fn, on_step
    )


@pytest.mark.parametrize("name", CASES)
def test_trajectory_equals_the_published_code(name):
    case = load_case(name)
    a = case.arrays
    schedule, sample = golden_sampler(case)
    assert torch.equal(schedule.timesteps, a["timestep_map"].long())
    torch.testing.assert_close(schedule.betas, a["betas"].double())
    steps = []
    result = sample(schedule, a["x_T"], a["noises"], steps.append)
    assert torch.equal(result, steps[-1].x_t)
    assert [step.t for step in steps] == schedule.timesteps.flip(0).tolist()
    # The published order of operations, run again, drifts by 6e-3 from its own record in the last step of one case.
    for step, wanted in zip(steps, a["trajectory"], strict=True):
        assert relative_error(step.x_t, wanted) < (1e-3 if step.t > 0 else 1e-2), f"step {step.k}"


class FirstStep(Exception):
    pass


def stop_after_one(step):
    raise FirstStep(step)


@pytest.mark.parametrize("name", CASES)
def test_each_step_from_the_published_state_equals_the_published_code(name):
    case = load_case(name)
    a = case.arrays
    schedule, sample = golden_sampler(case)
    states = [a["x_T"], *a["trajectory"]]
    for k in range(len(schedule) - 1):
        rest = NoiseSchedule(schedule.betas[: len(schedule) - k], schedule.timesteps[: len(schedule) - k])
        with pytest.raises(FirstStep) as first:
            sample(rest, states[k], a["noises"][k:], stop_after_one)
        assert relative_error(first.value.args[0].x_t, states[k + 1]) < 1e-4, f"step {k}"


@pytest.fixture
def schedule():
    return respace(make_schedule("linear"), "50")


def point_mass_denoiser(schedule, x0):
    """The exact eps for data that is the one image x0."""

    def denoise_fn(x_t, t):
        step = int((schedule.timesteps == t[0]).nonzero())
        abar = schedule.alpha_bar[step].to(x_t.dtype)
        return (x_t - abar.sqrt() * x0) / (1 - abar).sqrt()

    return denoise_fn


@pytest.mark.parametrize("sampler", ["ddim", "ddim eta 1", "ddpm", "ddpm small"])
def test_exact_denoiser_of_one_image_finds_it(schedule, sampler):
    torch.manual_seed(0)
    x0 = torch.rand(1, 1, 2, 2, dtype=torch.float64) * 1.8 - 0.9
    x_T = torch.randn(5, 1, 2, 2, dtype=torch.float64)
    noise_fn = lambda k: torch.randn_like(x_T)  # noqa: E731
    denoise_fn = point_mass_denoiser(schedule, x0)
    found = {
        "ddim": lambda: sample_ddim(denoise_fn, schedule, x_T),
        "ddim eta 1": lambda: sample_ddim(denoise_fn, schedule, x_T, noise_fn, eta=1.0),
        "ddpm": lambda: sample_ddpm(denoise_fn, schedule, x_T, noise_fn),
        "ddpm small": lambda: sample_ddpm(denoise_fn, schedule, x_T, noise_fn, sigma_small=True),
    }[sampler]()
    torch.testing.assert_close(found, x0.expand_as(found))


@pytest.mark.parametrize("sampler", ["ddim eta 1", "ddpm small"])
def test_noise_keeps_the_variance_of_gaussian_data(sampler):
    """For N(0, 0.04) data the exact eps is linear in x_t, and both stochastic samplers must end with that variance."""
    torch.manual_seed(0)
    schedule = respace(make_schedule("linear"), "500")
    abar = schedule.alpha_bar

    def denoise_fn(x_t, t):
        a = abar[int((schedule.timesteps == t[0]).nonzero())]
        return (1 - a).sqrt() / (a * 0.04 + 1 - a) * x_t

    x_T = torch.randn(20_000, 1, 1, 1, dtype=torch.float64)
    noise_fn = lambda k: torch.randn_like(x_T)  # noqa: E731
    if sampler == "ddpm small":
        found = sample_ddpm(denoise_fn, schedule, x_T, noise_fn, sigma_small=True)
    else:
        found = sample_ddim(denoise_fn, schedule, x_T, noise_fn, eta=1.0)
    assert found.std().item() == pytest.approx(0.2, rel=0.05)


def test_eta_one_is_ancestral_sampling_with_the_posterior_variance(schedule):
    torch.manual_seed(1)
    x_T = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    noises = torch.randn(50, 3, 1, 2, 2, dtype=torch.float64)
    denoise_fn = lambda x_t, t: 0.9 * x_t.tanh()  # noqa: E731
    ddim = sample_ddim(denoise_fn, schedule, x_T, lambda k: noises[k], eta=1.0)
    ddpm = sample_ddpm(denoise_fn, schedule, x_T, lambda k: noises[k], sigma_small=True)
    torch.testing.assert_close(ddim, ddpm)


@pytest.mark.parametrize("rule", ["constant", "entropy"])
def test_scale_zero_is_no_guidance(schedule, rule):
    torch.manual_seed(2)
    x_T, y = torch.randn(3, 1, 2, 2), torch.tensor([0, 1, 2])
    guide_fn = classifier_guidance(lambda x, t: x.flatten(1), y, RULES[rule], 0.0)
    denoise_fn = lambda x_t, t: 0.5 * x_t  # noqa: E731
    plain = sample_ddim(denoise_fn, schedule, x_T)
    torch.testing.assert_close(sample_ddim(denoise_fn, schedule, x_T, guide_fn=guide_fn), plain)


def recording(calls: list):
    """A `guide_fn` that notes where it is asked, and guides."""

    def guide_fn(x, t):
        calls.append((x.clone(), t.tolist()))
        return Guidance(0.3 * x.sin(), *[torch.zeros(len(x))] * 5)

    return guide_fn


@pytest.mark.parametrize("steps", ["10", "10,5,5", "ddim25", "1000", "1"])
def test_guidance_at_the_mean_is_asked_at_mu_and_at_the_timestep_of_the_state_after_it(steps):
    """For data that is one image, mu is DDIM's mean with the posterior's variance (DDIM eq. 12)."""
    torch.manual_seed(4)
    schedule = respace(make_schedule("linear"), steps)
    x0 = torch.rand(1, 1, 2, 2, dtype=torch.float64) * 1.8 - 0.9
    x_T = torch.randn(3, 1, 2, 2, dtype=torch.float64)
    denoise_fn = point_mass_denoiser(schedule, x0)
    calls, states = [], [x_T]
    sample_ddpm(
        denoise_fn,
        schedule,
        x_T,
        lambda k: torch.randn_like(x_T),
        recording(calls),
        lambda step: states.append(step.x_t),
        guide_at_mean=True,
    )
    kept = schedule.timesteps.flip(0).tolist()
    assert [t for _, t in calls] == [[t] * 3 for t in [*kept[1:], 0]]
    for step, x_t, (mu, _) in zip(reversed(range(len(schedule))), states, calls, strict=False):
        eps = denoise_fn(x_t, schedule.timesteps[step].expand(3))
        abar_prev, variance = schedule.alpha_bar_prev[step], schedule.posterior_variance[step]
        torch.testing.assert_close(mu, abar_prev.sqrt() * x0 + (1 - abar_prev - variance).sqrt() * eps)


def test_guidance_at_x_t_is_asked_at_each_state_and_its_own_timestep(schedule):
    torch.manual_seed(4)
    x_T, calls, states = torch.randn(3, 1, 2, 2), [], []
    sample_ddpm(lambda x, t: 0.5 * x, schedule, x_T, lambda k: torch.randn_like(x_T), recording(calls), states.append)
    assert [t for _, t in calls] == [[t] * 3 for t in schedule.timesteps.flip(0).tolist()]
    for (asked, _), state in zip(calls, [x_T, *(step.x_t for step in states)], strict=False):
        assert torch.equal(asked, state)


@pytest.mark.parametrize("classifier", ["log p_y linear", "linear logits", "of t"])
def test_mean_and_x_t_agree_only_where_the_gradient_is_the_same_everywhere(schedule, classifier):
    torch.manual_seed(5)
    x_T, weight = torch.randn(3, 1, 2, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    noises = torch.randn(50, 3, 1, 2, 2, dtype=torch.float64)
    certain = torch.tensor([0.0, 1000.0], dtype=torch.float64)  # of class 1: log p_0 is the difference of the logits
    classifier_fn = {
        "log p_y linear": lambda x, t: x.flatten(1) @ weight + certain,
        "linear logits": lambda x, t: x.flatten(1) @ weight,
        "of t": lambda x, t: x.flatten(1) @ weight * (1 + t[:, None] / 1000) + certain,
    }[classifier]
    guide_fn = classifier_guidance(classifier_fn, torch.zeros(3, dtype=torch.long), RULES["constant"], 2.0)
    denoise_fn = lambda x_t, t: 0.9 * x_t.tanh()  # noqa: E731
    at_x_t, at_mean = (
        sample_ddpm(denoise_fn, schedule, x_T, lambda k: noises[k], guide_fn, guide_at_mean=at) for at in (False, True)
    )
    if classifier == "log p_y linear":
        assert torch.equal(at_mean, at_x_t)
    else:
        assert relative_error(at_mean, at_x_t) > 1e-3


@pytest.mark.parametrize(("steps", "share"), [("10", (0, 0.5)), ("250", (0.9, 0.99))])
def test_guidance_at_the_mean_is_bayes_rule_for_gaussian_data_even_in_few_steps(steps, share):
    """A classifier of log p(y | x0) = v x0 tilts N(0, s^2) to mean s^2 v. With the exact mean and variance of
    p(x_{t-1} | x_t), adding variance * gradient at x_{t-1} is exact; at x_t, of more noise, it is but a share."""
    variance, v = 0.04, 2.0
    schedule = respace(make_schedule("linear"), steps)
    abar, abar_prev = schedule.alpha_bar, schedule.alpha_bar_prev
    slope = abar.sqrt() * variance / (abar * variance + 1 - abar)  # of E[x0 | x_t]
    of_x0 = schedule.betas**2 * abar_prev / (1 - abar) ** 2  # share of the variance of x0 given x_t
    exact = schedule.posterior_variance + of_x0 * variance * (1 - abar) / (abar * variance + 1 - abar)
    smallest, largest = schedule.posterior_log_variance, schedule.betas.log()
    learned = 2 * (exact.log() - smallest) / (largest - smallest) - 1

    def step_of(t):
        return int((schedule.timesteps == t[0]).nonzero())

    def denoise_fn(x_t, t):
        a = abar[step_of(t)]
        eps = (1 - a).sqrt() / (a * variance + 1 - a) * x_t
        return torch.cat([eps, torch.full_like(x_t, learned[step_of(t)])], dim=1)

    def guide_fn(x_t, t):
        return Guidance(torch.full_like(x_t, v) * slope[step_of(t)], *[torch.zeros(1)] * 5)

    # All is linear, so without noise the mean of the tilted x_T becomes that of the images.
    x_T = (abar[-1].sqrt() * variance * v).reshape(1, 1, 1, 1)
    at_x_t, at_mean = (
        sample_ddpm(denoise_fn, schedule, x_T, lambda k: 0 * x_T, guide_fn, guide_at_mean=at).item()
        for at in (False, True)
    )
    assert at_mean == pytest.approx(variance * v, rel=1e-4)
    assert share[0] < at_x_t / (variance * v) < share[1]


def test_guidance_shifts_the_mean_of_gaussian_data_as_bayes_rule_does(schedule):
    """A classifier with a constant gradient v tilts N(0, s^2) to mean s^2 v: ancestral sampling must follow."""
    torch.manual_seed(3)
    variance, v = 0.04, 2.0
    abar = schedule.alpha_bar

    def at(t):
        return abar[int((schedule.timesteps == t[0]).nonzero())]

    def denoise_fn(x_t, t):
        a = at(t)
        return (1 - a).sqrt() / (a * variance + 1 - a) * x_t

    def guide_fn(x_t, t):
        # E[exp(v x0) | x_t] has the log gradient v * d E[x0 | x_t] / d x_t.
        a = at(t)
        slope = a.sqrt() * variance / (a * variance + 1 - a)
        return Guidance(torch.full_like(x_t, v) * slope, *[torch.zeros(len(x_t))] * 5)

    x_T = torch.randn(20_000, 1, 1, 1, dtype=torch.float64)
    mean = sample_ddim(denoise_fn, schedule, x_T, guide_fn=guide_fn).mean().item()
    assert mean == pytest.approx(variance * v, rel=0.1)
