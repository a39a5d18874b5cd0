"""Images: the formats that are read, and how an image as it is stored becomes one of 1 or 3 channels."""

import io
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from typing import IO, NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

from eddpm.io.filekinds import HEAD, impostor, kind_of

PIXELS = 2**29  # of the largest image: 2 GB while it is decoded
PIXEL_BYTES = 8  # of the largest, without compression: 16 bits of RGBA
AHEAD = 2**26  # bytes that are read of a file before its size in pixels is known, and beside its pixels
_PIECE = 2**17  # bytes that are read at once
NARROWEST = 256  # times as long as wide; its crop would take as many times the memory of a square one

# The raster formats that are read. Pillow knows others that run programs (EPS) or need plugins.
_RASTER = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP")
_LOSSY = ("AVIF", "JPEG", "JPEG2000", "MPO", "WEBP")

# The treatments of images, by the name under which they are counted: as the log says them.
NOTES = {
    "exif_turned": "turned by an EXIF tag, which is not applied (as in ADM)",
    "transparent": "transparent, which is dropped (as in ADM)",
    "several_frames": "of several frames, of which the first is taken",
    "grey_made_colour": "grey, made colour",
    "colour_made_grey": "colour, made grey",
    "16_bits": "of 16 bits a channel, of which the upper 8 are kept",
    "cmyk": "CMYK, made RGB without a colour profile",
    "enlarged": "smaller than image_size, and enlarged",
}


class Picture(NamedTuple):
    """A decoded image of mode L (1 channel) or RGB (3), with the names of its NOTES."""

    image: Image.Image
    notes: list[str]


def is_image(name: str) -> bool:
    """True for the names of images of the formats that are read."""
    return Image.registered_extensions().get(os.path.splitext(name)[1].lower()) in _formats()


def starts_like_image(start: bytes) -> bool:
    """True for the first bytes of images of the formats that are read."""
    accepts = [Image.OPEN[name][1] for name in _formats()]
    return len(start) >= 16 and any(accept(start[:16]) is True for accept in accepts if accept)


@cache
def _formats() -> tuple[str, ...]:
    Image.init()  # loads all that Pillow knows; AVIF may be missing
    return tuple(name for name in _RASTER if name in Image.OPEN)


class _Rationed:
    """A file of which no more bytes are read than are left."""

    def __init__(self, file: IO[bytes], left: int):
        self._file, self.left = file, left
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self.left + 1 if size is None or size < 0 else min(size, self.left + 1))
        self.left -= len(data)
        if self.left < 0:
            raise ValueError("holds more data than an image of its size needs; save it again, its first frame alone")
        return data


@contextmanager
def open_image(file: IO[bytes]) -> Iterator[Image.Image]:
    """An image as it is stored, to be decoded within the block; the file is closed at its end.

    Raises ValueError where it is none, or Pillow's errors. No more is read than an image needs: whole files up to AHEAD
    bytes and, of larger ones, what their header asks for. Within the block, Pillow does not warn of large images:
    PIXELS is the limit.
    """
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, PIXELS  # Pillow refuses twice as many, also within others
    try:
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damage in parts that are not read, such as EXIF; they name no file
            start = file.read(HEAD)
            if (reason := impostor(start)) and not starts_like_image(start):  # the plain kinds of PPM are text
                raise ValueError(reason)
            with Image.open(data := _ahead(file, start), formats=_formats()) as image:
                if (pixels := image.width * image.height) > PIXELS:
                    raise ValueError(f"is {image.width}x{image.height}, more than {PIXELS} pixels; reduce it")
                if isinstance(data, _Rationed):
                    data.left = AHEAD + pixels * PIXEL_BYTES
                yield image
    except UnidentifiedImageError:
        raise ValueError(f"is no image of a format that is read, but {kind_of(start)}") from None
    except Image.DecompressionBombError:
        raise ValueError(f"has more than {PIXELS} pixels; reduce it") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _ahead(file: IO[bytes], start: bytes) -> io.BytesIO | _Rationed:
    """The bytes of a file that begins with `start`: all or, of a large one, few until its size in pixels is known.

    TGA, which has no mark, counts as an image only where it is not large.
    """
    pieces = [start, *islice(iter(lambda: file.read(_PIECE), b""), AHEAD // _PIECE)]
    if sum(map(len, pieces)) <= AHEAD:
        return io.BytesIO(b"".join(pieces))
    if not starts_like_image(start):
        raise UnidentifiedImageError
    file.seek(0)
    return _Rationed(file, AHEAD)


def traits(stored: Image.Image) -> set[str]:
    """The traits of an image that are known before it is decoded. Raises ValueError where it has more than 8 bits."""
    if stored.mode[0] in "IF":  # convert() would clip these, not scale them
        raise ValueError(f"mode {stored.mode} has more than 8 bits per channel")
    has = {
        # How the pixels lie in the file: known until they are decoded, as EXIF may want.
        "16_bits": ";16" in str(getattr(stored, "tile", "")),
        "grey": stored.mode in ("1", "L", "LA"),
        "alpha": stored.mode in ("LA", "PA", "RGBA") or "transparency" in stored.info,
        "lossy": stored.format in _LOSSY,
        "exif_turned": _unless_damaged(lambda: stored.getexif().get(ExifTags.Base.Orientation) in range(2, 9), False),
        "several_frames": _unless_damaged(lambda: getattr(stored, "is_animated", False), True),
        "cmyk": stored.mode == "CMYK",
    }
    return {trait for trait, it_has in has.items() if it_has}


def convert(stored: Image.Image, channels: int) -> Picture:
    """Decode an image; as in ADM, alpha is dropped. Raises ValueError where it cannot be used, or Pillow's errors."""
    if not min(stored.size) or max(stored.size) > NARROWEST * min(stored.size):
        raise ValueError(f"is {stored.width}x{stored.height}, too narrow for a square; crop it")
    found = traits(stored)
    stored.load()
    image = stored
    if "alpha" in found:
        image = stored.convert("RGBA")
        if image.getchannel("A").getextrema()[0] < 255:  # of a pixel, not of the format alone
            found.add("transparent")
    if ("grey" in found) != (channels == 1):
        found.add("grey_made_colour" if channels == 3 else "colour_made_grey")
    return Picture(image.convert("L" if channels == 1 else "RGB"), [note for note in NOTES if note in found])


def _unless_damaged(look: Callable[[], bool], otherwise: bool) -> bool:
    """The result of a look at tags or further frames, whose damage does not touch the image."""
    try:
        return look()
    except Exception:
        return otherwise
