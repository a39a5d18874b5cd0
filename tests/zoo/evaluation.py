"""Samples as people have them, measured by `eddpm evaluate`."""

import numpy as np
import torch
from pictures import random_picture, save
from PIL import Image
from zoo.cases import House, refused, taken
from zoo.measured import IMAGES, announced, arrays, data_set, images, of_images, pictures, run, shards, zipped
from zoo.odd_images import BROKEN_ZIP, HEIC, PAGE, POINTER, TAR, empty, picture, png, put

GREY = {"reference": "grey.npz"}
CLASSIFIER = {"spaces": ("classifier",), **GREY}
GREY_IMAGE = Image.fromarray(random_picture(8, 8, 1))

ROWS = (
    # Folders, zips and shards
    taken("a folder of PNG images", pictures(), "samples: 8 images of 8x8 in colour", "FID"),
    taken("a zip of images", zipped, "samples.zip: 8 images of 8x8 in colour"),
    taken(
        "images in class folders",
        lambda folder: [save(folder / f"samples/{k % 2}/{k}.png", IMAGES[k]) for k in range(8)],
        "its images lie in 2 folders, which are not taken for classes",
    ),
    taken(
        "images saved as JPEG",
        pictures(suffix="jpg"),
        "8 of its 8 images were compressed with loss (JPEG): numbers differ from those of PNG",
    ),
    taken(
        "images with an alpha channel",
        pictures(channels=4),
        "have an alpha channel or a transparent colour; colours are read, transparency is dropped",
    ),
    taken(
        "grey images among coloured ones",
        pictures(picture("grey.png", GREY_IMAGE)),
        "1 of its 9 images are grey, and read as RGB like the others",
    ),
    taken(
        "images, and other files between them",
        pictures(put("log.txt"), put("more.TXT"), put("cat.heic")),
        "left out, as no images: 2 .txt, 1 .heic",
    ),
    taken("the folder of a run's shards", shards, "its images are those of 0000.npz to 0001.npz, 2 files", "16 images"),
    taken(
        "a prepared data set as reference",
        data_set,
        "dataset.json: 12 images of 8x8 in colour",
        reference="data/dataset.json",
    ),
    taken("grey images in a folder", pictures(channels=1), "samples: 8 images of 8x8 in grey", **GREY),
    refused(
        "images of two sizes",
        pictures(picture("x.png")),
        "images differ in size (8 of 8x8, 1 of 9x9), as 000.png 8x8 and x.png 9x9; bring all to one size",
    ),
    refused(
        "an image that is cut short",
        pictures(put("003.png", png(8, 8, 8, 2)[:45])),
        "003.png cannot be read (",
        "save it again",
    ),
    refused("a web page saved as an image", pictures(put("x.png", PAGE)), "x.png cannot be read (is a web page"),
    refused("a folder without images", empty("samples"), "holds no images; check the path"),
    refused(
        "photographs as HEIC",
        put("samples/1.heic", HEIC),
        "holds no images that are read, but 1 .heic; convert images among them to JPEG or PNG",
    ),
    refused(
        "the folder of a whole run",
        lambda folder: [shards(folder / "run"), GREY_IMAGE.save(folder / "run/grid.png")],
        "holds images and arrays (samples/0000.npz); name a folder with one of the two, or a file",
        samples="run",
    ),
    # Batches of others
    taken("an npz as ADM writes it", of_images(IMAGES, arr_1=np.arange(8)), "samples.npz: 8 images of 8x8 in colour"),
    taken(
        "a compressed npz, under the name of a zip",
        lambda folder: np.savez_compressed((folder / "samples.zip").open("wb"), arr_0=IMAGES),
        "samples.zip: 8 images of 8x8 in colour",
    ),
    taken(
        "images under another name than `arr_0`",
        arrays(images=IMAGES, scores=np.zeros((8, 10))),
        "the images are its array 'images'",
    ),
    taken(
        "a single array (.npy)",
        lambda folder: np.save(folder / "samples.npy", IMAGES),
        "samples.npy: 8 images of 8x8 in colour",
    ),
    taken("bytes (N, H, W)", of_images(IMAGES[..., 0]), "(8, 8, 8) is taken as (N, H, W), grey", **GREY),
    taken(
        "images beside a pickle of something else",
        of_images(IMAGES, config=np.array({"steps": 25})),
        "samples.npz: 8 images of 8x8 in colour",
    ),
    refused(
        "axes (N, C, H, W)",
        of_images(IMAGES.transpose(0, 3, 1, 2)),
        "its axes are (N, C, H, W): save arr_0.transpose(0, 2, 3, 1)",
    ),
    refused("RGBA in an npz", of_images(images(channels=4)), "drop alpha: arr_0[..., :3]"),
    refused("one image in an npz", of_images(IMAGES[0]), "it is one image (H, W, C): numpy.stack all of them"),
    refused("flattened images", of_images(IMAGES.reshape(8, -1)), "give it the axes of images: arr_0.reshape("),
    refused(
        "float images",
        of_images(IMAGES.astype(np.float32) / 127.5 - 1),
        "make values in [-1, 1] bytes by ((arr_0 + 1) * 127.5).clip(0, 255).astype('uint8'), as ADM does",
    ),
    refused("images as int64", of_images(IMAGES.astype(int)), "make values in 0..255 bytes by arr_0.astype('uint8')"),
    refused("images as booleans", of_images(IMAGES > 99), "make black and white bytes by (arr_0 * 255)"),
    refused(
        "a pickle of images",
        of_images(np.array([{}, {}], dtype=object)),
        "it is of Python objects, which are never loaded: save numpy.stack of images of one size",
    ),
    refused("an npz of no images", of_images(IMAGES[:0]), "holds no images; is it the right file?"),
    refused(
        "images in Fortran order",
        of_images(np.asfortranarray(IMAGES)),
        "lies in Fortran order; save numpy.ascontiguousarray of it",
    ),
    # Damage, and files of another kind
    refused(
        "an npz that is cut short",
        put("samples.npz", BROKEN_ZIP),
        "not a readable npz (File is not a zip file); bring it again",
    ),
    refused(
        "an npz that announces a negative length",
        announced((-8, 8, 8, 3)),
        "'arr_0' is announced as uint8 (-8, 8, 8, 3), but 1,536 bytes follow",
    ),
    refused(
        "an npz that announces 10^12 images",
        announced((10**12, 8, 8, 3)),
        "'arr_0' is announced as uint8 (1000000000000, 8, 8, 3), but 1,536 bytes follow",
    ),
    refused("a web page", put("samples.npz", PAGE), "is a web page, as a server answers instead of a file"),
    refused(
        "a Git LFS pointer",
        put("samples.npz", POINTER),
        "is a Git LFS pointer, not the file itself; run `git lfs pull`",
    ),
    refused("an empty file", put("samples.npz"), "is empty; bring the file again"),
    refused("a list of files", put("samples.npz", b"a.png\nb.png\n"), "is text that begins 'a.png', not binary data"),
    refused("a tar of images", put("samples.tar", TAR), "is a tar archive; give images as npz"),
    refused(
        "tensors that torch saved",
        lambda folder: torch.save(torch.zeros(8, 3, 8, 8), folder / "samples.pt"),
        "/data.pkl and the like, not an npz",
    ),
    refused("an image", lambda folder: GREY_IMAGE.save(folder / "samples.png"), "is a PNG image; give images as"),
    refused("a path that does not exist", lambda folder: None, "does not exist; check the path", samples="gone.npz"),
    # Labels, which give the accuracy in the space of a classifier
    taken(
        "no labels, in the space of a classifier",
        of_images(images(channels=1)),
        "no labels, so no accuracy",
        **CLASSIFIER,
    ),
    refused(
        "labels of another length",
        of_images(images(channels=1), arr_1=np.arange(5)),
        "arr_1 is int64 (5,), not one integer label for each of 8 images",
        **CLASSIFIER,
    ),
    refused(
        "labels that the classifier does not know",
        of_images(images(channels=1), arr_1=np.arange(8) + 5),
        "accuracy: labels from 5 to 12, but the classifier has 10 classes",
        **CLASSIFIER,
    ),
)

SAMPLES = House("Samples of `eddpm evaluate`", run, ROWS)
