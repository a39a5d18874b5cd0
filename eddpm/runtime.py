"""What a process needs to know of its machine, and the noise and labels that belong to an image and to nothing else."""

import sys
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm


def pick_device() -> torch.device:
    """A GPU if torch can use one. Threads on the CPU follow OMP_NUM_THREADS, which the workflow sets for each job."""
    # float32 means float32; who wants speed asks for half precision.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def say(message: str) -> None:
    """One line for the person or the log file."""
    tqdm.write(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr)


def progress(items: Iterable | None = None, **options) -> tqdm:
    """A progress bar on a terminal; silent in a log file."""
    return tqdm(items, disable=None, leave=False, dynamic_ncols=True, **options)


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
    # The image's noise has the same key. It counts up from 0 and never comes as far as 2^192.
    generators = (np.random.Philox(key=np.array([seed, i], np.uint64), counter=2**192) for i in index)
    return np.array([np.random.Generator(each).integers(num_classes) for each in generators], np.int64)


def to_float(images: Tensor) -> Tensor:
    """uint8 (N, H, W, C) in 0..255 -> float32 (N, C, H, W) in [-1, 1], on the device of the images."""
    return images.permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1


def to_uint8(x: Tensor) -> np.ndarray:
    """float (N, C, H, W) -> uint8 (N, H, W, C) as ADM does: (x + 1) * 127.5, clamped, truncated."""
    return ((x + 1) * 127.5).clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
