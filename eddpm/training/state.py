"""States of trainings: numbers and tensors within dicts and lists, compared and checked."""

import math
from collections.abc import Iterator
from typing import Any

from torch import Tensor


def first_not_finite(state: Any) -> str | None:
    """The place of the first number, or tensor with a number, that is infinite or not one; None of a sound state."""
    return next((place for place, value in _leaves(state) if not _is_finite(value)), None)


def refuse_other_form(state: Any, wanted: dict, but_for: tuple[str, ...]) -> None:
    """Raise ValueError unless `state` has the keys, types and shapes of `wanted`; below `but_for`, lists of any."""
    if not isinstance(state, dict) or not all(isinstance(state.get(name), list) for name in but_for):
        raise ValueError(f"holds no {' and '.join(but_for)}")
    found, form = ({place: _form(value) for place, value in _leaves(each, but_for)} for each in (state, wanted))
    for place in form | found:
        if found.get(place) != form.get(place):
            raise ValueError(f"{place} is {found.get(place, 'missing')}, not {form.get(place, 'in such a state')}")


def _leaves(state: Any, but_for: tuple[str, ...] = (), place: str = "") -> Iterator[tuple[str, Any]]:
    """All that is no dict, list or tuple, by its keys with dots between."""
    if isinstance(state, dict | list | tuple):
        for key, value in state.items() if isinstance(state, dict) else enumerate(state):
            if key not in but_for:
                yield from _leaves(value, (), f"{place}.{key}".lstrip("."))
    else:
        yield place, state


def _is_finite(value: Any) -> bool:
    if isinstance(value, Tensor):
        return bool(value.isfinite().all())
    return not isinstance(value, float) or math.isfinite(value)


def _form(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}".removeprefix("torch.")
    return type(value).__name__
