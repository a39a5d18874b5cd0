"""Where a test writes its table of runs."""

from pathlib import Path

import pytest


@pytest.fixture
def table(tmp_path) -> Path:
    return tmp_path / "runs.tsv"
