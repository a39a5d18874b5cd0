"""EDS against high-precision arithmetic, its limits, and the half-precision case the published order of work fails."""

import math

import mpmath
import pytest
import torch
import torch.nn.functional as F
from guides import SCALE, assert_same, guide_logits, logits_with_gap, state_at
from torch import nn

from eddpm.guidance.guide import classifier_guidance
from eddpm.guidance.logits import log_entropy
from eddpm.guidance.rules.constant import Constant
from eddpm.guidance.rules.entropy import Entropy

GAPS = [1, 2, 5, 10, 17, 30, 36, 37, 50, 100, 200, 300]


def exact_pull(logits: torch.Tensor, y: int, scale: float, with_entropy: bool) -> list:
    """scale * (log C / H) * (onehot(y) - p) with 400 digits."""
    with mpmath.workdps(400):
        z = [mpmath.mpf(v.item()) for v in logits[0]]
        total = mpmath.fsum(mpmath.exp(v) for v in z)
        p = [mpmath.exp(v) / total for v in z]
        h = -mpmath.fsum(q * mpmath.log(q) for q in p)
        s = scale * (mpmath.log(len(z)) / h if with_entropy else 1)
        return [s * ((c == y) - p[c]) for c in range(len(z))]


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize(
    ("y", "dtype"),
    [(3, torch.float64), (5, torch.float64), (7, torch.float64), (3, torch.float32)],
    ids=["certain of y", "y second", "y last", "float32"],
)
@pytest.mark.parametrize("rule", ["constant", "entropy"])
def test_guidance_equals_the_formula_at_high_precision(gap, y, dtype, rule):
    logits = logits_with_gap(gap).to(dtype)
    pull = guide_logits(logits, y, rule).gradient.flatten()
    for value, exact in zip(pull, exact_pull(logits, y, SCALE, rule == "entropy"), strict=True):
        tiniest = 1e-37 if dtype == torch.float32 else 0  # that a float32 gradient can hold
        assert abs(mpmath.mpf(value.item()) - exact) <= max(1e-6 * abs(exact), tiniest)


@pytest.mark.parametrize("gap", [1, 36, 37, 300])
@pytest.mark.parametrize("num_classes", [2, 10, 1000])
def test_log_entropy_equals_high_precision(gap, num_classes):
    logits = (
        logits_with_gap(gap, max(num_classes, 6))[:, -num_classes:]
        if num_classes > 2
        else torch.tensor([[0.0, gap]], dtype=torch.float64)
    )
    with mpmath.workdps(400):
        z = [mpmath.mpf(v.item()) for v in logits[0]]
        total = mpmath.fsum(mpmath.exp(v) for v in z)
        exact = mpmath.log(-mpmath.fsum(mpmath.exp(v) / total * mpmath.log(mpmath.exp(v) / total) for v in z))
    assert log_entropy(logits).item() == pytest.approx(float(exact), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [301.0, 750.0, 1e30])
@pytest.mark.parametrize("y", [3, 5])
def test_any_larger_gap_stays_finite(gap, y, dtype):
    guidance = guide_logits(logits_with_gap(gap).to(dtype), y, "entropy")
    for name, value in guidance._asdict().items():
        assert value.isfinite().all(), name
    assert guidance.gradient.flatten()[y] > 0


@pytest.mark.parametrize("num_classes", [2, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gap", [1e3, 1e6, 1e10])
def test_eds_of_a_certain_classifier_tends_to_its_limit(gap, dtype, num_classes):
    """H is q * (1 + gap) where the other classes are equal: the q of 1 - p_y cancels."""
    logits = torch.zeros(1, num_classes, dtype=dtype)
    logits[0, 0] = gap
    pull = guide_logits(logits, 0, "entropy", 1.0).gradient.flatten()
    limit = math.log(num_classes) / (1 + float(logits[0, 0]))
    exact = {"rtol": 1e-5, "atol": 0, "check_dtype": False}
    torch.testing.assert_close(pull[0].double(), torch.tensor(limit, dtype=torch.float64), **exact)
    others = torch.full((num_classes - 1,), -limit / (num_classes - 1), dtype=torch.float64)
    torch.testing.assert_close(pull[1:].double(), others, **exact)


@pytest.mark.parametrize("scale", [0.0, 1e-6, 1e30])
@pytest.mark.parametrize("rule", ["none", "constant", "entropy"])
def test_guidance_at_extreme_scales_is_finite_and_says_where_it_was_cut(rule, scale):
    """Of a uniform, a certain and a wrong classifier, in one batch as alone."""
    logits = torch.stack([torch.zeros(10), 200 * torch.eye(10)[3], 200 * torch.eye(10)[5]])
    together = guide_logits(logits, 3, rule, scale)
    for name, value in together._asdict().items():
        assert value.isfinite().all(), name
    cut = {0.0: [False] * 3, 1e-6: [False, False, rule == "entropy"], 1e30: [True, False, True]}
    assert together.limited.tolist() == ([False] * 3 if rule == "none" else cut[scale])
    assert together.gradient.any() == (rule != "none" and scale > 0)
    for b in range(3):
        assert torch.equal(guide_logits(logits[b : b + 1], 3, rule, scale).gradient, together.gradient[b : b + 1])


def test_a_classifier_that_gives_nan_gives_nan_for_its_sample_alone_and_one_class_is_refused():
    logits = torch.cat([logits_with_gap(2.0), torch.full((1, 10), math.nan, dtype=torch.float64)])
    guidance = guide_logits(logits, 3, "entropy")
    assert guidance.gradient.isfinite().flatten(1).all(dim=1).tolist() == [True, False]
    assert guidance.entropy.isfinite().tolist() == [True, False]
    with pytest.raises(ValueError, match=r"^logits \(1, 1\): a classifier of fewer than two classes cannot guide$"):
        guide_logits(torch.zeros(1, 1), 0, "constant")


@pytest.mark.parametrize("num_classes", [2, 37, 1000])
@pytest.mark.parametrize("scale", [0.1, 6.0])
def test_uniform_prediction_gives_exactly_the_scale(num_classes, scale):
    logits = torch.full((4, num_classes), 1.7)
    assert torch.equal(guide_logits(logits, 1, "entropy", scale).scale.float(), torch.full((4,), scale))
    torch.testing.assert_close(
        guide_logits(logits, 1, "entropy", scale).gradient, guide_logits(logits, 1, "constant", scale).gradient
    )


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_entropy_normalised_by_k_classes_multiplies_the_guidance_by_log_k_over_log_c(classes):
    """As the published code does, which knows of a thousand classes only."""
    logits = torch.cat([logits_with_gap(gap) for gap in (0.0, 1.0, 17.0, 100.0)])
    x_t, y, t = logits[:, :, None, None], torch.tensor([0, 3, 3, 5]), torch.zeros(4)
    classifier_fn = lambda x, t: x.flatten(1)  # noqa: E731
    plain = classifier_guidance(classifier_fn, y, Entropy(), SCALE)(x_t, t)
    other = classifier_guidance(classifier_fn, y, Entropy(entropy_classes=classes), SCALE)(x_t, t)
    ratio = math.log(classes) / math.log(10)
    exact = {"rtol": 1e-13, "atol": 0}
    torch.testing.assert_close(other.scale, plain.scale * ratio, **exact)
    torch.testing.assert_close(other.gradient, plain.gradient * ratio, **exact)
    torch.testing.assert_close(other.guidance_norm, plain.guidance_norm * ratio, **exact)
    assert torch.equal(other.entropy, plain.entropy)  # over log C, however the scale is normalised


@pytest.mark.parametrize(
    ("t", "same"), [(0, Constant), (99, Constant), (100, Entropy), (500, Entropy), (501, Constant)]
)
def test_within_its_timesteps_eds_is_eds_and_outside_them_constant(t, same):
    logits = logits_with_gap(2.0)
    assert_same(
        guide_logits(logits, 3, Entropy(eds_timesteps=(100, 500)), state=state_at(t)), guide_logits(logits, 3, same())
    )


def test_scale_of_each_sample_is_independent_of_its_batch():
    logits = torch.cat([logits_with_gap(g) for g in (0.0, 5.0, 40.0, 2000.0)])
    together = guide_logits(logits, 3, "entropy")
    for b in range(len(logits)):
        alone = guide_logits(logits[b : b + 1], 3, "entropy")
        assert torch.equal(alone.scale, together.scale[b : b + 1])
        assert torch.equal(alone.gradient, together.gradient[b : b + 1])


def test_constant_rule_is_the_gradient_autograd_gives():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 5)).double()
    x_t, y = torch.randn(6, 3, 2, 2, dtype=torch.float64, requires_grad=True), torch.arange(6) % 5
    log_p = F.log_softmax(net(x_t), dim=-1)[torch.arange(6), y]
    (expected,) = torch.autograd.grad(3.0 * log_p.sum(), x_t)
    guidance = classifier_guidance(lambda x, t: net(x), y, Constant(), 3.0)(x_t, torch.zeros(6))
    torch.testing.assert_close(guidance.gradient, expected)
    torch.testing.assert_close(guidance.guidance_norm, expected.flatten(1).norm(dim=1))
    torch.testing.assert_close(guidance.gradient_norm, expected.flatten(1).norm(dim=1) / 3)
    torch.testing.assert_close(guidance.target_probability, log_p.exp().detach())


def test_no_gradient_flows_through_the_entropy():
    """EDS's guidance is parallel to the raw gradient, which that of log p_y / H would not be."""
    torch.manual_seed(2)
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 16), nn.Tanh(), nn.Linear(16, 5)).double()
    x_t, y, t = torch.randn(6, 3, 2, 2, dtype=torch.float64), torch.arange(6) % 5, torch.zeros(6)
    eds = classifier_guidance(lambda x, t: net(x), y, Entropy(), 1.0)(x_t, t)
    raw = classifier_guidance(lambda x, t: net(x), y, Constant(), 1.0)(x_t, t)
    torch.testing.assert_close(eds.gradient, raw.gradient * eds.scale.view(-1, 1, 1, 1))


def test_none_gives_zeros_and_still_observes():
    guidance = guide_logits(logits_with_gap(5.0), 3, "none")
    assert not guidance.gradient.any()
    assert guidance.scale.item() == 0
    assert guidance.gradient_norm.item() > 0


class HalfPrecisionClassifier(nn.Module):
    """A float16 trunk with a float32 head, as ADM runs its classifier; sharp, so that it is certain of its class."""

    def __init__(self, sharpness: float, dtype: torch.dtype):
        super().__init__()
        torch.manual_seed(3)
        self.trunk = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.SiLU(), nn.Conv2d(16, 16, 3, 2, 1), nn.SiLU())
        self.head = nn.Linear(16 * 4 * 4, 10)
        self.trunk.to(dtype)
        self.sharpness, self.dtype = sharpness, dtype

    def forward(self, x, t):
        return self.sharpness * self.head(self.trunk(x.to(self.dtype)).float().flatten(1))


@pytest.mark.parametrize("sharpness", [200.0, 400.0])
def test_half_precision_keeps_the_direction_of_float32(sharpness):
    torch.manual_seed(4)
    x_t, t = 3 * torch.randn(8, 3, 16, 16), torch.zeros(8)
    half, full = (HalfPrecisionClassifier(sharpness, d).requires_grad_(False) for d in (torch.float16, torch.float32))
    y = full(x_t, t).argmax(-1)
    guided = classifier_guidance(half, y, Entropy(), 1.0)(x_t, t)
    wanted = classifier_guidance(full, y, Entropy(), 1.0)(x_t, t)
    cosine = F.cosine_similarity(guided.gradient.flatten(1), wanted.gradient.flatten(1))
    assert cosine.min() > 0.99

    x_in = x_t.clone().requires_grad_()
    log_p = F.log_softmax(half(x_in, t), dim=-1)[torch.arange(8), y]
    (published,) = torch.autograd.grad(log_p.sum(), x_in)
    vanished = published.flatten(1).abs().amax(dim=1) == 0
    assert vanished.any()
    assert guided.gradient[vanished].flatten(1).abs().amax(dim=1).gt(0).all()
