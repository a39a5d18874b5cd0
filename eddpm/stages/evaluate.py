"""Measuring any images against any others, or against statistics of others."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from eddpm.config.assets import FOLDER
from eddpm.config.metrics import DEFAULT_METRICS, METRICS, base_name
from eddpm.config.schema import MeasureConfig, SpaceConfig, TrainClassifierConfig
from eddpm.config.settings import load_settings, parse_settings
from eddpm.config.spaces import CLASSIFIER, NAMED, Download, classifier_of, space_of
from eddpm.data.imagesets import Images, open_images, refuse_unlike
from eddpm.data.store import Store
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.extractors import open_space
from eddpm.evaluation.features import Extractor, FeatureSet
from eddpm.evaluation.metrics import Reference
from eddpm.io.files import read_json, write_json
from eddpm.io.provenance import provenance
from eddpm.models.device import device_name, pick_device
from eddpm.reporting.tables import scores
from eddpm.stages.features import features_of
from eddpm.stages.fetch import fetch_published
from eddpm.stages.measure import measure_in_spaces, named, num_replicates, standard_errors
from eddpm.stages.references import ReferenceFile, spread_evenly

logger = logging.getLogger(__name__)

USUAL = 10_000  # images: FIDs of fewer are hardly ever published


def evaluate(
    samples: Annotated[Path, "an npz or npy, a folder or a zip of images, a folder of npz files"],
    reference: Annotated[Path, "the same; or a dataset.json, or an npz of statistics (mu, sigma)"],
    spaces: Annotated[
        Sequence[str],
        {"type": os.path.expanduser},
        f"{', '.join(NAMED)}, or the folder of a trained classifier",
    ] = ("inception",),
    weights: Annotated[
        Path | None,
        "the file of weights, or the folder of several (those in resources/assets, else of a cache: fetched once)",
    ] = None,
    resize: Annotated[
        Literal["legacy_tensorflow", "clean"],
        "how Inception is fed: as in ADM's evaluator (%(default)s), or antialiased",
    ] = "legacy_tensorflow",
    nearest_neighbours: Annotated[int, "k of precision and recall (%(default)s)"] = 3,
    replicates: Annotated[int | None, "for standard errors (50 up to 10 000 images, else 0)"] = None,
    weights_sha256: Annotated[
        str | None, "SHA-256 of another file of weights, whose maker you trust: loading it can run code"
    ] = None,
    json: Annotated[Path | None, "a file for the numbers in full, beside the table"] = None,
    metrics: Annotated[Sequence[str], f"of {', '.join(METRICS)} ({' '.join(DEFAULT_METRICS)})"] = DEFAULT_METRICS,
) -> None:
    """Print a table of the metrics of any images against any others, or against statistics of others.

    `samples` and `reference` are of any kind that `open_images` and `ReferenceFile` know; what is decided about them is
    said. A space is one of NAMED, or the folder of a classifier trained here. `weights` is the file behind the one
    space that has such a file, or the folder of several; None: they lie in resources/assets or in the user's cache, or
    are fetched into it. A file is loaded only if its SHA-256 is the published one or, where that is given,
    `weights_sha256`. `json` has the numbers in full, with their spaces and what they compare with.
    """
    if json:
        _check_free(json)
    digest = weights_sha256 and weights_sha256.lower()
    batch, against = open_images(samples), ReferenceFile(reference)
    config = parse_settings(
        MeasureConfig,
        {
            "spaces": [{"name": "pixels"}],
            "nearest_neighbours": nearest_neighbours,
            "replicates": replicates,
            "metrics": metrics,
        },
        "options",
    )
    _log_images(batch, against)
    _check_pair(batch, against, nearest_neighbours)
    opened = _spaces(spaces, weights, digest, resize)
    judged = any(classifier_of(space.name) for space in opened)
    labels = batch.labels if judged or "vendi_per_class" in metrics else None
    rows = spread_evenly(len(against.images)) if isinstance(against.images, Store) else None  # as the workflow measures
    references = {space.name: against.in_space(space, rows) for space in opened}
    replicates = num_replicates(replicates, len(batch), nearest_neighbours)
    found = features_of(batch, opened, keep_spatial=replicates > 0)
    if judged and labels is None and "accuracy" in metrics:
        logger.info(f"{samples}: no labels, so no accuracy")
    with named(str(samples)):
        values, on_halves = measure_in_spaces(found, references, labels, config, replicates)
    _log_lacking(values, metrics)
    errors = standard_errors(values, on_halves, len(batch))
    notes = _log_comparable(batch, against, opened, found, references)
    print(scores(values, errors))
    if json:
        result = {"metrics": values, "standard_errors": errors, "compare": notes, "replicates": replicates}
        result["nearest_neighbours"] = nearest_neighbours
        _write(json, result, batch, against, opened)


def _log_lacking(values: dict[str, float], metrics: Sequence[str]) -> None:
    """Say which of other metrics than usual are not measured. ArtifactError where none is."""
    measured = set(map(base_name, values))
    lacking = [
        f"{name} ({', '.join(sorted(METRICS[name].needs - {'pooled'}))})" for name in metrics if name not in measured
    ]
    if not values:
        raise ArtifactError(f"--metrics: nothing here has what they need: {', '.join(lacking)}; choose others")
    if lacking and tuple(metrics) != DEFAULT_METRICS:
        logger.info(f"not measured, for want of what they need: {', '.join(lacking)}")


def _check_free(path: Path) -> None:
    """ArtifactError, before work is done, where the file of the numbers would replace a file of another kind."""
    try:
        if path.exists():
            read_json(path, "metrics", "compare")
    except ArtifactError:
        raise ArtifactError(f"{path}: is there, and no earlier result; name another file as --json") from None


def _write(path: Path, result: dict, batch: Images, against: ReferenceFile, spaces: list[Extractor]) -> None:
    size = None if against.images is None else len(against.images)
    values = {
        "samples": {"path": str(batch.path), "num_images": len(batch)},
        "reference": {"path": str(against.path), "num_images": size},
        "features": {space.name: space.identity for space in spaces},
        **result,
        "provenance": {**provenance(), "device": device_name(pick_device())},
    }
    write_json(path, values)
    logger.info(f"{path}: the numbers in full")


def _log_images(batch: Images, against: ReferenceFile) -> None:
    for images in filter(None, (batch, against.images)):
        height, width, channels = images.shape
        colours = "grey" if channels == 1 else "colour"
        logger.info(f"{images.path}: {len(images)} images of {width}x{height} in {colours}")
        for note in images.notes:
            logger.info(f"{images.path}: {note}")
    for note in against.notes:
        logger.info(f"{against.path}: {note}")
    if batch.path.samefile(against.path):
        logger.info(f"{batch.path}: is samples and reference at once; distances of images from themselves are 0")


def _check_pair(batch: Images, against: ReferenceFile, k: int) -> None:
    """ArtifactError where images differ in size or channels, or are too few for k neighbours."""
    least = 2 if against.images is None else k + 1
    for images in filter(None, (batch, against.images)):
        refuse_unlike(batch, images)
        if len(images) < least:
            raise ArtifactError(
                f"{images.path}: has {len(images)} of at least {least} images that k={k} needs; give more, or a lower"
                " --nearest-neighbours"
            )


def _log_comparable(
    batch: Images,
    against: ReferenceFile,
    spaces: list[Extractor],
    found: dict[str, FeatureSet],
    references: dict[str, Reference],
) -> list[str]:
    """Lines, by space, of what its numbers compare with, and of sets that are too small; said, and given back."""
    size = "statistics alone" if against.images is None else f"{len(against.images):,} images"
    notes = []
    for space in spaces:
        how = ", ".join(f"{key} {value[:8] if key == 'weights' else value}" for key, value in space.identity.items())
        notes.append(
            f"{space.name}: compare these numbers only with those of {len(batch):,} samples against the same reference"
            f" ({size}) in the same space ({how})"
        )
        sets = {"samples": (batch, found[space.name].pooled)}
        if against.images is not None:
            sets["reference images"] = against.images, references[space.name].pooled
        for name, (images, pooled) in sets.items():
            if len(images) <= pooled.shape[1]:
                notes.append(
                    f"{space.name}: {len(images)} {name} are few for {pooled.shape[1]} dimensions, which biases FID and"
                    " sFID upwards; compare them only with those of as many images"
                )
            elif len(images) < USUAL:
                notes.append(
                    f"{space.name}: {len(images):,} {name} are fewer than {USUAL:,}, which biases FID and sFID upwards;"
                    " published ones are mostly of 50,000 samples"
                )
    for note in notes:
        logger.info(note)
    return notes


def _spaces(names: Sequence[str], weights: Path | None, digest: str | None, resize: str) -> list[Extractor]:
    """The spaces that a user names. ConfigError where two have one name, or a file is given for several."""
    fetched = [name for name in names if name in NAMED and space_of(name).download]
    if len(fetched) > 1 and (digest or (weights and not weights.is_dir())):
        option = "--weights-sha256" if digest else "--weights"
        raise ConfigError(
            f"{option}: belongs to one file, but each of the spaces {' '.join(fetched)} has one; measure them one after"
            " the other, or name a folder of the published files as --weights"
        )
    opened = [_space(name, weights, digest, resize) for name in names]
    if len({space.name for space in opened}) < len(opened):
        raise ConfigError(f"--spaces: two of {' '.join(names)} have one name; measure them one after the other")
    return opened


def _space(name: str, weights: Path | None, digest: str | None, resize: str) -> Extractor:
    """The space that a user names: a folder is that of a classifier trained here."""
    if name in NAMED:
        download = space_of(name).download
        of_inception = {"inception_resize": resize, "inception_sha256": digest}
        options = of_inception if name == "inception" else {"weights_sha256": digest} if download else {}
        config = parse_settings(SpaceConfig, {"name": name, **options}, "options")
        file = download and _weights_of(download, weights)
    elif ((folder := Path(name)) / "settings.yaml").exists():
        network = load_settings(TrainClassifierConfig, folder / "settings.yaml").network
        config, digest = SpaceConfig(name=f"{CLASSIFIER}:{folder.resolve().name}", classifier=network), None
        file = folder / "model.safetensors"
    else:
        raise ConfigError(
            f"--spaces: '{name}' is unknown; give {', '.join(NAMED)},"
            " or the folder of a trained classifier (with settings.yaml and model.safetensors)"
        )
    space = open_space(config, file, pick_device())
    if file and digest and digest != download.sha256:
        logger.info(f"{file}: not the published file; numbers are comparable with those of the same weights only")
    return space


def _weights_of(download: Download, given: Path | None) -> Path:
    """The file that is given, or in the folder that is given; else where it lies, or is fetched to."""
    if given:
        return given / download.file if given.is_dir() else given
    cache = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "eddpm"
    for folder in (FOLDER, cache):
        if (folder / download.file).exists():
            return folder / download.file
    return fetch_published(download, cache, "or anywhere as --weights")
