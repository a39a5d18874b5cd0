"""Guidance by a pair of denoisers from another direction: its limits, gains, and the classes that it draws."""

import pytest
import torch
from guides import DOUBLE, SAMPLERS, SHAPE, paired, state_at, strong, weak

from eddpm.diffusion.noise import image_integers
from eddpm.diffusion.sampling import sample_ddim, sample_ddpm
from eddpm.diffusion.schedule import make_schedule, respace
from eddpm.guidance.guide import pair_guidance
from eddpm.guidance.rules.adaptive_projected import AdaptiveProjected
from eddpm.guidance.rules.autoguidance import Autoguidance
from eddpm.guidance.rules.classifier_free import ClassifierFree
from eddpm.guidance.rules.independent_condition import IndependentCondition


@pytest.mark.parametrize("noise_schedule", ["linear", "cosine"])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize(("scale", "same"), [(1.0, strong), (0.0, weak)])
@pytest.mark.parametrize(
    "rule", [ClassifierFree(), Autoguidance(weak="w"), [ClassifierFree(), AdaptiveProjected(momentum=0, parallel=1)]]
)
def test_scale_1_is_the_runs_denoiser_and_scale_0_the_other(noise_schedule, sampler, scale, same, rule):
    schedule = respace(make_schedule(noise_schedule), "10")
    x_T, noise = torch.randn(SHAPE, **DOUBLE), torch.randn(10, *SHAPE, **DOUBLE)
    found = sampler(strong, schedule, x_T, lambda k: noise[k], paired(schedule, rule, scale))
    torch.testing.assert_close(found, sampler(same, schedule, x_T, lambda k: noise[k]))


def test_classifier_free_guidance_extrapolates_eps():
    """Of denoisers whose x0, and the guided one, need no clipping."""
    schedule, x_T = respace(make_schedule("linear"), "10"), torch.randn(SHAPE, **DOUBLE)

    def with_x0(slope):
        def denoise_fn(x, t):
            abar = schedule.alpha_bar[schedule.timesteps.tolist().index(t[0].item())]
            return (x - abar.sqrt() * slope * x.tanh()) / (1 - abar).sqrt()

        return denoise_fn

    conditional, unconditional = with_x0(0.3), with_x0(0.2)
    guided = lambda x, t: unconditional(x, t) + 2.5 * (conditional(x, t) - unconditional(x, t))  # noqa: E731
    guide_fn = pair_guidance(lambda x_t, t, state: 0.2 * x_t.tanh(), ClassifierFree(), 2.5)
    noise = torch.randn(10, *SHAPE, **DOUBLE)
    for sampler in SAMPLERS:
        found = sampler(conditional, schedule, x_T, lambda k: noise[k], guide_fn)
        torch.testing.assert_close(found, sampler(guided, schedule, x_T, lambda k: noise[k]))


def test_within_an_interval_the_other_denoiser_is_asked_there_alone():
    schedule, asked = respace(make_schedule("linear"), "ddim10"), []

    def other_fn(x_t, t, state):
        asked.append(state.timestep)
        return state.x0

    guide_fn = pair_guidance(other_fn, ClassifierFree(timesteps=(200, 500)), 2.0)
    sample_ddim(strong, schedule, torch.randn(SHAPE), guide_fn=guide_fn)
    assert asked == [500, 400, 300, 200]


def test_projected_guidance_is_orthogonal_to_x0_bounded_and_remembers():
    x0, other = torch.randn(SHAPE, **DOUBLE), torch.randn(2, *SHAPE, **DOUBLE)
    state = state_at(x0=x0, gain=1.0, x0_gain=1.0)

    def pull(rule, k, state=state):
        return pair_guidance(lambda *_: other[k], [ClassifierFree(), rule], 2.0)(x0, torch.zeros(4), state).gradient

    orthogonal = pull(AdaptiveProjected(momentum=0), 0)
    torch.testing.assert_close((orthogonal * x0).sum(dim=(1, 2, 3)), torch.zeros(4, **DOUBLE), rtol=0, atol=1e-12)
    bounded = pull(AdaptiveProjected(momentum=0, norm=0.5, parallel=1), 0)
    torch.testing.assert_close(bounded.flatten(1).norm(dim=1), torch.full((4,), 0.5, **DOUBLE))
    fresh = state_at(x0=x0, gain=1.0, x0_gain=1.0)
    remembering = AdaptiveProjected(momentum=-0.5, parallel=1)
    torch.testing.assert_close(pull(remembering, 0, fresh), x0 - other[0])
    torch.testing.assert_close(pull(remembering, 1, fresh), x0 - other[1] - 0.5 * (x0 - other[0]))


def test_the_other_class_of_icg_is_never_the_images_own_and_uniform_and_a_function_of_image_and_step():
    index = torch.arange(9000)
    y, rule = index % 10, IndependentCondition()

    def labels(numbers, k):
        draws = lambda below: torch.from_numpy(image_integers(numbers.numpy(), below, seed=3, draw=k + 1))  # noqa: E731
        return rule.labels(numbers % 10, 10, draws)

    drawn = labels(index, 0)
    assert (drawn != y).all()
    counts = torch.bincount(10 * y + drawn, minlength=100)
    assert counts[counts > 0].numel() == 90
    assert abs(counts[counts > 0].float() - 100).max() < 45
    assert torch.equal(labels(index[500:600], 0), drawn[500:600])
    assert not torch.equal(labels(index, 1), drawn)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_gains_tell_how_far_a_gradient_and_a_change_of_x0_move_the_image(sampler):
    schedule, x_T = respace(make_schedule("linear"), "10"), torch.randn(SHAPE, **DOUBLE)
    push, ends = torch.randn(SHAPE, **DOUBLE), []
    for size in (0.0, 1e-3):

        def guide_fn(x_t, t, state, size=size):
            return pair_guidance(lambda *_: state.x0 - size * push, ClassifierFree(), 2.0)(x_t, t, state)

        after = []
        sampler(lambda x, t: x * 0.01, schedule, x_T, lambda k: torch.zeros(()), guide_fn, after.append)
        ends.append(after[0].x_t)
    moved = (ends[1] - ends[0]) / 1e-3 / push
    torch.testing.assert_close(moved, moved[0, 0, 0, 0].expand_as(moved))
    beta, abar, prev = (each[-1] for each in (schedule.betas, schedule.alpha_bar, schedule.alpha_bar_prev))
    if sampler is sample_ddpm:
        wanted = beta * prev.sqrt() / (1 - abar)
    else:
        wanted = prev.sqrt() - ((1 - prev) * abar / (1 - abar)).sqrt()
    torch.testing.assert_close(moved[0, 0, 0, 0], wanted, rtol=1e-6, atol=0)
