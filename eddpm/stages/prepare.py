"""Data sets, from their source to the shards that training and evaluation read."""

import csv
import io
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from eddpm.config.schema import DatasetConfig
from eddpm.config.settings import load_settings
from eddpm.data.kinds import is_companion, remedy, summary, why_left_out
from eddpm.data.parts import Part, open_parts
from eddpm.data.pictures import NOTES
from eddpm.data.refusals import with_counts
from eddpm.data.shards import ShardPlan, make_shards, plan_shards
from eddpm.data.sources import Source
from eddpm.errors import ArtifactError
from eddpm.io.files import read_json, write_json, write_text
from eddpm.io.names import escaped, listed, shown

logger = logging.getLogger(__name__)

MANY = 20  # classes; of more, the log names the smallest and the largest


class LeftOut(NamedTuple):
    """A file that is no image, or none that can be read."""

    part: str  # "-": of the source of both
    file: str
    reason: str
    kind: str | None  # by its name; None: it should be readable

    @property
    def is_lost(self) -> bool:
        """Whether it is an image, or may be one."""
        return self.kind is None or not is_companion(self.kind)


def prepare_dataset(
    settings: Path, dataset: Path, unreadable: Path, workers: Annotated[int, "processes (1)"] = 1
) -> None:
    """Lay the images of a data set down in shards, in the folders `train` and `validation` beside `dataset`.

    Finished shards of the same images are kept. `dataset`, the description that readers start from, is written last;
    `unreadable` becomes a table of the files that are left out. Raises ArtifactError where too many of them are images.
    """
    config = load_settings(DatasetConfig, settings)
    parts = open_parts(config)
    dataset.unlink(missing_ok=True)  # since it may describe shards that are about to change
    left_out = list(_not_counted(config, parts))
    plans = {name: plan_shards(config, dataset.parent / name, part) for name, part in parts.items()}
    all_plans = [plan for part in plans.values() for plan in part]
    total = sum(len(plan.entries) for plan in all_plans) + sum(each.is_lost for each in left_out)
    _check_losses(config, left_out, total, unreadable)
    make_shards(all_plans, workers)
    records = {part: [read_json(plan.record) for plan in plans[part]] for part in plans}
    left_out += _not_readable(records)
    _check_losses(config, left_out, total, unreadable)
    classes = parts["train"].source.classes
    sources = {id(part.source): part.source for part in parts.values()}.values()
    description = {
        "source": config.source,
        "validation_source": config.validation_source,
        "shape": [config.image_size, config.image_size, config.image_channels],
        "classes": classes,
        "parts": {part: _describe(plans[part], records[part], classes) for part in plans},
        "not_counted": Counter(kind for source in sources for kind in source.not_counted.values()),
        "passed_over": Counter(reason for source in sources for reason in source.passed_over.values()),
    }
    _check_classes(config, description)
    write_json(dataset, description)
    for name, part in description["parts"].items():
        logger.info(f"{part['images']} {name} images of {config.num_classes} classes in {len(part['shards'])} shards")
        for note, count in part["notes"].items():
            logger.info(f"{name}: {count} of {part['images']} images are {NOTES[note]}")


def _not_counted(config: DatasetConfig, parts: dict[str, Part]) -> Iterator[LeftOut]:
    """The files that are left out by their kind; says what there is."""
    places = (
        {"-": config.source}
        if config.validation_source is None
        else dict(zip(parts, (config.source, config.validation_source), strict=True))
    )
    for part, place in places.items():
        source = parts["train" if part == "-" else part].source
        for line in _contents(source):
            logger.info(f"{escaped(place)}: {line}")
        for file, kind in source.not_counted.items():
            yield (each := LeftOut(part, file, why_left_out(file, kind), kind))
            if each.is_lost:
                logger.info(f"{escaped(place)}: {shown(file)} {each.reason}")


def _contents(source: Source) -> Iterator[str]:
    counts, images = Counter(entry.label for entry in source.entries), len(source.entries)
    first = f"{images} images of {len(source.classes)} classes"
    if len(source.classes) <= MANY:
        yield f"{first}: {with_counts(source.classes, source.entries, MANY)}"
    else:
        ends = (min(counts, key=counts.get), max(counts, key=counts.get))
        few, many = (f"{shown(source.classes[label])} ({counts[label]})" for label in ends)
        yield f"{first}, from {few} to {many}; dataset.json has them all"
    yield from source.remarks
    if source.not_counted:
        yield f"{len(source.not_counted)} files among the images do not count: {summary(source.not_counted.values())}"


def _not_readable(records: dict[str, list[dict]]) -> Iterator[LeftOut]:
    """The images that cannot be read; says which."""
    for part, of_part in records.items():
        for file, reason in (failure for record in of_part for failure in record["unreadable"]):
            logger.info(f"{part}: {shown(file)} cannot be read: {escaped(reason)}")
            yield LeftOut(part, file, reason, None)


def _check_losses(config: DatasetConfig, left_out: list[LeftOut], total: int, table: Path) -> None:
    """Write the table of what is left out. Raises ArtifactError where images, or what may be some, are too many."""
    text = io.StringIO()
    rows = ((part, _cell(file), _cell(reason)) for part, file, reason, _ in left_out)
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows([("part", "file", "reason"), *rows])
    write_text(table, text.getvalue())
    lost = [each for each in left_out if each.is_lost]
    share = len(lost) / total
    if share > config.max_corrupt:
        first, *others = [shown(each.file) for each in lost[:3]] + ["..."] * (len(lost) > 3)
        names = ", ".join([f"{first} ({escaped(lost[0].reason)})", *others])
        steps = [
            remedy(each.kind for each in lost if each.kind),
            "repair them" * any(each.kind is None for each in lost),
        ]
        raise ArtifactError(
            f"dataset '{config.source}': {len(lost)} of {total} images ({share:.2%}) cannot be read: {names}; the log"
            f" names all, with the reasons; {', '.join(filter(None, steps))}, move them elsewhere, or raise"
            f" dataset.max_corrupt ({config.max_corrupt})"
        )


def _cell(text: str) -> str:
    """On one line; tabs may stay, since a reader of such tables knows them by their quotes."""
    return "\t".join(map(escaped, text.split("\t")))


def _describe(plans: list[ShardPlan], records: list[dict], classes: tuple[str, ...]) -> dict:
    labels = np.concatenate([np.load(plan.arrays["labels"]) for plan in plans])
    return {
        "images": sum(record["images"] for record in records),
        "by_class": np.bincount(labels, minlength=len(classes)).tolist(),
        "unreadable": sum(len(record["unreadable"]) for record in records),
        "notes": sum((Counter(record["notes"]) for record in records), Counter()),
        "uncropped": plans[0].uncropped,
        "shards": [
            {"name": plan.name, "images": record["images"], "sha256": record["sha256"]}
            for plan, record in zip(plans, records, strict=True)
        ],
    }


def _check_classes(config: DatasetConfig, description: dict) -> None:
    """Raise ArtifactError where no image of a class could be read."""
    for part, of_part in description["parts"].items():
        counts = zip(description["classes"], of_part["by_class"], strict=True)
        if without := [shown(name) for name, count in counts if not count]:
            raise ArtifactError(
                f"dataset '{config.source}': no {part} image can be read of {listed(without)}; the log names the files;"
                " repair them, or add others"
            )
