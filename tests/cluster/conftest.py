"""A Slurm of our own, and a clone in which everything is run on it."""

import os

import pytest
from cluster.clone import Clone
from cluster.slurm import Slurm, unavailable


@pytest.fixture(scope="session")
def slurm():
    """Skips where Slurm is not installed, but where EDDPM_REQUIRE_SLURM=1 fails, so that CI cannot pass without it."""
    if reason := unavailable():
        if os.environ.get("EDDPM_REQUIRE_SLURM") == "1":
            pytest.fail(f"EDDPM_REQUIRE_SLURM=1, but Slurm {reason}")
        pytest.skip(f"Slurm {reason}")
    slurm = Slurm()
    try:
        slurm.start()
        yield slurm
    finally:
        slurm.stop()


@pytest.fixture(scope="session")
def clean(slurm, forks, tmp_path_factory):
    """A clone where `snakemake --profile slurm all` has been started, which nothing disturbs."""
    clone = Clone(tmp_path_factory.mktemp("clean") / "clone", slurm, forks / "python")
    clone.check_out()
    clone.name_partitions()
    clone.start("all")
    yield clone
    clone.driver.kill()


@pytest.fixture
def finished(clean):
    """The same clone once that has ended well."""
    clean.finish()
    return clean
