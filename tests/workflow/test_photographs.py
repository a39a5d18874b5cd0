"""Photographs as a user brings them: from a zip of class folders, some of them damaged, to what a classifier knows."""

import json
import zipfile

import pytest
from pictures import CIFAR10
from tiny import tiny_values
from workspace import Workspace

LEVELS = "results/digits/classifiers/ce/noise_levels.jsonl"
TABLE = "resources/datasets/digits/unreadable.tsv"


def damaged(data: bytes, k: int) -> bytes:
    """Three ways for a file to break: cut off, empty, something else."""
    return (data[: len(data) // 2], b"", b"<html>Not found</html>")[k % 3]


@pytest.fixture
def broken_zip(tmp_path):
    """The photographs with ten of them damaged, and the names of those."""
    path = tmp_path / "photographs.zip"
    with zipfile.ZipFile(CIFAR10) as source, zipfile.ZipFile(path, "w") as target:
        files = [name for name in source.namelist() if not name.endswith("/")]
        broken = files[7::50]
        for name in files:
            data = source.read(name)
            target.writestr(name, damaged(data, broken.index(name)) if name in broken else data)
    assert len(broken) == 10
    return path, broken


def small_classifiers() -> dict:
    classifiers = tiny_values()["classifiers"]
    steps = {"iterations": 100, "batch_size": 8, "save_interval": 50, "random_crop": True, "random_flip": True}
    for name in ("ce", "ect"):
        classifiers[name]["network"].update(channel_mult=[1, 1, 1], classifier_depth=1)
        classifiers[name]["training"].update(steps)
    return classifiers


def test_photographs_become_a_classifier_and_damaged_ones_are_named(broken_zip, tmp_path, monkeypatch, forks):
    """First with one fewer than are damaged allowed: that stops the job with one line, and what is done is kept."""
    path, broken = broken_zip
    monkeypatch.setenv("PHOTOGRAPHS", str(path.parent))
    dataset = {"source": f"$PHOTOGRAPHS/{path.name}", "image_size": 32, "image_channels": 3, "num_classes": 10}
    dataset |= {"uncropped": True, "max_corrupt": 0.019}
    workspace = Workspace(tmp_path / "project", programs=forks, dataset=dataset, classifiers=small_classifiers())
    done = workspace.snakemake(LEVELS, check=False)
    assert done.returncode == 1
    printed = done.stdout + done.stderr
    assert "10 of 500 images (2.00%) cannot be read" in printed
    assert all(name in printed for name in broken)
    assert "Traceback" not in printed.partition("WorkflowError")[0]
    assert "the log names all" in printed
    folder = (workspace.folder / TABLE).parent
    assert (folder / "unfinished/unreadable.tsv").exists()
    made = (folder / "unfinished/train/00000-images.npy").stat().st_mtime_ns

    workspace.write_config(dataset=dataset | {"max_corrupt": 0.02})
    workspace.snakemake(LEVELS)
    assert (folder / "train/00000-images.npy").stat().st_mtime_ns == made
    assert not (folder / "unfinished").exists()
    rows = [line.split("\t") for line in (workspace.folder / TABLE).read_text().splitlines()]
    assert sorted(file for _, file, _ in rows[1:]) == sorted(broken)
    assert all(reason for _, _, reason in rows[1:])
    described = json.loads((folder / "dataset.json").read_text())
    assert sum(part["images"] for part in described["parts"].values()) == 490
    assert described["classes"] == sorted(described["classes"])
    assert "airplane" in described["classes"]

    log = [json.loads(line) for line in (workspace.folder / LEVELS).with_name("log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [50, 100]
    assert log[1]["loss"] < log[0]["loss"]
    levels = [json.loads(line) for line in (workspace.folder / LEVELS).read_text().splitlines()]
    assert len(levels) == 10
    assert levels[0]["entropy"] < levels[-1]["entropy"]  # noise tells nothing
