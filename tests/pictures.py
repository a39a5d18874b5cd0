"""Pictures, and data sets prepared from them."""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from tiny import REPO, write_settings

from eddpm.config.schema import DatasetConfig
from eddpm.data.store import Store
from eddpm.stages.prepare import prepare_dataset

CIFAR10 = REPO / "tests/data/cifar10-small.zip"  # 50 photographs of each class, 32x32


def random_picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def save_classes(folder: Path, counts: dict[str, int], size: int = 8) -> Path:
    """Random pictures in class folders, of another height each."""
    for label, (name, count) in enumerate(counts.items()):
        for k in range(count):
            save(folder / f"{name}/{k:03d}.png", random_picture(size + k % 7, size + 3, seed=1000 * label + k))
    return folder


def pack(folder: Path, path: Path, prefix: str = "") -> Path:
    """The files below a folder as a zip, under `prefix`."""
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*"), reverse=True):  # in another order than they are read
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


def config_of(source: Path | str, **values) -> DatasetConfig:
    return DatasetConfig(**{"source": str(source), "image_size": 8, "image_channels": 3, "num_classes": 2, **values})


def prepare(out: Path, config: DatasetConfig, workers: int = 1) -> Path:
    """Run the stage; the path of dataset.json."""
    settings, dataset = write_settings(out / "settings.yaml", config), out / "dataset.json"
    prepare_dataset(settings, dataset, out / "unreadable.tsv", workers)
    return dataset


def whole(dataset: Path, part: str = "train") -> np.ndarray:
    store = Store(dataset, part)
    return store.read(np.arange(len(store)))
