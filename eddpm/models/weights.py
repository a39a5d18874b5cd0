"""The weights of a network within a checkpoint, however their maker wrapped them.

A mapping within a mapping ("ema", "state_dict") and words before keys ("module.", "_orig_mod.") are places alike:
whatever stands before the keys of the network, with dots between.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from eddpm.errors import ArtifactError
from eddpm.io.names import listed

Shapes = dict[str, tuple[int, ...]]

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
DEEPEST, MOST_MAPPINGS = 64, 100_000  # of the mappings in a checkpoint
AVERAGES = {"ema", "swa", "avg", "average", "averaged"}  # words in the names of moving averages


class Weights(NamedTuple):
    """The weights that a checkpoint has at a place."""

    tensors: dict[str, Tensor]  # by the keys of the network, if they fit
    place: str  # "" at the top
    fit: bool  # keys and shapes are the network's
    notes: list[str]  # of what was taken and left


def find_weights(state: Mapping, wanted: Shapes, source: str) -> Weights:
    """The weights within `state` that fit `wanted`, a moving average before others; else those that come nearest.

    Counters, and whatever else is no weight, do not count. Raises ArtifactError where several fit alike, or where
    there is nothing but the state of an optimiser.
    """
    entries = _flat(state, source)
    weights = {key: value for key, value in entries.items() if isinstance(value, Tensor) and not _is_counter(value)}
    if not weights and any(key.rpartition(".")[2] == "param_groups" for key in entries):
        raise ArtifactError(
            f"{source}: is the state of an optimiser, not weights; choose the model*.pt or ema*.pt beside it"
        )
    counts = Counter(place for key in weights for place in _places(key) if key[len(place) :] in wanted)
    whole = [place for place, count in counts.items() if count == len(wanted)]
    nearest = [place for place, _ in counts.most_common(1)] or [""]
    at = {place: _at(place, weights, whole) for place in whole or nearest}
    fitting = [place for place in at if shapes(at[place]) == wanted]
    averages = [place for place in fitting if _is_average(place)]
    if len(averages or fitting) > 1:
        raise ArtifactError(
            f"{source}: holds weights of this network in several places, {_names(fitting)}; save those that you mean as"
            " a file of their own"
        )
    place = next(iter(averages or fitting or at))
    used = {f"{other}{key}" for other, tensors in at.items() for key in tensors}
    left = dict.fromkeys(_outermost(key, fitting) for key in entries if key not in used)
    notes = [f"leaves {listed(left, most=3)}"] if left else []
    if others := [other for other in fitting if other != place]:
        notes = [f"takes the weights {_names([place])}, a moving average, not those {_names(others)}", *notes]
    elif place and fitting:
        notes = [f"takes the weights {_names([place])}", *notes]
    return Weights(at[place], place, bool(fitting), notes)


def shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


def refuse_unusable(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    """Raise ArtifactError, naming the first key, unless `wanted` can hold these numbers, and all of them are finite."""
    for key, tensor in tensors.items():
        floats, dense = wanted[key].is_floating_point(), tensor.layout == torch.strided and not tensor.is_meta
        if not dense or (tensor.dtype not in FLOATS if floats else tensor.is_floating_point()):
            kind = str(tensor.dtype if dense else "without data" if tensor.is_meta else tensor.layout).removeprefix(
                "torch."
            )
            raise ArtifactError(
                f"{source}: {key} is {kind}, not plain {'floating-point' if floats else 'whole'} numbers; take weights"
                " that are neither quantised nor pruned"
            )
        there = tensor.to(wanted[key].dtype)
        # The sum is fast; it may overflow where all is finite.
        if floats and not there.sum().isfinite() and not (finite := there.isfinite()).all():
            raise ArtifactError(
                f"{source}: {key} has {(~finite).sum()} of {finite.numel()} values that are not finite; the training"
                " diverged, or the file is damaged: take an earlier checkpoint"
            )


def _flat(state: Mapping, source: str) -> dict[str, object]:
    """All that lies in mappings within mappings, by whole keys; of an optimiser, its `param_groups` alone.

    Raises ArtifactError where there are more of them, or deeper ones, than any program writes.
    """
    entries: dict[str, object] = {}
    visited = itertools.count()

    def visit(mapping: Mapping, place: str, depth: int) -> None:
        if depth > DEEPEST or next(visited) > MOST_MAPPINGS:  # one may lie within itself, or a thousand times in others
            raise ArtifactError(f"{source}: holds mappings within mappings beyond measure; save a state_dict alone")
        for key, value in mapping.items():
            if not isinstance(value, Mapping):
                entries[f"{place}{key}"] = value
            elif "param_groups" not in mapping:
                visit(value, f"{place}{key}.", depth + 1)

    visit(state, "", 0)
    return entries


def _is_counter(tensor: Tensor) -> bool:
    return tensor.ndim == 0 and not tensor.is_floating_point()


def _places(key: str) -> list[str]:
    """The starts of a key, up to each dot: "", "ema.", "ema.module."."""
    return ["", *(key[: dot.end()] for dot in re.finditer(r"\.", key))]


def _at(place: str, weights: Mapping[str, Tensor], whole: list[str]) -> dict[str, Tensor]:
    """The weights at a place: none of other whole networks below it."""
    below = tuple(other for other in whole if other.startswith(place) and other != place)
    return {
        key.removeprefix(place): value
        for key, value in weights.items()
        if key.startswith(place) and not key.startswith(below)
    }


def _is_average(place: str) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", place)
    return not AVERAGES.isdisjoint(word.lower() for word in words)


def _outermost(key: str, places: Iterable[str]) -> str:
    """The top of a key, or all of it where one of the places lies below that top."""
    top = key.partition(".")[0]
    return key if any(place.startswith(f"{top}.") for place in places) else top


def _names(places: list[str]) -> str:
    return listed((f"under '{place.rstrip('.')}'" if place else "at the top" for place in places), most=3)
