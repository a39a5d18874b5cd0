"""What holds for every test: one thread, no GPU test without a GPU, and who shares a process with whom."""

import os

import pytest

# Two processes of two threads on two cores run slower than one after the other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

LONGEST = ("cluster", "workflow")  # first, so that the short ones fill what is left


def pytest_itemcollected(item):
    """Tests that share what takes long to make are for one process: Slurm's, and those of a finished project."""
    folder = item.path.parent.name
    shares = folder == "cluster" or "finished" in item.fixturenames
    item.add_marker(pytest.mark.xdist_group(folder if shares else item.path.stem))


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (*LONGEST, item.path.parent.name).index(item.path.parent.name))


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")
