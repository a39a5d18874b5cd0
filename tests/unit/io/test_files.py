"""Files appear whole or not at all, read back as written, and are refused by name where they are bad."""

import errno
import os
import re
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import room_for
from refusals import refusal

from eddpm.data.shards import growing_array
from eddpm.errors import ArtifactError
from eddpm.io.arrays import write_npz
from eddpm.io.batches import write_sample_batch
from eddpm.io.files import atomic, read_json, save_model, save_training_state, write_json, write_text

TENSORS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2, dtype=torch.float16)}
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 40, 40, 1), dtype=np.uint8)  # 64 kB that nothing compresses


def write_rows(path: Path, rows: np.ndarray) -> None:
    with growing_array(path, np.uint8, rows.shape[1:]) as add:
        for row in rows:
            add(row)


WRITERS = {
    "npz": lambda path: write_npz(path, a=PIXELS),
    "sample batch": lambda path: write_sample_batch(path, PIXELS.shape, [PIXELS]),
    "safetensors": lambda path: save_model(path, {"a": torch.from_numpy(PIXELS)}),
    "torch": lambda path: save_training_state(path, {"a": torch.from_numpy(PIXELS)}),
    "text": lambda path: write_text(path, "a" * PIXELS.size),
    "json": lambda path: write_json(path, {"a": PIXELS.ravel().tolist()}),
    "growing npy": lambda path: write_rows(path, PIXELS),
}


# Whole or not at all ----------------------------------------------------------------------------------------------


def test_every_file_follows_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        for name, write in WRITERS.items():
            write(tmp_path / name)
            write(tmp_path / name)  # over itself
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(WRITERS, oct(0o640))


def test_a_reader_sees_the_old_file_until_the_block_ends_and_then_the_new_one(tmp_path):
    path = tmp_path / "a/b/file"  # in folders that are made on the way
    for text in ("old", "new"):
        with atomic(path) as temporary:
            temporary.write_text(f"{text}, ha")
            assert not path.exists() if text == "old" else path.read_text() == "old"
            assert temporary.parent == path.parent  # renaming is atomic within one file system only
            temporary.write_text(text)
    assert [(p.name, p.read_text()) for p in path.parent.iterdir()] == [("file", "new")]


@pytest.mark.parametrize(("error", "begun"), [(RuntimeError, True), (KeyboardInterrupt, True), (SystemExit, False)])
def test_a_failure_while_writing_keeps_the_old_file_and_leaves_nothing_else(tmp_path, error, begun):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), atomic(path) as temporary:  # noqa: PT012, the block is what is tested
        if begun:
            temporary.write_text("half of the n")
        raise error
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_one_line_naming_the_file_and_leaves_the_old_one_whole(tmp_path, write):
    path = tmp_path / "file"
    path.write_text("old")
    with room_for(4096), pytest.raises(ArtifactError) as caught:
        write(path)
    assert re.fullmatch(rf"{path}: cannot be written \(File too large\); make room there, .*", str(caught.value))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


def test_bytes_are_on_disk_before_the_name_is_and_the_name_before_the_block_ends(tmp_path, monkeypatch):
    path, done = tmp_path / "file", []
    sync, replace = os.fsync, os.replace

    def watch_sync(handle):
        place = Path(os.readlink(f"/proc/self/fd/{handle}"))
        done.append("folder" if place == tmp_path else place.read_text())
        sync(handle)

    def watch_replace(source, target):
        done.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", watch_sync)
    monkeypatch.setattr(os, "replace", watch_replace)
    write_text(path, "all of it")
    assert done == ["all of it", "rename", "folder"]


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synced_is_no_fault_of_a_file_that_is_there(tmp_path, monkeypatch, error):
    sync = os.fsync

    def fail_of_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(error, "no")
        sync(handle)

    monkeypatch.setattr(os, "fsync", fail_of_folders)
    write_text(tmp_path / "file", "text")
    assert (tmp_path / "file").read_text() == "text"


def test_a_disk_that_fails_while_the_bytes_are_synced_keeps_the_old_file(tmp_path, monkeypatch):
    def fail(handle):
        raise OSError(errno.EIO, "no")

    path = tmp_path / "file"
    path.write_text("old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ArtifactError, match=r"/file: cannot be written \(Input/output error\); the disk"):
        write_text(path, "new")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "字" * 85], ids=["ascii", "two bytes", "three bytes"])
def test_a_name_may_be_as_long_as_the_file_system_has_them(tmp_path, name):
    write_text(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    with pytest.raises(ArtifactError, match=r"cannot be written \(File name too long\); give another path"):
        write_text(tmp_path / f"{name}ab", "text")


def test_a_folder_is_never_replaced_and_a_link_is_with_its_target_left_alone(tmp_path):
    for name in ("folder", "target"):
        (tmp_path / name).mkdir()
        write_text(tmp_path / name / "inner", "old")
    with pytest.raises(ArtifactError, match=r"/folder: cannot be written \(Is a directory\); give another path"):
        write_text(tmp_path / "folder", "new")
    (tmp_path / "link").symlink_to("target/inner")
    write_text(tmp_path / "link", "new")
    assert not (tmp_path / "link").is_symlink()
    contents = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert contents == {"folder/inner": "old", "target/inner": "old", "link": "new"}


# Text -------------------------------------------------------------------------------------------------------------


def test_text_is_utf_8_with_names_that_are_no_unicode(tmp_path):
    write_text(tmp_path / "a.tsv", os.fsdecode(b"caf\xe9.png ") + "↓")
    assert (tmp_path / "a.tsv").read_bytes().decode() == "caf\\udce9.png ↓"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b'{"a": 1', "not readable JSON ("),
        (b'{"run": {}}', "has not the keys run, metrics"),
        (b"[1, 2]", "has not the keys run, metrics"),
    ],
)
def test_json_that_is_damaged_or_another_file_is_refused(tmp_path, text, told):
    (tmp_path / "a.json").write_bytes(text)
    assert refusal(read_json, tmp_path / "a.json", "run", "metrics").startswith(told)


def test_json_that_is_too_deep_or_too_large_is_refused(tmp_path):
    path = tmp_path / "metrics.json"
    for text in ('{"run": ' + "[" * 100_000, '{"run": ' + "9" * 10_000 + "}"):
        path.write_text(text)
        assert refusal(read_json, path).startswith("not readable JSON (")
    os.truncate(path, 2**26 + 1)
    assert refusal(read_json, path).startswith("holds 67,108,865 bytes, more than such a file can need")
