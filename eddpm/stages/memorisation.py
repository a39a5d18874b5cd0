"""Memorisation: samples that may be copies of training images, beside controls of which this is known."""

import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd

from eddpm.config.outputs import CONTROLS
from eddpm.config.schema import MeasureConfig
from eddpm.config.settings import load_settings
from eddpm.data.imagesets import Images, Joined
from eddpm.data.store import Store
from eddpm.evaluation.bootstrap import REPLICATES
from eddpm.evaluation.features import Extractor, FeatureSet
from eddpm.evaluation.frechet import GaussianStats
from eddpm.evaluation.manifold import closest
from eddpm.evaluation.metrics import Reference
from eddpm.io.arrays import write_npz
from eddpm.io.batches import ImageFile
from eddpm.reporting.tables import NONE, metrics_cells
from eddpm.stages import Caption, OptionalFiles, check_count
from eddpm.stages.features import features_of, open_spaces, read_features
from eddpm.stages.measure import measure_in_spaces, named, standard_errors
from eddpm.stages.references import ReferenceFile, chosen, spread_evenly
from eddpm.stages.tables import Page, write_table

logger = logging.getLogger(__name__)

METRICS = ("authpct", "nearer")
PAIRS = 10  # of a row in the figure
FLAGGED = 3  # standard errors above the validation images


class _Row(NamedTuple):
    """Images that are measured, and their features in every space."""

    name: str
    images: Images
    numbers: np.ndarray  # of the images that have features
    features: dict[str, FeatureSet]


def measure_memorisation(
    settings: Path,
    references: list[Path],
    weights: OptionalFiles,
    runs: Annotated[list[str], "the name of the run of each of --samples"],
    samples: list[Path],
    features: Annotated[OptionalFiles, "of runs whose features are kept, beside the samples"],
    caption: Caption,
    copies: Annotated[list[Path], "an npz for each run, for training images and, with --dataset, validation images"],
    csv: Path,
    md: Path,
    tex: Path,
    html: Page = None,
    scales: Annotated[Sequence[str], "the scale of each of --samples"] = (),
    dataset: Annotated[Path | None, "the data set whose validation images are the yardstick"] = None,
) -> None:
    """Write a table of AuthPct and `nearer` of runs, and the pictures of their most suspicious samples.

    Training images that were drawn with replacement are the positive control. Of validation images, one half is the
    negative control and the other the yardstick: a row is flagged where its `nearer` is FLAGGED standard errors above.
    `copies` have the PAIRS samples of each row that lie nearest to a training image, in units of its distance to the
    next one, each followed by that image. Training images are those of `references`, a file for each space.
    """
    config = load_settings(MeasureConfig, settings).model_copy(update={"metrics": METRICS})
    spaces = open_spaces(config.spaces, weights)
    check_count("--references", references, len(spaces), "feature spaces")
    for option, given in (("--runs", runs), ("--scales", scales or samples)):
        check_count(option, given, len(samples), "files of --samples")
    check_count("--copies", copies, len(set(runs)) + (len(CONTROLS) if dataset else 1), "rows")
    files = [ReferenceFile(path) for path in references]
    against = {space.name: file.in_space(space) for space, file in zip(spaces, files, strict=True)}
    training = files[0].images
    rows = itertools.chain(_sampled(runs, samples, features, spaces), _controls(training, against, dataset, spaces))
    frame = []
    for row, path in zip(rows, copies, strict=True):
        with named(row.name):
            write_npz(path, arr_0=_pairs(row, training, against))
            numbers = _numbers(row, against, config)
        frame.append({"run": row.name, "scale": np.nan, "num_images": len(row.numbers), **numbers})
    _write_table(pd.DataFrame(frame), dict(zip(runs, scales, strict=False)), list(against), caption, csv, md, tex, html)


def _sampled(runs: list[str], samples: list[Path], features: list[Path], spaces: list[Extractor]) -> Iterator[_Row]:
    for name in dict.fromkeys(runs):
        shards = [path for path, run in zip(samples, runs, strict=True) if run == name]
        images = Joined(shards[0].parent, [ImageFile(path) for path in shards])
        kept = [path for path in features if path.parents[1] == shards[0].parents[1]]
        found = read_features(kept, spaces, len(images), False) if kept else features_of(images, spaces, False)
        yield _Row(name, images, np.arange(len(images)), found)


def _controls(
    training: Images, against: dict[str, Reference], dataset: Path | None, spaces: list[Extractor]
) -> Iterator[_Row]:
    """As many training images, drawn with replacement; one half of the validation images, and the other half."""
    numbers = np.random.default_rng(0).choice(len(training), len(training))
    sets = {name: reference.pooled[numbers] for name, reference in against.items()}
    found = {name: FeatureSet(each, GaussianStats.of(each)) for name, each in sets.items()}
    yield _Row(CONTROLS["training"], training, numbers, found)
    if dataset:
        images = Store(dataset, "validation")
        halves = spread_evenly(len(images))[::2], spread_evenly(len(images))[1::2]
        for name, numbers in zip(("validation", "yardstick"), halves, strict=True):
            yield _Row(CONTROLS[name], images, numbers, features_of(images, spaces, False, numbers))


def _numbers(row: _Row, against: dict[str, Reference], config: MeasureConfig) -> dict[str, float]:
    """The metrics of a row, by name, and their standard errors."""
    values, on_halves = measure_in_spaces(row.features, against, None, config, REPLICATES)
    logger.info(f"{row.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()))
    errors = standard_errors(values, on_halves, len(row.numbers))
    return {name: value for key in values for name, value in ((key, values[key]), (f"{key}_se", errors[key]))}


def _pairs(row: _Row, training: Images, against: dict[str, Reference]) -> np.ndarray:
    """The most suspicious samples, each followed by its nearest training image, uint8 (2 n, H, W, C)."""
    space = "pixels" if "pixels" in against else next(iter(against))  # where copies look alike
    nearest = closest(against[space].pooled, row.features[space].pooled)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(nearest.distance == 0, 0, nearest.distance / nearest.radius)
    worst = np.argsort(ratios, kind="stable")[:PAIRS]
    pictures = _pictures(row.images, row.numbers[worst]), _pictures(training, nearest.index[worst])
    return np.stack(pictures, axis=1).reshape(-1, *training.shape)


def _pictures(images: Images, numbers: np.ndarray) -> np.ndarray:
    """Images by their numbers, in that order, uint8 (n, H, W, C)."""
    rising, back = np.unique(numbers, return_inverse=True)
    return np.concatenate(list(chosen(images, rising)))[back]


def _write_table(frame: pd.DataFrame, scales: dict[str, str], spaces: list[str], caption: str, *paths: Path) -> None:
    cells = metrics_cells(frame.assign(method=frame["run"]), [scales.get(name, NONE) for name in frame["run"]])
    for space in spaces:
        frame[f"{space}/flagged"] = flagged = _flagged(frame, f"{space}/nearer")
        cells[f"{space}/flagged"] = [NONE if each is None else "yes" if each else "no" for each in flagged]
    counts = ", ".join(f"{count:,} of {name}" for name, count in zip(frame["run"], frame["num_images"], strict=True))
    write_table(frame, (cells, f"{caption} Images: {counts}.", {}), *paths)


def _flagged(frame: pd.DataFrame, metric: str) -> list[bool | None]:
    """True for rows whose metric is above the yardstick's; None for that, and where there is none."""
    is_yardstick = frame["run"] == CONTROLS["yardstick"]
    if not is_yardstick.any():
        return [None] * len(frame)
    yardstick = frame[is_yardstick].iloc[0]
    errors = np.hypot(frame[f"{metric}_se"], yardstick[f"{metric}_se"])
    is_above = frame[metric] > yardstick[metric] + FLAGGED * errors
    return [None if ours else bool(above) for ours, above in zip(is_yardstick, is_above, strict=True)]
