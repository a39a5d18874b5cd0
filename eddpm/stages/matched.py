"""The sweeps of methods, from metrics and replicates that lie on disk, and the levels to compare them at."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.matched import Sweep
from eddpm.stages.figures import read_csv


def read_level(text: str, metrics: list[str]) -> tuple[str, float]:
    """The metric, one of `metrics` if there are any, and the level of METRIC=LEVEL."""
    metric, _, number = text.rpartition("=")
    try:
        level = float(number)
    except ValueError:
        level = math.nan
    if not (metric and math.isfinite(level)):
        raise ConfigError(f"--levels: {text!r} is no METRIC=LEVEL; write, for example, accuracy=0.95")
    if metrics and metric not in metrics:
        raise ConfigError(f"--levels: metric '{metric}' is not measured; known: {', '.join(metrics)}")
    return metric, level


def read_sweeps(rows: pd.DataFrame, measured: dict[str, dict], replicates: list[Path]) -> tuple[list[Sweep], list[str]]:
    """The sweep of each method, in the order of the rows, and the names of their metrics.

    `rows` have run, method, denoiser and training; `measured` are the contents of metrics.json files by run, with the
    replicates.csv of each. Raises ArtifactError where runs of a method, or methods, are not measured alike.
    """
    names = list(next(iter(measured.values()))["metrics"]) if measured else []
    halves, expected = {}, None
    for (run, contents), path in zip(measured.items(), replicates, strict=True):
        frame = read_csv(path)
        if not set(frame) == set(contents["metrics"]) == set(names):
            raise ArtifactError(f"{path}: '{run}' has other metrics than the first run; measure all runs alike")
        found = f"{len(frame)} halves of {contents['num_images']:,} images"
        expected = expected or found
        if found != expected:
            raise ArtifactError(f"{path}: has {found}, where the first run has {expected}; measure all runs alike")
        halves[run] = frame[names].to_numpy(float)
    sweeps = [_sweep(each, measured, halves, names) for _, each in rows.groupby("method", sort=False)]
    if len({sweep.trainings for sweep in sweeps if len(sweep.trainings) > 1}) > 1:
        raise ArtifactError("--trainings: methods have different ones; name runs of the same for each, or of one")
    return sweeps, names


def _sweep(rows: pd.DataFrame, measured: dict[str, dict], halves: dict[str, np.ndarray], names: list[str]) -> Sweep:
    """The sweep of one method, by its rows; one that is not whole says how many are missing."""
    method, denoiser = rows["method"].iloc[0], rows["denoiser"].iloc[0]
    absent = [run for run in rows["run"] if run not in measured]
    if absent:
        return Sweep(method, denoiser, fault=f"missing: {len(absent)} of {len(rows)} runs")
    rows = rows.assign(scale=[measured[run]["run"]["scale"] for run in rows["run"]])
    if rows.duplicated(["training", "scale"]).any():
        raise ArtifactError(f"{method}: two of its runs have one scale; name each once")
    runs = rows.pivot(index="training", columns="scale", values="run")
    if runs.isna().any(axis=None):
        raise ArtifactError(f"{method}: its trainings have different scales; give each the same grid")
    grid = runs.to_numpy()
    return Sweep(
        method,
        denoiser,
        scales=runs.columns.to_numpy(float),
        values=np.array([[[measured[run]["metrics"][name] for name in names] for run in line] for line in grid]),
        on_halves=np.stack([np.stack([halves[run] for run in line], axis=1) for line in grid]),
        num_images=measured[grid[0, 0]]["num_images"],
        trainings=tuple(runs.index),
    )
