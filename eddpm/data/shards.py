"""Images laid down in shards: a few large files that many processes read fast, and that a killed job keeps.

A shard is `00000-images.npy`, uint8 (n, H, W, C), ADM's centre crops; `00000-labels.npy`, int64 (n,); where images are
kept uncropped, too, `00000-pixels.npy`, uint8, all of them one after the other, and `00000-sizes.npy`, int64 (n, 2),
their heights and widths; and, written last, its record `00000.json`.
"""

import hashlib
import json
import logging
import multiprocessing
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from eddpm.config.schema import DatasetConfig
from eddpm.data.classes import Entry
from eddpm.data.parts import Part
from eddpm.data.sources import Source, Unreadable
from eddpm.data.store import array_path, open_shard
from eddpm.data.transforms import center_crop, keep_whole
from eddpm.errors import ArtifactError
from eddpm.io.files import atomic, read_json, sha256, write_json

logger = logging.getLogger(__name__)

SHARD_IMAGES = 4096
FORMAT = 2  # of shards; with another number all are made again


@dataclass(frozen=True)
class ShardPlan:
    """The content of one shard, and its place."""

    folder: Path
    name: str
    source: Source
    entries: list[Entry]
    shape: tuple[int, int, int]  # (H, W, C) of the centre crops
    uncropped: bool

    @property
    def record(self) -> Path:
        return self.folder / f"{self.name}.json"

    @property
    def kinds(self) -> dict[str, tuple[type, tuple[int, ...]]]:
        """The type, and the shape of a row, of each array."""
        kinds = {"images": (np.uint8, self.shape), "labels": (np.int64, ())}
        return kinds | {"sizes": (np.int64, (2,)), "pixels": (np.uint8, ())} if self.uncropped else kinds

    @property
    def arrays(self) -> dict[str, Path]:
        return {kind: array_path(self.folder, self.name, kind) for kind in self.kinds}

    @property
    def identity(self) -> str:
        """A checksum of all that decides what is written."""
        made_from = [FORMAT, self.shape, self.uncropped, self.entries]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()

    def is_made(self) -> bool:
        """True if the shard is there and whole, and would be made from the same images and settings now."""
        try:
            record = read_json(self.record, "identity", "images")
            open_shard(self.folder, self.name, (record["images"], *self.shape), self.uncropped)
        except ArtifactError:
            return False
        return record["identity"] == self.identity

    def fits_record(self) -> bool:
        """False if the record of the shard is there and names other images or settings."""
        try:
            return read_json(self.record, "identity")["identity"] == self.identity
        except ArtifactError:
            return True


def plan_shards(config: DatasetConfig, folder: Path, part: Part) -> list[ShardPlan]:
    """The shards of one part of a data set. Only images that training crops at random are kept uncropped."""
    shape = (config.image_size, config.image_size, config.image_channels)
    uncropped = config.uncropped and folder.name == "train"
    chunks = (part.entries[start : start + SHARD_IMAGES] for start in range(0, len(part.entries), SHARD_IMAGES))
    return [
        ShardPlan(folder, f"{number:05d}", part.source, chunk, shape, uncropped) for number, chunk in enumerate(chunks)
    ]


# One shard --------------------------------------------------------------------------------------------------------


def make_shard(plan: ShardPlan) -> None:
    """Write the images of one shard, which are never in memory together; then its record, with their notes."""
    plan.record.unlink(missing_ok=True)  # so that it never stands beside arrays of another make
    images, unreadable, notes = 0, [], Counter()
    size, channels = plan.shape[0], plan.shape[-1]
    with ExitStack() as files:
        add = {kind: files.enter_context(growing_array(path, *plan.kinds[kind])) for kind, path in plan.arrays.items()}
        for entry in plan.entries:
            try:
                image, noted = plan.source.read(entry, channels)
            except Unreadable as error:
                unreadable.append([entry.name, str(error)])
                continue
            images += 1
            notes.update(noted + ["enlarged"] * (min(image.size) < size))
            add["images"](center_crop(image, size))
            add["labels"](entry.label)
            if plan.uncropped:
                whole = keep_whole(image, size)
                add["sizes"](whole.shape[:2])
                add["pixels"](whole)
    record = {"identity": plan.identity, "images": images, "unreadable": unreadable, "notes": notes}
    write_json(plan.record, record | {"sha256": {kind: sha256(path) for kind, path in plan.arrays.items()}})


@contextmanager
def growing_array(path: Path, dtype: type, shape: tuple[int, ...]) -> Iterator[Callable[[ArrayLike], int]]:
    """An npy file (n, *shape), written as its rows come: yields the function that adds one or more."""
    dtype = np.dtype(dtype)

    def write_header(rows: int) -> None:
        file.seek(0)
        header = {"descr": dtype.str, "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_1_0(file, header)

    with atomic(path) as temporary, open(temporary, "wb") as file:
        write_header(0)
        start = file.tell()
        yield lambda rows: file.write(np.ascontiguousarray(rows, dtype).data)
        size = file.tell() - start
        write_header(size // (dtype.itemsize * prod(shape)))
        assert file.tell() == start, "numpy leaves room in the header for the number of rows"


# All of them ------------------------------------------------------------------------------------------------------


def make_shards(plans: list[ShardPlan], workers: int) -> None:
    """Make those shards that are not there yet, in `workers` processes.

    Shards beside them of former data sets, and the files of processes that were killed, are removed.
    """
    missing = [plan for plan in plans if not plan.is_made()]
    workers = min(workers, len(missing))
    made = _make_in_parallel(missing, workers) if workers > 1 else map(make_shard, missing)
    for plan, _ in zip(missing, made, strict=True):
        logger.info(f"{plan.folder.name}: shard {plan.name}, {len(plan.entries)} images")
    wanted = {path for plan in plans for path in (plan.record, *plan.arrays.values())}
    for folder in {plan.folder for plan in plans}:
        for path in folder.iterdir():
            if path not in wanted and re.match(r"\.?\d{5}[-.]", path.name):
                path.unlink()


def _make_in_parallel(plans: list[ShardPlan], workers: int) -> Iterator[None]:
    fork = multiprocessing.get_context("fork")  # the images of an npz, and long lists, are shared instead of copied
    with ProcessPoolExecutor(workers, fork, _start_worker, (plans,)) as pool:
        try:
            yield from pool.map(_make_numbered, range(len(plans)))
        except BaseException:  # Ctrl-C, too
            for process in multiprocessing.active_children():
                process.terminate()
            raise


_plans: list[ShardPlan] = []  # of a worker


def _start_worker(plans: list[ShardPlan]) -> None:
    """Take the plans. The process ends with its parent, however that ends."""

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    _plans[:] = plans


def _make_numbered(number: int) -> None:
    make_shard(_plans[number])
