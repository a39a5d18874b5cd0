"""Measuring any images against any others, or against statistics of others."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from eddpm.config.assets import FOLDER
from eddpm.config.metrics import DEFAULT_METRICS, METRICS
from eddpm.config.schema import MeasureConfig, SpaceConfig, TrainClassifierConfig
from eddpm.config.settings import load_settings, parse_settings
from eddpm.config.spaces import CLASSIFIER, INCEPTION, NAMED, classifier_of, space_of
from eddpm.data.imagesets import Images, open_images, refuse_unlike
from eddpm.data.store import Store
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.extractors import open_space
from eddpm.evaluation.features import Extractor, FeatureSet
from eddpm.evaluation.metrics import Reference
from eddpm.models.device import pick_device
from eddpm.reporting.tables import scores
from eddpm.stages.features import features_of
from eddpm.stages.measure import measure_in_spaces, named, num_replicates, standard_errors
from eddpm.stages.references import ReferenceFile, spread_evenly

logger = logging.getLogger(__name__)


def evaluate(
    samples: Annotated[Path, "an npz or npy, a folder or a zip of images, a folder of npz files"],
    reference: Annotated[Path, "the same; or a dataset.json, or an npz of statistics (mu, sigma)"],
    spaces: Annotated[
        Sequence[str],
        {"type": os.path.expanduser},
        f"{', '.join(NAMED)}, or the folder of a trained classifier",
    ] = ("inception",),
    weights: Annotated[Path, "the Inception network (%(default)s)"] = FOLDER / INCEPTION.file,
    resize: Annotated[
        Literal["legacy_tensorflow", "clean"],
        "how Inception is fed: as in ADM's evaluator (%(default)s), or antialiased",
    ] = "legacy_tensorflow",
    nearest_neighbours: Annotated[int, "k of precision and recall (%(default)s)"] = 3,
    replicates: Annotated[int | None, "for standard errors (50 up to 10 000 images, else 0)"] = None,
    weights_sha256: Annotated[
        str | None, "SHA-256 of another Inception network, whose maker you trust: loading it can run code"
    ] = None,
    metrics: Annotated[Sequence[str], f"of {', '.join(METRICS)} ({' '.join(DEFAULT_METRICS)})"] = DEFAULT_METRICS,
) -> None:
    """Print a table of the metrics of any images against any others, or against statistics of others.

    `samples` and `reference` are of any kind that `open_images` and `ReferenceFile` know; what is decided about them is
    said. A space is one of NAMED, or the folder of a classifier trained here. `weights` is the file of the Inception
    network, which is loaded only if its SHA-256 is the published one or, where that is given, `weights_sha256`.
    """
    inception = {"inception_resize": resize, "inception_sha256": weights_sha256 and weights_sha256.lower()}
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
    opened = [_space(name, weights, inception) for name in spaces]
    if len({space.name for space in opened}) < len(opened):
        raise ConfigError(f"--spaces: two of {' '.join(spaces)} have one name; measure them one after the other")
    judged = any(classifier_of(space.name) for space in opened)
    labels = batch.labels if judged or "vendi_per_class" in metrics else None
    rows = spread_evenly(len(against.images)) if isinstance(against.images, Store) else None  # as the workflow measures
    references = {space.name: against.in_space(space, rows) for space in opened}
    replicates = num_replicates(replicates, len(batch), nearest_neighbours)
    found = features_of(batch, opened, keep_spatial=replicates > 0)
    if judged and labels is None:
        logger.info(f"{samples}: no labels, so no accuracy")
    if "vendi_per_class" in metrics and labels is None:
        logger.info(f"{samples}: no labels, so no vendi_per_class")
    _log_bias(found, references)
    with named(str(samples)):
        values, on_halves = measure_in_spaces(found, references, labels, config, replicates)
    print(scores(values, standard_errors(values, on_halves, len(batch))))


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


def _log_bias(found: dict[str, FeatureSet], references: dict[str, Reference]) -> None:
    for space, features in found.items():
        sets = {"samples": features.pooled, "reference images": references[space].pooled}
        for name, pooled in sets.items():
            if pooled is not None and len(pooled) <= pooled.shape[1]:
                logger.info(
                    f"{space}: {len(pooled)} {name} are few for {pooled.shape[1]} dimensions, which biases FID and sFID"
                    " upwards; compare them only with those of as many images"
                )


def _space(name: str, weights: Path, inception: dict[str, str | None]) -> Extractor:
    """The space that a user names: a folder is that of a classifier trained here."""
    if name in NAMED:
        config = parse_settings(SpaceConfig, {"name": name, **(inception if name == "inception" else {})}, "options")
        download = space_of(name).download
        file = weights if name == "inception" else FOLDER / download.file if download else None
    elif ((folder := Path(name)) / "settings.yaml").exists():
        network = load_settings(TrainClassifierConfig, folder / "settings.yaml").network
        config = SpaceConfig(name=f"{CLASSIFIER}:{folder.resolve().name}", classifier=network)
        file = folder / "model.safetensors"
    else:
        raise ConfigError(
            f"--spaces: '{name}' is unknown; give {', '.join(NAMED)},"
            " or the folder of a trained classifier (with settings.yaml and model.safetensors)"
        )
    space = open_space(config, file, pick_device())
    if name == "inception" and space.identity["weights"] != INCEPTION.sha256:
        logger.info(f"{file}: not the published file; numbers are comparable with those of the same weights only")
    return space
