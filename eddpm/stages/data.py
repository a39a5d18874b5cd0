"""Data sets, from their source to the shards that training and evaluation read."""

import csv
import io
import sys
import time
from pathlib import Path

from eddpm.artifacts import read_json, write_json, write_text
from eddpm.config import DatasetConfig
from eddpm.data.parts import open_parts
from eddpm.data.shards import ShardPlan, make_shards, plan_shards
from eddpm.errors import ArtifactError
from eddpm.settings import load_settings

Failure = tuple[str, str, str]  # part, file, reason


def prepare_dataset(settings: Path, dataset: Path, unreadable: Path, workers: int) -> None:
    """Lay the images of a data set down in shards, in the folders `train` and `validation` beside `dataset`.

    Finished shards of the same images are kept. `dataset`, the description that readers start from, is written last;
    `unreadable` becomes a table of the files that cannot be read. Raises ArtifactError where they are too many.
    """
    config = load_settings(DatasetConfig, settings)
    parts = open_parts(config)
    dataset.unlink(missing_ok=True)  # since it may describe shards that are about to change
    plans = {name: plan_shards(config, dataset.parent / name, part) for name, part in parts.items()}
    all_plans = [plan for part in plans.values() for plan in part]
    make_shards(all_plans, workers, say)
    records = {part: [read_json(plan.record) for plan in plans[part]] for part in plans}
    failures = [
        (part, *failure) for part, of_part in records.items() for record in of_part for failure in record["unreadable"]
    ]
    write_text(unreadable, _table(failures))
    _check_failures(config, failures, sum(len(plan.entries) for plan in all_plans), unreadable)
    description = {
        "source": config.source,
        "validation_source": config.validation_source,
        "shape": [config.image_size, config.image_size, config.image_channels],
        "classes": parts["train"].source.classes,
        "parts": {part: _describe(plans[part], records[part]) for part in plans},
    }
    write_json(dataset, description)
    for name, part in description["parts"].items():
        say(f"{part['images']} {name} images of {config.num_classes} classes in {len(part['shards'])} shards")


def _describe(plans: list[ShardPlan], records: list[dict]) -> dict:
    return {
        "images": sum(record["images"] for record in records),
        "unreadable": sum(len(record["unreadable"]) for record in records),
        "uncropped": plans[0].uncropped,
        "shards": [
            {"name": plan.name, "images": record["images"], "sha256": record["sha256"]}
            for plan, record in zip(plans, records, strict=True)
        ],
    }


def _table(failures: list[Failure]) -> str:
    table = io.StringIO()
    csv.writer(table, delimiter="\t", lineterminator="\n").writerows([("part", "file", "reason"), *failures])
    return table.getvalue().encode(errors="backslashreplace").decode()  # the name of a file need be no Unicode


def _check_failures(config: DatasetConfig, failures: list[Failure], total: int, table: Path) -> None:
    for part, file, reason in failures:
        say(f"{part}: {file} cannot be read: {reason}")
    share = len(failures) / total
    if share > config.max_corrupt:
        first = ", ".join(file for _, file, _ in failures[:3]) + (", ..." if len(failures) > 3 else "")
        raise ArtifactError(
            f"dataset '{config.source}': {len(failures)} of {total} images ({share:.2%}) cannot be read: {first}; the"
            f" log and {table} name all; repair or remove them, or raise dataset.max_corrupt ({config.max_corrupt})"
        )


def say(message: str) -> None:
    """As runtime.say, but without torch, which takes longer to load than a small data set to prepare."""
    print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)
