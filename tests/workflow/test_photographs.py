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


@pytest.fixture(scope="module")
def broken_zip(tmp_path_factory):
    """The photographs with ten of them damaged, and the names of those."""
    path = tmp_path_factory.mktemp("photographs") / "photographs.zip"
    with zipfile.ZipFile(CIFAR10) as source, zipfile.ZipFile(path, "w") as target:
        files = [name for name in source.namelist() if not name.endswith("/")]
        broken = files[7::50]
        for name in files:
            data = source.read(name)
            target.writestr(name, damaged(data, broken.index(name)) if name in broken else data)
    assert len(broken) == 10
    return path, broken


@pytest.fixture
def workspace(broken_zip, tmp_path, monkeypatch, forks):
    """A project that trains small classifiers on the photographs for 100 steps."""
    values = tiny_values()
    for name in ("ce", "ect"):
        values["classifiers"][name]["network"].update(channel_mult=[1, 1, 1], classifier_depth=1)
        values["classifiers"][name]["training"].update(
            iterations=100, batch_size=8, save_interval=50, random_crop=True, random_flip=True
        )
    monkeypatch.setenv("PHOTOGRAPHS", str(broken_zip[0].parent))
    dataset = {"source": f"$PHOTOGRAPHS/{broken_zip[0].name}", "image_size": 32, "image_channels": 3, "num_classes": 10}
    values["dataset"] = dataset | {"uncropped": True, "max_corrupt": 0.02}
    return Workspace(tmp_path / "project", programs=forks, dataset=values["dataset"], classifiers=values["classifiers"])


def test_photographs_become_a_classifier_and_damaged_ones_are_named(workspace, broken_zip):
    workspace.snakemake(LEVELS)
    rows = [line.split("\t") for line in (workspace.folder / TABLE).read_text().splitlines()]
    assert sorted(file for _, file, _ in rows[1:]) == sorted(broken_zip[1])
    assert all(reason for _, _, reason in rows[1:])
    dataset = json.loads((workspace.folder / TABLE).with_name("dataset.json").read_text())
    assert sum(part["images"] for part in dataset["parts"].values()) == 490
    assert dataset["classes"] == sorted(dataset["classes"])
    assert "airplane" in dataset["classes"]

    log = [json.loads(line) for line in (workspace.folder / LEVELS).with_name("log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [50, 100]
    assert log[1]["loss"] < log[0]["loss"]
    levels = [json.loads(line) for line in (workspace.folder / LEVELS).read_text().splitlines()]
    assert len(levels) == 10
    assert levels[0]["entropy"] < levels[-1]["entropy"]  # noise tells nothing


def test_more_damaged_files_than_allowed_stop_the_job_with_one_line_and_what_is_done_is_kept(workspace, broken_zip):
    workspace.write_config(dataset=workspace.values["dataset"] | {"max_corrupt": 0.019})
    done = workspace.snakemake(LEVELS, check=False)
    assert done.returncode == 1
    printed = done.stdout + done.stderr
    assert "10 of 500 images (2.00%) cannot be read" in printed
    assert all(name in printed for name in broken_zip[1])
    assert "Traceback" not in printed.partition("WorkflowError")[0]
    unfinished = workspace.folder / "resources/datasets/digits/unfinished"
    assert "the log names all" in printed
    assert (unfinished / "unreadable.tsv").exists()
    made = (unfinished / "train/00000-images.npy").stat().st_mtime_ns
    workspace.write_config()
    workspace.snakemake(TABLE)
    assert (unfinished.parent / "train/00000-images.npy").stat().st_mtime_ns == made
    assert not unfinished.exists()
