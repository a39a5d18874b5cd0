"""The timestep and noise of each image in training, by address: row j of step k has its own, whoever computes it."""

import numpy as np
import torch
from torch import Tensor


def draw(seed: int, step: int, rows: range, timesteps: range, like: Tensor) -> tuple[Tensor, Tensor]:
    """t (B,) int64 uniform over `timesteps`, and standard normal noise (B, C, H, W), for `rows` of the batch of a step.

    `like` (B, C, H, W) has the shape, type and device of the noise. Row j depends on (seed, step, j) alone, its noise
    also on whether the device is a GPU. Nothing waits for the device.
    """
    # Two words for each row, from a stream of the step's own.
    words = np.random.Philox(key=np.array([seed, step], np.uint64)).random_raw(2 * rows.stop).reshape(-1, 2)
    seeds, choices = words[rows.start :].T
    t = torch.from_numpy(timesteps.start + (choices % len(timesteps)).astype(np.int64))
    noise, generator = torch.empty_like(like), torch.Generator(like.device)
    for row_seed, row_noise in zip(seeds.tolist(), noise, strict=True):
        row_noise.normal_(generator=generator.manual_seed(row_seed))
    return t.to(like.device, non_blocking=True), noise


def torch_seed(*address: int) -> int:
    """64 bits for a torch generator: a hash, so that neighbouring addresses have unrelated streams."""
    return int(np.random.SeedSequence(address).generate_state(1, np.uint64)[0])
