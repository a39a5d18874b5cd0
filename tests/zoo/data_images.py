"""Images with something odd about them."""

import numpy as np
from pictures import random_picture
from PIL import Image
from zoo.cases import refused, taken
from zoo.odd_images import HEIC, PAGE, POINTER, overwritten, pets, picture, png, put

GREY = {"image_channels": 1}
TRANSPARENT = Image.fromarray(random_picture(9, 9, 4), "RGBA")
TURNED = Image.Exif()
TURNED[0x0112] = 6

IMAGES = (
    taken(
        "photographs turned by EXIF",
        pets(picture("cats/a.jpg", exif=TURNED)),
        "images are turned by an EXIF tag, which is not applied",
    ),
    taken("transparent images", pets(picture("cats/a.png", TRANSPARENT)), "images are transparent, which is dropped"),
    taken(
        "moving images", pets(picture("cats/a.gif", save_all=True, append_images=[TRANSPARENT])), "the first is taken"
    ),
    taken(
        "grey images among coloured ones",
        pets(picture("cats/a.png", Image.fromarray(random_picture(9, 9, 1)))),
        "images are grey, made colour",
    ),
    taken("coloured images where grey ones are asked for", pets(), "images are colour, made grey", **GREY),
    taken(
        "images for print",
        pets(picture("cats/a.tif", Image.fromarray(random_picture(9, 9, 4), "CMYK"))),
        "are CMYK, made RGB",
    ),
    taken("colours of 16 bits", pets(put("cats/a.png", png(9, 9, 16, 2))), "of 16 bits a channel"),
    refused(
        "greys of 16 bits",
        pets(picture("cats/a.png", Image.fromarray(np.full((9, 9), 40000, np.uint16)))),
        "has more than 8 bits per channel",
    ),
    taken("images smaller than `image_size`", pets(), "smaller than image_size, and enlarged", image_size=32),
    taken("an image of 190 megapixels", pets(put("cats/a.png", png(13800, 13800, 1, 0))), "cats (7 images)", **GREY),
    refused(
        "an image of 600 megapixels",
        pets(put("cats/a.png", png(30000, 20000, 8, 2, b""))),
        "is 30000x20000, more than 536870912 pixels; reduce it",
    ),
    refused(
        "an image far longer than wide",
        pets(put("cats/a.png", png(1, 1000, 8, 2))),
        "is 1x1000, too narrow for a square; crop it",
    ),
    refused("empty files", pets(overwritten("cats/*", b"")), "6 of 12 images (50.00%) cannot be read", "is empty"),
    refused("Git LFS pointers", pets(overwritten("*/*", POINTER)), "is a Git LFS pointer", "git lfs pull"),
    refused("web pages in place of images", pets(overwritten("dogs/000.png", PAGE)), "is a web page"),
    refused(
        "HEIC by the name of a JPEG",
        pets(put("cats/a.jpg", HEIC)),
        "is no image of a format that is read, but a HEIC image",
    ),
    taken("a JPEG by the name of a PNG", pets(picture("cats/a.png", format="JPEG")), "cats (7 images)"),
    refused("half an image", pets(put("cats/a.png", png(99, 99, 8, 2)[:60])), "1 of 13 images (7.69%) cannot be read"),
    refused(
        "a class whose images are all damaged, where `max_corrupt` allows for it",
        pets(overwritten("cats/*", b"\xff\xd8\xff")),
        "no train image can be read of cats",
        max_corrupt=0.6,
    ),
)
