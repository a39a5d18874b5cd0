"""Pipes, sockets and devices under the names of files: refused in one line, and never opened."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from pictures import random_picture, save
from tiny import tiny_values

import eddpm
from eddpm.config.projectfile import load_project
from eddpm.config.schema import TrainClassifierConfig
from eddpm.config.settings import load_settings, read_yaml
from eddpm.data.imagesets import open_images
from eddpm.data.sources import open_source
from eddpm.errors import EddpmError
from eddpm.evaluation.inception import load_inception
from eddpm.io.arrays import map_array, read_npz
from eddpm.io.batches import write_npz
from eddpm.io.files import load_checkpoint, read_json
from eddpm.reporting.published import read_published
from eddpm.stages.fetch import fetch_asset
from eddpm.stages.references import ReferenceFile


def project(key: str) -> Callable[[Path], object]:
    return lambda path: load_project(tiny_values() | {key: str(path)}, "project")


def fetched(source: Path, asset: Path, record: Path | None = None) -> None:
    fetch_asset(str(source), None, asset, record)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a project file": ("config.yaml", read_yaml),
    "settings": ("settings.yaml", lambda path: load_settings(TrainClassifierConfig, path)),
    "a runs table": ("runs.tsv", project("runs")),
    "a published table of a project": ("published.tsv", project("published")),
    "a published table": ("published.tsv", read_published),
    **{
        f"a data set{suffix}": (f"images{suffix}", lambda path: open_source(str(path), 2))
        for suffix in ("", ".zip", ".npz", ".tar")
    },
    **{f"samples{suffix}": (f"samples{suffix}", open_images) for suffix in ("", ".zip", ".npz", ".npy", ".json")},
    "a reference": ("reference.npz", ReferenceFile),
    "arrays": ("features.npz", read_npz),
    "an array of a prepared data set": ("00000-images.npy", lambda path: map_array(path, "remedy")),
    "JSON": ("metrics.json", read_json),
    "a checkpoint": ("ema.pt", load_checkpoint),
    "safetensors": ("model.safetensors", load_checkpoint),
    "a trained network": ("model.safetensors", eddpm.load),
    "a folder of a trained network": ("model.safetensors", lambda path: eddpm.load(path.parent)),
    "Inception": ("inception.pt", lambda path: load_inception(path, "0" * 64)),
    "a file to link to": ("a.pt", lambda path: fetched(path, path.with_name("asset"))),
    "a file to copy": ("a.pt", lambda path: fetch_asset(path.as_uri(), "0" * 64, path.with_name("asset"))),
    "a record": ("a.sha256", lambda path: fetched(path.with_name("other"), path.with_name("asset"), path)),
}


@pytest.fixture(params=["pipe", "socket", "device"])
def special(request, tmp_path):
    """A function that makes one at a path."""
    open_sockets = []

    def make(path: Path) -> None:
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        else:
            open_sockets.append(socket.socket(socket.AF_UNIX))
            os.chdir(path.parent)  # the name of a socket is short
            open_sockets[-1].bind(path.name)

    before = Path.cwd()
    yield make
    os.chdir(before)
    for each in open_sockets:
        each.close()


@pytest.fixture(autouse=True)
def _in_time():
    def end(*_) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_regular_file_is_refused_and_not_opened(tmp_path, special, name):
    file, read = READERS[name]
    (tmp_path / "other").write_bytes(b"\0")
    special(tmp_path / file)
    with pytest.raises(EddpmError) as caught:
        read(tmp_path / file)
    said = str(caught.value)
    assert file in said
    assert "a pipe, a socket or a device" in said
    assert len(said.splitlines()) == 1


def test_among_images_it_is_passed_over_and_among_shards_refused(tmp_path, special):
    save(tmp_path / "images/a.png", random_picture(8, 8))
    special(tmp_path / "images/b.png")
    images = open_images(tmp_path / "images")
    assert (len(images), images.notes) == (1, ("left out, as a pipe, a socket or a device: 1",))
    (tmp_path / "shards").mkdir()
    write_npz(tmp_path / "shards/0000.npz", arr_0=random_picture(8, 8)[None])
    special(tmp_path / "shards/0001.npz")
    with pytest.raises(EddpmError, match=r"shards: 0001\.npz is a pipe, a socket or a device; name"):
        open_images(tmp_path / "shards")
