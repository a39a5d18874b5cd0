"""Measuring samples of runs within the pipeline."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from eddpm.config.metrics import full_name
from eddpm.config.samples import SampleConfig
from eddpm.config.schema import MeasureConfig
from eddpm.config.settings import load_settings
from eddpm.config.spaces import classifier_of
from eddpm.data.imagesets import Joined, refuse_unlike
from eddpm.errors import ArtifactError
from eddpm.evaluation.bootstrap import MOST_IMAGES, REPLICATES, half_samples, standard_error
from eddpm.evaluation.features import Extractor, FeatureSet
from eddpm.evaluation.metrics import Fitted, Pair, Reference, measure, measure_halves
from eddpm.io.arrays import read_npz
from eddpm.io.batches import ImageFile
from eddpm.io.files import atomic, sha256, write_json, write_text
from eddpm.io.provenance import provenance
from eddpm.models.device import device_name, pick_device
from eddpm.stages import OptionalFiles, check_count
from eddpm.stages.features import features_of, open_spaces, read_features
from eddpm.stages.references import ReferenceFile
from eddpm.stages.sample import seconds_file
from eddpm.stages.sampler import COSTS, TRACED

logger = logging.getLogger(__name__)

GRID_IMAGES = 100


def measure_samples(
    settings: Path,
    runs: list[Path],
    samples: list[Path],
    features: OptionalFiles,
    weights: OptionalFiles,
    references: list[Path],
    metrics: list[Path],
    replicates: list[Path],
    traces: list[Path],
    grids: list[Path],
) -> None:
    """Write each run's metrics with their standard errors, the metrics of the halves of its images that the errors are
    from, its trace along the steps, and a grid of its first images.

    `runs` are the settings of runs. `samples` are the shards of a single run, or one shard for each of several;
    `features` are theirs where they have been extracted. `weights` and `references` go with the spaces in order.
    """
    config = load_settings(MeasureConfig, settings)
    outputs = {"--metrics": metrics, "--replicates": replicates, "--traces": traces, "--grids": grids}
    for option, paths in outputs.items():
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
    for run, *files in zip(measured, *outputs.values(), strict=True):
        _measure_run(run, config, spaces, against, described, *files)


class _Run:
    """A run's settings and shards, and their features where they have been extracted."""

    def __init__(self, config: SampleConfig, paths: list[Path], features: list[Path]):
        self.config, self.features = config, features
        self.shards = _read_shards(paths)
        self.images = Joined(paths[0].parent, [ImageFile(path) for path in paths])
        self.cost = _cost(paths, self.shards[0]["cost"], len(self.images.labels))
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
    replicates: Path,
    trace: Path,
    grid: Path,
) -> None:
    labels = run.images.labels
    count = num_replicates(config.replicates, len(labels), config.nearest_neighbours)
    if run.features:
        found = read_features(run.features, spaces, len(labels), keep_spatial=count > 0)
    else:
        found = features_of(run.images, spaces, keep_spatial=count > 0)
    with named(run.config.name):
        values, on_halves = measure_in_spaces(found, against, labels, config, count)
    write_text(replicates, pd.DataFrame(on_halves, columns=list(values)).to_csv(index=False))
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
            "cost": run.cost,
            "metrics": values,
            "standard_errors": standard_errors(values, on_halves, len(labels)),
            "features": described,
            "provenance": {**provenance(), "device": device_name(pick_device())},
        },
    )
    logger.info(f"{run.config.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))


def _read_shards(paths: list[Path]) -> list[dict[str, np.ndarray]]:
    """All of a run's shards but their images. ArtifactError where one is of another kind than the first."""
    shards = [read_npz(path, "arr_0", "arr_1", "trace", "timesteps", "cost", skip=("arr_0",)) for path in paths]
    for path, shard in zip(paths, shards, strict=True):
        trace, timesteps = shard["trace"], shard["timesteps"]
        is_trace = trace.shape[1:] == (len(TRACED), 2) and timesteps.ndim == 1 and len(trace) <= len(timesteps)
        is_trace = is_trace and shard["cost"].shape == (len(COSTS),) and shard["cost"].dtype.kind == "i"
        alike = trace.shape == shards[0]["trace"].shape and all(
            np.array_equal(shard[name], shards[0][name]) for name in ("timesteps", "cost")
        )
        if not (is_trace and alike) or trace.dtype.kind != "f":
            raise ArtifactError(
                f"{path}: trace {trace.dtype} {trace.shape}, timesteps {timesteps.shape} and cost"
                f" {shard['cost'].shape} are not those of a run's shard, or unlike those of {paths[0]}; name the shards"
                " of one run"
            )
    return shards


def _cost(paths: list[Path], evaluations: np.ndarray, num_images: int) -> dict[str, float | None]:
    """Of an image: the evaluations of each network, and the seconds of its sampling, loading of networks left out.

    The seconds are none where the file that tells them is lost.
    """
    try:
        seconds = sum(float(seconds_file(path).read_text()) for path in paths) / num_images
    except (OSError, ValueError):
        seconds = math.nan
    evaluated = dict(zip(COSTS, evaluations.tolist(), strict=True))
    return {**evaluated, "seconds": seconds if math.isfinite(seconds) else None}


def num_replicates(asked: int | None, num_images: int, k: int) -> int:
    """Replicates for standard errors: as many as asked for, or by the number of images; none of too few images."""
    if num_images // 2 <= k:
        if asked:
            logger.info(f"no standard errors: half of {num_images} images are too few for k={k}")
        return 0
    return asked if asked is not None else REPLICATES if num_images <= MOST_IMAGES else 0


@contextmanager
def named(name: str) -> Iterator[None]:
    """ArtifactErrors begin with this name."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(f"{name}: {error}") from None


def measure_in_spaces(
    found: dict[str, FeatureSet],
    references: dict[str, Reference],
    labels: np.ndarray | None,
    config: MeasureConfig,
    replicates: int,
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics by name, and their values (replicates,) on random halves of the images, if there are to be any.

    The first classifier among the spaces judges the labels.
    """
    values, on_halves = {}, {}
    halves = half_samples(len(next(iter(found.values())).pooled), replicates)
    judge = next(filter(classifier_of, found), None)
    for space, features in found.items():
        with named(space):
            pair = Pair(
                features,
                references[space],
                config.nearest_neighbours,
                labels,
                pick_device(),
                judges=space == judge,
                metrics=config.metrics,
                density_k=config.density_neighbours,
            )
            values |= {full_name(space, name): value for name, value in measure(pair).items()}
            if replicates:
                on_halves |= {full_name(space, name): each for name, each in measure_halves(pair, halves).items()}
    return values, on_halves


def standard_errors(values: dict[str, float], on_halves: dict[str, np.ndarray], num_images: int) -> dict[str, float]:
    """The standard error of each metric of num_images images, from its values on halves of them, or from its fit."""
    fitted = {name: value.error for name, value in values.items() if isinstance(value, Fitted)}
    of_halves = {name: float(standard_error(each, num_images)) for name, each in on_halves.items()}
    return of_halves | fitted


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
