"""The fitted temperature: against sampling from a known one, a closed form, and at its bounds."""

import math

import pytest
import torch

from eddpm.evaluation.temperature import BOUNDS, fit_temperature


@pytest.mark.parametrize("factor", [0.2, 7.0])
def test_logits_of_a_calibrated_classifier_times_a_factor_have_that_temperature(factor):
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 5, generator=generator)
    y = torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)
    assert fit_temperature(factor * logits, y) == pytest.approx(factor, rel=0.03)


def test_of_two_classes_it_has_a_closed_form():
    """The same logit gap g everywhere, right in 3 of 4: sigmoid(g / T) = 3 / 4."""
    logits, y = torch.tensor([[5.0, 0.0]]).expand(4, 2), torch.tensor([0, 0, 0, 1])
    assert fit_temperature(logits, y) == pytest.approx(5 / math.log(3), rel=1e-10)


def test_what_is_never_wrong_ends_at_the_lower_bound_and_what_tells_nothing_at_the_upper():
    y = torch.tensor([0, 1, 2])
    for gap in (1e-3, 1e4):
        assert fit_temperature(gap * torch.eye(3), y) == BOUNDS[0]
    assert fit_temperature(torch.eye(3)[[1, 2, 0]], y) == BOUNDS[1]  # misled
    assert fit_temperature(torch.zeros(3, 3), y) == BOUNDS[1]
