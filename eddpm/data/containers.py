"""Files in a folder or in a zip, as people have them: listed without opening any, and opened one at a time.

Names are divided by "/". Each real folder is listed once, however many links lead to it. What systems and programs
leave between people's files (thumbnails, waste baskets, indexes) is no file of theirs, and is not listed.
"""

import io
import os
import re
import stat
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image

from eddpm.errors import ArtifactError
from eddpm.filekinds import HEAD, impostor, refuse_impostor

Stamp = tuple[int, ...]  # differs where the bytes of a file may differ

# The raster formats that are read. Pillow knows others that run programs (EPS) or need plugins.
_RASTER = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP")

# Folders that systems, cameras, servers and programs make, in lower case. Those that begin with "." are theirs, too.
SYSTEM_FOLDERS = re.compile(
    r"\..*|__macosx|__pycache__|@.*|#recycle|#snapshot|\$recycle\.bin|recycler|recycled|system volume information"
    r"|lost\+found|found\.\d{3}|network trash folder|temporary items|trash-\d+|_vti_cnf|cvs|.*\.(lrdata|photoslibrary)"
)
SYSTEM_FILES = re.compile(r"\..*|thumbs\.db|ehthumbs.*\.db|desktop\.ini|icon\r|zbthumbnail\.info|picasa\.ini")
PLACEHOLDER = re.compile(r"\.(.+)\.icloud")  # of a file that iCloud keeps elsewhere


class Container(ABC):
    """Files by name, with a stamp each; and what is there, too, but no file to read, with the reason."""

    files: dict[str, Stamp]
    passed_over: dict[str, str]

    @abstractmethod
    def read(self, name: str) -> bytes:
        """The bytes of a file. Raises whatever the file system or the archive does."""


class Folder(Container):
    """A folder and what lies below it."""

    def __init__(self, path: Path):
        """Raises ArtifactError where a folder may not be listed."""
        self._path, self._seen = path, set()
        self.files, self.passed_over = {}, {}
        links = [path]
        while links:  # real folders first: a link is followed where nothing else leads to its folder
            links = sorted(link for start in links for link in self._list(start))

    def _list(self, start: Path) -> Iterator[Path]:
        """List what lies below a folder; yields the links to folders, which are not followed."""
        if not self._is_new(start):
            self.passed_over[start.relative_to(self._path).as_posix()] = "a link to a folder that is listed already"
            return

        def refuse(error: OSError) -> None:
            raise ArtifactError(f"{error.filename}: cannot be listed ({error.strerror}); make it readable")

        for path, folders, names in os.walk(start, onerror=refuse):
            inner = Path(path)
            for name in names:
                if not is_system_file(name):
                    self._add(inner / name)
            for name in list(folders):
                if is_system_folder(name):
                    folders.remove(name)
                elif os.path.islink(f"{path}/{name}"):
                    folders.remove(name)
                    yield inner / name
                elif not self._is_new(inner / name):
                    folders.remove(name)
            folders.sort()

    def _is_new(self, folder: Path) -> bool:
        status = os.stat(folder)
        known = (status.st_dev, status.st_ino) in self._seen
        self._seen.add((status.st_dev, status.st_ino))
        return not known

    def _add(self, file: Path) -> None:
        name = file.relative_to(self._path).as_posix()
        try:
            status = os.stat(file)
        except OSError:  # a broken link; reading it will say so
            self.files[name] = ()
            return
        if stat.S_ISREG(status.st_mode):
            self.files[name] = (status.st_size, status.st_mtime_ns)
        else:
            self.passed_over[name] = "a pipe, socket or device"

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


class Zip(Container):
    """A zip archive."""

    def __init__(self, path: Path):
        """Raises ArtifactError if it is no zip, or encrypted."""
        refuse_impostor(path)
        self._path, self._archive, self._owner = path, None, None
        try:
            with zipfile.ZipFile(path) as archive:
                infos = [info for info in archive.infolist() if not _name(info).endswith("/")]
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise ArtifactError(f"{path}: not a readable zip ({error}); fetch or pack it again") from None
        if any(info.flag_bits & 1 for info in infos):
            raise ArtifactError(f"{path}: is encrypted; unpack it, and name the folder")
        self._infos = {_name(info): info for info in infos if not _is_systems(_name(info))}
        self.files = {name: (info.file_size, info.CRC) for name, info in self._infos.items()}
        self.passed_over = {}

    def read(self, name: str) -> bytes:
        if self._owner != os.getpid():  # forked processes would share one position in the file
            self._owner, self._archive = os.getpid(), zipfile.ZipFile(self._path)
        return self._archive.read(self._infos[name])


def _name(info: zipfile.ZipInfo) -> str:
    """With "/", as the format wants it; some programs on Windows write backslashes."""
    return info.filename.replace("\\", "/")


def _is_systems(name: str) -> bool:
    *folders, file = name.split("/")
    return is_system_file(file) or any(map(is_system_folder, folders))


def is_system_folder(name: str) -> bool:
    """Whether a folder of this name is a system's or a program's own."""
    return bool(SYSTEM_FOLDERS.fullmatch(name.lower()))


def is_system_file(name: str) -> bool:
    """Whether a file of this name is a system's or a program's own; a placeholder of a person's file is not."""
    return bool(SYSTEM_FILES.fullmatch(name.lower())) and not PLACEHOLDER.fullmatch(name)


def open_container(path: Path) -> Container | None:
    """The folder or the zip at `path`; None where it is neither."""
    if path.is_dir():
        return Folder(path)
    return Zip(path) if path.suffix.lower() == ".zip" else None


# Images -----------------------------------------------------------------------------------------------------------


def is_image(name: str) -> bool:
    """Whether a file of this name is an image of a format that is read."""
    return os.path.splitext(name)[1].lower() in _suffixes()


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
    if reason := impostor(data[:HEAD]):
        raise ValueError(reason)
    return Image.open(io.BytesIO(data), formats=_formats())
