"""Which images are trained on, and which validate: a fair split of one source, or a source each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eddpm.config import DatasetConfig
from eddpm.data.sources import Entry, Source, open_source
from eddpm.errors import ConfigError


class Part(NamedTuple):
    """Some images of a source."""

    source: Source
    entries: list[Entry]


def open_parts(config: DatasetConfig) -> dict[str, Part]:
    """The images for "train" and for "validation".

    Raises ArtifactError or ConfigError if a source cannot be used, or does not fit the settings or the other source.
    """
    source = open_source(config.source, config.num_classes)
    if config.validation_source is None:
        parts = split([entry.label for entry in source.entries], config.validation_fraction)
        train, validation = (Part(source, [source.entries[i] for i in part]) for part in parts)
        return {"train": train, "validation": validation}
    other = open_source(config.validation_source, config.num_classes)
    if differing := sorted(set(source.classes) ^ set(other.classes)):
        raise ConfigError(
            f"dataset '{config.validation_source}': class '{differing[0]}' is not in both it and '{config.source}';"
            " name the class folders alike"
        )
    return {"train": Part(source, source.entries), "validation": Part(other, other.entries)}


def split(labels: Sequence[int], validation_fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Sorted numbers of the training and of the validation images, every class in the same share; always the same."""
    from sklearn.model_selection import train_test_split

    try:
        train, validation = train_test_split(
            np.arange(len(labels)), test_size=validation_fraction, stratify=labels, random_state=0
        )
    except ValueError as error:
        raise ConfigError(f"validation_fraction {validation_fraction}: {error}") from None
    return np.sort(train), np.sort(validation)
