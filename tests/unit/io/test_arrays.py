"""Arrays read back as written; headers are checked before data are, and bad files refused by name."""

import io
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
from refusals import cuts, readable, refusal

from eddpm.errors import ArtifactError
from eddpm.io.arrays import Arrays, image_numbers, map_array, read_npz, write_npz
from eddpm.io.files import sha256

ARRAYS = {"arr_0": np.arange(96, dtype=np.uint8).reshape(2, 4, 4, 3), "arr_1": np.array([3, 1])}


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


def test_an_archive_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, **ARRAYS)
    whole = path.read_bytes()
    for length in cuts(len(whole)):
        path.write_bytes(whole[:length])
        assert refusal(read_npz, path).startswith("not a readable npz (" if length > 2 else ("is empty", "is text"))


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
    assert refusal(read_npz, tmp_path / "a.npz").startswith("'a' is a pickle of objects, which is never loaded")
    (tmp_path / "b.npz").write_bytes(pickle.dumps({"a": 1}))
    assert refusal(read_npz, tmp_path / "b.npz").startswith("is a pickle, not an npz")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello\nthere\n", "is text that begins 'hello'"),
        (b"", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0", "is a PNG image, not an npz"),
        (b"\x93NUMPY\x01\0", "is a single array, not an npz archive"),
    ],
)
def test_what_was_saved_instead_of_an_archive_is_named(tmp_path, content, words):
    assert refusal(read_npz, tmp_path / "a.npz").startswith("does not exist; ")
    (tmp_path / "a.npz").write_bytes(content)
    assert refusal(read_npz, tmp_path / "a.npz").startswith(words)


def test_a_zip_of_other_files_is_no_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("cats/0.png", b"")
    assert refusal(read_npz, tmp_path / "a.npz").startswith("is a zip of cats/0.png and the like, not an npz")


def test_a_missing_array_is_named_with_those_there_are(tmp_path):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    assert refusal(read_npz, tmp_path / "a.npz", "arr_0", "mu") == (
        "has no array 'mu', only arr_0 uint8 (2, 4, 4, 3), arr_1 int64 (2,); is it the right file?"
    )
    write_npz(tmp_path / "b.npz")
    assert refusal(read_npz, tmp_path / "b.npz", "mu").startswith("has no array 'mu', only none")


# Headers ----------------------------------------------------------------------------------------------------------


def npy(header: object, data: bytes, version: int = 1) -> bytes:
    """An npy whose header says what one likes."""
    text = repr(header).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


def header(shape: object, descr: object = "|u1", is_fortran: object = False) -> dict:
    return {"descr": descr, "fortran_order": is_fortran, "shape": shape}


BAD_HEADERS = {
    "a negative length": npy(header((-1, 4, 4, 3)), bytes(96)),
    "two negative lengths": npy(header((-2, -48)), bytes(96)),
    "more than there is": npy(header((10**12, 4, 4, 3)), bytes(96)),
    "less than there is": npy(header((1, 4, 4, 3)), bytes(96)),
    "a length beyond all numbers": npy(header((10**400,)), bytes(96)),
    "numbers of no size": npy(header((10**12,), "|V0"), b""),
    "no shape": npy({"descr": "|u1", "fortran_order": False}, bytes(96)),
    "an unknown type": npy(header((96,), "|q9"), bytes(96)),
    "a version to come": npy(header((96,)), bytes(96), version=9),
    "a header longer than the file": b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31) + b"{}",
    "brackets without end": b"\x93NUMPY\x01\0" + struct.pack("<H", 9000) + b"(" * 9000,
    "nothing": b"",
}


@pytest.fixture
def unread(monkeypatch):
    """Data must not be read: what is announced would not fit in memory."""

    def never(*_, **__):
        raise AssertionError("read")

    monkeypatch.setattr(np.lib.format, "read_array", never)
    monkeypatch.setattr(np, "memmap", never)


@pytest.mark.parametrize("kind", BAD_HEADERS)
def test_a_header_that_does_not_fit_the_file_is_refused_before_data_are_read(tmp_path, unread, kind):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0.npy", BAD_HEADERS[kind])
    for read in (read_npz, image_numbers):
        assert refusal(read, path).startswith("not a readable npz (")


@pytest.mark.parametrize("kind", BAD_HEADERS)
def test_a_single_array_is_checked_in_the_same_way(tmp_path, unread, kind):
    path = tmp_path / "a.npy"
    path.write_bytes(BAD_HEADERS[kind])
    assert refusal(map_array, path, "remedy").startswith("not a readable npy (")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_header_is_read(tmp_path, version):
    data = io.BytesIO()
    np.lib.format.write_array(data, ARRAYS["arr_0"], version=version)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("arr_0.npy", data.getvalue())
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["arr_0"], ARRAYS["arr_0"])


def test_a_large_array_of_little_content_is_read(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(10**7, np.uint8))
    assert len(read_npz(tmp_path / "a.npz")["a"]) == 10**7


@pytest.mark.parametrize("shape", [(0, 4), (5,), ()])
def test_an_array_of_any_length_is_mapped(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape))
    np.testing.assert_array_equal(map_array(tmp_path / "a.npy", ""), np.ones(shape))


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_no_message_advises_to_delete(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04damaged")
    message = refusal(read_npz, tmp_path / name)
    assert "delete" not in message
    assert f"`snakemake --forcerun {tmp_path / name}`" in message


def test_the_numbers_and_identity_of_samples_are_known_without_an_image(tmp_path, monkeypatch):
    path, opened, read = tmp_path / "a.npz", [], Arrays.__getitem__
    write_npz(path, arr_0=np.zeros((3, 2)), index=np.arange(4, 7), identity=np.array("word"))
    monkeypatch.setattr(Arrays, "__getitem__", lambda arrays, name: opened.append(name) or read(arrays, name))
    index, identity = image_numbers(path)
    assert (index.tolist(), identity, opened) == ([4, 5, 6], "word", ["index", "identity"])
    write_npz(path, index=np.arange(2))
    assert image_numbers(path)[1] is None
    write_npz(path, arr_0=np.zeros(2))
    with pytest.raises(ArtifactError, match="no array 'index'"):
        image_numbers(path)
