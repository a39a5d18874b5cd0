"""Readers that refuse bad files by name, in one line."""

from pathlib import Path

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


def readable(read, path: Path) -> bool:
    """Whether `path` is read; it may be refused by an ArtifactError, and by nothing else."""
    try:
        read(path)
    except ArtifactError:
        return False
    return True


def cuts(size: int, count: int = 25) -> list[int]:
    """Lengths shorter than `size`, from nothing to all but the last byte."""
    return sorted({size * k // count for k in range(count)} | {1, 2, size - 1})
