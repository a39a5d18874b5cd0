"""The classifier's losses in their closed forms and limits."""

import math

import pytest
import torch
import torch.nn.functional as F

from eddpm.config.schema import ClassifierLossConfig
from eddpm.training.classification import classification_loss, focal_loss

Y = torch.tensor([0, 1, 2, 3, 0])
CLEAN = torch.ones(5)


def some_logits() -> torch.Tensor:
    return 2 * torch.randn(5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def loss(logits, y=Y, alpha_bar=CLEAN, **options) -> torch.Tensor:
    return classification_loss(logits, y, ClassifierLossConfig(**options), alpha_bar)


def test_without_options_it_is_cross_entropy_and_smoothed_its_soft_targets():
    logits = some_logits()
    for smoothing in (0.0, 0.1):
        targets = (1 - smoothing) * F.one_hot(Y, 4) + smoothing / 4
        wanted = -(targets * logits.log_softmax(-1)).sum(-1)
        torch.testing.assert_close(loss(logits, label_smoothing=smoothing), wanted)


def test_logits_of_half_precision_are_widened():
    logits = some_logits().bfloat16()
    for options in ({"ect_weight": 1.0}, {"focal_gamma": 2.0}, {"label_smoothing": 0.1}):
        assert torch.equal(loss(logits, **options), loss(logits.float(), **options))


# Entropy constraint -----------------------------------------------------------------------------------------------


def test_entropy_constraint_is_the_divergence_from_uniform_and_joins_any_other_loss():
    logits = some_logits()
    uniform = torch.full_like(logits, 1 / 4)
    divergence = F.kl_div(uniform.log(), logits.log_softmax(-1), reduction="none", log_target=True).sum(-1)
    for rival in ({}, {"focal_gamma": 2.0}, {"label_smoothing": 0.1}):
        torch.testing.assert_close(loss(logits, ect_weight=0.3, **rival) - loss(logits, **rival), 0.3 * divergence)


def test_constraint_at_certainty_is_log_c_and_has_a_finite_gradient():
    logits = torch.tensor([[2000.0, 0.0, 0.0]], requires_grad=True)
    found = loss(logits, torch.tensor([0]), CLEAN[:1], ect_weight=0.1)
    assert found.item() == pytest.approx(0.1 * math.log(3))
    found.backward()
    assert logits.grad.isfinite().all()


def test_weighting_by_snr_is_the_constraint_times_snr_over_one_plus_snr():
    logits, alpha_bar = some_logits(), torch.tensor([1.0, 0.8, 0.5, 1e-3, 0.0], dtype=torch.float64)
    constraint = loss(logits, ect_weight=1.0) - loss(logits)
    weighted = loss(logits, alpha_bar=alpha_bar, ect_weight=0.2, ect_weighting="snr") - loss(logits)
    snr = alpha_bar / (1 - alpha_bar)
    torch.testing.assert_close(weighted[1:], (0.2 * snr / (1 + snr) * constraint)[1:])
    torch.testing.assert_close(weighted[0], 0.2 * constraint[0])  # without noise: the whole of it
    assert weighted[4] == 0


# Rivals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_is_its_formula(gamma):
    logits = some_logits()
    p = logits.softmax(-1).gather(-1, Y[:, None]).squeeze(-1)
    torch.testing.assert_close(loss(logits, focal_gamma=gamma), -((1 - p) ** gamma) * p.log())


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_near_certainty_is_a_power_of_what_is_left(gamma):
    """q = 1 - p_y = exp(-30), which float32 rounds away next to 1: the loss is q^(gamma + 1), its slope follows."""
    logits = torch.tensor([[30.0, 0.0]], requires_grad=True)
    found = focal_loss(logits, torch.tensor([0]), gamma)
    found.backward()
    power = (gamma + 1) * -30.0
    assert found.item() == pytest.approx(math.exp(power), rel=1e-4)
    assert logits.grad[0].tolist() == pytest.approx([-(gamma + 1) * math.exp(power), (gamma + 1) * math.exp(power)])


@pytest.mark.parametrize(("gap", "gamma"), [(2000.0, 0.5), (-2000.0, 2.0)])
def test_focal_loss_is_finite_at_certainty_of_the_class_or_of_another(gap, gamma):
    logits = torch.tensor([[gap, 0.0, 0.0]], requires_grad=True)
    found = focal_loss(logits, torch.tensor([0]), gamma)
    found.backward()
    assert found.item() == pytest.approx(2000 + math.log(2) if gap < 0 else 0)
    assert logits.grad.isfinite().all()


# Limits -----------------------------------------------------------------------------------------------------------

LOSSES = [
    {},
    {"ect_weight": 0.5},
    {"focal_gamma": 2.0},
    {"label_smoothing": 0.1},
    {"focal_gamma": 2.0, "ect_weight": 0.5},
]


@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("options", LOSSES, ids=str)
def test_loss_of_a_uniform_prediction_has_its_closed_form_and_is_where_the_constraint_has_no_slope(classes, options):
    logits = torch.full((3, classes), 7.0, dtype=torch.float64, requires_grad=True)
    found = loss(logits, torch.tensor([0, 1, classes - 1]), CLEAN[:3], **options)
    factor = (1 - 1 / classes) ** options.get("focal_gamma", 0.0)
    assert found.tolist() == pytest.approx([factor * math.log(classes)] * 3)
    (with_constraint,) = torch.autograd.grad(found.sum(), logits, retain_graph=True)
    plain = loss(logits, torch.tensor([0, 1, classes - 1]), CLEAN[:3], **options | {"ect_weight": 0.0})
    torch.testing.assert_close(with_constraint, *torch.autograd.grad(plain.sum(), logits))


@pytest.mark.parametrize("classes", [2, 1000])
@pytest.mark.parametrize("options", LOSSES, ids=str)
@pytest.mark.parametrize("right", [True, False])
def test_loss_of_a_certain_prediction_has_its_closed_form_and_a_finite_slope(classes, options, right):
    gap = 1e4  # as sure as a sound network may be
    logits = torch.zeros(1, classes)
    logits[0, 0 if right else 1] = gap
    logits.requires_grad_()
    found = loss(logits, torch.tensor([0]), CLEAN[:1], **options)
    smoothing = options.get("label_smoothing", 0.0)
    # Smoothed targets ask for 1 / C of each class; of the certain one that is no loss.
    cross_entropy = smoothing * (1 - 1 / classes) * gap if right else gap * (1 - smoothing / classes)
    constraint = options.get("ect_weight", 0.0) * math.log(classes)
    assert found.item() == pytest.approx(cross_entropy + constraint, rel=1e-5)
    found.backward()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("options", LOSSES, ids=str)
def test_loss_of_a_nan_is_nan_in_its_row_alone(options):
    logits = some_logits()
    logits[1, 2] = math.nan
    found = loss(logits, **options)
    assert found.isnan().tolist() == [False, True, False, False, False]
