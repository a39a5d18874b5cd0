"""Files that are not of the kind that their name promises: told by their first bytes, before a reader fails on them."""

import os
import re
from contextlib import suppress
from pathlib import Path

from eddpm.errors import ArtifactError
from eddpm.io.names import listed

SPECIAL = "a pipe, a socket or a device"
HEAD = 1024  # bytes that are looked at
_SIGNATURES = {
    (0, b"\x1f\x8b"): "a gzip archive",
    (0, b"BZh"): "a bzip2 archive",
    (0, b"\xfd7zXZ\0"): "an xz archive",
    (0, b"\x28\xb5\x2f\xfd"): "a zstd archive",
    (0, b"7z\xbc\xaf\x27\x1c"): "a 7z archive",
    (0, b"Rar!"): "a RAR archive",
    (0, b"PK"): "a zip archive",  # an npz and a .pt are zips too
    (0, b"%PDF"): "a PDF",
    (0, b"\x89PNG"): "a PNG image",
    (0, b"\xff\xd8\xff"): "a JPEG image",
    (0, b"GIF8"): "a GIF image",
    (0, b"RIFF"): "a RIFF file (WebP, or sound)",
    (0, b"\x93NUMPY"): "a single array (.npy)",
    (0, b"\x89HDF\r\n"): "an HDF5 file",
    (0, b"PAR1"): "a Parquet file",
    (0, b"SQLite format 3"): "an SQLite database",
    (0, b"8BPS"): "a Photoshop document",
    (0, b"\0\0\0\x0cJXL "): "a JPEG XL image",
    (0, b"\xff\x0a"): "a JPEG XL image",
    (0, b"II*\0"): "a TIFF image, or a camera's raw file",
    (0, b"MM\0*"): "a TIFF image, or a camera's raw file",
    (0, b"\x1aE\xdf\xa3"): "a Matroska or WebM video",
    (0, b"ARROW1"): "an Arrow file",
    (0, b"GGUF"): "a GGUF file of quantised weights",
    (0, b"\x80"): "a pickle",
    (4, b"ftyphe"): "a HEIC image",
    (4, b"ftypmif1"): "a HEIC image",
    (4, b"ftypavi"): "an AVIF image",
    (4, b"ftyp"): "a video (MP4 or the like)",
    (128, b"DICM"): "a DICOM file",
    (257, b"ustar"): "a tar archive",
}


def refuse_impostor(path: Path, *, text: bool = False) -> bytes:
    """The first bytes of a file. Raises ArtifactError, with the remedy, where no file of data can be at `path`.

    That is a missing file, a folder, a pipe or device, an empty file, a web page or a Git LFS pointer; and plain text,
    such as a server's "Entry not found", unless `text` is wanted.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise ArtifactError(f"{path}: {is_a_folder(path)}")
    if not os.path.exists(path):  # unlike that of a Path, never raises
        fault = "is a link to a file that does not exist" if os.path.islink(path) else "does not exist"
        raise ArtifactError(f"{path}: {fault}; check the path, or make it first")
    if reason := unreadable(path):
        raise ArtifactError(f"{path}: {reason}")
    try:
        with open(path, "rb") as file:
            start = file.read(HEAD)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    if reason := impostor(start, text=text):
        raise ArtifactError(f"{path}: {reason}")
    return start


def unreadable(path: Path, most: int | None = None) -> str | None:
    """The reason why something that is there is not opened: a pipe, socket or device, or of more than `most` bytes."""
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        return f"is {SPECIAL}; name a file"
    if most is not None and os.path.isfile(path) and (size := os.path.getsize(path)) > most:
        return f"holds {size:,} bytes, more than such a file can need; is it the right file?"
    return None


def is_a_folder(path: Path) -> str:
    """The fault and the remedy of a folder where a file is wanted."""
    names = []
    with suppress(OSError):  # of a folder that cannot be looked into
        names = sorted(entry.name for entry in Path(path).iterdir() if entry.is_file() and entry.name[0] != ".")
    return "is a folder; name a file in it" + (f": {listed(names, most=3)}" if names else "")


def impostor(start: bytes, *, text: bool = False) -> str | None:
    """The kind of a file that begins with `start` and is no data, with the remedy; None where nothing is wrong."""
    if not start:
        return "is empty; bring the file again"
    plain = start.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()  # of UTF-16 as well
    plain = re.sub(rb"^(<\?xml[^>]*>|<!--.*?-->|\s)+", b"", plain, flags=re.DOTALL)
    if re.match(rb"<(!doctype html|html|head|body|title|script|meta|error>|errorresponse)", plain):
        return "is a web page, as a server answers instead of a file (a login, a licence, an error); download it again"
    if start.startswith(b"version https://git-lfs.github.com/spec/"):
        return "is a Git LFS pointer, not the file itself; run `git lfs pull` in its repository"
    if start.startswith(b"/annex/objects/"):
        return "is a git-annex pointer, not the file itself; run `git annex get` in its repository"
    if not text and (line := _first_line_of_text(start)):
        return f"is text that begins {line!r}, not binary data; is it the right file? else download it again"
    return None


def kind_of(start: bytes) -> str:
    """A name for the kind of a file that begins with these bytes: "a gzip archive", "text", "unknown data"."""
    if not start:
        return "an empty file"
    kinds = (name for (place, signature), name in _SIGNATURES.items() if start.startswith(signature, place))
    return next(kinds, None) or ("text" if _first_line_of_text(start) else "unknown data")


def _first_line_of_text(start: bytes) -> str | None:
    """The first line, shortened, where all of `start` is printable text; else None."""
    try:
        decoded = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 3:  # not a character that is cut at the end
            return None
        decoded = start[: error.start].decode("utf-8")
    if not all(character.isprintable() or character in "\r\n\t\ufeff" for character in decoded):
        return None
    first = next((line.strip() for line in decoded.splitlines() if line.strip()), "")
    return f"{first[:60]}..." if len(first) > 60 else first or None
