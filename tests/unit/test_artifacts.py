"""Files appear whole or not at all, read back as written, and are refused by name where they are bad."""

import json
import pickle
import re
import subprocess
import threading
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import torch

from eddpm import artifacts
from eddpm.artifacts import (
    ImageFile,
    Samples,
    array_length,
    atomic,
    load_checkpoint,
    provenance,
    read_json,
    read_npz,
    read_samples,
    save_model,
    save_training_state,
    sha256,
    write_json,
    write_npz,
    write_sample_batch,
    write_samples,
    write_text,
)
from eddpm.errors import ArtifactError

ARRAYS = {"arr_0": np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3), "arr_1": np.array([3, 1])}
TENSORS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2, dtype=torch.float16)}


def refusal(read, path: Path, *arguments) -> str:
    with pytest.raises(ArtifactError) as caught:
        read(path, *arguments)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def readable(read, path: Path) -> bool:
    """Whether `path` is read; it may be refused by an ArtifactError, and by nothing else."""
    try:
        read(path)
    except ArtifactError:
        return False
    return True


def cuts(size: int, count: int = 25) -> list[int]:
    """Lengths shorter than `size`, from nothing to all but the last byte."""
    return sorted({size * k // count for k in range(count)} | {1, 2, size - 1})


# Whole or not at all ----------------------------------------------------------------------------------------------


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


def test_folders_are_made_on_the_way(tmp_path):
    write_text(tmp_path / "a/b/c.txt", "text")
    assert (tmp_path / "a/b/c.txt").read_text() == "text"


# Arrays -----------------------------------------------------------------------------------------------------------


def test_arrays_read_back_as_written(tmp_path):
    arrays = {**ARRAYS, "names": np.array(["zero", "één"]), "scalar": np.array(2.5), "none": np.zeros((0, 3))}
    write_npz(tmp_path / "a.npz", **arrays)
    found = read_npz(tmp_path / "a.npz")
    assert list(found) == list(arrays)
    for key, array in arrays.items():
        assert found[key].dtype == array.dtype
        np.testing.assert_array_equal(found[key], array)


def test_the_same_arrays_give_the_same_bytes_at_another_time(tmp_path, monkeypatch):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    write_npz(tmp_path / "b.npz", **ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sha256(tmp_path / "a.npz") == sha256(tmp_path / "b.npz")
    write_npz(tmp_path / "b.npz", arr_0=ARRAYS["arr_0"], arr_1=ARRAYS["arr_1"] + 1)
    assert sha256(tmp_path / "a.npz") != sha256(tmp_path / "b.npz")


def test_a_missing_archive_is_refused(tmp_path):
    assert refusal(read_npz, tmp_path / "a.npz").startswith("does not exist; ")


def test_an_archive_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, **ARRAYS)
    whole = path.read_bytes()
    for length in cuts(len(whole)):
        path.write_bytes(whole[:length])
        assert refusal(read_npz, path).startswith("not a readable npz (")


def test_an_archive_with_a_changed_byte_is_read_or_refused_and_never_raises_anything_else(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, **ARRAYS)
    whole, random = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for place in random.permutation(len(whole))[:300]:
        path.write_bytes(whole[:place] + random.bytes(1) + whole[place + 1 :])
        refused += not readable(read_npz, path)
    assert 100 < refused < 300


def test_pickled_objects_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{"an": "object"}]))
    assert "allow_pickle=False" in refusal(read_npz, tmp_path / "a.npz")
    (tmp_path / "b.npz").write_bytes(pickle.dumps({"a": 1}))
    assert refusal(read_npz, tmp_path / "b.npz").startswith("not a readable npz (")


def test_a_single_array_is_not_an_archive(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert refusal(read_npz, tmp_path / "a.npy").startswith("is a single array, not an npz archive")


def test_a_folder_and_a_text_are_no_archive(tmp_path):
    assert refusal(read_npz, tmp_path).startswith("not a readable npz (")
    (tmp_path / "a.npz").write_text("hello\nthere\n")
    assert refusal(read_npz, tmp_path / "a.npz").startswith("not a readable npz (")


def test_a_missing_array_is_named_with_those_there_are(tmp_path):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    assert refusal(read_npz, tmp_path / "a.npz", "arr_0", "mu") == (
        "has no array 'mu', only arr_0, arr_1; is it the right file?"
    )
    write_npz(tmp_path / "b.npz")
    assert refusal(read_npz, tmp_path / "b.npz", "mu").startswith("has no array 'mu', only none")


# Samples ----------------------------------------------------------------------------------------------------------


def test_the_length_of_an_array_is_known_by_its_header(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_npz(path, few=np.zeros((3, 5)), many=np.zeros(7), one=np.array("word"))
    monkeypatch.setattr(np.lib.format, "read_array", None)  # which would read it all
    assert (array_length(path, "few"), array_length(path, "many")) == (3, 7)
    with pytest.raises(ArtifactError, match="no array 'none'"):
        array_length(path, "none")
    with pytest.raises(ArtifactError, match="not a readable npz"):
        array_length(path, "one")


def test_samples_read_back_as_written_and_are_what_adm_reads(tmp_path):
    samples = Samples(ARRAYS["arr_0"], ARRAYS["arr_1"], {"index": np.array([7, 9])})
    write_samples(tmp_path / "a.npz", samples)
    found = read_samples(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.images, samples.images)
    np.testing.assert_array_equal(found.labels, samples.labels)
    assert found.extras.keys() == {"index"}
    np.testing.assert_array_equal(found.extras["index"], [7, 9])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file.files[:2] == ["arr_0", "arr_1"]
        assert (file["arr_0"].dtype, file["arr_1"].dtype) == (np.uint8, np.int64)


def test_labels_of_another_integer_type_are_read_as_int64(tmp_path):
    write_npz(tmp_path / "a.npz", arr_0=ARRAYS["arr_0"], arr_1=ARRAYS["arr_1"].astype(np.uint8))
    found = read_samples(tmp_path / "a.npz").labels
    assert (found.dtype, found.tolist()) == (np.int64, ARRAYS["arr_1"].tolist())


@pytest.mark.parametrize(
    ("images", "described"),
    [
        (ARRAYS["arr_0"].astype(np.float32), "float32 (2, 4, 4, 3)"),
        (ARRAYS["arr_0"].astype(np.int64), "int64 (2, 4, 4, 3)"),
        (ARRAYS["arr_0"][..., 0], "uint8 (2, 4, 4)"),
        (ARRAYS["arr_0"][0, 0, 0], "uint8 (3,)"),
    ],
)
def test_images_of_another_type_or_rank_are_refused(tmp_path, images, described):
    write_npz(tmp_path / "a.npz", arr_0=images, arr_1=ARRAYS["arr_1"])
    assert refusal(read_samples, tmp_path / "a.npz").startswith(f"arr_0 is {described}, not uint8 (N, H, W, C)")


@pytest.mark.parametrize(
    "labels", [np.zeros(3, int), np.zeros(1, int), np.zeros((2, 1), int), np.zeros(2), np.array(1)]
)
def test_labels_that_are_not_one_integer_per_image_are_refused(tmp_path, labels):
    write_npz(tmp_path / "a.npz", arr_0=ARRAYS["arr_0"], arr_1=labels)
    message = f"arr_1 is {labels.dtype} {labels.shape}, not one integer label for each of 2 images"
    assert refusal(read_samples, tmp_path / "a.npz") == message


@pytest.mark.parametrize("key", ["arr_0", "arr_1"])
def test_samples_lacking_images_or_labels_are_refused(tmp_path, key):
    write_npz(tmp_path / "a.npz", **{name: array for name, array in ARRAYS.items() if name != key})
    assert refusal(read_samples, tmp_path / "a.npz").startswith(f"has no array '{key}'")


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
        assert message.endswith("; fetch or train it again")


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
    assert "damaged, or holds more than tensors" in refusal(load_checkpoint, tmp_path / "m.pt")
    assert not (tmp_path / "trace").exists()
    with pickle.loads(pickle.dumps(Malicious(tmp_path / "trace"))):
        assert (tmp_path / "trace").exists()  # so it was malicious


@pytest.mark.parametrize("name", ["m.pt", "m.safetensors"])
def test_a_missing_checkpoint_and_a_folder_are_refused(tmp_path, name):
    assert refusal(load_checkpoint, tmp_path / name).startswith("does not exist; ")
    (tmp_path / name).mkdir()
    assert refusal(load_checkpoint, tmp_path / name).startswith("not a readable checkpoint (")


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


@pytest.mark.parametrize("text", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"nonsense"])
def test_damaged_json_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text)
    assert refusal(read_json, tmp_path / "a.json").startswith("not readable JSON (")


def test_json_that_is_missing_or_lacks_a_key_is_refused(tmp_path):
    assert refusal(read_json, tmp_path / "a.json").startswith("does not exist; ")
    assert refusal(read_json, tmp_path).startswith("not readable JSON (")
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

    for file in ("eddpm/artifacts.py", "eddpm/stages/train.py", "workflow/rules/a.smk", "config/runs.tsv", "README.md"):
        write_text(tmp_path / file, "as committed")
    monkeypatch.setattr(artifacts, "__file__", str(tmp_path / "eddpm/artifacts.py"))
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
    write_text(tmp_path / place / "artifacts.py", "installed")
    if tracked:
        checkout("add", "--force", place)
        checkout("commit", "-qm", "with it")
    monkeypatch.setattr(artifacts, "__file__", str(tmp_path / place / "artifacts.py"))
    assert provenance()["commit"] == "unknown"


def test_a_package_that_no_commit_of_its_repository_holds_has_none(checkout, tmp_path):
    checkout("rm", "-q", "--cached", "-r", "eddpm")
    checkout("commit", "-qm", "without it")
    assert provenance()["commit"] == "unknown"


def test_provenance_is_unknown_without_a_checkout_without_git_and_without_installing(tmp_path, monkeypatch):
    def version(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setattr(artifacts, "version", version)
    monkeypatch.setattr(artifacts, "__file__", str(tmp_path / "artifacts.py"))
    assert set(provenance().values()) == {"unknown"}
    monkeypatch.undo()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["commit"] == "unknown"


# Images that are never all in memory ------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7, 250])
def test_images_come_in_batches_as_they_were_written(tmp_path, compressed, size):
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", arr_1=np.arange(7), arr_0=images)
    file = ImageFile(tmp_path / "a.npz")
    batches = list(file.batches(size))
    assert (len(file), file.shape) == (7, (4, 5, 3))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate(batches), images)
    assert batches[0].flags.writeable


def test_a_sample_batch_written_in_batches_is_read_by_numpy(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 4, 5, 3), dtype=np.uint8)
    batches = (images[start : start + 3] for start in (0, 3, 6))
    write_sample_batch(tmp_path / "a.npz", images.shape, batches, arr_1=np.arange(7), note=np.array("x"))
    with np.load(tmp_path / "a.npz") as file:
        assert set(file.files) == {"arr_0", "arr_1", "note"}
        np.testing.assert_array_equal(file["arr_0"], images)
        assert file["arr_1"].tolist() == list(range(7))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 4, 4, 3), np.float32), "arr_0 is float32"),
        (np.zeros((4, 4, 3), np.uint8), "arr_0 is uint8 (4, 4, 3), not uint8 (N, H, W, C)"),
        (np.zeros((0, 4, 4, 3), np.uint8), "holds no images"),
        (np.asfortranarray(np.zeros((2, 4, 4, 3), np.uint8)), "Fortran order"),
        (np.array([{}, {}], dtype=object), "arr_0 is object"),
    ],
)
def test_what_holds_no_images_is_refused(tmp_path, array, message):
    np.savez(tmp_path / "a.npz", arr_0=array)
    assert message in refusal(ImageFile, tmp_path / "a.npz")


def test_truncated_images_are_refused_wherever_the_file_ends(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, arr_0=np.ones((5, 4, 4, 3), np.uint8))
    whole = path.read_bytes()
    for length in cuts(len(whole)):
        path.write_bytes(whole[:length])
        assert not readable(lambda path: list(ImageFile(path).batches(2)), path)


def test_damaged_images_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, arr_0=np.ones((50, 4, 4, 3), np.uint8))
    damaged = bytearray(path.read_bytes())
    damaged[1000] ^= 255
    path.write_bytes(damaged)
    assert "CRC" in refusal(lambda path: list(ImageFile(path).batches(7)), path)


def test_reading_all_but_the_images_leaves_them_out(tmp_path):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    assert set(read_npz(tmp_path / "a.npz", "arr_0", skip=("arr_0",))) == {"arr_1"}
