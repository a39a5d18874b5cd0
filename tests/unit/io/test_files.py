"""Files appear whole or not at all, read back as written, and are refused by name where they are bad."""

import errno
import os
import pickle
import re
import resource
import stat
import struct
import subprocess
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import room_for
from refusals import cut, refusal, refused_of_changed
from zoo.weights import ENCODER

from eddpm.data.shards import growing_array
from eddpm.errors import ArtifactError
from eddpm.io import provenance as origin
from eddpm.io.arrays import write_npz
from eddpm.io.batches import write_sample_batch
from eddpm.io.files import atomic, load_checkpoint, read_json, save_model, save_training_state, write_json, write_text
from eddpm.io.provenance import provenance
from eddpm.models.build import build_classifier, load_weights_file

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


# Networks ---------------------------------------------------------------------------------------------------------


def save_legacy(path: Path, state: dict) -> None:
    """As torch saved before 1.6; some published weights are of that kind."""
    torch.save(state, path, _use_new_zipfile_serialization=False)


FORMATS = [save_model, save_training_state, save_legacy]


@pytest.mark.parametrize("save", FORMATS)
@pytest.mark.parametrize("name", ["m.safetensors", "m.pt", "m"])
def test_tensors_read_back_as_written_whatever_the_name(tmp_path, name, save):
    save(tmp_path / name, TENSORS)
    torch.testing.assert_close(load_checkpoint(tmp_path / name), TENSORS, rtol=0, atol=0)


def test_the_same_weights_give_the_same_bytes_whatever_their_layout_in_memory(tmp_path):
    save_model(tmp_path / "a", TENSORS)
    strided = {key: torch.stack([value, value], dim=-1)[..., 0] for key, value in TENSORS.items()}
    save_model(tmp_path / "b", strided)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("save", FORMATS)
def test_a_checkpoint_cut_short_anywhere_is_refused_and_with_a_changed_byte_refused_or_read(tmp_path, save):
    path = tmp_path / "m"
    save(path, TENSORS)
    for length in cut(path):
        message = refusal(load_checkpoint, path)
        cut_within_a_name = message.startswith("holds more than tensors")
        assert length < 64 or cut_within_a_name or message.endswith("; fetch or train it again")
    save(path, TENSORS)
    assert 10 < refused_of_changed(load_checkpoint, path, 150) < 150


class Malicious:
    """Runs code when it is unpickled: makes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


@pytest.mark.parametrize("save", [save_training_state, save_legacy])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path, save):
    save(tmp_path / "m.pt", {"layer.weight": Malicious(tmp_path / "trace")})
    message = refusal(load_checkpoint, tmp_path / "m.pt")
    assert message.startswith("holds more than tensors, an object of io.open; only if you trust")
    assert not (tmp_path / "trace").exists()
    with pickle.loads(pickle.dumps(Malicious(tmp_path / "trace"))):
        assert (tmp_path / "trace").exists()  # so it was malicious


def nested(depth: int) -> bytes:
    """A pickle of a mapping within a mapping, so often."""
    return b"\x80\x02" + b"}K\x01" * depth + b"}" + b"s" * depth + b"."


def with_pickle(path: Path, pickled: bytes) -> None:
    """A file as torch.save writes it, with another pickle inside."""
    torch.save({}, path)
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, pickled if name.endswith("/data.pkl") else content)


def test_a_checkpoint_of_mappings_without_end_is_refused(tmp_path):
    network, path = build_classifier(ENCODER), tmp_path / "a.pt"
    within_itself: dict = {}
    within_itself["a"] = within_itself
    in_many = {"weight": torch.ones(1)}
    for _ in range(40):
        in_many = {"a": in_many, "b": in_many}
    for content in (nested(10**6), pickle.dumps(within_itself, 2), nested(100)):
        with_pickle(path, content)
        assert refusal(lambda path: load_weights_file(network, path), path).startswith("holds mappings within mappings")
    torch.save(in_many, path)
    assert refusal(lambda path: load_weights_file(network, path), path).startswith("holds mappings within mappings")


def test_a_checkpoint_that_holds_a_name_twice_is_refused_with_the_name(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pt")
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(tmp_path / "a.pt", "a") as archive:
        archive.writestr("a/data.pkl", nested(1))
    assert refusal(load_checkpoint, tmp_path / "a.pt").startswith(
        "holds a/data.pkl 2 times, of which only one can count"
    )


OVERLAPPING = (
    b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}'
)


@pytest.mark.parametrize(
    ("header", "length", "reason"),
    [
        (b'{"a": ' + bytes(90_000_000), None, "has a header of 90,000,006 bytes, more than the names of weights need"),
        (b"{not JSON}", None, "not a readable checkpoint ("),
        (b"{" * 200, None, "not a readable checkpoint ("),
        (b"{}", 2**20, "not a readable checkpoint ("),
        (OVERLAPPING, None, "not a readable checkpoint ("),
        (b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}', None, "not a readable"),
    ],
    ids=["90 MB", "no JSON", "brackets", "beyond the end", "overlapping", "more than there is"],
)
def test_a_header_of_safetensors_that_lies_is_refused_in_little_memory(tmp_path, header, length, reason):
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", length or len(header)) + header + bytes(16))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert refusal(load_checkpoint, path).startswith(reason)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes


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
        (b'{"run": ' + b"[" * 100_000, "not readable JSON ("),
        (b'{"run": ' + b"9" * 10_000 + b"}", "not readable JSON ("),
        (b" " * (2**26 + 1), "holds 67,108,865 bytes, more than such a file can need"),
    ],
)
def test_json_that_is_damaged_or_another_file_is_refused(tmp_path, text, told):
    (tmp_path / "a.json").write_bytes(text)
    assert refusal(read_json, tmp_path / "a.json", "run", "metrics").startswith(told)


# Where a result comes from ----------------------------------------------------------------------------------------


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
