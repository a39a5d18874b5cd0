"""Samples as people have them, measured by `eddpm evaluate`."""

import numpy as np
from pictures import random_picture, save
from PIL import Image
from zoo.cases import House
from zoo.measured import (
    IMAGES,
    PAGE,
    POINTER,
    against,
    arrays,
    besides,
    content,
    cut,
    data_set,
    header,
    images,
    of_images,
    pictures,
    refused,
    run,
    saved_tensors,
    shards,
    taken,
    tar,
    zipped,
)

CLASSIFIER, GREY, FOLDER = {"spaces": ["classifier"]}, {"reference": "grey.npz"}, {"samples": "samples"}
OTHERS = ("log.txt", "more.TXT", "cat.heic")

SAMPLES = House(
    "Samples of `eddpm evaluate`",
    run,
    (
        # Folders, zips and shards
        taken("a folder of PNG images", pictures, "samples: 8 images of 8x8 in colour", "FID", **FOLDER),
        taken("a zip of images", zipped, "samples.zip: 8 images of 8x8 in colour", samples="samples.zip"),
        taken(
            "images in class folders",
            lambda folder: [save(folder / f"samples/{k % 2}/{k}.png", IMAGES[k]) for k in range(8)],
            "its images lie in 2 folders, which are not taken for classes",
            **FOLDER,
        ),
        taken(
            "images saved as JPEG",
            lambda folder: pictures(folder, "jpg"),
            "8 of its images were compressed with loss (JPEG): numbers differ from those of PNG",
            **FOLDER,
        ),
        taken(
            "images with an alpha channel",
            lambda folder: pictures(folder, channels=4),
            "8 of its images are partly transparent; their colours are read, alpha is dropped",
            **FOLDER,
        ),
        taken(
            "grey images among coloured ones",
            besides(lambda folder: save(folder / "samples/grey.png", random_picture(8, 8, 1))),
            "1 of its 9 images are grey, and read as RGB like the others",
            **FOLDER,
        ),
        taken(
            "images, and other files between them",
            besides(lambda folder: [(folder / f"samples/{name}").write_text("x") for name in OTHERS]),
            "it holds 8 images, and passes over 2 .txt, 1 .heic",
            **FOLDER,
        ),
        taken(
            "the folder of a run's shards",
            shards,
            "its images are those of 0000.npz to 0001.npz, 2 files",
            "16 images",
            **FOLDER,
        ),
        taken(
            "a prepared data set as reference",
            against(data_set),
            "dataset.json: 12 images of 8x8 in colour",
            reference="data/dataset.json",
        ),
        taken(
            "grey images in a folder",
            lambda folder: pictures(folder, channels=1),
            "samples: 8 images of 8x8 in grey",
            **FOLDER,
            **GREY,
        ),
        refused(
            "images of two sizes",
            besides(lambda folder: save(folder / "samples/x.png", random_picture(16, 12))),
            "images differ in size (8 of 8x8, 1 of 12x16), as 000.png 8x8 and x.png 12x16; bring all to one size",
            **FOLDER,
        ),
        refused(
            "an image that is cut short",
            besides(lambda folder: content((folder / "samples/003.png").read_bytes()[:60], "samples/003.png")(folder)),
            "003.png cannot be read (",
            "save it again",
            **FOLDER,
        ),
        refused(
            "a web page saved as an image",
            besides(content(PAGE, "samples/x.png")),
            "x.png cannot be read (is a web page",
            **FOLDER,
        ),
        refused(
            "images of 16 bits",
            besides(lambda folder: Image.fromarray(np.zeros((8, 8), np.uint16)).save(folder / "samples/x.png")),
            "more than 8 bits per channel",
            **FOLDER,
        ),
        refused(
            "a folder without images",
            lambda folder: (folder / "samples").mkdir(),
            "holds no images; name a folder or zip that does",
            **FOLDER,
        ),
        refused(
            "the folder of a whole run",
            lambda folder: [shards(folder / "run"), save(folder / "run/grid.png", IMAGES[0])],
            "holds images and arrays (samples/0000.npz); name a folder with one of the two, or a file",
            samples="run",
        ),
        # Batches of others
        taken(
            "an npz as ADM writes it", of_images(IMAGES, arr_1=np.arange(8)), "samples.npz: 8 images of 8x8 in colour"
        ),
        taken("a compressed npz", arrays(save=np.savez_compressed, arr_0=IMAGES), "8 images of 8x8 in colour"),
        taken(
            "an npz under the name of a zip",
            lambda folder: [of_images(IMAGES)(folder), (folder / "samples.npz").rename(folder / "samples.zip")],
            "samples.zip: 8 images of 8x8 in colour",
            samples="samples.zip",
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
            samples="samples.npy",
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
        refused(
            "images as int64", of_images(IMAGES.astype(int)), "make values in 0..255 bytes by arr_0.astype('uint8')"
        ),
        refused("images as booleans", of_images(IMAGES > 99), "make black and white bytes by (arr_0 * 255)"),
        refused(
            "a pickle of images",
            of_images(np.array([{}, {}], dtype=object)),
            "it is of Python objects, which are never loaded: save numpy.stack of images of one size",
        ),
        refused("complex numbers", of_images(IMAGES.astype(complex)), "these are no images; is it the right array?"),
        refused(
            "an npz with training and test images",
            arrays(x_train=IMAGES, y_train=np.arange(8), x_test=IMAGES, y_test=np.arange(8)),
            "the images may be x_train or x_test; save those that are meant as 'arr_0'",
        ),
        refused("an npz of no images", of_images(IMAGES[:0]), "holds no images; is it the right file?"),
        refused(
            "images in Fortran order",
            of_images(np.asfortranarray(IMAGES)),
            "lies in Fortran order; save numpy.ascontiguousarray of it",
        ),
        # Damage, and files of another kind
        refused("an npz that is cut short", cut, "not a readable npz (File is not a zip file); bring it again"),
        refused(
            "an npz that announces a negative length",
            header((-8, 8, 8, 3)),
            "'arr_0' is announced as uint8 (-8, 8, 8, 3), but 1,536 bytes follow",
        ),
        refused(
            "an npz that announces 10^12 images",
            header((10**12, 8, 8, 3)),
            "'arr_0' is announced as uint8 (1000000000000, 8, 8, 3), but 1,536 bytes follow",
        ),
        refused("a web page", content(PAGE), "is a web page, as a server answers instead of a file"),
        refused("a Git LFS pointer", content(POINTER), "is a Git LFS pointer, not the file itself; run `git lfs pull`"),
        refused("an empty file", content(b""), "is empty; bring the file again"),
        refused("a list of files", content(b"a.png\nb.png\n"), "is text that begins 'a.png', not binary data"),
        refused("a tar of images", tar, "is a tar archive; give images as npz", samples="samples.tar"),
        refused("tensors that torch saved", saved_tensors, "/data.pkl and the like, not an npz", samples="samples.pt"),
        refused(
            "an image", lambda folder: pictures(folder), "is a PNG image; give images as", samples="samples/000.png"
        ),
        refused("a path that does not exist", lambda folder: None, "does not exist; check the path"),
        # Labels, which give the accuracy in the space of a classifier
        taken(
            "no labels, in the space of a classifier",
            of_images(images(channels=1)),
            "no labels, so no accuracy",
            **CLASSIFIER,
            **GREY,
        ),
        refused(
            "labels of another length",
            of_images(images(channels=1), arr_1=np.arange(5)),
            "arr_1 is int64 (5,), not one integer label for each of 8 images",
            **CLASSIFIER,
            **GREY,
        ),
        refused(
            "one-hot labels",
            of_images(images(channels=1), arr_1=np.eye(8, 10)),
            "save arr_1.argmax(axis=1) of one-hot labels",
            **CLASSIFIER,
            **GREY,
        ),
        refused(
            "labels that the classifier does not know",
            of_images(images(channels=1), arr_1=np.arange(8) + 5),
            "accuracy: labels from 5 to 12, but the classifier has 10 classes",
            **CLASSIFIER,
            **GREY,
        ),
    ),
)
