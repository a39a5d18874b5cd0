"""Data sets, from their source to the arrays that training and evaluation read."""

from pathlib import Path

from eddpm.artifacts import Samples, write_samples
from eddpm.config import DatasetConfig, load_settings
from eddpm.data.datasets import open_dataset, split
from eddpm.runtime import say


def prepare_dataset(settings: Path, train: Path, validation: Path) -> None:
    """Write the training and the validation images of a data set, as uint8 npz with labels and class names."""
    config = load_settings(DatasetConfig, settings)
    parts = split(open_dataset(config), config.validation_fraction)
    for part, path, name in zip(parts, (train, validation), ("training", "validation"), strict=True):
        write_samples(path, Samples(part.images, part.labels, extras={"classes": part.classes}))
        say(f"{len(part.images)} {name} images of {len(part.classes)} classes -> {path}")
