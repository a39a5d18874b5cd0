"""The benchmarks run and print their tables; evaluation holds features, never all images."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).parents[2]


def table(script: str, *arguments: str) -> list[list[str]]:
    """The cells of the table that a benchmark prints, without its header."""
    environment = os.environ | {"PYTHONPATH": str(REPO)}
    command = [sys.executable, str(REPO / "benchmarks" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_metrics_are_timed_beside_other_implementations_and_agree_with_them():
    rows = table("metrics.py", "--images", "150", "--dimensions", "20")
    assert [row[0].split(",")[0] for row in rows] == [
        "FID from statistics",
        "precision and recall",
        "standard errors of FID",
    ]
    assert all(float(row[-1]) < 1e-6 for row in rows[:2])


def test_memory_does_not_grow_with_the_number_of_images():
    rows = table("memory.py", "--images", "500", "8000")
    few, many = (float(row[-1].removesuffix(" MB")) for row in rows)
    file_size = float(rows[1][1].removesuffix(" MB"))
    assert file_size > 90
    assert many - few < 0.5 * file_size
