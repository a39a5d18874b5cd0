"""The fitted temperature: against sampling from a known one, and against a search over a grid."""

import math

import pytest
import torch

from eddpm.evaluation.temperature import BOUNDS, fit_temperature


def noisy_labels(count: int, seed: int = 0):
    """Logits, and labels drawn from their own softmax: a calibrated classifier, whose temperature is 1."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, 5, generator=generator)
    return logits, torch.multinomial(logits.softmax(-1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_logits_of_a_calibrated_classifier_times_a_factor_have_that_temperature(factor):
    logits, y = noisy_labels(20_000)
    assert fit_temperature(factor * logits, y) == pytest.approx(factor, rel=0.03)


def test_of_two_classes_it_has_a_closed_form():
    """The same logit gap g everywhere, right in 3 of 4: sigmoid(g / T) = 3 / 4."""
    logits, y = torch.tensor([[5.0, 0.0]]).expand(4, 2), torch.tensor([0, 0, 0, 1])
    assert fit_temperature(logits, y) == pytest.approx(5 / math.log(3), rel=1e-10)


def test_what_is_never_wrong_ends_at_the_lower_bound_however_certain():
    y = torch.tensor([0, 1, 2])
    for gap in (1e-3, 1.0, 1e4):
        assert fit_temperature(gap * torch.eye(3), y) == BOUNDS[0]


def test_what_tells_nothing_ends_at_the_upper_bound():
    misled = torch.eye(3)[[1, 2, 0]]
    assert fit_temperature(misled, torch.arange(3)) == BOUNDS[1]
    assert fit_temperature(torch.zeros(3, 3), torch.arange(3)) == BOUNDS[1]
