"""The losses in their closed forms and limits."""

import math

import pytest
import torch
import torch.nn.functional as F

from eddpm.training.losses import accuracy_by_noise, classification_loss, denoising_loss, entropy


def test_entropy_of_uniform_and_of_certain_predictions():
    assert entropy(torch.zeros(2, 7)).tolist() == pytest.approx([math.log(7)] * 2)
    assert entropy(torch.tensor([[1000.0, 0.0, 0.0]])).item() == 0


def test_entropy_constraint_is_the_divergence_from_uniform():
    torch.manual_seed(0)
    logits, y = torch.randn(5, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 3, 0])
    p = logits.softmax(-1)
    divergence = (p * (p * 4).log()).sum(-1)
    constraint = classification_loss(logits, y, ect_weight=1.0) - classification_loss(logits, y)
    torch.testing.assert_close(constraint, divergence)


def test_without_constraint_it_is_cross_entropy():
    logits, y = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    torch.testing.assert_close(classification_loss(logits, y).mean(), F.cross_entropy(logits, y))


def test_constraint_at_certainty_is_log_c_and_has_a_finite_gradient():
    logits = torch.tensor([[2000.0, 0.0, 0.0]], requires_grad=True)
    loss = classification_loss(logits, torch.tensor([0]), ect_weight=0.1)
    assert loss.item() == pytest.approx(0.1 * math.log(3))
    loss.backward()
    assert logits.grad.isfinite().all()


def test_constraint_lowers_the_confidence_that_training_ends_with():
    """Fitting one label distribution: ECT's optimum satisfies r = q (1 + w (log q + H)) (a stationary point)."""
    r, w = torch.tensor([0.9, 0.07, 0.03], dtype=torch.float64), 0.1
    logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure():
        optimiser.zero_grad()
        loss = sum(r[c] * classification_loss(logits, torch.tensor([c]), w).sum() for c in range(3))
        loss.backward()
        return loss

    optimiser.step(closure)
    q = logits.detach().softmax(-1)[0]
    torch.testing.assert_close(q * (1 + w * (q.log() + entropy(logits.detach())[0])), r, atol=1e-6, rtol=0)
    assert q[0] < 0.9


def test_denoising_loss_is_the_mean_over_each_image():
    eps, noise = torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
    noise[1] = 2.0
    assert denoising_loss(eps, noise).tolist() == [0, 4]


def test_accuracy_by_noise_counts_each_range_apart():
    logits = torch.eye(3)[torch.tensor([0, 1, 2, 0])]
    y, t = torch.tensor([0, 1, 0, 0]), torch.tensor([0, 499, 500, 999])
    assert accuracy_by_noise(logits, y, t, [0, 500, 1000]) == [1.0, 0.5]
