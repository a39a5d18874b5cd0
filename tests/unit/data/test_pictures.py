"""The images that are read, and the conversion of each with its notes."""

import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from pictures import random_picture
from PIL import EpsImagePlugin, Image

from eddpm.data.containers import open_container
from eddpm.data.pictures import convert, open_image, starts_like_image

COLOURS, GREYS = (Image.fromarray(random_picture(9, 12, channels)) for channels in (3, 1))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def opened(data: bytes):
    return open_image(io.BytesIO(data))


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def with_alpha(least: int, mode: str = "RGBA") -> Image.Image:
    image = COLOURS.convert(mode)
    image.putalpha(Image.new("L", image.size, least))
    return image


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "TGA", "JPEG2000"])
def test_images_of_every_kind_are_opened_and_known_by_their_first_bytes(kind):
    data = encoded(Image.fromarray(random_picture(32, 32)), kind)
    with opened(data) as image:
        assert np.asarray(image.convert("RGB")).shape == (32, 32, 3)
    assert starts_like_image(data) or kind == "TGA"  # which has no mark


@pytest.mark.parametrize(
    ("data", "notes"),
    [
        (encoded(COLOURS, "PNG"), []),
        (encoded(COLOURS, "JPEG", exif=orientation(6)), ["exif_turned"]),
        (encoded(COLOURS, "JPEG", exif=orientation(1)), []),
        (encoded(COLOURS, "JPEG", exif=b"Exif\0\0damaged"), []),
        (encoded(with_alpha(254), "PNG"), ["transparent"]),
        (encoded(with_alpha(255), "PNG"), []),
        (encoded(with_alpha(0, "LA"), "PNG"), ["transparent", "grey_made_colour"]),
        (encoded(COLOURS.quantize(8), "PNG", transparency=0), ["transparent"]),
        (encoded(COLOURS, "PNG", transparency=COLOURS.getpixel((0, 0))), ["transparent"]),
        (encoded(COLOURS, "GIF", save_all=True, append_images=[GREYS]), ["several_frames"]),
        (encoded(COLOURS, "GIF", save_all=True, append_images=[GREYS])[:-60], ["several_frames"]),
        (encoded(GREYS.convert("1"), "PNG"), ["grey_made_colour"]),
        (encoded(COLOURS.convert("CMYK"), "JPEG"), ["cmyk"]),
    ],
)
def test_every_treatment_of_an_image_is_noted_and_nothing_else(data, notes):
    with opened(data) as stored:
        picture = convert(stored, 3)
    assert picture.notes == notes
    assert (picture.image.mode, picture.image.size) == ("RGB", (12, 9))  # not turned


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "CMYK"])
def test_every_mode_of_8_bits_becomes_its_colours_without_transparency(mode):
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[:4] = (255, 255, 255) if mode in ("1", "LA") else (255, 0, 0)
    opaque, alpha = Image.fromarray(colours), Image.fromarray(random_picture(8, 8, 1))
    image, options = {
        "RGBA": (Image.merge("RGBA", (*opaque.split(), alpha)), {}),
        "LA": (Image.merge("LA", (opaque.convert("L"), alpha)), {}),
        "P": (opaque.quantize(2), {"transparency": bytes([0, 128])}),
        "1": (opaque.convert("1"), {}),
        "CMYK": (opaque.convert("CMYK"), {}),
    }[mode]
    with opened(encoded(image, "TIFF" if mode == "CMYK" else "PNG", **options)) as stored:
        assert stored.mode == mode
        np.testing.assert_array_equal(convert(stored, 3).image, colours)


def test_grey_in_colour_has_three_equal_channels_and_colour_in_grey_is_its_luma():
    grey, colours = convert(GREYS, 3), convert(COLOURS, 1)
    np.testing.assert_array_equal(grey.image, np.stack([GREYS] * 3, axis=-1))
    assert np.abs(colours.image - np.asarray(COLOURS) @ [0.299, 0.587, 0.114]).max() < 1  # ITU-R BT.601
    assert (colours.notes, convert(GREYS, 1).notes) == (["colour_made_grey"], [])


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_more_than_8_bits_are_refused_rather_than_clipped(dtype):
    image = Image.fromarray(np.full((8, 8), 30000, dtype))
    with opened(encoded(image, "TIFF")) as stored, pytest.raises(ValueError, match="more than 8 bits per channel"):
        convert(stored, 3)


# Files that are made to fill the memory ---------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """A PNG that announces this size, and ends within its first pixels."""
    header, pixels = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(bytes(9))
    chunks = (
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in (header, pixels)
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def tiff(width: int, height: int) -> bytes:
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 100}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def ico(inner: bytes) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner


GIGANTIC = {"PNG": png(10**5, 10**5), "TIFF": tiff(10**5, 10**5), "PNG in an icon": ico(png(10**5, 10**5))}


@pytest.mark.parametrize("data", GIGANTIC.values(), ids=GIGANTIC)
def test_a_gigantic_size_in_a_small_file_is_refused_by_its_header(data):
    with pytest.raises(ValueError, match="more than 536870912 pixels; reduce it"), opened(data) as stored:
        convert(stored, 3)


NOTHING = bytes(2**20)


@pytest.mark.parametrize(
    ("start", "reason", "most"),
    [
        (b"", "is no image of a format that is read", 80),
        (encoded(COLOURS, "PNG"), None, 80),
        (encoded(COLOURS, "JPEG"), None, 80),
        (png(9, 12)[:33] + struct.pack(">I", 2**28) + b"tEXt", "holds more data than an image of its size needs", 160),
        (encoded(COLOURS, "WEBP"), "holds more data than an image of its size needs", 160),
    ],
    ids=["zeros", "PNG and zeros", "JPEG and zeros", "PNG with endless text", "WEBP and zeros"],
)
def test_an_entry_of_a_zip_that_unpacks_without_end_is_read_no_further_than_an_image_goes(
    tmp_path, start, reason, most
):
    archive = zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("a/photo.png", "w") as entry:
        entry.write(start)
        for _ in range(120):
            entry.write(NOTHING)
    container = open_container(tmp_path / "a.zip")
    tracemalloc.start()
    try:
        with open_image(container.open("a/photo.png")) as stored:
            assert convert(stored, 3).image.size == COLOURS.size
        said = None
    except ValueError as error:
        said = str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert said is reason or said.startswith(reason)
    assert peak < most * 2**20


def test_postscript_under_the_name_of_a_picture_starts_no_program(tmp_path, monkeypatch):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", str(program))
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"
    with (
        pytest.raises(ValueError, match="is text that begins"),
        open_image(io.BytesIO(postscript)) as image,
    ):
        image.load()
    binary = b"\xc5\xd0\xd3\xc6" + (32).to_bytes(4, "little") + len(postscript).to_bytes(4, "little") + bytes(20)
    with pytest.raises(ValueError, match="is no image"), open_image(io.BytesIO(binary + postscript)) as image:
        image.load()
    assert not (tmp_path / "started").exists()
