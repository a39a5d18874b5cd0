"""The timestep and noise of each image in training, by address: row j of step k has its own, whoever computes it."""

import numpy as np
import torch
from torch import Tensor


def draw(seed: int, step: int, rows: range, timesteps: range, like: Tensor) -> tuple[Tensor, Tensor]:
    """t (B,) int64 uniform over `timesteps`, and standard normal noise (B, C, H, W), for `rows` of the batch of a step.

    `like` (B, C, H, W) has the shape, type and device of the noise. Row j depends on (seed, step, j) alone, and on
    whether the device is a GPU.
    """
    t = torch.empty(len(rows), dtype=torch.long, device=like.device)
    noise = torch.empty_like(like)
    generator = torch.Generator(like.device)
    for row, t_row, noise_row in zip(rows, t, noise, strict=True):
        generator.manual_seed(torch_seed(seed, step, row))
        t_row.random_(timesteps.start, timesteps.stop, generator=generator)
        noise_row.normal_(generator=generator)
    return t, noise


def torch_seed(*address: int) -> int:
    """64 bits for a torch generator: a hash, so that neighbouring addresses have unrelated streams."""
    return int(np.random.SeedSequence(address).generate_state(1, np.uint64)[0])
