"""Folders in which the tiny project runs."""

import pytest
from workspace import Workspace


@pytest.fixture
def workspace(tmp_path, forks):
    return Workspace(tmp_path / "project", programs=forks)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, forks):
    """A workspace where `all` has run. Tests may look and plan, but run nothing in it."""
    workspace = Workspace(tmp_path_factory.mktemp("finished") / "project", programs=forks)
    workspace.snakemake("all")
    return workspace
