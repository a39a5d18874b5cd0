"""Methods at matched strength: their sweeps over scales, interpolated to where a metric reaches a given level.

A sweep reaches a level at the first of its scales, by rising scale, that is at the level or past it. All metrics and
the logarithm of the scale are interpolated linearly, from the scale before it, by the one fraction that brings the
matched metric to the level. Nothing is extrapolated.

Errors are found as in bootstrap.py, from random halves of the images: each half has a sweep of its own, which is
interpolated anew. Metrics of halves are shifted so that their mean over the halves is the metric of all images: FID,
recall and the inception score of fewer images are biased, and would reach the level elsewhere. The sweep of a half that
does not reach the level, or is past it from the start, is taken at the nearer end of the grid, and counted. Differences
are found in each half: halves of the same images in two sweeps share noise and classes, which then cancel.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from eddpm.config.metrics import METRICS, base_name
from eddpm.evaluation.bootstrap import standard_error


class Sweep(NamedTuple):
    """A method at S rising scales, with M metrics, by T trainings of its networks, each on R halves of the images.

    Halves, and trainings where there are several, are the same in every sweep that is compared. A sweep that is not
    whole has no arrays.
    """

    method: str
    denoiser: str
    scales: np.ndarray = np.zeros(0)  # (S,)
    values: np.ndarray = np.zeros((0, 0, 0))  # (T, S, M)
    on_halves: np.ndarray = np.zeros((0, 0, 0, 0))  # (T, R, S, M)
    num_images: int = 0
    trainings: tuple[int, ...] = ()  # their seeds
    fault: str = ""  # why it is not whole


class Match(NamedTuple):
    """A sweep at a level: each metric and, last, the logarithm of the scale; or the reason why it is not there."""

    fault: str = ""
    values: np.ndarray | None = None  # (T, M + 1)
    on_halves: np.ndarray | None = None  # (T, R, M + 1)
    beyond: int = 0  # halves, of T R, whose sweeps do not pass through the level


def matched_frame(
    sweeps: list[Sweep],
    metrics: list[str],
    levels: list[tuple[str, float]],
    baselines: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> pd.DataFrame:
    """A row for each level and sweep: run, denoiser, metric, level, fault, the numbers of training_seeds, halves and
    halves_beyond, scale, scale_se, difference_to, then each metric with its standard error `_se`, its `_difference` to
    another sweep, and the error of that, `_difference_se`.

    `metrics` are those of the sweeps, `levels` pairs of one of them and a level. What is not there is nan or empty. The
    other sweep is the first of the same denoiser that reaches the level; a method in `baselines` has a row for each of
    its own instead.
    """
    rows = []
    for metric, level in levels:
        matches = {sweep.method: matched(sweep, metrics, metric, level) for sweep in sweeps}
        first: dict[str, str] = {}  # by denoiser
        for sweep in sweeps:
            if not matches[sweep.method].fault:
                first.setdefault(sweep.denoiser, sweep.method)
            row = {"run": sweep.method, "denoiser": sweep.denoiser, "metric": metric, "level": level}
            for name in baselines.get(sweep.method, [first.get(sweep.denoiser, sweep.method)]):
                is_other = name != sweep.method and not matches[name].fault
                other = (name, matches[name]) if is_other else None
                rows.append(row | _numbers(sweep, matches[sweep.method], metrics, other))
    return pd.DataFrame(rows)


def matched(sweep: Sweep, metrics: list[str], metric: str, level: float) -> Match:
    """A sweep of `metrics` where one of them reaches the level; all trainings have to reach it."""
    if sweep.fault:
        return Match(sweep.fault)
    column = metrics.index(metric)
    sign = -1 if METRICS[base_name(metric)].falls else 1
    strength = sign * sweep.values[..., column]
    positions = first_crossing(strength, sign * level)
    if not np.isfinite(positions).all():
        return Match(_fault(strength, positions, sign))
    logarithms = np.log(sweep.scales)[:, None]
    on_halves = sweep.on_halves
    if on_halves.shape[1]:
        on_halves = on_halves - on_halves.mean(axis=1, keepdims=True) + sweep.values[:, None]
    of_halves = first_crossing(sign * on_halves[..., column], sign * level)
    return Match(
        values=_interpolated(sweep.values, logarithms, positions),
        on_halves=_interpolated(on_halves, logarithms, of_halves.clip(0, len(sweep.scales) - 1)),
        beyond=int((~np.isfinite(of_halves)).sum()),
    )


def first_crossing(strength: np.ndarray, level: float) -> np.ndarray:
    """The position among the scales where rising strength (..., S) first reaches the level, as a float index (...).

    -inf where the strength is past the level at the first scale, inf where it never reaches it.
    """
    reached = strength >= level
    after = reached.argmax(axis=-1)
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(strength, index[..., None], -1)[..., 0] for index in (before, after))
    rise = np.where(high > low, high - low, 1)
    positions = np.where(after > 0, before + (level - low) / rise, 0.0)
    positions = np.where(strength[..., 0] > level, -np.inf, positions)
    return np.where(reached.any(axis=-1), positions, np.inf)


def _interpolated(curves: np.ndarray, logarithms: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Curves (..., S, M), and the logarithms (S, 1) of their scales, at positions (...): (..., M + 1)."""
    whole = np.concatenate([curves, np.broadcast_to(logarithms, (*curves.shape[:-1], 1))], axis=-1)
    before = np.floor(positions).astype(int)
    after = np.minimum(before + 1, len(logarithms) - 1)
    low, high = (np.take_along_axis(whole, index[..., None, None], -2)[..., 0, :] for index in (before, after))
    return low + (positions - before)[..., None] * (high - low)


def _fault(strength: np.ndarray, positions: np.ndarray, sign: int) -> str:
    """The reason why sweeps of strength (T, S), which is sign times the metric, have no position."""
    short = positions == np.inf
    failed = short if short.any() else positions == -np.inf
    some = f" in {failed.sum()} of {len(failed)} trainings" if not failed.all() else ""
    if short.any():
        nearest = sign * strength[failed].max(axis=-1).min()
        return f"not reached{some}: at {'most' if sign > 0 else 'least'} {nearest:.3g}"
    first = sign * strength[failed, 0].max()
    return f"{'above' if sign > 0 else 'below'} it from the lowest scale{some}: {first:.3g}"


def _numbers(sweep: Sweep, match: Match, metrics: list[str], other: tuple[str, Match] | None) -> dict:
    """The columns of a row behind its level."""
    nothing = np.full(len(metrics) + 1, math.nan)
    value, error, difference, difference_error = nothing, nothing, nothing, nothing
    if not match.fault:
        value = match.values.mean(axis=0)
        error = _error(match.values, match.on_halves, sweep.num_images)
        if other:
            pairs = match.values - other[1].values, match.on_halves - other[1].on_halves
            difference, difference_error = pairs[0].mean(axis=0), _error(*pairs, sweep.num_images)
    scale = math.exp(value[-1])
    row = {
        "fault": match.fault,
        "training_seeds": len(sweep.values),
        "halves": sweep.on_halves.shape[1] * len(sweep.values),
        "halves_beyond": match.beyond,
        "scale": scale,
        "scale_se": scale * error[-1],
        "difference_to": other[0] if other and not match.fault else "",
    }
    for k, metric in enumerate(metrics):
        row |= {metric: value[k], f"{metric}_se": error[k]}
        row |= {f"{metric}_difference": difference[k], f"{metric}_difference_se": difference_error[k]}
    return row


def _error(values: np.ndarray, on_halves: np.ndarray, num_images: int) -> np.ndarray:
    """Standard errors (M,) of the mean of values (T, M) over trainings, with their values (T, R, M) on halves.

    Over images, where there are halves, and over trainings, where there are several; nan where there is neither.
    """
    trainings, halves = on_halves.shape[:2]
    if trainings < 2 and halves < 2:
        return np.full(values.shape[1:], math.nan)
    images = standard_error(on_halves.mean(axis=0), num_images) if halves > 1 else 0.0
    spread = values.std(axis=0, ddof=1) if trainings > 1 else 0.0
    return np.sqrt(images**2 + spread**2 / trainings)
