"""Folders of images with something odd about them, made for the zoo."""

import re
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pictures import random_picture, save, save_classes
from PIL import Image

Make = Callable[[Path], object]
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title>"
GZIP = b"\x1f\x8b\x08\0\0\0"
TAR = bytes(257) + b"ustar\0" + bytes(249)
BROKEN_ZIP = b"PK\3\4" + bytes(99)
HEIC = b"\0\0\0\x18ftypheic" + bytes(range(200))


def classes(*names: str) -> Make:
    """Class folders of six below `images`."""
    return lambda folder: save_classes(folder / "images", dict.fromkeys(names, 6))


def pets(*changes: Make) -> Make:
    """Six cats and six dogs below `images`, changed in some ways."""

    def make(folder: Path) -> None:
        save_classes(folder / "images", {"cats": 6, "dogs": 6})
        for change in changes:
            change(folder / "images")

    return make


def put(name: str, content: bytes = b"") -> Make:
    def make(images: Path) -> None:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).write_bytes(content)

    return make


def picture(name: str, image: Image.Image | None = None, **options) -> Make:
    """Another image."""

    def make(images: Path) -> None:
        put(name)(images)
        (image or Image.fromarray(random_picture(9, 9))).save(images / name, **options)

    return make


def link(name: str, target: str) -> Make:
    return lambda images: (images / name).symlink_to(target)


def empty(name: str) -> Make:
    return lambda images: (images / name).mkdir()


def overwritten(pattern: str, content: bytes) -> Make:
    def make(images: Path) -> None:
        for path in images.glob(pattern):
            path.write_bytes(content)

    return make


def flat(name: Callable[[str, int], str]) -> Make:
    """Twelve images with no class folder, of names by class and number."""

    def make(folder: Path) -> None:
        for number in range(12):
            save(folder / "images" / name(("cat", "dog")[number % 2], number), random_picture(8, 8, seed=number))

    return make


def decomposed(name: str) -> str:
    """As macOS writes it."""
    return unicodedata.normalize("NFD", name)


# Archives ---------------------------------------------------------------------------------------------------------


def zipped(
    make: Make, rename: Callable[[str], str] = str, name: str = "images.zip", flags: int = 0, method: int = 0
) -> Make:
    """Files that `make` makes below `images`, packed under other names, perhaps with other flags in the directory."""

    def pack_(folder: Path) -> None:
        make(folder / "unpacked")
        images = folder / "unpacked/images"
        with zipfile.ZipFile(folder / name, "w") as archive:
            for file in sorted(images.rglob("*.*")):
                archive.writestr(rename(file.relative_to(images).as_posix()), file.read_bytes())
        data = bytearray((folder / name).read_bytes())
        for entry in re.finditer(b"PK\x01\x02", bytes(data)):
            data[entry.start() + 8] |= flags
            data[entry.start() + 10] |= method  # of compression
        (folder / name).write_bytes(data)

    return pack_


def zipped_unmarked(folder: Path) -> None:
    """With names in UTF-8 that the archive does not mark as such, and that are shown as cp437 then."""
    zipped(classes("café", "thé"), lambda name: name.replace("é", "##"))(folder)
    data = (folder / "images.zip").read_bytes()
    (folder / "images.zip").write_bytes(data.replace(b"##", "é".encode()))


# Single images and arrays -----------------------------------------------------------------------------------------


def png(width: int, height: int, depth: int, colour: int, rows: bytes | None = None) -> bytes:
    """A black PNG of any size; its pixels are there if `rows` is None."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    channels = {0: 1, 2: 3}[colour]
    row = bytes(1 + (width * depth * channels + 7) // 8)
    packer = zlib.compressobj(1)
    packed = b"".join([packer.compress(row) for _ in range(height)] if rows is None else []) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def npz(**arrays: np.ndarray) -> Make:
    return lambda folder: np.savez(folder / "images.npz", **arrays)


def many(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)
