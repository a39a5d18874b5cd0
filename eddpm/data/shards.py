"""Images laid down in shards: a few large files that many processes read fast, and that a killed job keeps.

A shard is `00000-images.npy`, uint8 (n, H, W, C), ADM's centre crops; `00000-labels.npy`, int64 (n,); where images are
kept uncropped, too, `00000-pixels.npy`, uint8, all of them one after the other, and `00000-sizes.npy`, int64 (n, 2),
their heights and widths; and, written last, its record `00000.json`.
"""

import hashlib
import io
import json
import logging
import multiprocessing
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import prod
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from pathlib import Path

import numpy as np

from eddpm.config.schema import DatasetConfig
from eddpm.data.parts import Part
from eddpm.data.sources import Entry, Source, Unreadable
from eddpm.data.store import array_path, open_shard
from eddpm.data.transforms import center_crop, keep_whole
from eddpm.errors import ArtifactError, EddpmError
from eddpm.io.files import atomic, read_json, sha256, write_json

logger = logging.getLogger(__name__)

SHARD_IMAGES = 4096
FORMAT = 2  # of shards; with another number all are made again


@dataclass(frozen=True)
class ShardPlan:
    """What one shard is to hold, and where."""

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
    def arrays(self) -> dict[str, Path]:
        kinds = ("images", "labels", "sizes", "pixels") if self.uncropped else ("images", "labels")
        return {kind: array_path(self.folder, self.name, kind) for kind in kinds}

    @property
    def identity(self) -> str:
        """A checksum of all that decides what is written."""
        made_from = [FORMAT, self.shape, self.uncropped, self.entries]
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()

    def is_made(self) -> bool:
        """Whether the shard is there, whole, and made from what it would be made from now."""
        try:
            record = read_json(self.record, "identity", "images")
            open_shard(self.folder, self.name, (record["images"], *self.shape), self.uncropped)
        except ArtifactError:
            return False
        return record["identity"] == self.identity


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
    """Write the images of one shard, which are never in memory together; then its record, with what is to be said."""
    plan.record.unlink(missing_ok=True)  # so that it never stands beside arrays of another make
    paths, labels, sizes, unreadable, notes = plan.arrays, [], [], [], Counter()
    size, channels = plan.shape[0], plan.shape[-1]
    with ExitStack() as files:
        add_image = files.enter_context(_growing_array(paths["images"], plan.shape))
        add_pixels = files.enter_context(_growing_array(paths["pixels"], ())) if plan.uncropped else None
        for entry in plan.entries:
            try:
                image, noted = plan.source.read(entry, channels)
            except Unreadable as error:
                unreadable.append([entry.name, str(error)])
                continue
            add_image(center_crop(image, size))
            labels.append(entry.label)
            notes.update(noted + ["enlarged"] * (min(image.size) < size))
            if plan.uncropped:
                whole = keep_whole(image, size)
                add_pixels(whole)
                sizes.append(whole.shape[:2])
    _save(paths["labels"], np.array(labels, np.int64))
    if plan.uncropped:
        _save(paths["sizes"], np.array(sizes, np.int64).reshape(-1, 2))
    record = {"identity": plan.identity, "images": len(labels), "unreadable": unreadable, "notes": notes}
    write_json(plan.record, record | {"sha256": {kind: sha256(path) for kind, path in paths.items()}})


@contextmanager
def _growing_array(path: Path, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], int]]:
    """An npy file of uint8 (n, *shape), written as its rows come: yields the function that adds one or more."""

    def write_header(rows: int) -> None:
        file.seek(0)
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *shape)}
        np.lib.format.write_array_header_1_0(file, header)

    with atomic(path) as temporary, open(temporary, "wb") as file:
        write_header(0)
        start = file.tell()
        yield lambda rows: file.write(np.ascontiguousarray(rows).data)
        size = file.tell() - start
        write_header(size // prod(shape))
        assert file.tell() == start, "numpy leaves room in the header for the number of rows"


def _save(path: Path, array: np.ndarray) -> None:
    npy = io.BytesIO()  # since numpy, writing to a file itself, does not say why it cannot
    np.save(npy, array)
    with atomic(path) as temporary:
        temporary.write_bytes(npy.getbuffer())


# All of them ------------------------------------------------------------------------------------------------------


def make_shards(plans: list[ShardPlan], workers: int) -> None:
    """Make those shards that are not there yet, in `workers` processes.

    What lies beside them of former data sets, and of processes that were killed, is removed.
    """
    missing = [plan for plan in plans if not plan.is_made()]
    if min(workers, len(missing)) > 1:
        _make_in_parallel([missing[k::workers] for k in range(min(workers, len(missing)))])
    else:
        _make(missing)
    wanted = {path for plan in plans for path in (plan.record, *plan.arrays.values())}
    for folder in {plan.folder for plan in plans}:
        for path in folder.iterdir():
            if path not in wanted and re.match(r"\.?\d{5}[-.]", path.name):
                path.unlink()


def _make(plans: list[ShardPlan]) -> None:
    for plan in plans:
        make_shard(plan)
        logger.info(f"{plan.folder.name}: shard {plan.name}, {len(plan.entries)} images")


def _make_in_parallel(shares: list[list[ShardPlan]]) -> None:
    fork = multiprocessing.get_context("fork")  # the images of an npz, and long lists, are shared instead of copied
    refusals = fork.SimpleQueue()
    processes = [fork.Process(target=_work, args=(share, refusals)) for share in shares]
    try:
        for process in processes:
            process.start()
        running = processes
        while running:
            wait([process.sentinel for process in running])
            running = [process for process in running if process.is_alive()]
            if not refusals.empty():
                raise ArtifactError(refusals.get())
            if failed := [process.exitcode for process in processes if process.exitcode]:
                raise RuntimeError(f"a process that makes shards ended with exit code {failed[0]}")
    finally:
        for process in processes:
            if process.pid:
                process.terminate()
                process.join()


def _work(plans: list[ShardPlan], refusals: SimpleQueue) -> None:
    """What a process does that shares the work. It ends with its parent, however that ends."""

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    try:
        _make(plans)
    except EddpmError as error:
        refusals.put(str(error))
