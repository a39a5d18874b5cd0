"""The commit that a result names."""

import re
import subprocess

import numpy as np
import pytest

from eddpm.io import provenance as origin
from eddpm.io.files import write_text
from eddpm.io.provenance import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with the package at its root: the function that runs git in it."""

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True)

    for file in ("eddpm/__init__.py", "eddpm/stages/train.py", "workflow/rules/a.smk", "config/runs.tsv", "README.md"):
        write_text(tmp_path / file, "as committed")
    monkeypatch.setattr(origin, "PACKAGE", tmp_path / "eddpm")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        git(*command)
    return git


@pytest.mark.parametrize(
    ("changed", "dirty"),
    [
        ("eddpm/stages/train.py", "-dirty"),
        ("workflow/rules/a.smk", "-dirty"),
        ("config/runs.tsv", ""),
        ("eddpm/new.py", ""),  # which no tracked file imports
    ],
)
def test_a_commit_is_dirty_where_package_or_workflow_differ(checkout, tmp_path, changed, dirty):
    clean = provenance()
    assert re.fullmatch("[0-9a-f]{40}", clean["commit"])
    assert clean["numpy"] == np.__version__
    (tmp_path / changed).write_text("changed")
    assert provenance()["commit"] == clean["commit"] + dirty


def test_the_commit_is_unknown_where_the_package_is_installed_within_another_repository_or_in_none(
    checkout, tmp_path, monkeypatch
):
    for place in (".venv/lib/python3.11/site-packages/eddpm", "vendor/eddpm"):
        write_text(tmp_path / place / "__init__.py", "installed")
        monkeypatch.setattr(origin, "PACKAGE", tmp_path / place)
        assert provenance()["commit"] == "unknown"
        checkout("add", "--force", place)
        checkout("commit", "-qm", "with it")
        assert provenance()["commit"] == "unknown"
    monkeypatch.setattr(origin, "PACKAGE", tmp_path / "eddpm")
    assert provenance()["commit"] != "unknown"
    checkout("rm", "-q", "--cached", "-r", "eddpm")
    checkout("commit", "-qm", "without it")
    assert provenance()["commit"] == "unknown"
    monkeypatch.setattr(origin, "PACKAGE", tmp_path.parent)
    assert provenance()["commit"] == "unknown"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["commit"] == "unknown"
