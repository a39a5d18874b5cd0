"""Arrays read back as written; headers are checked before data are, and bad files refused by name."""

import io
import os
import pickle
import struct
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from refusals import cut, refusal, refused_of_changed

from eddpm.data.sources import open_source
from eddpm.io.arrays import Arrays, image_numbers, map_array, read_npz, write_npz

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


def test_an_archive_cut_short_anywhere_is_refused_and_with_a_changed_byte_refused_or_read(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, **ARRAYS)
    for length in cut(path):
        assert refusal(read_npz, path).startswith("not a readable npz (" if length > 2 else ("is empty", "is text"))
    write_npz(path, **ARRAYS)
    assert 100 < refused_of_changed(read_npz, path, 300) < 300


def test_what_was_saved_instead_of_an_archive_of_numbers_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.array([{"an": "object"}]))
    assert refusal(read_npz, tmp_path / "a.npz").startswith("'a' is a pickle of objects, which is never loaded")
    (tmp_path / "b.npz").write_bytes(pickle.dumps({"a": 1}))
    assert refusal(read_npz, tmp_path / "b.npz").startswith("is a pickle, not an npz")
    np.save(tmp_path / "c.npy", np.ones(2))
    assert refusal(read_npz, tmp_path / "c.npy").startswith("is a single array, not an npz archive")


def test_a_missing_array_is_named_with_those_there_are(tmp_path):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    there = "arr_0 uint8 (2, 4, 4, 3), arr_1 int64 (2,)"
    assert refusal(read_npz, tmp_path / "a.npz", "arr_0", "mu").startswith(f"has no array 'mu', only {there}; ")


# Headers ----------------------------------------------------------------------------------------------------------


def npy(shape: object, descr: object = "|u1", version: int = 1, data: bytes = bytes(96)) -> bytes:
    """An npy whose header says what one likes."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H" if version == 1 else "<I", len(text)) + text + data


BAD_HEADERS = {
    "two negative lengths": npy((-2, -48)),
    "more than there is": npy((10**12, 4, 4, 3)),
    "less than there is": npy((1, 4, 4, 3)),
    "a length beyond all numbers": npy((10**400,)),
    "numbers of no size": npy((10**12,), "|V0", data=b""),
    "no shape": npy(None),
    "an unknown type": npy((96,), "|q9"),
    "a version to come": npy((96,), version=9),
    "a header longer than the file": b"\x93NUMPY\x02\0" + struct.pack("<I", 2**31) + b"{}",
    "brackets without end": b"\x93NUMPY\x01\0" + struct.pack("<H", 9000) + b"(" * 9000,
    "nothing": b"",
}


@pytest.mark.parametrize("content", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_header_that_does_not_fit_the_file_is_refused_before_data_are_read(tmp_path, monkeypatch, content):
    def never(*_, **__):  # what is announced would not fit in memory
        raise AssertionError("read")

    monkeypatch.setattr(np.lib.format, "read_array", never)
    monkeypatch.setattr(np, "memmap", never)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("arr_0.npy", content)
    (tmp_path / "a.npy").write_bytes(content)
    for read in (read_npz, image_numbers):
        assert refusal(read, tmp_path / "a.npz").startswith("not a readable npz (")
    assert refusal(map_array, tmp_path / "a.npy", "remedy").startswith("not a readable npy (")


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_every_version_of_header_is_read(tmp_path, version):
    data = io.BytesIO()
    np.lib.format.write_array(data, ARRAYS["arr_0"], version=version)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("arr_0.npy", data.getvalue())
    np.testing.assert_array_equal(read_npz(tmp_path / "a.npz")["arr_0"], ARRAYS["arr_0"])


@pytest.mark.parametrize("shape", [(0, 4), (5,), ()])
def test_an_array_of_any_length_is_mapped(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape))
    np.testing.assert_array_equal(map_array(tmp_path / "a.npy", ""), np.ones(shape))


def test_the_numbers_and_identity_of_samples_are_known_without_an_image(tmp_path, monkeypatch):
    path, opened, read = tmp_path / "a.npz", [], Arrays.__getitem__
    write_npz(path, arr_0=np.zeros((3, 2)), index=np.arange(4, 7), identity=np.array("word"))
    monkeypatch.setattr(Arrays, "__getitem__", lambda arrays, name: opened.append(name) or read(arrays, name))
    index, identity = image_numbers(path)
    assert (index.tolist(), identity, opened) == ([4, 5, 6], "word", ["index", "identity"])
    write_npz(path, index=np.arange(2))
    assert image_numbers(path)[1] is None


# Archives that are not what they announce ---------------------------------------------------------------------------


def refused_in_little_memory(path: Path) -> str:
    tracemalloc.start()
    said = refusal(read_npz, path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24
    return said


def test_a_header_without_end_is_not_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("arr_0.npy", b"\x93NUMPY\x02\0" + struct.pack("<I", 2**27) + bytes(2**27))
    said = refused_in_little_memory(tmp_path / "a.npz")
    assert said.startswith("not a readable npz (the header of 'arr_0' is damaged: 134,217,728 bytes long)")


def test_no_more_is_read_of_an_array_than_is_announced(tmp_path):
    whole = npy((96,))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("arr_0.npy", whole + bytes(2**27))
        archive.filelist[0].file_size = len(whole)  # as the directory has it
    assert refused_in_little_memory(tmp_path / "a.npz").startswith("not a readable npz (")


@pytest.mark.parametrize("again", ["arr_0.npy", "arr_1.npy"])
def test_an_archive_that_holds_a_name_twice_is_refused_with_the_name(tmp_path, again):
    write_npz(tmp_path / "a.npz", **ARRAYS)
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr(again, npy((96,)))
    assert refusal(read_npz, tmp_path / "a.npz").startswith(f"holds {again} 2 times, of which only one can count")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_unpacks_an_array_at_once_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
        archive.writestr("arr_0.npy", npy((96,)))
    assert f"is compressed as numpy.savez never does, by method {method}" in refusal(read_npz, tmp_path / "a.npz")


def test_arrays_beyond_all_memory_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    write_npz(tmp_path / "a.npz", arr_0=np.zeros((2, 8, 8, 3), np.uint8), arr_1=np.arange(2))
    monkeypatch.setattr(os, "sysconf", lambda name: {"SC_PAGE_SIZE": 10, "SC_PHYS_PAGES": 2}[name])
    assert refusal(read_npz, tmp_path / "a.npz").startswith("unpacks to 384 bytes, more than this machine has memory")
    assert refusal(lambda path: open_source(str(path), 2), tmp_path / "a.npz").startswith("unpacks to 384 bytes")


def test_memory_that_is_short_is_one_line(tmp_path, monkeypatch):
    def read(*_, **__):
        raise MemoryError("Unable to allocate 8 TiB")

    write_npz(tmp_path / "a.npz", **ARRAYS)
    monkeypatch.setattr(np.lib.format, "read_array", read)
    assert refusal(read_npz, tmp_path / "a.npz").startswith("not a readable npz (Unable to allocate 8 TiB)")


@pytest.mark.parametrize("order", "<>")
def test_text_of_characters_that_do_not_exist_is_refused(tmp_path, order):
    text = np.array([ord("a"), 0x110000], f"{order}u4").view(f"{order}U2")
    write_npz(tmp_path / "a.npz", word=text)
    assert "'word' is text of characters that do not exist" in refusal(read_npz, tmp_path / "a.npz")
