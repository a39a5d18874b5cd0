"""A clock that is set back, or forward: files from the future, or from long ago."""

import os
import time

import pytest
from faults.experiment import RESULTS

YEAR = 365 * 24 * 3600
MODEL = f"{RESULTS}/denoisers/uadm/model.safetensors"


@pytest.mark.parametrize(
    "shift",
    [
        pytest.param(YEAR, id="set back"),
        pytest.param(-YEAR, id="set forward", marks=pytest.mark.faults),
    ],
)
def test_the_clock_is_set_between_two_runs_and_the_bytes_are_the_same(yardstick, experiment, shift):
    """Instead of the clock, the files are shifted."""
    experiment.finish(MODEL)
    for path in experiment.folder.rglob("*"):
        if not path.is_symlink():
            status = path.stat()
            os.utime(path, (status.st_atime + shift, status.st_mtime + shift))
    experiment.finish()
    assert experiment.digests() == yardstick.digests
    times = [path.stat().st_mtime for path in (experiment.folder / "results").rglob("*")]
    assert max(times) <= time.time()
    assert "Nothing to be done" in experiment.finish()
