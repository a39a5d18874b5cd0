"""What an image becomes, and what is noted of it."""

import io

import numpy as np
import pytest
from pictures import random_picture
from PIL import Image

from eddpm.data.containers import open_image
from eddpm.data.pictures import NOTES, convert

COLOURS, GREYS = (Image.fromarray(random_picture(9, 12, channels)) for channels in (3, 1))


def stored(image: Image.Image, kind: str, **options) -> Image.Image:
    data = io.BytesIO()
    image.save(data, kind, **options)
    return open_image(data.getvalue())


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


def with_alpha(least: int, mode: str = "RGBA") -> Image.Image:
    image = COLOURS.convert(mode)
    image.putalpha(Image.fromarray(np.full((9, 12), least, np.uint8)))
    return image


@pytest.mark.parametrize(
    ("image", "notes"),
    [
        (stored(COLOURS, "PNG"), []),
        (stored(COLOURS, "JPEG", exif=orientation(6)), ["exif_turned"]),
        (stored(COLOURS, "JPEG", exif=orientation(1)), []),
        (stored(COLOURS, "PNG", exif=orientation(3)), ["exif_turned"]),
        (stored(COLOURS, "WEBP", exif=orientation(8)), ["exif_turned"]),
        (stored(COLOURS, "JPEG", exif=b"Exif\0\0damaged"), []),
        (stored(with_alpha(254), "PNG"), ["transparent"]),
        (stored(with_alpha(255), "PNG"), []),
        (stored(with_alpha(0, "LA"), "PNG"), ["transparent", "grey_made_colour"]),
        (stored(COLOURS.quantize(8), "PNG", transparency=0), ["transparent"]),
        (stored(COLOURS, "PNG", transparency=COLOURS.getpixel((0, 0))), ["transparent"]),
        (stored(COLOURS, "GIF", save_all=True, append_images=[GREYS]), ["several_frames"]),
        (stored(COLOURS, "TIFF", save_all=True, append_images=[GREYS]), ["several_frames"]),
        (stored(COLOURS, "MPO", save_all=True, append_images=[GREYS.convert("RGB")]), ["several_frames"]),
        (stored(GREYS, "JPEG"), ["grey_made_colour"]),
        (stored(GREYS.convert("1"), "PNG"), ["grey_made_colour"]),
        (stored(COLOURS.convert("CMYK"), "JPEG"), ["cmyk"]),
    ],
)
def test_what_is_done_to_an_image_is_noted_and_nothing_else(image, notes):
    picture = convert(image, 3)
    assert picture.notes == notes
    assert set(notes) <= NOTES.keys()
    assert (picture.image.mode, picture.image.size) == ("RGB", (12, 9))  # not turned


def test_colours_made_grey_are_noted():
    assert convert(stored(COLOURS, "PNG"), 1).notes == ["colour_made_grey"]
    assert convert(stored(GREYS, "PNG"), 1).notes == []
    assert convert(GREYS, 1).notes == []  # of arrays, which were never in a file


def test_a_moving_image_whose_second_frame_is_damaged_is_its_first():
    data = io.BytesIO()
    COLOURS.save(data, "GIF", save_all=True, append_images=[GREYS])
    first = len(data.getvalue()) - 60
    picture = convert(open_image(data.getvalue()[:first]), 3)
    assert picture.image.size == (12, 9)


@pytest.mark.parametrize("size", [(1, 257), (300, 1), (2, 600)])
def test_images_far_longer_than_wide_are_refused(size):
    with pytest.raises(ValueError, match=f"is {size[0]}x{size[1]}, too narrow for a square; crop it"):
        convert(Image.new("RGB", size), 3)
    assert convert(Image.new("RGB", (1, 256)), 3).image.size == (1, 256)
