"""Measuring samples: a run's shards within the pipeline, or any pair of sample batch and reference outside it."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from PIL import Image

from eddpm.config.schema import (
    INCEPTION_FILE,
    INCEPTION_SHA256,
    MeasureConfig,
    SampleConfig,
    SpaceConfig,
    TrainClassifierConfig,
)
from eddpm.config.settings import load_settings, parse_settings
from eddpm.data.imagesets import Images, Joined, open_images, refuse_unlike
from eddpm.data.store import Store
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.bootstrap import MOST_IMAGES, REPLICATES, half_samples, standard_error
from eddpm.evaluation.features import Extractor, FeatureSet
from eddpm.evaluation.metrics import Reference, correct, measure, standard_errors
from eddpm.io.arrays import read_npz
from eddpm.io.batches import ImageFile
from eddpm.io.files import atomic, sha256, write_json, write_text
from eddpm.io.provenance import provenance
from eddpm.models.device import device_name, pick_device
from eddpm.reporting.tables import scores
from eddpm.stages import OptionalFiles
from eddpm.stages.features import (
    ReferenceFile,
    check_count,
    features_of,
    open_classifier,
    open_spaces,
    read_features,
    spread_evenly,
)
from eddpm.stages.sample import TRACED

logger = logging.getLogger(__name__)

GRID_IMAGES = 100
Measured = tuple[dict[str, float], dict[str, float]]  # values and standard errors of metrics, by name


def measure_samples(
    settings: Path,
    runs: list[Path],
    samples: list[Path],
    features: OptionalFiles,
    weights: OptionalFiles,
    references: list[Path],
    metrics: list[Path],
    traces: list[Path],
    grids: list[Path],
) -> None:
    """Write each run's metrics with their standard errors, its trace along the steps, and a grid of its first images.

    `runs` are the settings of runs. `samples` are the shards of a single run, or one shard for each of several;
    `features` are theirs where they have been extracted. `weights` and `references` go with the spaces in order.
    """
    config = load_settings(MeasureConfig, settings)
    for option, paths in (("--metrics", metrics), ("--traces", traces), ("--grids", grids)):
        check_count(option, paths, len(runs), "runs")
    measured = [
        _Run(load_settings(SampleConfig, run), paths, extracted)
        for run, paths, extracted in zip(
            runs, _by_run("--samples", samples, runs), _by_run("--features", features, runs), strict=True
        )
    ]
    spaces = open_spaces(config.spaces, weights)
    check_count("--references", references, len(spaces), "feature spaces")
    files = [ReferenceFile(path) for path in references]
    for run in measured:
        for images in filter(None, (file.images for file in files)):
            refuse_unlike(run.images, images)
    against = {space.name: file.in_space(space) for space, file in zip(spaces, files, strict=True)}
    described = {
        space.name: {"extractor": space.identity, "reference": {"name": str(path), "sha256": sha256(path)}}
        for space, path in zip(spaces, references, strict=True)
    }
    for run, *outputs in zip(measured, metrics, traces, grids, strict=True):
        _measure_run(run, config, spaces, against, described, *outputs)


class _Run:
    """A run's settings and shards, and their features where they have been extracted."""

    def __init__(self, config: SampleConfig, paths: list[Path], features: list[Path]):
        self.config, self.features = config, features
        self.shards = _read_shards(paths)
        self.images = Joined(paths[0].parent, [ImageFile(path) for path in paths])
        identities = {str(shard["identity"]) for shard in self.shards if "identity" in shard}
        if len(identities) > 1:
            raise ArtifactError(
                f"{config.name}: its shards were sampled with different settings or weights; sample them anew"
            )
        self.identity = next(iter(identities), None)


def _by_run(option: str, paths: list[Path], runs: list[Path]) -> list[list[Path]]:
    """The files of each run: all of them belong to a single run, one of them to each of several."""
    if len(runs) == 1 or not paths:
        return [paths for _ in runs]
    check_count(option, paths, len(runs), "runs")
    return [[path] for path in paths]


def _measure_run(
    run: _Run,
    config: MeasureConfig,
    spaces: list[Extractor],
    against: dict[str, Reference],
    described: dict[str, dict],
    metrics: Path,
    trace: Path,
    grid: Path,
) -> None:
    labels = run.images.labels
    replicates = _replicates(config.replicates, len(labels), config.nearest_neighbours)
    if run.features:
        found = read_features(run.features, spaces, len(labels), keep_spatial=replicates > 0)
    else:
        found = features_of(run.images, spaces, keep_spatial=replicates > 0)
    with _named(run.config.name):
        values, errors = _measure(found, against, labels, config.nearest_neighbours, replicates)
    _write_trace(trace, run.shards, len(labels))
    _write_grid(grid, next(run.images.batches(GRID_IMAGES)))
    # The networks follow from the settings beside the run; a table shows the rest.
    row = run.config.model_dump(mode="json", exclude={"denoiser", "classifier", "diffusion", "num_classes"})
    write_json(
        metrics,
        {
            "run": row,
            "identity": run.identity,
            "num_images": len(labels),
            "metrics": values,
            "standard_errors": errors,
            "features": described,
            "provenance": {**provenance(), "device": device_name(pick_device())},
        },
    )
    logger.info(f"{run.config.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """ArtifactErrors begin with this name."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(f"{name}: {error}") from None


def evaluate(
    samples: Annotated[Path, "an npz or npy, a folder or a zip of images, a folder of npz files"],
    reference: Annotated[Path, "the same; or a dataset.json, or an npz of statistics (mu, sigma)"],
    spaces: Annotated[
        Sequence[str],
        {"type": os.path.expanduser},
        "inception, efficientnet-lite0, pixels, or the folder of a trained classifier",
    ] = ("inception",),
    weights: Annotated[Path, "the Inception network (%(default)s)"] = Path("resources/assets", INCEPTION_FILE),
    resize: Annotated[
        Literal["legacy_tensorflow", "clean"],
        "how Inception is fed: as in ADM's evaluator (%(default)s), or antialiased",
    ] = "legacy_tensorflow",
    nearest_neighbours: Annotated[int, "k of precision and recall (%(default)s)"] = 3,
    replicates: Annotated[int | None, "for standard errors (50 up to 10 000 images, else 0)"] = None,
) -> None:
    """Print a table of the metrics of any images against any others, or against statistics of others.

    `samples` and `reference` are of any kind that `open_images` and `ReferenceFile` know; what is decided about them is
    said. A space is "inception", "efficientnet-lite0", "pixels", or the folder of a classifier trained here. `weights`
    is the file of the Inception network.
    """
    options = {"nearest_neighbours": nearest_neighbours, "replicates": replicates}
    parse_settings(MeasureConfig, {"spaces": [{"name": "pixels"}], **options}, "options")
    batch, against = open_images(samples), ReferenceFile(reference)
    _say_what_is_measured(batch, against)
    _check_pair(batch, against, nearest_neighbours)
    opened = [_space(name, weights, resize) for name in spaces]
    if len({space.name for space in opened}) < len(opened):
        raise ConfigError(f"--spaces: two of {' '.join(spaces)} have one name; measure them one after the other")
    judged = any(space.name.startswith("classifier:") for space in opened)
    labels = batch.labels if judged else None
    rows = spread_evenly(len(against.images)) if isinstance(against.images, Store) else None  # as the workflow measures
    references = {space.name: against.in_space(space, rows) for space in opened}
    replicates = _replicates(replicates, len(batch), nearest_neighbours)
    found = features_of(batch, opened, keep_spatial=replicates > 0)
    if judged and labels is None:
        logger.info(f"{samples}: no labels, so no accuracy")
    _say_what_is_biased(found, references)
    with _named(str(samples)):
        values, errors = _measure(found, references, labels, nearest_neighbours, replicates)
    print(scores(values, errors))


def _say_what_is_measured(batch: Images, against: ReferenceFile) -> None:
    for images in filter(None, (batch, against.images)):
        height, width, channels = images.shape
        logger.info(
            f"{images.path}: {len(images)} images of {width}x{height} in {'grey' if channels == 1 else 'colour'}"
        )
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


def _say_what_is_biased(found: dict[str, FeatureSet], references: dict[str, Reference]) -> None:
    for space, features in found.items():
        sets = {"samples": features.pooled, "reference images": references[space].pooled}
        for name, pooled in sets.items():
            if pooled is not None and len(pooled) <= pooled.shape[1]:
                logger.info(
                    f"{space}: {len(pooled)} {name} are few for {pooled.shape[1]} dimensions, which biases FID and sFID"
                    " upwards; compare them only with those of as many images"
                )


def _read_shards(paths: list[Path]) -> list[dict[str, np.ndarray]]:
    """All of a run's shards but their images. ArtifactError where one is of another kind than the first."""
    shards = [read_npz(path, "arr_0", "arr_1", "trace", "timesteps", skip=("arr_0",)) for path in paths]
    for path, shard in zip(paths, shards, strict=True):
        trace, timesteps = shard["trace"], shard["timesteps"]
        is_trace = trace.shape[1:] == (len(TRACED), 2) and timesteps.ndim == 1 and len(trace) <= len(timesteps)
        alike = trace.shape == shards[0]["trace"].shape and np.array_equal(timesteps, shards[0]["timesteps"])
        if not (is_trace and alike) or trace.dtype.kind != "f":
            raise ArtifactError(
                f"{path}: trace {trace.dtype} {trace.shape} and timesteps {timesteps.shape} are not those of a run's"
                f" shard, or unlike those of {paths[0]}; name the shards of one run"
            )
    return shards


def _space(name: str, weights: Path, resize: str) -> Extractor:
    """The space that a user names: a folder is that of a classifier trained here."""
    if name == "inception":
        if weights.name != INCEPTION_FILE:
            raise ConfigError(f"--weights: '{weights}' is not named {INCEPTION_FILE}; rename the file, or link to it")
        (space,) = open_spaces([SpaceConfig(name=name, inception_resize=resize)], [weights])
        if space.identity["weights"] != INCEPTION_SHA256:
            logger.info(
                f"{weights}: not the published file; numbers are comparable with those of the same weights only"
            )
        return space
    if name in ("efficientnet-lite0", "pixels"):
        return open_spaces([SpaceConfig(name=name)], [])[0]
    folder = Path(name)
    if not (folder / "settings.yaml").exists():
        raise ConfigError(
            f"--spaces: '{name}' is unknown; give inception, efficientnet-lite0, pixels,"
            " or the folder of a trained classifier (with settings.yaml and model.safetensors)"
        )
    network = load_settings(TrainClassifierConfig, folder / "settings.yaml").network
    return open_classifier(f"classifier:{folder.resolve().name}", network, folder / "model.safetensors", pick_device())


def _replicates(asked: int | None, num_images: int, k: int) -> int:
    """Replicates for standard errors: as many as asked for, or by the number of images; none of too few images."""
    if num_images // 2 <= k:
        if asked:
            logger.info(f"no standard errors: half of {num_images} images are too few for k={k}")
        return 0
    return asked if asked is not None else REPLICATES if num_images <= MOST_IMAGES else 0


def _measure(
    found: dict[str, FeatureSet],
    references: dict[str, Reference],
    labels: np.ndarray | None,
    k: int,
    replicates: int,
) -> Measured:
    """The metrics in every space, and the accuracy that the first classifier among them finds."""
    values, errors, device = {}, {}, pick_device()
    halves = half_samples(len(next(iter(found.values())).pooled), replicates)
    for space, features in found.items():
        if space.startswith("classifier:") and "accuracy" not in values and labels is not None:
            right = correct(features.probabilities, labels)
            values["accuracy"] = float(right.mean())
            if replicates:
                errors["accuracy"] = standard_error([right[half].mean() for half in halves], len(right))
        with _named(space):
            values |= {f"{space}/{name}": v for name, v in measure(features, references[space], k, device).items()}
            if replicates:
                found_errors = standard_errors(features, references[space], k, halves, device)
                errors |= {f"{space}/{name}": error for name, error in found_errors.items()}
    return values, errors


def _write_trace(path: Path, shards: list[dict[str, np.ndarray]], num_images: int) -> None:
    """One row per step: t, then mean and standard deviation over the images of each traced quantity.

    A scale of 0 has no logarithm: its cells are empty.
    """
    means = sum(shard["trace"] for shard in shards) / num_images
    mean, mean_square = np.moveaxis(np.where(np.isfinite(means), means, np.nan), -1, 0)
    deviation = np.sqrt(np.maximum(mean_square - mean**2, 0))
    columns = {"t": shards[0]["timesteps"][: len(mean)]}
    for k, name in enumerate(TRACED):
        columns |= {name: mean[:, k], f"{name}_std": deviation[:, k]}
    write_text(path, pd.DataFrame(columns).to_csv(index=False, float_format="%.6g"))


def _write_grid(path: Path, images: np.ndarray, columns: int = 10) -> None:
    """Images side by side, enlarged to at least 32 pixels each without smoothing."""
    blank = np.zeros((-len(images) % columns, *images.shape[1:]), dtype=np.uint8)
    n, h, w, c = (images := np.concatenate([images, blank])).shape
    sheet = images.reshape(n // columns, columns, h, w, c).transpose(0, 2, 1, 3, 4).reshape(n // columns * h, -1, c)
    zoom = -(-32 // h)
    picture = Image.fromarray(sheet.squeeze(-1) if c == 1 else sheet)
    with atomic(path) as temporary:
        picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(temporary, "PNG")
