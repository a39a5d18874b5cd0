"""How fast training batches are read from prepared data, beside torchvision's ImageFolder and DataLoader.

python benchmarks/loader.py [--source images.zip] [--image-size 32] [--workers 2] [--batch-size 64]

Both take the same files to ADM's random crop and flip, as uint8, in as many processes, timed in turns. Without a
source the files are made here: JPEGs of 500x375, the usual size of ImageNet's, cut from two real photographs.
"""

import argparse
import itertools
import math
import random
import tempfile
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import PIL
import torch
import torchvision
import yaml
from metrics import machine
from PIL import Image

from eddpm.config.schema import TrainingConfig
from eddpm.data.loader import training_batches
from eddpm.data.store import Store
from eddpm.stages.prepare import prepare_dataset


def make_photographs(folder: Path, count: int) -> None:
    """JPEGs of 500x375 in two class folders: a random part of a photograph each, enlarged where it is smaller."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(0)
    for label, photograph in enumerate(load_sample_images().images):
        whole = Image.fromarray(photograph)
        (folder / str(label)).mkdir(parents=True)
        for k in range(count // 2):
            width = rng.uniform(0.6, 0.85) * whole.width
            left, top = rng.uniform(0, 1, 2) * (whole.width - width, whole.height - width * 0.75)
            box = (left, top, left + width, top + width * 0.75)
            whole.resize((500, 375), Image.Resampling.BICUBIC, box).save(folder / f"{label}/{k:04d}.jpg", quality=90)


def adm_augment(image: Image.Image, size: int) -> torch.Tensor:
    """ADM's random crop and flip by Pillow: uint8 (size, size, 3)."""
    short = random.randint(size, math.ceil(size / 0.8))
    while min(image.size) >= 2 * short:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    ratio = short / min(image.size)
    image = image.resize((round(image.width * ratio), round(image.height * ratio)), Image.Resampling.BICUBIC)
    left, top = random.randint(0, image.width - size), random.randint(0, image.height - size)
    pixels = np.asarray(image)[top : top + size, left : left + size]
    return torch.from_numpy((pixels[:, ::-1] if random.random() < 0.5 else pixels).copy())


def from_image_folder(folder: Path, size: int, arguments: argparse.Namespace) -> Iterator:
    loader = torch.utils.data.DataLoader(
        torchvision.datasets.ImageFolder(folder, transform=partial(adm_augment, size=size)),
        arguments.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=arguments.workers,
        persistent_workers=arguments.workers > 0,
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))


def from_shards(dataset: Path, arguments: argparse.Namespace) -> Iterator:
    config = TrainingConfig(iterations=10**9, batch_size=arguments.batch_size, lr=1, random_crop=True, random_flip=True)
    return training_batches(Store(dataset, "train"), config, 0, range(arguments.batch_size), arguments.workers)


def prepare(folder: Path, size: int, out: Path, workers: int) -> float:
    """Make `out`/dataset.json; the seconds that it took."""
    values = {"source": str(folder), "image_size": size, "image_channels": 3, "uncropped": True}
    values |= {"num_classes": sum(entry.is_dir() for entry in folder.iterdir()), "validation_fraction": 0.05}
    out.mkdir(parents=True)
    (out / "settings.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    start = time.perf_counter()
    prepare_dataset(out / "settings.yaml", out / "dataset.json", out / "unreadable.tsv", workers)
    return time.perf_counter() - start


def rate(batches: Iterator, arguments: argparse.Namespace) -> float:
    """Images per second, once the processes are at work."""
    for _ in range(2 * arguments.workers + 2):
        next(batches)
    images, start = 0, time.perf_counter()
    while (seconds := time.perf_counter() - start) < arguments.seconds:
        images += len(next(batches)[1])
    return images / seconds


def compare(folder: Path, size: int, out: Path, arguments: argparse.Namespace) -> str:
    """A row of the table: medians over the turns."""
    seconds = prepare(folder, size, out, arguments.workers)
    ours, theirs = [], []
    for _ in range(arguments.turns):
        ours.append(rate(from_shards(out / "dataset.json", arguments), arguments))
        theirs.append(rate(from_image_folder(folder, size, arguments), arguments))
    ratio = np.median(np.divide(ours, theirs))
    files = sum(path.is_file() for path in folder.rglob("*"))
    return (
        f"| {size} | {files} | {np.median(ours):.0f} | {np.median(theirs):.0f} | {ratio:.1f} | {files / seconds:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="a folder of class folders, or a zip of them")
    parser.add_argument("--image-size", type=int, nargs="+", default=[128, 256])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--photographs", type=int, default=2000, help="to make where there is no source (2000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn (5)")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        if arguments.source is None:
            make_photographs(folder, arguments.photographs)
        elif arguments.source.is_dir():
            folder = arguments.source
        else:
            zipfile.ZipFile(arguments.source).extractall(folder)
        print("| image size | files | ours, images/s | ImageFolder, images/s | ratio | preparing, images/s |")
        print("|---|---|---|---|---|---|")
        for size in arguments.image_size:
            print(compare(folder, size, Path(temporary) / str(size), arguments), flush=True)
    versions = f"torchvision {torchvision.__version__}, pillow {PIL.__version__}"
    print(f"\nReading processes: {arguments.workers}; batches of {arguments.batch_size}; {machine()}, {versions}.")


if __name__ == "__main__":
    main()
