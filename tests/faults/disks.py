"""Disks of a given size: a tmpfs, where this process may mount one."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs that is mounted at a folder."""

    def __init__(self, folder: Path):
        self.folder = folder

    def leave(self, room: int) -> None:
        """Make so many KiB free, whatever it holds."""
        state = os.statvfs(self.folder)
        used = (state.f_blocks - state.f_bfree) * state.f_frsize
        self.change(f"size={used // 1024 + max(room, 4)}k")  # a size of 0 would be no limit

    def change(self, options: str) -> None:
        """Mount it again with other options, such as "ro"; what it holds stays."""
        subprocess.run(["mount", "-o", f"remount,{options}", self.folder], check=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Disk]:
    """An empty disk at that folder, which is unmounted in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "eddpm-faults", folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
