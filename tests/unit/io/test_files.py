"""Files appear whole or not at all, read back as written, and are refused by name where they are bad."""

import json
import os
import pickle
import re
import subprocess
import threading
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import room_for
from refusals import cuts, readable, refusal

from eddpm.data.shards import growing_array
from eddpm.errors import ArtifactError
from eddpm.io import provenance as origin
from eddpm.io.arrays import read_npz, write_npz
from eddpm.io.batches import write_sample_batch
from eddpm.io.files import (
    atomic,
    load_checkpoint,
    read_json,
    save_model,
    save_training_state,
    sha256,
    write_json,
    write_text,
)
from eddpm.io.provenance import provenance
from eddpm.stages.measure import _write_grid

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
IMAGES = np.zeros((2, 8, 8, 3), np.uint8)
TENSORS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2, dtype=torch.float16)}


# Whole or not at all ----------------------------------------------------------------------------------------------


WRITERS = {
    "npz": lambda path: write_npz(path, arr_0=IMAGES),
    "batch": lambda path: write_sample_batch(path, IMAGES.shape, [IMAGES]),
    "text": lambda path: write_text(path, "text"),
    "json": lambda path: write_json(path, {}),
    "safetensors": lambda path: save_model(path, TENSORS),
    "pt": lambda path: save_training_state(path, TENSORS),
}


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664), (0o077, 0o600)])
def test_every_file_follows_the_umask(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        for name, write in WRITERS.items():
            write(tmp_path / name)
            write(tmp_path / name)  # over itself
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(WRITERS, oct(mode))


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_while_writing_keeps_the_old_file_and_leaves_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_text("old")

    def write() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(error):
        write()
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]


def test_a_failure_before_anything_is_written_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="early"), atomic(tmp_path / "file"):
        raise RuntimeError("early")
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_cannot_be_saved_leave_nothing(tmp_path):
    class Unpicklable:
        def __reduce__(self):
            raise TypeError("never")

    with pytest.raises(TypeError, match="never"):
        write_npz(tmp_path / "a.npz", fine=np.zeros(3), bad=np.array([Unpicklable()], dtype=object))
    assert list(tmp_path.iterdir()) == []


def test_until_the_block_ends_a_reader_sees_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with atomic(path) as temporary:
        temporary.write_text("new, ha")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # renaming is atomic within one file system only
        temporary.write_text("new, whole")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "new, whole")]


def test_readers_beside_a_writer_never_see_half_a_file(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, a=np.zeros(100_000), b=np.zeros(100_000))
    done = threading.Event()

    def write() -> None:
        for k in range(30):
            write_npz(path, a=np.full(100_000, k), b=np.full(100_000, k))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not done.is_set():
        arrays = read_npz(path, "a", "b")
        assert arrays["a"][0] == arrays["b"][-1]
    writer.join()


PIXELS = np.random.default_rng(0).integers(0, 256, (40, 40, 40, 1), dtype=np.uint8)  # 64 kB that nothing compresses
WRITERS = {
    "npz": lambda path: write_npz(path, a=PIXELS),
    "sample batch": lambda path: write_sample_batch(path, PIXELS.shape, [PIXELS]),
    "safetensors": lambda path: save_model(path, {"a": torch.from_numpy(PIXELS)}),
    "torch": lambda path: save_training_state(path, {"a": torch.from_numpy(PIXELS)}),
    "text": lambda path: write_text(path, "a" * PIXELS.size),
    "json": lambda path: write_json(path, {"a": PIXELS.ravel().tolist()}),
    "growing npy": lambda path: write_rows(path, PIXELS),
    "picture": lambda path: _write_grid(path, PIXELS),
}


def write_rows(path: Path, rows: np.ndarray) -> None:
    with growing_array(path, np.uint8, rows.shape[1:]) as add:
        for row in rows:
            add(row)


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_is_one_line_naming_the_file_and_leaves_the_old_one_whole(tmp_path, write):
    path = tmp_path / "file"
    path.write_text("old")
    with room_for(4096), pytest.raises(ArtifactError) as caught:
        write(path)
    assert re.fullmatch(rf"{path}: cannot be written \(File too large\); make room there, .*", str(caught.value))
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("file", "old")]
    write(path)
    assert path.stat().st_size > 4096


def test_a_path_through_a_file_is_one_line_and_leaves_that_file_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArtifactError, match=r"file/a\.txt: cannot be written \(.*\); give another path"):
        write_text(tmp_path / "file/a.txt", "text")
    assert (tmp_path / "file").read_text() == "mine"


def test_folders_are_made_on_the_way(tmp_path):
    write_text(tmp_path / "a/b/c.txt", "text")
    assert (tmp_path / "a/b/c.txt").read_text() == "text"


# Networks ---------------------------------------------------------------------------------------------------------


def save_legacy(path: Path, state: dict) -> None:
    """As torch saved before 1.6; some published weights are of that kind."""
    torch.save(state, path, _use_new_zipfile_serialization=False)


FORMATS = [("m.safetensors", save_model), ("m.pt", save_training_state), ("m.pt", save_legacy)]


@pytest.mark.parametrize(("name", "save"), FORMATS)
def test_tensors_read_back_as_written(tmp_path, name, save):
    save(tmp_path / name, TENSORS)
    found = load_checkpoint(tmp_path / name)
    assert found.keys() == TENSORS.keys()
    for key, tensor in TENSORS.items():
        assert found[key].dtype == tensor.dtype
        assert torch.equal(found[key], tensor)


def test_a_model_is_saved_whatever_its_layout_in_memory(tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    save_model(tmp_path / "m.safetensors", {"transposed": weight.T, "strided": weight[:, ::2]})
    found = load_checkpoint(tmp_path / "m.safetensors")
    assert torch.equal(found["transposed"], weight.T)
    assert torch.equal(found["strided"], weight[:, ::2])


def test_the_same_weights_give_the_same_bytes(tmp_path):
    save_model(tmp_path / "a.safetensors", TENSORS)
    save_model(tmp_path / "b.safetensors", {key: value.clone() for key, value in TENSORS.items()})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_unfinished_training_reads_back_with_all_that_is_no_tensor(tmp_path):
    state = {"settings": {"lr": 1e-3, "names": ["a", None]}, "trainer": {"step": 7, "model": TENSORS}}
    save_training_state(tmp_path / "m.pt", state)
    found = load_checkpoint(tmp_path / "m.pt")
    assert found["settings"] == state["settings"]
    assert found["trainer"]["step"] == 7


@pytest.mark.parametrize(("name", "save"), FORMATS)
def test_a_checkpoint_cut_short_anywhere_is_refused(tmp_path, name, save):
    save(tmp_path / name, TENSORS)
    whole = (tmp_path / name).read_bytes()
    for length in cuts(len(whole)):
        (tmp_path / name).write_bytes(whole[:length])
        message = refusal(load_checkpoint, tmp_path / name)
        cut_within_a_name = message.startswith("holds more than tensors")
        assert length < 64 or cut_within_a_name or message.endswith("; fetch or train it again")


@pytest.mark.parametrize(("name", "save"), FORMATS[:2])
def test_a_checkpoint_with_a_changed_byte_is_read_or_refused_and_never_raises_anything_else(tmp_path, name, save):
    path = tmp_path / name
    save(path, TENSORS)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in random.permutation(len(whole))[:150]:
        path.write_bytes(whole[:place] + random.bytes(1) + whole[place + 1 :])
        refused += not readable(load_checkpoint, path)
    assert 10 < refused < 150


class Malicious:
    """Runs code when it is unpickled: makes a file."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return open, (str(self.trace), "w")


def save_pickle(path: Path, state: dict) -> None:
    path.write_bytes(pickle.dumps(state, protocol=2))


@pytest.mark.parametrize("save", [save_training_state, save_legacy, save_pickle])
def test_a_checkpoint_that_would_run_code_is_refused_and_runs_none(tmp_path, save):
    save(tmp_path / "m.pt", {"layer.weight": Malicious(tmp_path / "trace")})
    message = refusal(load_checkpoint, tmp_path / "m.pt")
    assert message.startswith(("holds more than tensors, an object of io.open; only if you trust", "is a pickle that"))
    assert not (tmp_path / "trace").exists()
    with pickle.loads(pickle.dumps(Malicious(tmp_path / "trace"))):
        assert (tmp_path / "trace").exists()  # so it was malicious


@pytest.mark.parametrize("name", ["m.pt", "m.safetensors"])
def test_a_missing_checkpoint_and_a_folder_are_refused(tmp_path, name):
    assert refusal(load_checkpoint, tmp_path / name).startswith("does not exist; ")
    (tmp_path / name).mkdir()
    assert refusal(load_checkpoint, tmp_path / name) == "is a folder; name a file in it"


@pytest.mark.parametrize(("value", "kind"), [(torch.zeros(3), "Tensor"), ([torch.zeros(3)], "list"), (3, "int")])
def test_a_checkpoint_that_is_no_dict_is_refused(tmp_path, value, kind):
    torch.save(value, tmp_path / "m.pt")
    assert refusal(load_checkpoint, tmp_path / "m.pt") == f"holds {kind}, not tensors by name; save a state_dict"


# Text -------------------------------------------------------------------------------------------------------------


def test_json_reads_back_every_digit(tmp_path):
    values = {"fid": 1 / 3, "run": {"name": "UADM(25)-G ↓", "scale": None}, "list": [1, 2.5]}
    write_json(tmp_path / "a.json", values)
    assert read_json(tmp_path / "a.json", "fid", "run") == values


def test_text_is_utf_8_whatever_the_locale(tmp_path):
    write_text(tmp_path / "a.md", "FID ↓\n")
    assert (tmp_path / "a.md").read_bytes() == "FID ↓\n".encode()


def test_the_name_of_a_file_that_is_no_unicode_is_written_all_the_same(tmp_path):
    write_text(tmp_path / "a.tsv", os.fsdecode(b"caf\xe9.png ") + "↓")
    assert (tmp_path / "a.tsv").read_text(encoding="utf-8") == "caf\\udce9.png ↓"


@pytest.mark.parametrize("text", [b"{", b'{"a": 1', b"\xff\xfe", b"nonsense"])
def test_damaged_json_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    assert refusal(read_json, tmp_path / "a.json").startswith("not readable JSON (")


@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("<!DOCTYPE html><html>", "is a web page"), (POINTER, "is a Git LFS pointer")]
)
def test_what_was_saved_instead_of_json_is_named(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    assert words in refusal(read_json, tmp_path / "a.json")


def test_json_that_is_missing_or_lacks_a_key_is_refused(tmp_path):
    assert refusal(read_json, tmp_path / "a.json").startswith("does not exist; ")
    assert refusal(read_json, tmp_path).startswith("is a folder; ")
    write_json(tmp_path / "a.json", {"run": {}})
    assert refusal(read_json, tmp_path / "a.json", "run", "metrics").startswith("has not the keys run, metrics")
    (tmp_path / "a.json").write_text(json.dumps([1, 2]))
    assert refusal(read_json, tmp_path / "a.json").startswith("has not the keys of an object")


# Where a result comes from ----------------------------------------------------------------------------------------


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")  # FIPS 180-4, example 1
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_provenance_names_the_commit_of_the_checkout_and_the_versions():
    found = provenance()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    if head.returncode:
        pytest.skip("not a git checkout")
    assert re.fullmatch(rf"{head.stdout.strip()}(-dirty)?", found["commit"])
    assert found["numpy"] == np.__version__
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]


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
        ("eddpm/stages/train.py", True),
        ("workflow/rules/a.smk", True),
        ("config/runs.tsv", False),
        ("README.md", False),
        ("eddpm/new.py", False),  # which no tracked file imports
    ],
)
def test_a_commit_is_dirty_where_package_or_workflow_differ(checkout, tmp_path, changed, dirty):
    clean = provenance()["commit"]
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / changed).write_text("changed")
    assert provenance()["commit"] == clean + "-dirty" * dirty


def test_a_removed_file_makes_a_commit_dirty_staged_or_not(checkout, tmp_path):
    (tmp_path / "eddpm/stages/train.py").unlink()
    assert provenance()["commit"].endswith("-dirty")
    checkout("add", "--all")
    assert provenance()["commit"].endswith("-dirty")


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("place", [".venv/lib/python3.11/site-packages/eddpm", "vendor/eddpm"])
def test_the_commit_of_a_repository_that_the_package_is_installed_in_is_not_its_own(
    checkout, tmp_path, monkeypatch, place, tracked
):
    write_text(tmp_path / place / "__init__.py", "installed")
    if tracked:
        checkout("add", "--force", place)
        checkout("commit", "-qm", "with it")
    monkeypatch.setattr(origin, "PACKAGE", tmp_path / place)
    assert provenance()["commit"] == "unknown"


def test_a_package_that_no_commit_of_its_repository_holds_has_none(checkout, tmp_path):
    checkout("rm", "-q", "--cached", "-r", "eddpm")
    checkout("commit", "-qm", "without it")
    assert provenance()["commit"] == "unknown"


def test_provenance_is_unknown_without_a_checkout_without_git_and_without_installing(tmp_path, monkeypatch):
    def version(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(origin, "version", version)
    monkeypatch.setattr(origin, "PACKAGE", tmp_path)
    assert set(provenance().values()) == {"unknown"}
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["commit"] == "unknown"
