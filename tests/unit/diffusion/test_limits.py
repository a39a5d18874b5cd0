"""The first part to leave the range of numbers, in a batch whose other images stay as they are."""

import math

import pytest
import torch

from eddpm.config.methods import RULES
from eddpm.diffusion.limits import Fault, Limits
from eddpm.diffusion.sampling import sample_ddim, sample_ddpm
from eddpm.diffusion.schedule import make_schedule, respace
from eddpm.guidance.guide import classifier_guidance


def sampled(sampler, rule="constant", denoiser=None, classifier=None) -> Limits:
    """Three images in five steps; `denoiser` and `classifier` (step, values) change those of the second image."""
    limits, x_T, calls = Limits(), torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0)), []

    def denoise_fn(x_t, t):
        calls.append(t)
        return changed(0.5 * x_t, denoiser)

    def changed(values, change):
        if change and len(calls) == change[0]:
            values = torch.stack([values[0], values[1] * change[1], values[2]])
        return values

    guide_fn = classifier_guidance(
        lambda x, t: changed(x.flatten(1)[:, :4], classifier), torch.arange(3), RULES[rule](), 2.0
    )
    noise = lambda k: torch.zeros_like(x_T)  # noqa: E731
    sampler(denoise_fn, respace(make_schedule("linear"), "5"), x_T, noise, guide_fn, limits)
    return limits


@pytest.mark.parametrize("sampler", [sample_ddim, sample_ddpm])
@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({}, None),
        ({"denoiser": (3, 1e30)}, None),  # clipped to an image, as a large output is
        ({"denoiser": (3, math.inf)}, "the denoiser's output"),
        ({"denoiser": (3, math.nan)}, "the denoiser's output"),
        ({"classifier": (3, math.nan)}, "the classifier's logits"),
        ({"classifier": (3, math.inf)}, "the classifier's logits"),
        ({"classifier": (3, 1e30), "rule": "entropy"}, None),
    ],
)
def test_a_fault_is_that_of_its_image_its_step_and_its_part(sampler, change, part):
    fault = sampled(sampler, **change).fault()
    if part:
        assert 0 < fault.size < math.inf
        assert fault == Fault(1, 1, 2, part, fault.size)
    else:
        assert fault is None
