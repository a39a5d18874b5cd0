"""The images that are read, and the conversion of each with its notes."""

import io

import numpy as np
import pytest
from pictures import random_picture
from PIL import Image

from eddpm.data.pictures import convert, open_image, starts_like_image

COLOURS, GREYS = (Image.fromarray(random_picture(9, 12, channels)) for channels in (3, 1))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


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
    with open_image(data) as image:
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
    with open_image(data) as stored:
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
    with open_image(encoded(image, "TIFF" if mode == "CMYK" else "PNG", **options)) as stored:
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
    with open_image(encoded(image, "TIFF")) as stored, pytest.raises(ValueError, match="more than 8 bits per channel"):
        convert(stored, 3)
