"""Archives and arrays."""

import numpy as np
from pictures import save_classes
from zoo.cases import refused, taken
from zoo.odd_images import BROKEN_ZIP, GZIP, TAR, classes, many, npz, pets, put, zipped, zipped_unmarked

IMAGES, LABELS = many(12, 8, 8, 3), np.arange(12) % 2

PACKED = (
    taken("a zip of class folders", zipped(pets()), "cats (6 images), dogs (6 images)"),
    taken(
        "a zip made on Windows, with backslashes",
        zipped(pets(), lambda name: name.replace("/", "\\")),
        "cats (6 images)",
    ),
    taken("a zip named `.ZIP`", zipped(pets(), name="images.ZIP"), "cats (6 images)"),
    taken(
        "a zip of absolute names, or of names that lead out of it", zipped(pets(), "../C/{}".format), "cats (6 images)"
    ),
    taken("a zip with `__MACOSX`", zipped(pets(put("__MACOSX/cats/._000.png"))), "__MACOSX (1)", "cats (6 images)"),
    taken("a zip of names in UTF-8 that it does not mark", zipped_unmarked, "café (6 images)"),
    refused(
        "a zip of train and test folders",
        zipped(classes("train/cats", "train/dogs", "test/cats")),
        "unpack it, and name dataset.source: FOLDER/train",
    ),
    refused("an encrypted zip", zipped(pets(), flags=1), "is encrypted; unpack it"),
    refused(
        "a zip compressed by Deflate64, as Windows does with large ones",
        zipped(pets(), method=9),
        "compressed in a way that is not read (method 9)",
    ),
    refused(
        "a zip for each class",
        lambda folder: [put(f"images/{name}/{name}.zip", BROKEN_ZIP)(folder) for name in ("cats", "dogs")],
        "holds no images that are read, but 2 .zip; unpack the archives",
    ),
    refused(
        "a zip that holds a name twice",
        zipped(pets(), lambda name: name.replace("001", "000")),
        "holds two files named cats/000.png, of which only one can count; unpack it",
    ),
    refused("half a zip", put("images.zip", BROKEN_ZIP), "not a readable zip"),
    refused("a tar archive", put("images.tar", TAR), "but a tar archive; unpack it, and give one folder"),
    refused("a compressed tar archive", put("images.tar.gz", GZIP), "a gzip archive; unpack it"),
    refused(
        "a zip of another name",
        zipped(pets(), name="images.cbz"),
        "but a zip archive; unpack it, and give one folder of images for each class, their zip (named .zip)",
    ),
    refused("a Parquet file", put("images.parquet", b"PAR1\0\0"), "is no folder, .zip or .npz, but a Parquet file"),
    refused(
        "one image",
        lambda folder: save_classes(folder, {"cats": 1}),
        "but a PNG image; give one folder",
        source="cats/000.png",
    ),
    refused("a list of files", put("images.txt", b"cats/000.png 0\n"), "but text; give one folder"),
    # Arrays
    taken("an npz of images `arr_0` and labels `arr_1`", npz(arr_0=IMAGES, arr_1=LABELS), "0 (6 images), 1 (6 images)"),
    taken(
        "grey images without an axis of channels",
        npz(arr_0=IMAGES[..., 0], arr_1=LABELS),
        "0 (6 images)",
        image_channels=1,
    ),
    refused(
        "an npz as Keras has it",
        npz(x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS),
        "the images may be x_train or x_test; save those that are meant",
    ),
    taken("an npz of images and labels", npz(images=IMAGES, labels=LABELS), "the images are its array 'images'"),
    refused(
        "an npz of images without labels",
        npz(arr_0=IMAGES),
        "has no labels beside its images; save the class of each as arr_1",
    ),
    refused(
        "channels before height and width",
        npz(arr_0=IMAGES.transpose(0, 3, 1, 2), arr_1=LABELS),
        "its axes are (N, C, H, W): save arr_0.transpose(0, 2, 3, 1)",
    ),
    refused(
        "floating-point numbers", npz(arr_0=IMAGES / 255, arr_1=LABELS), "values in [0, 1] by (arr_0 * 255).round()"
    ),
    refused("an alpha channel", npz(arr_0=many(12, 8, 8, 4), arr_1=LABELS), "drop alpha: arr_0[..., :3]"),
    refused(
        "labels that are names",
        npz(arr_0=IMAGES, arr_1=np.array(["cat", "dog"] * 6)),
        "save the class of each image as a number",
    ),
    refused("labels from 1", npz(arr_0=IMAGES, arr_1=LABELS + 1), "its labels are 1 to 2; number the classes from 0"),
    refused("labels as columns", npz(arr_0=IMAGES, arr_1=LABELS[:, None]), "save arr_1[:, 0]"),
    refused(
        "one-hot labels",
        npz(arr_0=IMAGES, arr_1=np.eye(2, dtype=np.int64)[LABELS]),
        "save arr_1.argmax(axis=1) of one-hot labels",
    ),
    refused(
        "`classes: prefixes` with an npz",
        npz(arr_0=IMAGES, arr_1=LABELS),
        "is for the names of files",
        classes="prefixes",
    ),
)
