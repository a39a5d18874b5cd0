"""Files in a folder or in a zip, as people have them: listed without opening any, and opened one at a time.

Names are divided by "/". Each real folder is listed once, however many links lead to it. What systems and programs
leave between people's files (thumbnails, waste baskets, indexes) is passed over.
"""

import os
import re
import stat
import zipfile
from abc import ABC, abstractmethod
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import IO, NoReturn

import numpy as np

from eddpm.data.pictures import is_image
from eddpm.errors import ArtifactError
from eddpm.io.filekinds import HEAD, SPECIAL, kind_of, refuse_impostor
from eddpm.io.names import shown

OF_A_SYSTEM = "of a system or a program"
LISTED_ALREADY = "a link to a folder that is listed already"

# Folders and files that systems, cameras, servers and programs make.
_SYSTEM_FOLDERS = re.compile(
    r"\..*"
    r"|__macosx|network trash folder|temporary items|thevolumesettingsfolder|thefindbycontentfolder"  # macOS
    r"|\$recycle\.bin|recycler|system volume information|found\.\d{3}|_vti_(cnf|pvt)"  # Windows
    r"|lost\+found|lost\.dir"  # Linux, Android
    r"|@eadir|@tmp|@recycle|@recently-snapshot|@__thumb|@sharebin|@syno.*|#recycle|#snapshot"  # Synology, QNAP
    r"|.*\.(lrdata|lrcat-data|photoslibrary|photolibrary|aplibrary|cocatalog)|captureone|nksc_param|\[originals\]"
    r"|__pycache__",
    re.DOTALL | re.IGNORECASE,
)
_SYSTEM_FILES = re.compile(
    r"\.(?!.+\.icloud$).*"  # such a file is a placeholder of one of the user's
    r"|thumbs\.db.*|ehthumbs.*\.db|desktop\.ini|icon\r|desktop d[bf]|zbthumbnail\.info|picasa\.ini|pspbrwse\.jbf"
    r"|.*:zone\.identifier|synoindex_media_info|.*@syno(eastream|resource)|~\$.*|~syncthing~.*",
    re.DOTALL | re.IGNORECASE,
)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}  # of compression; others unpack a file at once, however large


class Container(ABC):
    """Files by name, each with a stamp that differs where its bytes may differ."""

    def __init__(self):
        self.files: dict[str, tuple[int, ...]] = {}
        self.folders = {""}  # with those that hold no file
        self.passed_over: dict[str, str] = {}  # files and folders that are not listed, with the reason
        self.aliases: dict[str, str] = {}  # files that are links to others among them: their names

    @abstractmethod
    def origins(self) -> set[tuple[int, int]]:
        """The device and inode of every file that holds images."""

    @abstractmethod
    def open(self, name: str) -> IO[bytes]:
        """A file, opened. Raises the errors of the file system or the archive."""


class Folder(Container):
    """A folder and all below it."""

    def __init__(self, path: Path):
        """Raises ArtifactError where a folder may not be listed."""
        super().__init__()
        self._path, self._entered = os.fspath(path), set()
        self._first: dict[tuple[int, int], str] = {}  # names of files, by device and inode
        links = [""]
        while links:  # real folders first: a link is followed where nothing else leads to its folder
            links = [link for start in sorted(links) for link in self._list(start)]
        images = [file for file, name in self._first.items() if is_image(name)]
        self._origins = np.array(images, np.uint64)  # takes less space
        del self._first

    def origins(self) -> set[tuple[int, int]]:
        return set(map(tuple, self._origins.tolist()))

    def _list(self, start: str) -> list[str]:
        """List a folder and all below it; returns the links to folders, which are not followed."""
        links = []
        for path, folders, files in os.walk(os.path.join(self._path, start), onerror=_refuse):
            name, status = path.removeprefix(self._path).strip("/"), os.stat(path)
            if (status.st_dev, status.st_ino) in self._entered:
                self.passed_over[name] = LISTED_ALREADY
                folders.clear()
                continue
            self._entered.add((status.st_dev, status.st_ino))
            self.folders.add(name)
            prefix, inner = f"{name}/" if name else "", []
            for folder in folders:
                if _SYSTEM_FOLDERS.fullmatch(folder):
                    self.passed_over[prefix + folder] = OF_A_SYSTEM
                else:
                    (links if os.path.islink(f"{path}/{folder}") else inner).append(prefix + folder)
            folders[:] = sorted(os.path.basename(folder) for folder in inner)
            for file in sorted(files):
                self._add(prefix + file, _SYSTEM_FILES.fullmatch(file))
        return links

    def _add(self, name: str, of_a_system: bool) -> None:
        if of_a_system:
            self.passed_over[name] = OF_A_SYSTEM
            return
        try:
            status = os.stat(f"{self._path}/{name}")
        except OSError:  # a broken link; reading it will say so
            self.files[name] = ()
            return
        if not stat.S_ISREG(status.st_mode):
            self.passed_over[name] = SPECIAL
            return
        self.files[name] = (status.st_size, status.st_mtime_ns)
        first = self._first.setdefault((status.st_dev, status.st_ino), name)
        if first != name and os.path.islink(f"{self._path}/{name}"):
            self.aliases[name] = first
        elif first != name and os.path.islink(f"{self._path}/{first}"):
            self.aliases[first] = name

    def open(self, name: str) -> IO[bytes]:
        return open(f"{self._path}/{name}", "rb")


def _refuse(error: OSError) -> NoReturn:
    raise ArtifactError(f"{shown(error.filename)}: cannot be listed ({error.strerror}); make it readable") from None


class Zip(Container):
    """A zip archive."""

    def __init__(self, path: Path):
        """Raises ArtifactError if it is no zip, or of a kind that cannot be read."""
        super().__init__()
        refuse_impostor(path)
        self._path, self._archive, self._owner, self._infos = path, None, None, {}
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
        for info in infos:
            self._add(info)

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = _name(info)
        *folders, file = accumulate(name.split("/"), "{}/{}".format)
        if info.filename.endswith(("/", "\\")):
            folders, file = [*folders, file], ""
        for folder in folders:
            if _SYSTEM_FOLDERS.fullmatch(os.path.basename(folder)):
                self.passed_over[folder] = OF_A_SYSTEM
                return
            self.folders.add(folder)
        if file and _SYSTEM_FILES.fullmatch(os.path.basename(file)):
            self.passed_over[name] = OF_A_SYSTEM
        elif file:
            if name in self.files:
                raise ArtifactError(
                    f"{self._path}: holds two files named {shown(name)}, of which only one can count; unpack it, and"
                    " name the folder with the one that is meant"
                )
            self.files[name], self._infos[name] = (info.file_size, info.CRC), info

    def origins(self) -> set[tuple[int, int]]:
        status = os.stat(self._path)
        return {(status.st_dev, status.st_ino)}

    def open(self, name: str) -> IO[bytes]:
        if self._owner != os.getpid():  # forked processes would share one position in the file
            self._owner, self._archive = os.getpid(), zipfile.ZipFile(self._path)
        return self._archive.open(self._infos[name])


def _name(info: zipfile.ZipInfo) -> str:
    """With "/", as the format wants it, below the top; some programs write backslashes, drives or unmarked UTF-8."""
    name = info.filename
    if not info.flag_bits & 0x800:  # not marked as UTF-8, and so taken for cp437 by Python
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    parts = re.sub(r"^[A-Za-z]:(?=[/\\])", "", name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", ".", ".."))


def open_container(path: Path) -> Container | None:
    """The folder or the zip at `path`; None where it is neither."""
    if os.path.isdir(path):
        return Folder(path)
    return Zip(path) if path.suffix.lower() == ".zip" else None
