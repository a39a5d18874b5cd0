"""The experiment undisturbed: the yardstick of every fault. Metrics name the commit: make none while tests run."""

import time
from typing import NamedTuple

import pytest
from faults.experiment import Experiment


class Yardstick(NamedTuple):
    """The results of the undisturbed run, and the seconds that it took."""

    experiment: Experiment
    digests: dict[str, str]
    seconds: float


@pytest.fixture(scope="session")
def yardstick(tmp_path_factory, forks) -> Yardstick:
    experiment = Experiment(tmp_path_factory.mktemp("undisturbed") / "project", forks)
    started = time.monotonic()
    experiment.finish()
    seconds = time.monotonic() - started
    return Yardstick(experiment, experiment.digests(), seconds)


@pytest.fixture
def experiment(tmp_path, forks) -> Experiment:
    return Experiment(tmp_path / "project", forks)
