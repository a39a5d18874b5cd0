"""Two drivers in a folder, and locks of those that are gone."""

import os
import signal
import socket
import time

import pytest
from faults.experiment import RESULTS, TARGETS, end


def test_a_second_driver_is_refused_and_goes_on_once_the_first_is_killed(yardstick, experiment, forks):
    first = experiment.start()
    deadline = time.monotonic() + 60
    while not (experiment.folder / f"{RESULTS}/dataset/settings.yaml").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    refused = experiment.snakemake(*TARGETS, check=False)
    assert refused.returncode == 1
    assert "another snakemake is at work here" in refused.stderr
    assert first.poll() is None
    end(first, forks, signal.SIGKILL)
    experiment.finish()
    assert experiment.digests() == yardstick.digests


@pytest.mark.parametrize(("host", "age"), [(socket.gethostname(), 0), ("another-host", 3600), ("", 3600)])
def test_what_a_driver_that_is_gone_has_left_refuses_nobody(experiment, host, age):
    left = experiment.folder / ".snakemake"
    (left / "locks").mkdir(parents=True)
    (left / "locks/0.output.lock").write_text(f"{RESULTS}/dataset/settings.yaml\n")  # Snakemake's own
    (left / "driver.lock").touch()
    (left / "driver.sign").write_text(host)
    os.utime(left / "driver.sign", (time.time() - age,) * 2)
    experiment.finish(f"{RESULTS}/dataset/settings.yaml")
