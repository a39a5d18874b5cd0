"""Numbers that leave the range of their type while a sampler runs: where they come from, and how often they are cut."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from eddpm.diffusion.sampling import Step


class Fault(NamedTuple):
    """The first step of a batch that is not finite for an image, and its cause."""

    image: int  # place in the batch
    images: int  # how many are not finite in the end
    step: int  # from 0
    part: str  # the first part of this step that is not finite for the image
    size: float  # the largest absolute value of the image before this step; 0 before the first


class Limits:
    """Observes the steps of a batch (`on_step`), image by image; the numbers stay on the device until the end."""

    def __init__(self) -> None:
        self._finite: list[dict[str, Tensor]] = []  # of each step: the parts, in the order of their making
        self._sizes: list[Tensor] = []
        self._cut: list[Tensor] = []

    def __call__(self, step: Step) -> None:
        finite = {"the denoiser's output": _finite(step.output)}
        if g := step.guidance:
            if g.entropy is not None and g.target_probability is not None:
                finite["the classifier's logits"] = g.entropy.isfinite() & g.target_probability.isfinite()
                finite["the classifier's gradient"] = g.gradient_norm.isfinite()
            finite["the guidance"] = _finite(g.gradient)
            if g.limited is not None:
                self._cut.append(g.limited)
        self._finite.append(finite | {"the image": _finite(step.x_t)})
        self._sizes.append(step.x_t.abs().flatten(1).amax(dim=1))

    def fault(self) -> Fault | None:
        """That of the first image with one; None where all parts of all steps are finite.

        An infinite output of the denoiser counts, too: clipped to an image, it would pass for one.
        """
        finite = torch.stack([torch.stack([*parts.values()]).all(dim=0) for parts in self._finite]).cpu().numpy()
        images = np.flatnonzero(~finite.all(axis=0))
        if not len(images):
            return None
        image = int(images[0])
        step = int(finite[:, image].argmin())
        part = next(name for name, values in self._finite[step].items() if not values[image])
        return Fault(image, len(images), step, part, self._sizes[step - 1][image].item() if step else 0.0)

    def cut(self) -> np.ndarray:
        """Where the guidance was cut to what its type can hold, bool (steps, B); no steps without guidance."""
        return torch.stack(self._cut).cpu().numpy() if self._cut else np.zeros((0, 0), bool)


def largest_factor(dtype: torch.dtype) -> float:
    """The largest number whose square is finite: sums of squares of larger ones, as in norms, are not."""
    return math.sqrt(torch.finfo(dtype).max)


def _finite(values: Tensor) -> Tensor:
    """(B, ...) -> (B,) bool."""
    return values.isfinite().flatten(1).all(dim=1)
