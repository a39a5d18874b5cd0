"""A classifier at each noise level: accuracy, certainty, calibration, and the norm of the guiding gradient."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from eddpm.diffusion.noise import draw
from eddpm.diffusion.process import q_sample
from eddpm.diffusion.schedule import NoiseSchedule
from eddpm.guidance.guide import classifier_guidance
from eddpm.guidance.rules.none import Unguided

LEVELS = 10
BINS = 15  # of confidence (Guo et al., 2017, sec. 2)

Batches = Iterable[tuple[Tensor, Tensor]]  # x0 (B, C, H, W) in [-1, 1] and y (B,) int64, on the network's device


def level_edges(steps: int, levels: int = LEVELS) -> list[int]:
    """[0, ..., steps]: level k is t in [edges[k], edges[k + 1]), equal ranges as far as whole steps allow.

    There are no more levels than steps.
    """
    levels = min(levels, steps)
    return [steps * k // levels for k in range(levels + 1)]


def noise_levels(network: nn.Module, schedule: NoiseSchedule, batches: Batches, seed: int) -> list[dict]:
    """Measure a classifier of (x_t, t) at every noise level, a row for each, the cleanest first.

    Each image is seen once per level, at a t and with noise of (seed, level, its place in the stream) alone. A row has
    "t_from" and "t_to" (excluded); "accuracy"; "confidence", the mean of the highest probability; "entropy", the mean
    H / log C; "ece", the expected calibration error (Guo et al., 2017, eq. 3), biased upwards for few images;
    "gradient_norm", the mean |grad_{x_t} log p(y|x_t)|. Network and parameter gradients stay as they are.
    """
    edges = level_edges(len(schedule))
    sums = [_Sums() for _ in edges[1:]]
    with _evaluating(network):
        for numbers, x0, y in _numbered(batches):
            for level, of_level in enumerate(sums):
                x_t, t = noised(schedule, x0, edges, level, numbers, seed)
                of_level.add(*_watch(network, x_t, t, y), y)
    ranges = zip(pairwise(edges), sums, strict=True)
    return [{"t_from": t_from, "t_to": t_to, **of_level.means()} for (t_from, t_to), of_level in ranges]


@torch.no_grad()
def level_logits(
    network: nn.Module, schedule: NoiseSchedule, batches: Batches, edges: list[int], level: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Logits (N, C) of all images at one noise level, each seen as `noise_levels` shows it, and their classes (N,)."""
    logits, classes = [], []
    with _evaluating(network):
        for numbers, x0, y in _numbered(batches):
            logits.append(network(*noised(schedule, x0, edges, level, numbers, seed)))
            classes.append(y)
    return torch.cat(logits), torch.cat(classes)


def noised(
    schedule: NoiseSchedule, x0: Tensor, edges: list[int], level: int, numbers: range, seed: int
) -> tuple[Tensor, Tensor]:
    """x_t and t (B,) of images x0 (B, C, H, W) with these numbers, t uniform within the level."""
    t, noise = draw(seed, level, numbers, range(edges[level], edges[level + 1]), x0)
    return q_sample(schedule, x0, t, noise), t


class _Sums:
    """Sums over the images of one level, in float64 on their device."""

    def __init__(self):
        self.count = 0
        self.of_images: Tensor | float = 0.0  # (4,): right predictions, confidences, entropies, gradient norms
        self.of_bins: Tensor | float = 0.0  # (BINS,): right predictions less confidences

    def add(self, logits: Tensor, entropy: Tensor, gradient_norm: Tensor, y: Tensor) -> None:
        confidence, prediction = logits.softmax(dim=-1).max(dim=-1)
        right = (prediction == y).double()
        bins = (confidence * BINS).ceil().long().clamp_max(BINS) - 1  # (b / BINS, (b + 1) / BINS]
        self.count += len(y)
        self.of_images += torch.stack([right, confidence, entropy, gradient_norm]).sum(dim=1)
        self.of_bins += torch.zeros(BINS, dtype=right.dtype, device=y.device).index_add(0, bins, right - confidence)

    def means(self) -> dict[str, float]:
        accuracy, confidence, entropy, gradient_norm = (self.of_images / self.count).tolist()
        # Each bin weighs as many images as it holds, so its count cancels out.
        ece = self.of_bins.abs().sum().item() / self.count
        means = {"accuracy": accuracy, "confidence": confidence, "entropy": entropy}
        return means | {"ece": ece, "gradient_norm": gradient_norm}


def _watch(network: nn.Module, x_t: Tensor, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (B, C), H / log C (B,) and |grad log p_y| (B,) in float64, as a guided sampler would see them."""
    logits = []

    def classifier_fn(x_t: Tensor, t: Tensor) -> Tensor:
        logits.append(network(x_t, t))
        return logits[-1]

    guidance = classifier_guidance(classifier_fn, y, Unguided(), scale=0.0)(x_t, t)
    return logits[0].detach().double(), guidance.entropy, guidance.gradient_norm


def _numbered(batches: Batches) -> Iterator[tuple[range, Tensor, Tensor]]:
    """Each batch with the numbers of its images."""
    stop = 0
    for x0, y in batches:
        start, stop = stop, stop + len(y)
        yield range(start, stop), x0, y


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, and as it was afterwards."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
