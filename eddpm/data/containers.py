"""Files in a folder or in a zip, as people have them: listed without opening any, and opened one at a time.

Names are divided by "/". Each real folder is listed once, however many links lead to it. What systems and programs
leave between people's files (thumbnails, waste baskets, indexes) is no file of theirs, and is passed over.
"""

import io
import os
import re
import stat
import warnings
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from eddpm.data.systemfiles import is_system_file, is_system_folder
from eddpm.errors import ArtifactError
from eddpm.io.filekinds import HEAD, impostor, kind_of, refuse_impostor
from eddpm.io.names import shown

Stamp = tuple[int, ...]  # differs where the bytes of a file may differ

LARGEST_FILE = 2**31  # bytes
PIXELS = 2**29  # of the largest image: 2 GB while it is decoded

# The raster formats that are read. Pillow knows others that run programs (EPS) or need plugins.
_RASTER = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP")

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}  # of compression

OF_A_SYSTEM = "of a system or a program"
LISTED_ALREADY = "a link to a folder that is listed already"


class Container(ABC):
    """Files by name, with a stamp each."""

    files: dict[str, Stamp]
    folders: set[str]  # with those that hold no file
    passed_over: dict[str, str]  # what is there, too, but is not listed, with the reason
    aliases: dict[str, str]  # files that are links to others among them: their names

    @property
    @abstractmethod
    def origins(self) -> set[tuple[int, int]]:
        """The device and inode of every file that holds images."""

    @abstractmethod
    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        """The first `most` bytes of a file. Raises whatever the file system or the archive does."""


class Folder(Container):
    """A folder and what lies below it."""

    def __init__(self, path: Path):
        """Raises ArtifactError where a folder may not be listed."""
        self._path, self._entered = os.fspath(path), set()
        self.files, self.folders, self.passed_over, self.aliases = {}, set(), {}, {}
        names: dict[tuple[int, int], str] = {}  # of files, by device and inode
        folder_links, file_links = [""], []
        while folder_links:  # real folders first: a link is followed where nothing else leads to its folder
            folder_links = [link for start in sorted(folder_links) for link in self._list(start, names, file_links)]
        for link in sorted(file_links):
            self._add(link, names, link=True)
        self._origins = np.array([key for key, name in names.items() if is_image(name)], np.uint64)  # takes less space

    @property
    def origins(self) -> set[tuple[int, int]]:
        return set(map(tuple, self._origins.tolist()))

    def _list(self, start: str, names: dict[tuple[int, int], str], file_links: list[str]) -> Iterator[str]:
        """List what lies below a folder; yields the links to folders, which are not followed."""
        inner = [start]
        while inner:
            folder = inner.pop()
            for entry in self._enter(folder):
                name = f"{folder}/{entry.name}" if folder else entry.name
                if is_folder := _is_folder(entry):
                    passed_over = is_system_folder(entry.name)
                else:
                    passed_over = is_system_file(entry.name)
                if passed_over:
                    self.passed_over[name] = OF_A_SYSTEM
                elif is_folder and entry.is_symlink():
                    yield name
                elif is_folder:
                    inner.append(name)
                elif entry.is_symlink():
                    file_links.append(name)
                else:
                    self._add(name, names)

    def _enter(self, folder: str) -> list[os.DirEntry]:
        path = f"{self._path}/{folder}"
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in self._entered:
                self.passed_over[folder] = LISTED_ALREADY
                return []
            with os.scandir(path) as entries:
                found = list(entries)
        except OSError as error:
            raise ArtifactError(
                f"{shown(path.rstrip('/'))}: cannot be listed ({error.strerror}); make it readable"
            ) from None
        self._entered.add((status.st_dev, status.st_ino))
        self.folders.add(folder)
        return found

    def _add(self, name: str, names: dict[tuple[int, int], str], link: bool = False) -> None:
        try:
            status = os.stat(f"{self._path}/{name}")
        except OSError:  # a broken link; reading it will say so
            self.files[name] = ()
            return
        if not stat.S_ISREG(status.st_mode):
            self.passed_over[name] = "a pipe, socket or device"
            return
        self.files[name] = (status.st_size, status.st_mtime_ns)
        first = names.setdefault((status.st_dev, status.st_ino), name)
        if link and first != name:
            self.aliases[name] = first

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        with open(f"{self._path}/{name}", "rb") as file:
            return _read(file, os.fstat(file.fileno()).st_size, most)


class Zip(Container):
    """A zip archive."""

    def __init__(self, path: Path):
        """Raises ArtifactError if it is no zip, or of a kind that cannot be read."""
        refuse_impostor(path)
        self._path, self._archive, self._owner = path, None, None
        self.aliases = {}
        try:
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            with open(path, "rb") as file:
                kind = kind_of(file.read(HEAD))
            reason = error if kind == "a zip archive" else f"it is {kind}"
            raise ArtifactError(f"{path}: not a readable zip ({reason}); fetch or pack it again") from None
        if any(info.flag_bits & 1 for info in infos):
            raise ArtifactError(f"{path}: is encrypted; unpack it, and name the folder")
        if methods := {info.compress_type for info in infos} - _METHODS:
            packed = f"is compressed in a way that is not read (method {min(methods)})"
            raise ArtifactError(f"{path}: {packed}; unpack it, and name the folder")
        self._list(infos)

    def _list(self, infos: list[zipfile.ZipInfo]) -> None:
        self._infos, self.folders, self.passed_over = {}, {""}, {}
        for info in infos:
            name = _name(info)
            *folders, file = name.split("/")
            is_folder = info.filename.endswith(("/", "\\"))
            parents = folders + [file] * is_folder
            system = next((depth for depth, each in enumerate(parents) if is_system_folder(each)), None)
            self.folders.update("/".join(parents[:depth]) for depth in range(1, len(parents[:system]) + 1))
            if system is not None:
                self.passed_over["/".join(parents[: system + 1])] = OF_A_SYSTEM
            elif not is_folder and is_system_file(file):
                self.passed_over[name] = OF_A_SYSTEM
            elif not is_folder:
                if name in self._infos:
                    self.passed_over[name] = "an earlier file of the same name"
                self._infos[name] = info
        self.files = {name: (info.file_size, info.CRC) for name, info in self._infos.items()}

    @property
    def origins(self) -> set[tuple[int, int]]:
        status = os.stat(self._path)
        return {(status.st_dev, status.st_ino)}

    def read(self, name: str, most: int = LARGEST_FILE) -> bytes:
        if self._owner != os.getpid():  # forked processes would share one position in the file
            self._owner, self._archive = os.getpid(), zipfile.ZipFile(self._path)
        info = self._infos[name]
        with self._archive.open(info) as file:
            return _read(file, info.file_size, most)


def _read(file, size: int, most: int) -> bytes:
    if min(size, most) >= LARGEST_FILE:
        raise ValueError(f"holds {size} bytes, more than an image can need")
    return file.read(min(most, size))


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _name(info: zipfile.ZipInfo) -> str:
    """With "/", as the format wants it, below the top; some programs write backslashes, drives or unmarked UTF-8."""
    name = info.filename
    if not info.flag_bits & 0x800:  # UTF-8 by its own account; else Python takes it for cp437
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    parts = re.sub(r"^[A-Za-z]:(?=[/\\])", "", name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def open_container(path: Path) -> Container | None:
    """The folder or the zip at `path`; None where it is neither."""
    if os.path.isdir(path):
        return Folder(path)
    return Zip(path) if path.suffix.lower() == ".zip" else None


# Images -----------------------------------------------------------------------------------------------------------


def is_image(name: str) -> bool:
    """Whether a file of this name is an image of a format that is read."""
    return os.path.splitext(name)[1].lower() in _suffixes()


def starts_like_image(start: bytes) -> bool:
    """Whether a file that begins with these bytes is an image of a format that is read."""
    accepts = [Image.OPEN[name][1] for name in _formats()]
    return len(start) >= 16 and any(accept(start[:16]) is True for accept in accepts if accept)


@cache
def _suffixes() -> frozenset[str]:
    known = Image.registered_extensions()
    return frozenset(suffix for suffix, name in known.items() if name in _formats())


@cache
def _formats() -> tuple[str, ...]:
    Image.init()  # loads all that Pillow knows; AVIF may be missing
    return tuple(name for name in _RASTER if name in Image.OPEN)


def open_image(data: bytes) -> Image.Image:
    """An image as it is stored, not decoded yet. Raises ValueError where it is none, or Pillow's errors."""
    start = data[:HEAD]
    if (reason := impostor(start)) and not starts_like_image(start):  # the plain kinds of PPM are text
        raise ValueError(reason)
    with own_limits():
        try:
            image = Image.open(io.BytesIO(data), formats=_formats())
        except UnidentifiedImageError:
            raise ValueError(f"is no image of a format that is read, but {kind_of(start)}") from None
    width, height = image.size
    if width * height > PIXELS:
        raise ValueError(f"is {width}x{height}, more than {PIXELS} pixels; reduce it")
    return image


@contextmanager
def own_limits() -> Iterator[None]:
    """Within it, opening and decoding neither warns of large images nor refuses them: `open_image` has a limit."""
    theirs, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage in what is not read, such as EXIF; they name no file
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = theirs
