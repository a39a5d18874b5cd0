"""Folders in which the tiny project runs."""

import pytest
from workspace import Workspace


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A workspace where `all` has run. Tests may look and plan, but run nothing in it."""
    workspace = Workspace(tmp_path_factory.mktemp("finished") / "project")
    workspace.snakemake("all")
    return workspace
