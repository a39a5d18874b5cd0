"""Noise schedules and ADM's respacing (Improved DDPM sec. 4) in plain numbers, no torch."""

import functools
import itertools
import math
import operator


def noise_betas(noise_schedule: str, total: int) -> list[float]:
    """The betas of `total` timesteps: "linear" (DDPM sec. 4) or "cosine" (Improved DDPM eq. 17)."""
    if noise_schedule == "linear":
        # DDPM's 1e-4 to 0.02 belong to 1000 steps; fewer steps each add more noise.
        first, last = (1000 / total * beta for beta in (1e-4, 0.02))
        return [first + (last - first) * t / max(total - 1, 1) for t in range(total)]
    if noise_schedule == "cosine":
        alpha_bar = [math.cos((t / total + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(total + 1)]
        return [min(1 - later / sooner, 0.999) for sooner, later in itertools.pairwise(alpha_bar)]
    raise ValueError(f"noise_schedule must be 'linear' or 'cosine', not '{noise_schedule}'")


@functools.cache  # asked for every run of a project
def noise_alpha_bars(noise_schedule: str, total: int) -> list[float]:
    """Share of the signal's variance left at each timestep, prod(1 - beta)."""
    return list(itertools.accumulate((1 - beta for beta in noise_betas(noise_schedule, total)), operator.mul))


def kept_timesteps(total: int, steps: str) -> list[int]:
    """Timesteps of 0..total-1, rising: "250" evenly, "ddim25" by an integer stride, "10,5,5" evenly in equal sections.

    Raises ValueError where there is no such subset.
    """
    if steps.startswith("ddim"):
        return _strided(total, int(steps.removeprefix("ddim")))
    return _sectioned(total, [int(count) for count in steps.split(",")])


def _strided(total: int, count: int) -> list[int]:
    stride = -(-total // count)  # the least that takes no more
    if stride < total and len(range(0, total, stride)) == count:
        return list(range(0, total, stride))
    raise ValueError(f"no integer stride takes exactly {count} of {total} timesteps")


def _sectioned(total: int, counts: list[int]) -> list[int]:
    kept, start = [], 0
    for section, count in enumerate(counts):
        size = total // len(counts) + (section < total % len(counts))
        if count > size:
            raise ValueError(f"section {section} has {size} timesteps, fewer than the {count} asked for")
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        position = 0.0
        for _ in range(count):
            kept.append(start + round(position))
            position += stride  # summed as ADM does: k * stride would round other ties
        start += size
    return kept
