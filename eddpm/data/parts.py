"""Training and validation images: a fair split of one source, or a source each."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eddpm.config.schema import DatasetConfig
from eddpm.data.classes import Entry, of_images
from eddpm.data.sources import Source, open_source
from eddpm.errors import ConfigError
from eddpm.io.names import listed, shown


class Part(NamedTuple):
    """Some images of a source."""

    source: Source
    entries: list[Entry]


def open_parts(config: DatasetConfig) -> dict[str, Part]:
    """The images for "train" and for "validation".

    Raises ArtifactError or ConfigError if a source cannot be used, or does not fit the settings or the other source.
    """
    source = open_source(config.source, config.num_classes, config.classes)
    if config.validation_source is None:
        labels = [entry.label for entry in source.entries]
        parts = split(labels, config.validation_fraction, source.classes)
        train, validation = (Part(source, [source.entries[i] for i in part]) for part in parts)
        return {"train": train, "validation": validation}
    other = open_source(config.validation_source, config.num_classes, config.classes)
    if shared := len(source.origins() & other.origins()):
        raise ConfigError(
            f"dataset.validation_source: '{config.validation_source}' shares {shared} files with dataset.source, which"
            " would train and validate; name other images, or null for a share of the source"
        )
    if differing := sorted(set(source.classes) ^ set(other.classes)):
        first, *others = (f"'{shown(name)}'" for name in differing)
        more = f", nor {listed(others)}" if others else ""
        raise ConfigError(
            f"dataset '{config.validation_source}': class {first} is not in both it and '{config.source}'{more}; name"
            " the class folders alike"
        )
    return {"train": Part(source, source.entries), "validation": Part(other, other.entries)}


def split(
    labels: Sequence[int], validation_fraction: float, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Sorted numbers of the training and of the validation images, every class in the same share; always the same.

    `classes` are names for messages. Raises ConfigError where a class would lack images in a part.
    """
    from sklearn.model_selection import train_test_split

    counts, total = Counter(labels), len(labels)
    needed, held_out = len(counts), math.ceil(validation_fraction * total)
    short = {label for label, count in counts.items() if count == 1}
    if not short and needed <= held_out <= total - needed:
        parts = train_test_split(np.arange(total), test_size=validation_fraction, stratify=labels, random_state=0)
        short = {label for part in parts for label in counts.keys() - {labels[i] for i in part}}
        if not short:
            train, validation = map(np.sort, parts)
            return train, validation
    names = [f"{shown(classes[each] if classes else str(each))} ({of_images(counts[each])})" for each in sorted(short)]
    low, high = math.ceil(1000 * needed / total) / 1000, math.floor(1000 * (1 - needed / total)) / 1000
    raise ConfigError(
        f"dataset.validation_fraction: {validation_fraction} makes {held_out} of {of_images(total)} validate, but each"
        f" of {needed} classes needs one to train and one to validate{f', not {listed(names)}' if names else ''};"
        f" {f'take {low:g} to {high:g}' if low <= high else 'bring more'}, or name a dataset.validation_source"
    )
