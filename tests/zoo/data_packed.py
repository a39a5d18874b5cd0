"""Archives and arrays."""

import numpy as np
from pictures import save_classes
from zoo.cases import Case
from zoo.odd_images import (
    classes,
    many,
    npz,
    pets,
    put,
    tarred,
    zip_in_folders,
    zipped,
    zipped_by_method,
    zipped_unmarked,
)

TAKEN, REFUSED = "taken", "refused"
ZIP, NPZ = {"source": "images.zip"}, {"source": "images.npz"}
IMAGES, LABELS = many(12, 8, 8, 3), np.arange(12) % 2

PACKED = (
    Case("a zip of class folders", zipped(pets()), TAKEN, ("cats (6 images), dogs (6 images)",), ZIP),
    Case("a zip of it in another folder", zipped(pets(), "my pets/{}".format), TAKEN, ("cats (6 images)",), ZIP),
    Case(
        "a zip made on Windows, with backslashes",
        zipped(pets(), lambda name: name.replace("/", "\\")),
        TAKEN,
        ("cats (6 images)",),
        ZIP,
    ),
    Case(
        "a zip named `.ZIP`", zipped(pets(), name="images.ZIP"), TAKEN, ("cats (6 images)",), {"source": "images.ZIP"}
    ),
    Case(
        "a zip of absolute names, or of names that lead out of it",
        zipped(pets(), "../C/{}".format),
        TAKEN,
        ("cats (6 images)",),
        ZIP,
    ),
    Case(
        "a zip with `__MACOSX`",
        zipped(pets(put("__MACOSX/cats/._000.png"))),
        TAKEN,
        ("__MACOSX (1)", "cats (6 images)"),
        ZIP,
    ),
    Case("a zip of names in UTF-8 that it does not mark", zipped_unmarked, TAKEN, ("café (6 images)",), ZIP),
    Case(
        "a zip of train and test folders",
        zipped(classes("train/cats", "train/dogs", "test/cats")),
        REFUSED,
        ("unpack it, and name dataset.source: FOLDER/train",),
        ZIP,
    ),
    Case("an encrypted zip", zipped(pets(), flags=1), REFUSED, ("is encrypted; unpack it",), ZIP),
    Case(
        "a zip compressed by Deflate64, as Windows does with large ones",
        zipped_by_method(9),
        REFUSED,
        ("compressed in a way that is not read (method 9)",),
        ZIP,
    ),
    Case(
        "a zip for each class",
        zip_in_folders,
        REFUSED,
        ("holds no images that are read, but 2 .zip; unpack the archives",),
    ),
    Case(
        "half a zip",
        lambda folder: (
            zipped(pets())(folder),
            (folder / "images.zip").write_bytes((folder / "images.zip").read_bytes()[:900]),
        ),
        REFUSED,
        ("not a readable zip",),
        ZIP,
    ),
    Case(
        "a tar archive",
        tarred("images.tar", "w"),
        REFUSED,
        ("but a tar archive; unpack it, and name the folder",),
        {"source": "images.tar"},
    ),
    Case(
        "a compressed tar archive",
        tarred("images.tar.gz", "w:gz"),
        REFUSED,
        ("a gzip archive; unpack it",),
        {"source": "images.tar.gz"},
    ),
    Case(
        "a compressed tar archive named `.zip`", tarred("images.zip", "w:gz"), REFUSED, ("it is a gzip archive",), ZIP
    ),
    Case(
        "a zip of another name",
        zipped(pets(), name="images.cbz"),
        REFUSED,
        ("let its name end in .zip",),
        {"source": "images.cbz"},
    ),
    Case(
        "a Parquet file",
        put("images.parquet", b"PAR1\0\0"),
        REFUSED,
        ("is no folder, .zip or .npz, but a Parquet file",),
        {"source": "images.parquet"},
    ),
    Case(
        "one image",
        lambda folder: save_classes(folder, {"cats": 1}),
        REFUSED,
        ("but a PNG image; name the folder",),
        {"source": "cats/000.png"},
    ),
    Case(
        "a list of files",
        put("images.txt", b"cats/000.png 0\n"),
        REFUSED,
        ("but text; give one folder",),
        {"source": "images.txt"},
    ),
    # Arrays
    Case(
        "an npz of images `arr_0` and labels `arr_1`",
        npz(arr_0=IMAGES, arr_1=LABELS),
        TAKEN,
        ("0 (6 images), 1 (6 images)",),
        NPZ,
    ),
    Case(
        "grey images without an axis of channels",
        npz(arr_0=IMAGES[..., 0], arr_1=LABELS),
        TAKEN,
        ("0 (6 images)",),
        {**NPZ, "image_channels": 1},
    ),
    Case(
        "an npz as Keras has it",
        npz(x_train=IMAGES, y_train=LABELS, x_test=IMAGES, y_test=LABELS),
        REFUSED,
        ("the images may be x_train or x_test; save those that are meant",),
        NPZ,
    ),
    Case(
        "an npz of images and labels",
        npz(images=IMAGES, labels=LABELS),
        TAKEN,
        ("the images are its array 'images'",),
        NPZ,
    ),
    Case(
        "an npz of images without labels",
        npz(arr_0=IMAGES),
        REFUSED,
        ("has no labels beside its images; save the class of each as arr_1",),
        NPZ,
    ),
    Case(
        "channels before height and width",
        npz(arr_0=IMAGES.transpose(0, 3, 1, 2), arr_1=LABELS),
        REFUSED,
        ("its axes are (N, C, H, W): save arr_0.transpose(0, 2, 3, 1)",),
        NPZ,
    ),
    Case(
        "floating-point numbers",
        npz(arr_0=IMAGES / 255, arr_1=LABELS),
        REFUSED,
        ("values in [0, 1] by (arr_0 * 255).round()",),
        NPZ,
    ),
    Case(
        "whole numbers of another type",
        npz(arr_0=IMAGES.astype(np.int64), arr_1=LABELS),
        REFUSED,
        ("bytes by arr_0.astype('uint8')",),
        NPZ,
    ),
    Case(
        "images as rows",
        npz(arr_0=IMAGES[..., 0].reshape(12, 64), arr_1=LABELS),
        REFUSED,
        ("give it the axes of images",),
        NPZ,
    ),
    Case("an alpha channel", npz(arr_0=many(12, 8, 8, 4), arr_1=LABELS), REFUSED, ("drop alpha: arr_0[..., :3]",), NPZ),
    Case(
        "labels that are names",
        npz(arr_0=IMAGES, arr_1=np.array(["cat", "dog"] * 6)),
        REFUSED,
        ("save the class of each image as a number",),
        NPZ,
    ),
    Case(
        "labels from 1",
        npz(arr_0=IMAGES, arr_1=LABELS + 1),
        REFUSED,
        ("its labels are 1 to 2; number the classes from 0",),
        NPZ,
    ),
    Case(
        "labels below 0",
        npz(arr_0=IMAGES, arr_1=LABELS - 1),
        REFUSED,
        ("its labels are -1 to 0; number the classes from 0",),
        NPZ,
    ),
    Case("labels as columns", npz(arr_0=IMAGES, arr_1=LABELS[:, None]), REFUSED, ("save arr_1[:, 0]",), NPZ),
    Case(
        "one-hot labels",
        npz(arr_0=IMAGES, arr_1=np.eye(2, dtype=np.int64)[LABELS]),
        REFUSED,
        ("save arr_1.argmax(axis=1) of one-hot labels",),
        NPZ,
    ),
    Case(
        "`classes: prefixes` with an npz",
        npz(arr_0=IMAGES, arr_1=LABELS),
        REFUSED,
        ("is for the names of files",),
        {**NPZ, "classes": "prefixes"},
    ),
)
