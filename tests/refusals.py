"""Readers that refuse bad files by name, in one line, and files that are damaged in many ways."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eddpm.errors import ArtifactError


def refusal(read, path: Path, *arguments) -> str:
    """What `read` says of `path`, without its name."""
    with pytest.raises(ArtifactError) as caught:
        read(path, *arguments)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def cut(path: Path) -> Iterator[int]:
    """Cut the file short, from nothing to all but the last byte."""
    whole = path.read_bytes()
    size = len(whole)
    for length in sorted({size * k // 25 for k in range(25)} | {1, 2, size - 1}):
        path.write_bytes(whole[:length])
        yield length


def refused_of_changed(read, path: Path, count: int) -> int:
    """How many of so many files with a changed byte are refused: by an ArtifactError, and by nothing else."""
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in random.permutation(len(whole))[:count]:
        path.write_bytes(whole[:place] + random.bytes(1) + whole[place + 1 :])
        try:
            read(path)
        except ArtifactError:
            refused += 1
    return refused
