"""Noise, labels and timesteps by address: each belongs to one image, or to one row of one training step, whichever
device, process or batch computes it."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class ImageNoise:
    """Standard normal noise of some images: the k-th draw for image i depends on (seed, i, k) alone.

    Drawn on the CPU, so that it is the same for every device, shard and batch size.
    """

    def __init__(self, seed: int, index: Sequence[int], shape: tuple[int, ...], device: torch.device):
        """`index` holds the image numbers, `shape` is that of one image (C, H, W)."""
        # Philox is keyed by 128 bits: streams of different (seed, i) never meet, as 32-bit seeds would.
        self._generators = [np.random.Generator(np.random.Philox(key=np.array([seed, i], np.uint64))) for i in index]
        self._shape, self._device = shape, device

    def draw(self) -> Tensor:
        """The next draw, float32 (B, C, H, W)."""
        noise = torch.empty(len(self._generators), *self._shape, pin_memory=self._device.type == "cuda")
        for image, generator in zip(noise.numpy(), self._generators, strict=True):
            generator.standard_normal(dtype=np.float32, out=image)
        return noise.to(self._device, non_blocking=True)


def image_labels(index: np.ndarray, num_classes: int, seed: int | None = None) -> np.ndarray:
    """The class asked of each image: its number modulo the class count, so that every class comes equally often; with
    a seed, uniformly random and independent, that of image i a function of (seed, i) alone."""
    if seed is None:
        return (index % num_classes).astype(np.int64)
    return image_integers(index, num_classes, seed)


def image_integers(index: np.ndarray, below: int, seed: int, draw: int = 0) -> np.ndarray:
    """A uniform integer in [0, below) for each image, int64: that of image i is a function of (seed, i, draw)."""
    # The image's noise has the same key. It counts up from 0 and never comes as far as 2^192.
    generators = (np.random.Philox(key=np.array([seed, i], np.uint64), counter=(draw + 1) * 2**192) for i in index)
    return np.array([np.random.Generator(each).integers(below) for each in generators], np.int64)


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


def row_fractions(seed: int, step: int, rows: range) -> Tensor:
    """A uniform number in [0, 1) for each of `rows` of the batch of a step, float64: of row j by (seed, step, j)."""
    # The words of `draw` have the same key. They count up from 0 and never come as far as 2^192.
    words = np.random.Generator(np.random.Philox(key=np.array([seed, step], np.uint64), counter=2**192))
    return torch.from_numpy(words.random(rows.stop)[rows.start :])


def torch_seed(*address: int) -> int:
    """64 bits for a torch generator: a hash, so that neighbouring addresses have unrelated streams."""
    return int(np.random.SeedSequence(address).generate_state(1, np.uint64)[0])
