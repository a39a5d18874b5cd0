"""Each rule of the family from another direction: its limits, invariances and derivatives."""

import math
from itertools import pairwise

import pytest
import torch
from guides import (
    DOUBLE,
    SAMPLERS,
    SCALE,
    SHAPE,
    assert_same,
    guide_logits,
    logits_with_gap,
    paired,
    state_at,
    strong,
)

from eddpm.config.methods import RULES
from eddpm.diffusion.schedule import make_schedule, respace
from eddpm.guidance.guide import classifier_guidance
from eddpm.guidance.rule import Rule, combined
from eddpm.guidance.rules.adaptive_projected import AdaptiveProjected
from eddpm.guidance.rules.autoguidance import Autoguidance
from eddpm.guidance.rules.classifier_free import ClassifierFree
from eddpm.guidance.rules.compress import Compress
from eddpm.guidance.rules.constant import Constant
from eddpm.guidance.rules.entropy import Entropy
from eddpm.guidance.rules.feedback import Feedback
from eddpm.guidance.rules.independent_condition import IndependentCondition
from eddpm.guidance.rules.interval import Interval
from eddpm.guidance.rules.jensen_shannon import JensenShannon
from eddpm.guidance.rules.margin import Margin
from eddpm.guidance.rules.normalised import Normalised
from eddpm.guidance.rules.predicted_x0 import PredictedX0
from eddpm.guidance.rules.soft_label import SoftLabel

GAPS = [0.0, 1.0, 5.0, 30.0, 300.0, 1e4]

# Rules that ask a classifier, with parameters that change something.
OF_CLASSIFIER = {
    "constant": Constant(),
    "entropy": Entropy(),
    "interval": Interval(timesteps=(0, 999)),
    "compress": Compress(guided=5, power=2),
    "margin": Margin(),
    "soft_label": SoftLabel(decay=0.9),
    "jensen_shannon": JensenShannon(),
    "normalised": Normalised(),
    "feedback": Feedback(),
    "predicted_x0": PredictedX0(),
    "none": RULES["none"](),
}
OF_PAIR = {
    "classifier_free": ClassifierFree(unconditional="uadm"),
    "independent_condition": IndependentCondition(),
    "autoguidance": Autoguidance(weak="weak"),
    "adaptive_projected": [ClassifierFree(unconditional="uadm"), AdaptiveProjected(norm=2.0)],
}


def test_every_rule_is_tested_here():
    assert OF_CLASSIFIER.keys() | OF_PAIR.keys() == RULES.keys()


# Limits: rules that become `constant` -----------------------------------------------------------------------------


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize(
    "rule",
    [
        Interval(timesteps=(0, 999)),
        Constant(timesteps=(500, 500)),
        Compress(guided=25),
        Compress(guided=100, power=1),
        Margin(tau2=1),
        SoftLabel(smoothing=0),
        JensenShannon(weight=0),
        [Constant(), Interval(timesteps=(0, 999)), Compress(guided=25)],
    ],
    ids=str,
)
@pytest.mark.parametrize("y", [3, 5])
def test_a_rule_whose_parameter_does_nothing_is_constant_guidance_in_every_bit(rule, gap, y):
    logits = logits_with_gap(gap)
    assert_same(guide_logits(logits, y, rule, state=state_at(500)), guide_logits(logits, y, Constant()))


@pytest.mark.parametrize("rule", [Interval(timesteps=(300, 900)), Entropy(timesteps=(300, 900))])
def test_outside_its_interval_a_rule_asks_no_classifier(rule):
    guided = [guide_logits(logits_with_gap(1.0), 3, rule, state=state_at(t)) for t in (299, 300, 900, 901)]
    assert [each is not None for each in guided] == [False, True, True, False]


@pytest.mark.parametrize(("guided", "power", "steps"), [(5, 1, 25), (5, 2, 25), (50, 5, 250), (10, 1, 5), (3, 0.5, 7)])
def test_compressed_guidance_has_in_sum_the_weight_of_all_steps(guided, power, steps):
    rule, logits = Compress(guided=guided, power=power), logits_with_gap(1.0)
    at = [guide_logits(logits, 3, rule, state=state_at(k=k, num_steps=steps)) for k in range(steps)]
    asked = [k for k in range(steps) if at[k]]
    assert asked == sorted({math.floor(steps * (i / guided) ** power) for i in range(guided)})
    assert asked[0] == 0
    held = [later - sooner for sooner, later in pairwise([*asked, steps])]
    assert [at[k].scale.item() for k in asked] == pytest.approx([SCALE * count for count in held])


# Derivatives ------------------------------------------------------------------------------------------------------


def cross_entropy_to(q, z):
    return (q * z.log_softmax(-1)).sum(-1)


def js(p, q):
    m = (p + q) / 2
    return ((p * (p / m).log()).sum(-1) + (q * (q / m).log()).sum(-1)) / 2


def smooth(y, e):
    return (1 - e) * torch.eye(10, **DOUBLE)[y] + e / 10


OBJECTIVES = {
    "constant": (Constant(), lambda z, y: z.log_softmax(-1)[..., y]),
    "margin": (Margin(tau1=1.5, tau2=0.4), lambda z, y: 1.5 * z[..., y] - (0.4 * z).logsumexp(-1)),
    "margin below": (Margin(tau1=0.5, tau2=2), lambda z, y: 0.5 * z[..., y] - (2 * z).logsumexp(-1)),
    "bare logit": (Margin(tau2=0), lambda z, y: z[..., y]),
    "soft label": (SoftLabel(smoothing=0.3), lambda z, y: cross_entropy_to(smooth(y, 0.3), z)),
    "progress": (
        SoftLabel(smoothing=0.9, decay=0.95),
        lambda z, y: cross_entropy_to(smooth(y, 0.9 * 0.95 ** (250 * 3 / 25)), z),
    ),
    "js": (
        JensenShannon(weight=2, smoothing=0.2),
        lambda z, y: z.log_softmax(-1)[..., y] - 2 * js(z.softmax(-1), smooth(y, 0.2)),
    ),
    "js with temperatures": (
        JensenShannon(tau2=0.5, weight=1, smoothing=1),
        lambda z, y: z[..., y] - (0.5 * z).logsumexp(-1) - js(z.softmax(-1), smooth(y, 1)),
    ),
}


@pytest.mark.parametrize(("rule", "objective"), OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("y", [3, 5, 7])
def test_a_cotangent_is_the_derivative_of_its_objective(rule, objective, y):
    z, h = logits_with_gap(2.0), 1e-6
    steps = h * torch.eye(10, **DOUBLE)
    differences = (objective(z + steps, y) - objective(z - steps, y)) / (2 * h)
    pull = guide_logits(z, y, rule, 1.0, state_at(k=3)).gradient.flatten()
    torch.testing.assert_close(pull, differences, rtol=1e-6, atol=1e-8)


def test_a_soft_label_pulls_back_once_the_classifier_is_surer_than_it_and_unequal_temperatures_pull_on():
    unsure, sure = logits_with_gap(1.0), logits_with_gap(60.0)
    soft = [guide_logits(z, 3, SoftLabel(smoothing=0.2)).gradient[0, 3].item() for z in (unsure, sure)]
    margin = [guide_logits(z, 3, Margin()).gradient[0, 3].item() for z in (unsure, sure)]
    assert soft[0] > 0 > soft[1] == pytest.approx(-0.18 * SCALE)
    assert margin[0] > margin[1] == pytest.approx(0.5 * SCALE, rel=1e-4)


def test_a_vector_of_zeros_is_no_guidance():
    class Nothing(Rule):
        def cotangent(self, answer, state):
            return answer.residual.times(0)

    guidance = guide_logits(logits_with_gap(2.0), 3, Nothing())
    assert not guidance.gradient.any()
    assert not guidance.guidance_norm.any()


# Factors ----------------------------------------------------------------------------------------------------------


def test_feedback_and_eds_move_in_opposite_directions_as_the_classifier_grows_certain():
    gaps = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 200.0]
    eds, feedback = (
        [guide_logits(logits_with_gap(gap), 3, rule).scale.item() for gap in gaps] for rule in (Entropy(), Feedback())
    )
    assert eds == sorted(eds)
    assert feedback == sorted(feedback, reverse=True)
    assert eds[-1] > 10 * SCALE
    certain = 10 / (10 - 1 + 0.5)
    assert feedback[-1] == pytest.approx(certain * SCALE)


@pytest.mark.parametrize("pi", [0.3, 0.5, 0.7])
def test_feedback_is_the_inverse_of_pi_for_a_uniform_prediction_and_bounded_for_a_wrong_one(pi):
    uniform = guide_logits(torch.zeros(1, 10, **DOUBLE), 3, Feedback(pi=pi)).scale.item()
    assert uniform == pytest.approx(SCALE / pi)
    wrong = logits_with_gap(50.0)
    assert guide_logits(wrong, 5, Feedback(pi=pi)).scale.item() == pytest.approx(10 * SCALE)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("gap", [0.0, 3.0, 30.0, 1000.0, 1e6])
def test_normalised_guidance_moves_each_step_by_the_same_length(sampler, gap):
    """sqrt(D) / S times the scale, whatever the classifier's certainty and the sampler's coefficients."""
    schedule, torch_y = respace(make_schedule("cosine"), "10"), torch.tensor([1, 2, 3, 4])
    x_T, noise = torch.randn(SHAPE, **DOUBLE), torch.randn(10, *SHAPE, **DOUBLE)
    weights = torch.randn(16, 10, **DOUBLE)

    def classifier(x, t):
        return x.flatten(1) @ weights + gap * torch.eye(10, **DOUBLE)[torch_y]

    guide_fn = classifier_guidance(classifier, torch_y, Normalised(), 1.7)
    states, moved = [x_T], []

    def watched(x_t, t, state):
        guidance = guide_fn(x_t, t, state)
        moved.append((guidance.gradient * state.gain).flatten(1).norm(dim=1))
        return guidance

    sampler(lambda x, t: 0.3 * x, schedule, x_T, lambda k: noise[k], watched, lambda step: states.append(step.x_t))
    torch.testing.assert_close(torch.stack(moved), torch.full((10, 4), 1.7 * 4 / 10, **DOUBLE))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalised_guidance_without_a_gradient_is_none(dtype):
    x_t = torch.ones(SHAPE, dtype=dtype)
    guide_fn = classifier_guidance(lambda x, t: 0 * x.flatten(1), torch.arange(4), Normalised(), 2.0)
    guidance = guide_fn(x_t, torch.zeros(4), state_at(x_t=x_t, x0=x_t))
    assert torch.equal(guidance.gradient, torch.zeros_like(x_t))


def test_the_predicted_x0_is_asked_about_at_timestep_0():
    asked, x0 = [], torch.randn(SHAPE).clamp(-1, 1)

    def classifier(x, t):
        asked.append((x, t))
        return x.flatten(1)

    guide_fn = classifier_guidance(classifier, torch.arange(4), [PredictedX0(), Margin()], 1.0)
    guide_fn(torch.randn(SHAPE), torch.full((4,), 700), state_at(700, x0=x0))
    assert torch.equal(asked[0][0], x0)
    assert asked[0][1].tolist() == [0] * 4


# All of them ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("name", RULES)
def test_an_image_does_not_depend_on_its_batch(name, sampler):
    schedule, y = respace(make_schedule("linear"), "10"), torch.arange(4)
    x_T, noise = torch.randn(SHAPE, **DOUBLE), torch.randn(10, *SHAPE, **DOUBLE)
    weights = torch.randn(16, 10, **DOUBLE)

    def sampled(images):
        if name in OF_PAIR:
            guide_fn = paired(schedule, OF_PAIR[name], 2.0)
        else:
            classify = lambda x, t: x.flatten(1) @ weights  # noqa: E731
            guide_fn = classifier_guidance(classify, y[images], OF_CLASSIFIER[name], 2.0)
        return sampler(strong, schedule, x_T[images], lambda k: noise[k, images], guide_fn)

    together = sampled(slice(0, 4))
    assert together.isfinite().all()
    for i in range(4):
        torch.testing.assert_close(sampled(slice(i, i + 1)), together[i : i + 1])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([], "a method needs a rule"),
        ([Margin(), SoftLabel()], "rules margin, soft_label: more than one has a cotangent"),
        ([Entropy(), ClassifierFree()], "some are of a classifier, some of two denoisers"),
        ([AdaptiveProjected()], "0 of them name a second denoiser; one has to"),
        ([ClassifierFree(), Autoguidance(weak="w")], "2 of them name a second denoiser; one has to"),
    ],
)
def test_rules_that_do_not_go_together_are_refused(rules, message):
    with pytest.raises(ValueError, match=message):
        combined(rules)


@pytest.mark.parametrize("rule", [Compress(guided=5), Interval(timesteps=(0, 5)), Normalised(), PredictedX0()])
def test_a_rule_that_needs_the_samplers_state_says_so_where_there_is_none(rule):
    with pytest.raises(ValueError, match="needs the state of the sampler; give it as the third argument"):
        guide_logits(logits_with_gap(1.0), 3, rule)


def test_a_rule_has_the_name_of_its_file_and_a_hook_of_its_own():
    hooks = {"guides", "point", "log_boost", "cotangent", "reshape", "labels", "other"}
    for name, rule in RULES.items():
        assert rule.rule() == name
        assert hooks & vars(rule).keys() or name in ("constant", "interval"), name
