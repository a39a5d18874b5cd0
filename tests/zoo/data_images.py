"""Images with something odd about them."""

import numpy as np
from pictures import random_picture
from PIL import Image
from zoo.cases import Case
from zoo.odd_images import HEIC, POINTER, classes, frames, overwritten, pets, picture, png, put, transparent, turned

TAKEN, REFUSED = "taken", "refused"
GREY = {"image_channels": 1}
PAGE = b"<!DOCTYPE html><html><title>Sign in</title>"

IMAGES = (
    Case(
        "photographs turned by EXIF",
        pets(picture("cats/a.jpg", exif=turned())),
        TAKEN,
        ("images are turned by an EXIF tag, which is not applied",),
    ),
    Case(
        "transparent images",
        pets(picture("cats/a.png", transparent())),
        TAKEN,
        ("images are transparent, which is dropped",),
    ),
    Case(
        "moving images",
        pets(picture("cats/a.gif", frames()[0], save_all=True, append_images=frames()[1:])),
        TAKEN,
        ("the first is taken",),
    ),
    Case(
        "grey images among coloured ones",
        pets(picture("cats/a.png", Image.fromarray(random_picture(9, 9, 1)))),
        TAKEN,
        ("images are grey, made colour",),
    ),
    Case("coloured images where grey ones are asked for", pets(), TAKEN, ("images are colour, made grey",), GREY),
    Case(
        "images for print",
        pets(picture("cats/a.tif", Image.fromarray(random_picture(9, 9, 4), "CMYK"))),
        TAKEN,
        ("are CMYK, made RGB",),
    ),
    Case("colours of 16 bits", pets(put("cats/a.png", png(9, 9, 16, 2))), TAKEN, ("of 16 bits a channel",)),
    Case(
        "greys of 16 bits",
        pets(picture("cats/a.png", Image.fromarray(np.full((9, 9), 40000, np.uint16)))),
        REFUSED,
        ("has more than 8 bits per channel",),
    ),
    Case(
        "images smaller than `image_size`",
        pets(),
        TAKEN,
        ("smaller than image_size, and enlarged",),
        {"image_size": 32},
    ),
    Case(
        "an image of 190 megapixels",
        pets(put("cats/a.png", png(13800, 13800, 1, 0))),
        TAKEN,
        ("cats (7 images)",),
        GREY,
    ),
    Case(
        "an image of 600 megapixels",
        pets(put("cats/a.png", png(30000, 20000, 8, 2, b""))),
        REFUSED,
        ("is 30000x20000, more than 536870912 pixels; reduce it",),
    ),
    Case(
        "an image far longer than wide",
        pets(put("cats/a.png", png(1, 1000, 8, 2))),
        REFUSED,
        ("is 1x1000, too narrow for a square; crop it",),
    ),
    Case(
        "empty files", pets(overwritten("cats/*", b"")), REFUSED, ("6 of 12 images (50.00%) cannot be read", "is empty")
    ),
    Case("Git LFS pointers", pets(overwritten("*/*", POINTER)), REFUSED, ("is a Git LFS pointer", "git lfs pull")),
    Case("web pages in place of images", pets(overwritten("dogs/000.png", PAGE)), REFUSED, ("is a web page",)),
    Case(
        "HEIC by the name of a JPEG",
        pets(put("cats/a.jpg", HEIC)),
        REFUSED,
        ("is no image of a format that is read, but a HEIC image",),
    ),
    Case("a JPEG by the name of a PNG", pets(picture("cats/a.png", format="JPEG")), TAKEN, ("cats (7 images)",)),
    Case(
        "half an image",
        pets(put("cats/a.png", png(99, 99, 8, 2)[:60])),
        REFUSED,
        ("1 of 13 images (7.69%) cannot be read",),
    ),
    Case(
        "a class whose images are all damaged, where `max_corrupt` allows for it",
        pets(overwritten("cats/*", b"\xff\xd8\xff")),
        REFUSED,
        ("no train image can be read of cats",),
        {"max_corrupt": 0.6},
    ),
    Case(
        "plain PPM, which is text",
        lambda folder: (
            classes("cats", "dogs")(folder),
            put("cats/a.ppm", b"P3\n1 1\n255\n1 2 3\n")(folder / "images"),
        ),
        TAKEN,
        ("cats (7 images)",),
    ),
)
