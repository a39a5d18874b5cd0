"""Arrays in files, npz and npy: written whole, and read only where their headers agree with the size of the file."""

import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from eddpm.errors import ArtifactError, EddpmError, first_line
from eddpm.io.filekinds import HEAD, kind_of, refuse_impostor, unreadable
from eddpm.io.files import atomic
from eddpm.io.names import listed, repeated, shown

_NPY = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # bytes, as numpy takes them


class Header(NamedTuple):
    """The shape and type of an array, known before its data are read."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


class _Member(NamedTuple):
    """An npy: a file of its own, or a member of an npz."""

    open: Callable[[], IO[bytes]]
    size: int  # in bytes, its header included


class Arrays:
    """The arrays of an open file by name: their headers, checked, and the arrays themselves on access."""

    def __init__(self, path: Path, members: dict[str, _Member]):
        self.path, self._members = path, members
        self.headers = {}
        for name, member in members.items():
            with member.open() as file:
                self.headers[name] = _read_header(file, name, member.size)

    def __contains__(self, name: str) -> bool:
        return name in self.headers

    def __getitem__(self, name: str) -> np.ndarray:
        """Raises ArtifactError where the array is of objects: unpickling them may run any code."""
        if self.headers[name].dtype.hasobject:
            raise ArtifactError(
                f"{self.path}: '{shown(name)}' is a pickle of objects, which is never loaded; save numbers"
            )
        header = self.headers[name]
        refuse_beyond_memory(self.path, prod(header.shape) * header.dtype.itemsize)
        with self._members[name].open() as file:
            array = np.lib.format.read_array(file, allow_pickle=False)
        if array.dtype.kind == "U":  # numpy makes strings of any numbers, which Python fails on later
            characters = np.frombuffer(array.tobytes(), np.dtype("u4").newbyteorder(array.dtype.byteorder))
            if characters.max(initial=0) > sys.maxunicode:
                raise ValueError(f"'{shown(name)}' is text of characters that do not exist")
        return array

    @contextmanager
    def stream(self, name: str) -> Iterator[IO[bytes]]:
        """The data of an array, from its first byte."""
        with self._members[name].open() as file:
            _read_header(file, name, self._members[name].size)
            yield file

    def require(self, *names: str) -> None:
        """Raises ArtifactError where there is no such array."""
        for name in names:
            if name not in self.headers:
                there = listed(f"{shown(name)} {header}" for name, header in self.headers.items()) or "none"
                raise ArtifactError(f"{self.path}: has no array '{name}', only {there}; is it the right file?")


def memory() -> int:
    """All memory of this machine, in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse_beyond_memory(path: Path, size: int) -> None:
    """Raises ArtifactError where arrays of so many bytes, which a file may hold packed, are more than all memory."""
    if size > memory():
        raise ArtifactError(f"{path}: unpacks to {size:,} bytes, more than this machine has memory; bring less at once")


@contextmanager
def open_arrays(path: Path, single: str | None = None) -> Iterator[Arrays]:
    """The arrays of an npz; or, with the name `single`, that of an npy. Headers are checked before data are read.

    Whatever is wrong with the file, now or on access, is an ArtifactError.
    """
    path = Path(path)
    refuse_impostor(path)
    with _blamed_on(path, f"bring it again; `snakemake --forcerun {path}` makes a file of the workflow anew"):
        with open(path, "rb") as file:
            start, size = file.read(HEAD), os.fstat(file.fileno()).st_size
        if start.startswith(_NPY) and single is None:
            raise ArtifactError(f"{path}: is a single array, not an npz archive; save it with numpy.savez")
        if start.startswith(_NPY):
            yield Arrays(path, {single: _Member(partial(open, path, "rb"), size)})
        elif start.startswith(b"PK"):
            with zipfile.ZipFile(path) as archive:
                yield Arrays(path, _members(path, archive))
        else:
            raise ArtifactError(f"{path}: is {kind_of(start)}, not an npz; is it the right file?")


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, _Member]:
    """The arrays of an npz."""
    infos = archive.infolist()
    arrays = {info.filename.removesuffix(".npy"): info for info in infos if info.filename.endswith(".npy")}
    if infos and not arrays:
        named = shown(infos[0].filename)
        raise ArtifactError(f"{path}: is a zip of {named} and the like, not an npz; is it the right file?")
    if fault := repeated(info.filename for info in infos):
        raise ArtifactError(f"{path}: {fault}; save it again")
    if methods := {info.compress_type for info in infos} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ValueError(f"is compressed as numpy.savez never does, by method {min(methods)}")
    return {name: _Member(partial(archive.open, info), info.file_size) for name, info in arrays.items()}


def _read_header(file: IO[bytes], name: str, size: int) -> Header:
    """The header at the start of an npy of `size` bytes. Raises ValueError unless its data fill the rest exactly."""
    try:
        version = np.lib.format.read_magic(file)
        if version > (3, 0):
            raise ValueError(f"version {version[0]}, and only 1 to 3 are known")
        # The header of version 3 is of version 2's form; it differs in the letters of field names.
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        start = file.read(2 if version == (1, 0) else 4)
        if (length := int.from_bytes(start, "little")) > _LONGEST_HEADER:
            raise ValueError(f"{length:,} bytes long")
        header = Header(*read(io.BytesIO(start + file.read(length))))
    except Exception as error:  # of nearly any kind, since numpy takes it for an expression of Python
        raise ValueError(f"the header of '{shown(name)}' is damaged: {first_line(error)}") from None
    follow = size - file.tell()
    needed = prod(header.shape) * max(header.dtype.itemsize, 1)
    if min(header.shape, default=0) < 0 or (needed != follow and not header.dtype.hasobject):
        raise ValueError(f"'{shown(name)}' is announced as {header}, but {follow:,} bytes follow")
    return header


@contextmanager
def _blamed_on(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except EddpmError:
        raise
    except FileNotFoundError:
        raise ArtifactError(f"{path}: does not exist; {remedy}") from None
    except Exception as error:  # of nearly any kind where bytes are damaged, or memory is short
        reason = first_line(error)
        kind = "npy" if path.suffix == ".npy" else "npz"
        raise ArtifactError(f"{path}: not a readable {kind} ({reason}); {remedy}") from None


# Reading and writing ----------------------------------------------------------------------------------------------


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    with atomic(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **arrays)


def read_npz(path: Path, *required: str, skip: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """The arrays of an npz but those to `skip`. ArtifactError if it is missing, damaged, or lacks a required key."""
    with open_arrays(path) as arrays:
        arrays.require(*required)
        return {name: arrays[name] for name in arrays.headers if name not in skip}


def image_numbers(path: Path) -> tuple[np.ndarray, str | None]:
    """The numbers of the images in a shard or batch, and its identity where it has one; no image is read."""
    with open_arrays(path) as arrays:
        arrays.require("index")
        return arrays["index"], str(arrays["identity"]) if "identity" in arrays else None


def map_array(path: Path, remedy: str) -> np.ndarray:
    """The array of an npy, mapped into memory. Raises ArtifactError, which ends with the remedy, if it is damaged."""
    if reason := unreadable(path):
        raise ArtifactError(f"{path}: {reason}")
    with _blamed_on(path, remedy), open(path, "rb") as file:
        _read_header(file, path.stem, os.fstat(file.fileno()).st_size)
        return np.asarray(np.load(path, mmap_mode="r"))
