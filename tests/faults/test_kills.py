"""Ends by force at random moments of a run: the same command, given again, finishes with the same bytes."""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from faults.experiment import RESULTS, RUNS, Experiment, end

from eddpm.io.files import sha256

# How each signal arrives: a machine that goes down, a batch system, a terminal.
MOMENTS = [
    pytest.param(signal.SIGKILL, 3, id="SIGKILL, 3 moments"),
    pytest.param(signal.SIGINT, 1, id="SIGINT, a moment"),
    pytest.param(signal.SIGKILL, 50, id="SIGKILL, 50 moments", marks=pytest.mark.faults),
    pytest.param(signal.SIGTERM, 8, id="SIGTERM, 8 moments", marks=pytest.mark.faults),
    pytest.param(signal.SIGINT, 8, id="SIGINT, 8 moments", marks=pytest.mark.faults),
]


@pytest.mark.parametrize(("number", "moments"), MOMENTS)
def test_a_run_that_is_ended_at_random_moments_leaves_the_bytes_of_an_undisturbed_one(
    yardstick, tmp_path, forks, number, moments
):
    """A run is ended, continued, and ended again until it is complete; then another one, until all moments are over."""
    draw, moment, passes = random.Random(f"{number} {moments}"), 0, 0
    while moment < moments:
        passes += 1
        experiment = Experiment(tmp_path / f"pass {passes}", forks)
        complete = False
        while not complete and moment < moments:
            driver = experiment.start()
            # Several of them within a run, which goes on from where the last one ended it.
            complete = ended_within(driver, draw.uniform(0, yardstick.seconds / 2))
            if not complete:
                end(driver, forks, number)
                moment += 1
        if not complete:
            experiment.finish()
        assert experiment.digests() == yardstick.digests, f"after {moment} moments, in {experiment.folder}"


def test_outputs_that_a_killed_run_has_made_anew_are_no_damage(experiment, forks):
    samples = f"{RESULTS}/runs/uadm5/samples/0000.npz"
    experiment.finish(samples)
    path = experiment.folder / samples
    before = sha256(path)
    experiment.write_runs(RUNS.replace("none\t\t0\t16", "none\t\t5\t16"))
    driver = experiment.start(samples)
    deadline = time.monotonic() + 120
    while not holds_another(path, before):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    end(driver, forks, signal.SIGKILL)
    assert "was changed" not in experiment.finish(samples)
    assert not list(experiment.folder.rglob("*.changed*"))


def holds_another(path: Path, digest: str) -> bool:
    """The file is there, with other bytes; it may go at any moment."""
    try:
        return sha256(path) != digest
    except FileNotFoundError:
        return False


def ended_within(driver: subprocess.Popen, seconds: float) -> bool:
    """True if the run ended well by itself in that time."""
    try:
        _, printed = driver.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    assert driver.returncode == 0, printed
    return True
