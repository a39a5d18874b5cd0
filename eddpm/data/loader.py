"""Training batches of a prepared data set, read ahead by processes of their own.

Row j of step k is a function of (seed, k, j) alone: which image, which crop of it, mirrored or not, labelled or not.
So neither the number of training processes nor that of reading ones changes it, nor does a restart.
"""

import signal
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.random import SeedSequence
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from eddpm.config.schema import TrainingConfig
from eddpm.data.store import Store
from eddpm.data.transforms import random_crop
from eddpm.diffusion.images import to_float
from eddpm.diffusion.noise import row_fractions
from eddpm.errors import ConfigError, writing

SHARED = Path("/dev/shm")  # where reading processes leave batches
PIXELS = 2**20  # of a batch of `labelled_batches`, whose gradients may be held at once: 16 images of 256x256


def training_batches(
    store: Store, config: TrainingConfig, first_step: int, rows: range, workers: int, label_dropout: float = 0.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of steps `first_step` to `config.iterations`, of each step those `rows` that one process trains on.

    Images uint8 (len(rows), H, W, C) and labels int64 (len(rows),), pinned where there is CUDA. With probability
    `label_dropout` a label is the number of classes, for none. `workers` processes read ahead; with 0 this one reads
    as it is asked. Raises ConfigError if there is nothing to crop at random, and
    ArtifactError where there is no room for what is read ahead.
    """
    if config.random_crop and not store.uncropped:
        raise ConfigError(
            "training.random_crop: the prepared images are centre crops already; set dataset.uncropped: true"
        )
    loader = DataLoader(
        _Steps(store, config, rows, label_dropout),
        batch_size=None,  # an item is a batch
        sampler=range(first_step, config.iterations),
        num_workers=workers,
        worker_init_fn=_ignore_signals if workers else None,
        collate_fn=_shared if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # in place of torch's own, whose numbers belong to training
    )
    return _read_ahead(iter(loader))


def labelled_batches(store: Store, numbers: np.ndarray, device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """The images of these numbers in order, x0 (B, C, H, W) in [-1, 1], and their classes y (B,), on the device."""
    size = max(1, min(256, PIXELS // (store.shape[0] * store.shape[1])))
    for start in range(0, len(numbers), size):
        part = numbers[start : start + size]
        images, labels = (torch.from_numpy(each).to(device) for each in (store.read(part), store.labels[part]))
        yield to_float(images), labels


def _read_ahead(batches: Iterator) -> Iterator:
    with writing(SHARED):
        yield from batches


class _Steps(Dataset):
    """Item k is what one process sees of step k."""

    def __init__(self, store: Store, config: TrainingConfig, rows: range, label_dropout: float):
        self._store, self._config, self._rows, self._label_dropout = store, config, rows, label_dropout

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        store, config = self._store, self._config
        index = batch_indices(config.seed, step, config.batch_size, len(store))[list(self._rows)]
        labels = torch.from_numpy(store.labels[index])
        if self._label_dropout:
            labels[row_fractions(config.seed, step, self._rows) < self._label_dropout] = len(store.classes)
        if not (config.random_crop or config.random_flip):
            return torch.from_numpy(store.read(index)), labels
        # Four numbers of [0, 1) for each row: the crop, and whether to mirror it.
        draws = np.array([SeedSequence((config.seed, step, row)).generate_state(4) for row in self._rows]) / 2**32
        if config.random_crop:
            height, width, channels = store.shape
            # By channel in memory, as the crops and the networks have them: to change that costs as much as to crop.
            images = np.empty((len(index), channels, height, width), np.uint8).transpose(0, 2, 3, 1)
            for image, i, crop in zip(images, index, draws[:, :3], strict=True):
                image[:] = random_crop(store.read_uncropped(i), height, crop)
        else:
            images = store.read(index)
        images = torch.from_numpy(images)
        if config.random_flip:
            for row in np.flatnonzero(draws[:, 3] < 0.5):
                images[row] = images[row].flip(1)
        return images, labels


def batch_indices(seed: int, step: int, batch_size: int, total: int) -> np.ndarray:
    """The images of one step, int64 (batch_size,): epochs of fresh random order, cut into batches without a gap."""
    start, stop = step * batch_size, (step + 1) * batch_size
    epochs = range(start // total, (stop - 1) // total + 1)
    return np.concatenate([_order(seed, e, total)[max(start - e * total, 0) : stop - e * total] for e in epochs])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, total: int) -> np.ndarray:
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)).numpy()


def _shared(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Where no room is left, an error here. Otherwise a thread would meet it and end, and training wait for ever."""
    return batch[0].share_memory_(), batch[1].share_memory_()


def _ignore_signals(worker: int) -> None:
    """Ctrl-C and Slurm's warning reach every process: training decides what to do, and ends its readers itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
