"""The content of a shard; killed, repeated and changed jobs leave the same as one job in one go."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pictures import CIFAR10, config_of, random_picture, save, save_classes

from eddpm.data import shards
from eddpm.data.parts import Part
from eddpm.data.shards import make_shard, make_shards, plan_shards
from eddpm.data.sources import Source, open_source
from eddpm.errors import ArtifactError
from eddpm.io.files import read_json, sha256

ALL = {"00000", "00001", "00002"}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 4)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Ten images of two classes, which make three shards."""
    return save_classes(tmp_path / "images", {"a": 6, "b": 4})


def plans_of(folder: Path, out: Path, **settings) -> list[shards.ShardPlan]:
    source = open_source(str(folder), 2)
    config = config_of(folder, **{"uncropped": True, **settings})
    return plan_shards(config, out / "train", Part(source, source.entries))


def make(folder: Path, out: Path, workers: int = 1, **settings) -> set[str]:
    """The names of the shards that were made."""
    before = times(out)
    make_shards(plans_of(folder, out, **settings), workers)
    return {name[:5] for name, time in times(out).items() if name.endswith(".json") and before.get(name) != time}


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_the_arrays_are_plain_npy_files_that_the_record_vouches_for(tmp_path, folder):
    make_shard(plans_of(folder, tmp_path)[0])
    record = read_json(tmp_path / "train/00000.json")
    assert record["sha256"].keys() == {"images", "labels", "sizes", "pixels"}
    for kind, digest in record["sha256"].items():
        path = tmp_path / f"train/00000-{kind}.npy"
        np.save(tmp_path / "again.npy", np.load(path))
        assert sha256(path) == sha256(tmp_path / "again.npy") == digest


def test_the_images_of_a_shard_are_never_in_memory_together(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 301)
    plain = save(tmp_path / "images/a/000.png", np.zeros((80, 80, 3), np.uint8))
    save(tmp_path / "images/b/000.png", np.zeros((80, 80, 3), np.uint8))
    for k in range(1, 300):
        os.link(plain, plain.with_name(f"{k:03d}.png"))
    (plan,) = plans_of(tmp_path / "images", tmp_path, image_size=64)
    make_shard(plan)  # once, for what is loaded at the first time
    tracemalloc.start()
    make_shard(plan)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    written = sum(path.stat().st_size for path in (tmp_path / "train").glob("*.npy"))
    assert written > 300 * (64 * 64 + 80 * 80) * 3
    assert peak < written / 10


def test_any_number_of_processes_makes_the_same(tmp_path, folder):
    (folder / "b/002.png").write_bytes(b"no picture")
    for workers in (1, 2, 7):
        assert make(folder, tmp_path / str(workers), workers) == ALL
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == contents(tmp_path / "7")
    assert len(contents(tmp_path / "1")) == 3 * 5
    assert make(folder, tmp_path / "1", 2) == set()  # a second time nothing is made


@pytest.mark.parametrize("last", range(0, 10, 3))
def test_a_job_killed_at_any_image_keeps_its_shards_and_goes_on(tmp_path, folder, monkeypatch, last):
    def killed(source, entry, channels):
        if entry == source.entries[last]:
            raise KeyboardInterrupt
        return read(source, entry, channels)

    make(folder, tmp_path / "whole")
    read = Source.read
    with monkeypatch.context() as patch:
        patch.setattr(Source, "read", killed)
        with pytest.raises(KeyboardInterrupt):
            make(folder, tmp_path / "killed")
    assert make(folder, tmp_path / "killed") == ALL - set(sorted(ALL)[: last // 4])
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_arrays_of_a_job_that_was_killed_do_not_pass_for_those_of_the_job_before(tmp_path, folder, monkeypatch):
    def killed(path, record):
        raise KeyboardInterrupt

    make(folder, tmp_path / "out")
    wanted = contents(tmp_path / "out")
    shutil.copytree(folder, tmp_path / "changed")  # with the times of its files
    save(tmp_path / "changed/a/000.png", random_picture(8, 11, seed=99))  # of the same shape
    with monkeypatch.context() as patch:
        patch.setattr(shards, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "changed", tmp_path / "out")
    make(folder, tmp_path / "out")
    assert contents(tmp_path / "out") == wanted


@pytest.mark.parametrize("change", ["one image", "image_size", "uncropped", "classes"])
def test_what_is_changed_remakes_its_shards_and_no_others_and_leaves_nothing_of_the_former(tmp_path, folder, change):
    make(folder, tmp_path / "out")
    settings = {"image_size": {"image_size": 16}, "uncropped": {"uncropped": False}}.get(change, {})
    if change == "one image":
        save(folder / "a/005.png", random_picture(9, 9))
    elif change == "classes":
        (folder / "b").rename(folder / "a0")
        (folder / "a").rename(folder / "b")
    assert make(folder, tmp_path / "out", **settings) == ({"00001"} if change == "one image" else ALL)
    make(folder, tmp_path / "fresh", **settings)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_shard_whose_arrays_are_gone_or_cut_short_is_made_again(tmp_path, folder):
    make(folder, tmp_path / "out")
    wanted, path = contents(tmp_path / "out"), tmp_path / "out/train/00002-pixels.npy"
    for damage in (path.unlink, lambda: path.write_bytes(path.read_bytes()[:-1])):
        damage()
        assert make(folder, tmp_path / "out") == {"00002"}
        assert contents(tmp_path / "out") == wanted


def test_shards_of_a_longer_data_set_and_files_of_killed_processes_are_removed(tmp_path, folder):
    make(folder, tmp_path / "out")
    for path in sorted(folder.rglob("*.png"))[-3:]:
        path.unlink()
    (tmp_path / "out/train/.00001-images.npy.123.tmp").write_bytes(b"half")
    (tmp_path / "out/train/notes.txt").write_text("mine")
    make(folder, tmp_path / "out")
    make(folder, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh") | {"notes.txt": b"mine"}


def test_a_process_that_fails_ends_the_job_and_leaves_no_half_shard(tmp_path, folder, monkeypatch):
    def failing(source, entry, channels):
        if entry.name == "b/001.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        return read(source, entry, channels)

    read = Source.read
    with monkeypatch.context() as patch:
        patch.setattr(Source, "read", failing)
        with pytest.raises(ArtifactError, match=r"00001-\w+\.npy: cannot be written \(No space"):
            make(folder, tmp_path / "out", workers=2)
    assert not (tmp_path / "out/train/00001.json").exists()
    make(folder, tmp_path / "out", workers=2)
    make(folder, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


SLOW = """
import os, signal, sys, time
from pathlib import Path
from eddpm.config.schema import DatasetConfig
from eddpm.data import shards
from eddpm.data.parts import open_parts
from eddpm.data.sources import Source

def slow(source, entry, channels, read=Source.read):
    os.write(1, b"%d\\n" % os.getpid())
    time.sleep(0.05)
    return read(source, entry, channels)

signal.signal(signal.SIGINT, signal.default_int_handler)  # which is ignored where the tests run in the background
Source.read = slow
shards.SHARD_IMAGES = 50
config = DatasetConfig(source=sys.argv[1], image_size=32, image_channels=3, num_classes=10)
plans = shards.plan_shards(config, Path(sys.argv[2]), open_parts(config)["train"])
shards.make_shards(plans, 2)
"""


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_processes_end_with_the_one_that_started_them(tmp_path, blow):
    command, pipe = [sys.executable, "-c", SLOW, str(CIFAR10), str(tmp_path / "train")], subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as job:
        workers = {int(job.stdout.readline()) for _ in range(20)}
        assert len(workers) == 2
        assert job.pid not in workers
        if blow == signal.SIGINT:
            os.killpg(job.pid, blow)  # as a terminal sends it
        else:
            job.send_signal(blow)
        start = time.monotonic()
        job.stdout.read()  # until the last process is gone
        assert time.monotonic() - start < 5  # of the ten seconds that the images would take
        assert job.wait() != 0
        assert job.stderr.read().count("Traceback") == (blow == signal.SIGINT)
    assert not list((tmp_path / "train").glob("*.json"))
