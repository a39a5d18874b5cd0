"""Guidance where the logits are the image, so that the gradient is the pull on the logits; and pairs of denoisers."""

import torch
from torch import Tensor

from eddpm.config.methods import RULES
from eddpm.diffusion.process import predict
from eddpm.diffusion.sampling import sample_ddim, sample_ddpm
from eddpm.diffusion.schedule import NoiseSchedule
from eddpm.guidance.guide import Guidance, GuideFn, classifier_guidance, pair_guidance
from eddpm.guidance.rule import Rule
from eddpm.guidance.state import State

SCALE = 2.5
SHAPE = (4, 1, 4, 4)
DOUBLE = {"dtype": torch.float64}
SAMPLERS = [sample_ddpm, sample_ddim]


def logits_with_gap(gap: float, num_classes: int = 10) -> Tensor:
    """One row: class 3 leads the runner-up by `gap`, the others differ among themselves. (1, C) float64."""
    torch.manual_seed(0)
    others = -torch.rand(num_classes, dtype=torch.float64)
    others[5] = 0.0
    others[3] = gap
    return others[None]


def state_at(t: int = 500, k: int = 0, num_steps: int = 25, batch: int = 1, **changes) -> State:
    """A sampler's state there; of images of zeros."""
    images = torch.zeros(batch, 10, 1, 1, dtype=torch.float64)
    values = {"x_t": images, "x0": images, "gain": 0.5, "x0_gain": 0.25, **changes}
    return State(t, k, num_steps, **values)


def guide_logits(
    logits: Tensor, y: int, rule: str | Rule | list[Rule], scale: float = SCALE, state: State | None = None
) -> Guidance | None:
    """Guidance for the classifier whose logits are its input (B, C)."""
    x_t = logits[:, :, None, None]
    target = torch.full((len(logits),), y)
    rule = RULES[rule]() if isinstance(rule, str) else rule
    guide_fn = classifier_guidance(lambda x, t: x.flatten(1), target, rule, scale)
    return guide_fn(x_t, torch.zeros(len(logits), dtype=torch.long), state)


def assert_same(found: Guidance, wanted: Guidance) -> None:
    """Equal in every bit."""
    for name, value in found._asdict().items():
        assert torch.equal(value, getattr(wanted, name)), name


def strong(x: Tensor, t: Tensor) -> Tensor:
    return (0.8 * x).tanh() * 2  # some x0 are clipped


def weak(x: Tensor, t: Tensor) -> Tensor:
    return 0.5 * x + 0.1


def paired(schedule: NoiseSchedule, rule: Rule | list[Rule], scale: float) -> GuideFn:
    """Guidance of the strong denoiser by the weak one."""

    def other_fn(x_t, t, state):
        return predict(schedule, x_t, len(schedule) - 1 - state.k, weak(x_t, t)).x0

    return pair_guidance(other_fn, rule, scale)
