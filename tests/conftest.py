"""What holds for every test: one thread, no GPU test without a GPU, and which tests share a process (pytest -n)."""

import os

import pytest
from forks import serving
from xdist.scheduler import LoadScopeScheduling

from eddpm.io.log import show_log

# Two processes of two threads on two cores run slower than one after the other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files whose tests share what takes a minute to make: a Slurm, and a finished project.
TOGETHER = {
    **dict.fromkeys(["tests/cluster/test_faults.py", "tests/cluster/test_requests.py"], "cluster"),
    **{f"tests/workflow/test_{name}.py": "finished" for name in ("dag", "smoke", "status")},
}
LONGEST = ("cluster", "faults", "workflow")  # first, so that the short ones fill what is left


class ByFile(LoadScopeScheduling):
    """Gives a process the tests of a file, or of TOGETHER, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return TOGETHER.get(file, file)


@pytest.fixture(autouse=True)
def _shown_log():
    """As the command line has it; a test that runs a verb in this process changes nothing for the next one."""
    show_log()


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    """A folder of programs for PATH, which start at once."""
    with serving(tmp_path_factory.mktemp("forks")) as programs:
        yield programs


def pytest_xdist_make_scheduler(config, log):
    config.option.loadscopereorder = False  # the order below
    return ByFile(config, log)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (*LONGEST, item.path.parent.name).index(item.path.parent.name))


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")
