"""What is measured by noise level: against brute force on linear classifiers, whose gradients have a closed form."""

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


def columns(rows: list[dict], *names: str) -> np.ndarray:
    return np.array([[row[name] for name in names or rows[0]] for row in rows])


# Levels -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [10, 1000, 1003, 25])
def test_levels_cover_all_steps_in_equal_ranges(steps):
    edges = level_edges(steps)
    assert (edges[0], edges[-1], len(edges)) == (0, steps, LEVELS + 1)
    widths = np.diff(edges)
    assert widths.min() >= 1
    assert widths.max() - widths.min() <= 1


def test_a_diffusion_of_few_steps_has_a_level_for_each(linear):
    rows = noise_levels(linear, make_schedule("cosine", 3), batches(COUNT), 0)
    assert [(row["t_from"], row["t_to"]) for row in rows] == [(0, 1), (1, 2), (2, 3)]


# Noise ------------------------------------------------------------------------------------------------------------


NOTHING = torch.zeros(8, 1, 4, 4)


def noise_of(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """The noise in an x_t which has no image in it."""
    return x_t.double() / (1 - SCHEDULE.alpha_bar[t]).sqrt().view(-1, 1, 1, 1)


def test_x_t_and_t_belong_to_seed_level_and_number():
    x_t, t = noised(SCHEDULE, X0[:8], EDGES, 2, range(8), 0)
    for start in (0, 5):
        part, part_t = noised(SCHEDULE, X0[start:8], EDGES, 2, range(start, 8), 0)
        assert torch.equal(part, x_t[start:])
        assert torch.equal(part_t, t[start:])
    noise = noise_of(*noised(SCHEDULE, NOTHING, EDGES, 2, range(8), 0))
    for level, first, seed in ((3, 0, 0), (2, 8, 0), (2, 0, 1)):
        other = noise_of(*noised(SCHEDULE, NOTHING, EDGES, level, range(first, first + 8), seed))
        assert not torch.isclose(other, noise, rtol=1e-3).all(dim=(1, 2, 3)).any()


@pytest.mark.parametrize("size", [1, 7])
def test_the_result_does_not_depend_on_the_size_of_batches(linear, size):
    np.testing.assert_allclose(columns(measure(linear, size)), columns(measure(linear)), rtol=1e-5)


# Quantities -------------------------------------------------------------------------------------------------------


def expected_calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """Guo et al. (2017), eq. 3, as it is written: 15 bins, image by image."""
    confidence, right = p.max(1), p.argmax(1) == y
    total = 0.0
    for b in range(15):
        inside = [i for i in range(len(y)) if b / 15 < confidence[i] <= (b + 1) / 15]
        if inside:
            total += len(inside) / len(y) * abs(np.mean(right[inside]) - np.mean(confidence[inside]))
    return total


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


@pytest.mark.parametrize("gap", [5.0, 60.0, 600.0])
def test_the_gradient_norm_is_precise_where_the_classifier_is_certain(gap):
    """Logits (gap + a, -a) with a = 1e-6 of a pixel: |grad log p_0| = 2e-6 (1 - p_0), 1 - p_0 = sigmoid(-gap)."""

    class Certain(nn.Module):
        def forward(self, x_t, t):
            a = 1e-6 * x_t.flatten(1)[:, 0]
            return torch.stack([gap + a, -a], dim=1)

    rows = measure(Certain(), x0=X0[:4], y=torch.zeros(4, dtype=torch.long))
    assert columns(rows, "gradient_norm") == pytest.approx(2e-6 / (1 + math.exp(gap)), rel=1e-3, abs=0)


# The network ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(linear, training):
    linear.train(training)
    linear.weight.grad = torch.full_like(linear.weight, 3.0)
    before = linear.weight.detach().clone()
    measured = columns(measure(linear))
    assert linear.training == linear.dropout.training == training
    assert (linear.weight.grad == 3).all()
    assert linear.weight.requires_grad
    assert torch.equal(linear.weight, before)
    np.testing.assert_array_equal(columns(measure(linear.eval())), measured)  # the dropout was off


def test_the_logits_of_a_level_are_those_that_are_measured(linear):
    logits, y = level_logits(linear, SCHEDULE, batches(7), EDGES, 4, seed=0)
    assert torch.equal(y, Y)
    assert linear.training
    assert not logits.requires_grad
    accuracy = (logits.argmax(-1) == y).double().mean().item()
    assert accuracy == pytest.approx(measure(linear)[4]["accuracy"])
    x_t, t = noised(SCHEDULE, X0, EDGES, 4, range(COUNT), 0)
    torch.testing.assert_close(logits, linear.eval()(x_t, t).detach())
