"""The weights of a network within a checkpoint, however their maker wrapped them.

A mapping within a mapping ("ema", "state_dict") and words before keys ("module.", "_orig_mod.") are places alike:
whatever stands before the keys of the network. Here "/" follows the name of a mapping.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from eddpm.errors import ArtifactError
from eddpm.io.names import listed

Shapes = dict[str, tuple[int, ...]]

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
AVERAGES = {"ema", "swa", "avg", "average", "averaged"}  # words in the names of moving averages


class Weights(NamedTuple):
    """The weights that a checkpoint has at a place."""

    tensors: dict[str, Any]  # by the keys of the network, if they fit
    place: str  # "" at the top
    fit: bool  # keys and shapes are the network's
    notes: list[str]  # of what was taken and left


def find_weights(state: Mapping, wanted: Shapes, source: str) -> Weights:
    """The weights within `state` that fit `wanted`, a moving average before others; else those that come nearest.

    Counters, and whatever else is no weight, do not count. Raises ArtifactError where several fit alike, or where
    there is nothing but the state of an optimiser.
    """
    entries = _entries(state)
    if not any(isinstance(value, Tensor) for value in entries.values()) and any(map(_is_of_optimiser, entries)):
        raise ArtifactError(
            f"{source}: is the state of an optimiser, not weights; choose the model*.pt or ema*.pt beside it"
        )
    counts = _places(entries, wanted)
    whole = [place for place, count in counts.items() if count == len(wanted)]
    at = {place: _at(place, entries, wanted, whole) for place in whole or _nearest(counts, entries)}
    fitting = [place for place in at if shapes(at[place]) == wanted]
    averages = [place for place in fitting if _is_average(place)]
    if len(averages or fitting) > 1:
        raise ArtifactError(
            f"{source}: holds weights of this network in several places, {_names(fitting)}; save those that you mean as"
            " a file of their own"
        )
    place = next(iter(averages or fitting or at))
    return Weights(at[place], place, bool(fitting), _taken(place, fitting) + _left(at, fitting, entries))


def shapes(tensors: Mapping[str, Any]) -> Shapes:
    # What is no tensor has no shape, and no parameter has the shape ().
    return {key: tuple(getattr(value, "shape", ())) for key, value in tensors.items()}


def refuse_unusable(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> None:
    """Raise ArtifactError, naming the first key, unless `wanted` can hold these numbers, and all of them are finite."""
    for key, tensor in tensors.items():
        floats = wanted[key].is_floating_point()
        dense = tensor.layout == torch.strided and not tensor.is_meta
        if not dense or (tensor.dtype not in FLOATS if floats else tensor.is_floating_point()):
            kind = str(tensor.dtype if dense or tensor.is_meta else tensor.layout).removeprefix("torch.")
            kind += " without values" * tensor.is_meta
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


def _entries(state: Mapping, place: str = "") -> dict[str, Any]:
    """All that lies in mappings within mappings, by whole keys; of an optimiser, its `param_groups` alone."""
    entries: dict[str, Any] = {}
    for key, value in state.items():
        whole = f"{place}{key}"
        if not isinstance(value, Mapping):
            entries[whole] = value
        elif "param_groups" not in state:
            entries |= _entries(value, f"{whole}/")
    return entries


def _is_of_optimiser(key: str) -> bool:
    return key.rpartition("/")[2] == "param_groups"


def _places(entries: Iterable[str], wanted: Shapes) -> Counter[str]:
    """How many keys of the network each place has."""
    return Counter(
        key[:start]
        for key in entries
        for start in (0, *(mark.end() for mark in re.finditer(r"[./]", key)))
        if key[start:] in wanted
    )


def _nearest(counts: Counter[str], entries: Mapping[str, Any]) -> list[str]:
    """Of no whole network, the place with most of its keys; without any, that with the most tensors."""
    tensors = [key for key, value in entries.items() if isinstance(value, Tensor)]
    counts = counts or Counter(key[: key.rfind("/") + 1] for key in tensors)
    return [max(counts, key=counts.__getitem__, default="")]


def _at(place: str, entries: Mapping[str, Any], wanted: Shapes, whole: list[str]) -> dict[str, Any]:
    """The weights at a place: no counters, nothing of mappings and of other whole networks below it."""
    below = tuple(other for other in whole if other.startswith(place) and other != place)
    found = {
        key.removeprefix(place): value
        for key, value in entries.items()
        if key.startswith(place) and "/" not in key.removeprefix(place) and not key.startswith(below)
    }
    return {key: value for key, value in found.items() if key in wanted or _is_weight(value)}


def _is_weight(value: object) -> bool:
    return isinstance(value, Tensor) and (value.ndim > 0 or value.is_floating_point())


def _is_average(place: str) -> bool:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", place)
    return not AVERAGES.isdisjoint(word.lower() for word in words)


def _taken(place: str, fitting: list[str]) -> list[str]:
    if fitting in ([], [""]):
        return []
    others = [other for other in fitting if other != place]
    instead = f", a moving average, not those {_names(others)}" if others else ""
    return [f"takes the weights {_names([place])}{instead}"]


def _left(at: Mapping[str, Mapping], fitting: list[str], entries: Iterable[str]) -> list[str]:
    """Of what else is there, the outermost names."""
    left = [key for key in entries if not any(key.startswith(place) and key[len(place) :] in at[place] for place in at)]
    opened = {place.partition("/")[0] for place in fitting}
    names = dict.fromkeys(top if (top := key.partition("/")[0]) not in opened else dotted(key) for key in left)
    return [f"leaves {listed(names, most=3)}"] if names else []


def _names(places: list[str]) -> str:
    return listed((f"under '{dotted(place)}'" if place else "at the top" for place in places), most=3)


def dotted(place: str) -> str:
    """A place as messages name it."""
    return place.rstrip("/.").replace("/", ".")
