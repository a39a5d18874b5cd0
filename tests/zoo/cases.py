"""A zoo of odd files and folders: a table of all that people bring, each with the one right outcome.

docs/files.md is made from it: `python docs/files.py`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Case:
    """Something that a user brings, and the outcome."""

    brought: str  # as a row of docs/files.md names it
    make: Callable[[Path], Any]  # makes it in an empty folder
    outcome: Literal["taken", "refused"]
    says: tuple[str, ...]  # in the log, or in the one line of the refusal; the first is shown in docs/files.md
    options: dict[str, Any] = field(default_factory=dict)  # of the run: settings, arguments


@dataclass(frozen=True)
class House:
    """Cases that are tried in one way: a section of docs/files.md."""

    title: str
    run: Callable[..., str]  # folder, **options -> what was said; raises EddpmError where it refuses
    cases: tuple[Case, ...]


def taken(brought: str, make: Callable[[Path], Any], *says: str, **options) -> Case:
    return Case(brought, make, "taken", says, options)


def refused(brought: str, make: Callable[[Path], Any], *says: str, **options) -> Case:
    return Case(brought, make, "refused", says, options)
