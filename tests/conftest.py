"""What holds for every test: one thread, and no GPU test without a GPU."""

import os

import pytest

# Two processes of two threads on two cores run slower than one after the other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")
