"""Measures by noise level, against brute force on linear classifiers, whose gradients have a closed form."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from eddpm.diffusion.schedule import make_schedule
from eddpm.evaluation.noise_levels import LEVELS, level_edges, level_logits, noise_levels, noised

SCHEDULE = make_schedule("cosine", 1000)
EDGES = level_edges(1000)
COUNT, CLASSES = 40, 4
X0 = torch.rand(COUNT, 1, 4, 4, generator=torch.Generator().manual_seed(1)) * 2 - 1
Y = torch.arange(COUNT) % CLASSES


class Linear(nn.Module):
    """Logits linear in x_t, with dropout that no measurement should see."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x_t, t):
        return self.dropout(x_t.flatten(1)) @ self.weight.T


@pytest.fixture
def linear():
    return Linear(torch.randn(CLASSES, 16, generator=torch.Generator().manual_seed(2)))


def batches(size: int):
    return zip(X0.split(size), Y.split(size), strict=True)


def measure(network, size: int = COUNT, seed: int = 0, x0=None, y=None) -> list[dict]:
    return noise_levels(network, SCHEDULE, batches(size) if x0 is None else [(x0, y)], seed)


def values(rows: list[dict]) -> np.ndarray:
    return np.array([list(row.values()) for row in rows])


@pytest.mark.parametrize("steps", [1000, 25, 3])
def test_levels_cover_all_steps_in_equal_ranges_and_are_no_more_than_steps(steps):
    edges = level_edges(steps)
    assert (edges[0], edges[-1], len(edges)) == (0, steps, min(steps, LEVELS) + 1)
    widths = np.diff(edges)
    assert widths.min() >= 1
    assert widths.max() - widths.min() <= 1


def noise_of(level: int, first: int, seed: int) -> torch.Tensor:
    """The noise in eight x_t which have no image in them."""
    x_t, t = noised(SCHEDULE, torch.zeros(8, 1, 4, 4), EDGES, level, range(first, first + 8), seed)
    return x_t.double() / (1 - SCHEDULE.alpha_bar[t]).sqrt().view(-1, 1, 1, 1)


def test_noise_belongs_to_seed_level_and_number_and_not_to_the_batch(linear):
    for other in (noise_of(3, 0, 0), noise_of(2, 8, 0), noise_of(2, 0, 1)):
        assert not torch.isclose(other, noise_of(2, 0, 0), rtol=1e-3).all(dim=(1, 2, 3)).any()
    np.testing.assert_allclose(values(measure(linear, size=7)), values(measure(linear)), rtol=1e-5)


def expected_calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """Guo et al. (2017), eq. 3: 15 bins."""
    confidence, right = p.max(1), p.argmax(1) == y
    inside = [(b / 15 < confidence) & (confidence <= (b + 1) / 15) for b in range(15)]
    return sum(abs(right[bin_].sum() - confidence[bin_].sum()) for bin_ in inside) / len(y)


def test_each_quantity_is_what_its_definition_gives(linear):
    rows = measure(linear, size=7)
    assert list(rows[3]) == ["t_from", "t_to", "accuracy", "confidence", "entropy", "ece", "gradient_norm"]
    weight = linear.weight.detach().double().numpy()
    for level in (0, 5, 9):
        x_t, _ = noised(SCHEDULE, X0, EDGES, level, range(COUNT), 0)
        logits = x_t.double().flatten(1).numpy() @ weight.T
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        gradients = (np.eye(CLASSES)[Y] - p) @ weight
        assert rows[level]["accuracy"] == pytest.approx((p.argmax(1) == Y.numpy()).mean())
        assert rows[level]["confidence"] == pytest.approx(p.max(1).mean(), rel=1e-5)
        assert rows[level]["entropy"] == pytest.approx((-p * np.log(p)).sum(1).mean() / math.log(CLASSES), rel=1e-5)
        assert rows[level]["ece"] == pytest.approx(expected_calibration_error(p, Y.numpy()), abs=1e-5)
        assert rows[level]["gradient_norm"] == pytest.approx(np.linalg.norm(gradients, axis=1).mean(), rel=1e-5)


def test_a_bin_of_confidence_holds_its_upper_end():
    """Confidence 1, wrong, and 0.97, right, are of one bin."""

    class Sure(nn.Module):
        def forward(self, x_t, t):
            logits = torch.tensor([[1000.0, 0.0], [math.log(97 / 3), 0.0]])
            return logits + 0 * x_t.flatten(1)[:, :1]

    rows = measure(Sure(), x0=X0[:2], y=torch.tensor([1, 0]))
    assert [row["ece"] for row in rows] == pytest.approx([abs(-1 + 0.03) / 2] * LEVELS)


@pytest.mark.parametrize("gap", [5.0, 600.0])
def test_the_gradient_norm_is_precise_where_the_classifier_is_certain(gap):
    """Logits (gap + a, -a) with a = 1e-6 of a pixel: |grad log p_0| = 2e-6 (1 - p_0), 1 - p_0 = sigmoid(-gap)."""

    class Certain(nn.Module):
        def forward(self, x_t, t):
            a = 1e-6 * x_t.flatten(1)[:, 0]
            return torch.stack([gap + a, -a], dim=1)

    rows = measure(Certain(), x0=X0[:4], y=torch.zeros(4, dtype=torch.long))
    wanted = [2e-6 / (1 + math.exp(gap))] * LEVELS
    assert [row["gradient_norm"] for row in rows] == pytest.approx(wanted, rel=1e-3, abs=0)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(linear, training):
    linear.train(training)
    linear.weight.grad = torch.full_like(linear.weight, 3.0)
    measured = values(measure(linear))
    assert linear.training == linear.dropout.training == training
    assert (linear.weight.grad == 3).all()
    np.testing.assert_array_equal(values(measure(linear.eval())), measured)  # the dropout was off


def test_the_logits_of_a_level_are_those_that_are_measured(linear):
    logits, y = level_logits(linear, SCHEDULE, batches(7), EDGES, 4, seed=0)
    assert torch.equal(y, Y)
    assert linear.training
    x_t, t = noised(SCHEDULE, X0, EDGES, 4, range(COUNT), 0)
    torch.testing.assert_close(logits, linear.eval()(x_t, t).detach())
