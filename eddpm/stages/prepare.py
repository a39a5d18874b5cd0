"""Data sets, from their source to the shards that training and evaluation read."""

import csv
import io
import logging
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from eddpm.config.schema import DatasetConfig
from eddpm.config.settings import load_settings
from eddpm.data.classes import with_counts
from eddpm.data.kinds import is_companion, remedy, summary, why_left_out
from eddpm.data.parts import open_parts
from eddpm.data.pictures import NOTES
from eddpm.data.shards import ShardPlan, make_shards, plan_shards
from eddpm.data.sources import Source
from eddpm.data.store import recorded_files
from eddpm.errors import ArtifactError, escaped
from eddpm.io.files import read_json, sha256, write_json, write_text
from eddpm.io.names import listed, shown

logger = logging.getLogger(__name__)

MANY = 20  # classes; of more, the log names the smallest and the largest


class LeftOut(NamedTuple):
    """A file that is no image, or none that can be read."""

    part: str  # "-": of the source of both
    file: str
    reason: str
    kind: str | None = None  # by its name; None: it should be readable

    @property
    def is_lost(self) -> bool:
        """True if it is an image, or may be one."""
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
    sources = {name: part.source for name, part in parts.items()}
    if config.validation_source is None:
        sources = {"-": sources["train"]}
    left_out = [each for part, source in sources.items() for each in _not_counted(config, part, source)]
    plans = {name: plan_shards(config, dataset.parent / name, part) for name, part in parts.items()}
    all_plans = [plan for of_part in plans.values() for plan in of_part]
    total = sum(len(plan.entries) for plan in all_plans) + sum(each.is_lost for each in left_out)
    _check_losses(config, left_out, total, unreadable)
    make_shards(all_plans, workers)
    records = {part: [read_json(plan.record) for plan in plans[part]] for part in plans}
    left_out += _not_readable(records)
    _check_losses(config, left_out, total, unreadable)
    classes = parts["train"].source.classes
    description = {
        "source": config.source,
        "validation_source": config.validation_source,
        "shape": [config.image_size, config.image_size, config.image_channels],
        "classes": classes,
        "parts": {part: _describe(config, part, plans[part], records[part], classes) for part in plans},
        "not_counted": Counter(kind for source in sources.values() for kind in source.not_counted.values()),
        "passed_over": Counter(reason for source in sources.values() for reason in source.passed_over.values()),
    }
    write_json(dataset, description)
    for name, part in description["parts"].items():
        logger.info(f"{part['images']} {name} images of {config.num_classes} classes in {len(part['shards'])} shards")
        for note, count in part["notes"].items():
            logger.info(f"{name}: {count} of {part['images']} images are {NOTES[note]}")


def repair_dataset(settings: Path, dataset: Path, damaged: Collection[Path], workers: int) -> None:
    """Make the shards anew that have these files, as the source gave them; other shards and `dataset` stay as they are.

    Raises ArtifactError where the source gives other images now.
    """
    config, recorded = load_settings(DatasetConfig, settings), recorded_files(dataset)
    parts = open_parts(config).items()
    plans = [plan for name, part in parts for plan in plan_shards(config, dataset.parent / name, part)]
    planned = {path: plan for plan in plans for path in plan.arrays.values()}
    if planned.keys() == recorded.keys() and all(plan.fits_record() for plan in plans):
        for path in damaged:
            planned[path].record.unlink(missing_ok=True)
        make_shards(plans, workers)
    if lacking := [path for path in damaged if not path.exists() or sha256(path) != recorded[path]]:
        raise ArtifactError(
            f"{dataset}: its shards {listed(map(str, lacking), most=3)} are missing or damaged, and"
            f" '{config.source}' no longer gives the same images; bring those back, or prepare what is there now:"
            " `snakemake --forcerun prepare_dataset`, after which networks are trained again"
        )


def _not_counted(config: DatasetConfig, part: str, source: Source) -> Iterator[LeftOut]:
    """The files that are left out by their kind; the log says what there is."""
    place = escaped(config.validation_source if part == "validation" else config.source)
    for line in _contents(source):
        logger.info(f"{place}: {line}")
    for file, kind in source.not_counted.items():
        yield (each := LeftOut(part, file, why_left_out(kind), kind))
        if each.is_lost:
            logger.info(f"{place}: {shown(file)} {each.reason}")


def _contents(source: Source) -> Iterator[str]:
    first = f"{len(source.entries)} images of {len(source.classes)} classes"
    if len(source.classes) <= MANY:
        yield f"{first}: {with_counts(source.classes, source.entries, MANY)}"
    else:
        counts = Counter(source.classes[entry.label] for entry in source.entries)
        few, many = min(counts, key=counts.get), max(counts, key=counts.get)
        ends = f"from {shown(few)} ({counts[few]}) to {shown(many)} ({counts[many]})"
        yield f"{first}, {ends}; dataset.json has them all"
    yield from source.remarks
    if source.not_counted:
        yield f"{len(source.not_counted)} files among the images do not count: {summary(source.not_counted.values())}"


def _not_readable(records: dict[str, list[dict]]) -> Iterator[LeftOut]:
    """The images that cannot be read; the log says which."""
    for part, of_part in records.items():
        for file, reason in (failure for record in of_part for failure in record["unreadable"]):
            logger.info(f"{part}: {shown(file)} cannot be read: {escaped(reason)}")
            yield LeftOut(part, file, reason)


def _check_losses(config: DatasetConfig, left_out: list[LeftOut], total: int, table: Path) -> None:
    """Write the table of what is left out. Raises ArtifactError where images, or what may be some, are too many."""
    text = io.StringIO()
    rows = ([part, _cell(file), _cell(reason)] for part, file, reason, _ in left_out)
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows([["part", "file", "reason"], *rows])
    write_text(table, text.getvalue())
    lost = [each for each in left_out if each.is_lost]
    if len(lost) / total > config.max_corrupt:
        first = f"{shown(lost[0].file)} ({escaped(lost[0].reason)})"
        steps = remedy(each.kind for each in lost if each.kind), "repair them" * any(not each.kind for each in lost)
        raise ArtifactError(
            f"dataset '{config.source}': {len(lost)} of {total} images ({len(lost) / total:.2%}) cannot be read:"
            f" {listed([first, *(shown(each.file) for each in lost[1:])], most=3)}; the log names all, with the"
            f" reasons; {', '.join(filter(None, steps))}, move them elsewhere, or raise dataset.max_corrupt"
            f" ({config.max_corrupt})"
        )


def _cell(text: str) -> str:
    """On one line; tabs may stay, since a reader of such tables knows them by their quotes."""
    return "\t".join(map(escaped, text.split("\t")))


def _describe(
    config: DatasetConfig, part: str, plans: list[ShardPlan], records: list[dict], classes: tuple[str, ...]
) -> dict:
    """One part of the description. Raises ArtifactError where no image of a class could be read."""
    labels = np.concatenate([np.load(plan.arrays["labels"]) for plan in plans])
    by_class = np.bincount(labels, minlength=len(classes)).tolist()
    if without := [shown(name) for name, count in zip(classes, by_class, strict=True) if not count]:
        raise ArtifactError(
            f"dataset '{config.source}': no {part} image can be read of {listed(without)}; the log names the files;"
            " repair them, or add others"
        )
    return {
        "images": len(labels),
        "by_class": by_class,
        "unreadable": sum(len(record["unreadable"]) for record in records),
        "notes": sum((Counter(record["notes"]) for record in records), Counter()),
        "uncropped": plans[0].uncropped,
        "shards": [
            {"name": plan.name, "images": record["images"], "sha256": record["sha256"]}
            for plan, record in zip(plans, records, strict=True)
        ],
    }
