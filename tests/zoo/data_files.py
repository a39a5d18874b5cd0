"""Files that are no images, in folders of images."""

import os

from zoo.cases import refused, taken
from zoo.odd_images import HEIC, Make, pets, picture, put


def many(suffix: str) -> Make:
    return pets(*(put(f"cats/x{k}{suffix}", HEIC) for k in range(6)))


FILES = (
    refused(
        "photographs in HEIC among others",
        many(".HEIC"),
        "6 of 18 images (33.33%) cannot be read: cats/x0.HEIC (is a .heic file, which is not read)",
        "JPEG or PNG",
    ),
    taken(
        "the same, where `max_corrupt` allows for it",
        many(".HEIC"),
        "6 files among the images do not count: 6 .heic",
        "cats/x3.HEIC is a .heic file",
        max_corrupt=0.5,
    ),
    refused(
        "raw photographs, vector graphics, documents",
        pets(put("cats/a.CR2"), put("cats/b.svg"), put("cats/c.psd")),
        "3 of 15 images (20.00%) cannot be read",
    ),
    refused("a video", pets(put("dogs/a.mp4")), "is a .mp4 file, which is not read"),
    refused("arrays as files", many(".npy"), "save their images as files"),
    refused("downloads that broke off", pets(put("cats/a.jpg.part", b"x")), "finish the downloads"),
    refused(
        "placeholders of iCloud",
        pets(put("cats/.a.jpg.icloud", b"bplist00")),
        "is a placeholder of a file that iCloud keeps elsewhere",
        "let iCloud download them",
    ),
    taken("images whose names have no suffix", pets(picture("cats/a", format="PNG")), "cats (7 images)"),
    taken(
        "captions, labels and notes beside the images",
        pets(
            *(put(f"cats/00{k}.{suffix}", b"a cat") for k in range(2) for suffix in ("txt", "json", "xmp")),
            put("cats/LICENSE", b"CC0"),
        ),
        "7 files among the images do not count: 2 .json, 2 .txt, 2 .xmp, 1 without a suffix: text",
    ),
    taken(
        "files beside the class folders",
        pets(put("README.md", b"Pets"), picture("montage.png")),
        "files in no class do not count: 1 .md, 1 image",
    ),
    taken(
        "what systems and programs leave: `@eaDir`, `.DS_Store`, `Thumbs.db`, `._cat.png`, `.ipynb_checkpoints`",
        pets(
            picture("cats/@eaDir/SYNO_THUMB.jpg"),
            picture("cats/.ipynb_checkpoints/000-checkpoint.png"),
            picture("$RECYCLE.BIN/a.png"),
            put("cats/.DS_Store"),
            put("cats/Thumbs.db"),
            put("cats/._000.png", b"\0\5\26\7"),
        ),
        "passed over, of a system or a program: $RECYCLE.BIN (1), .DS_Store (1)",
        "@eaDir (1)",
        "cats (6 images), dogs (6 images)",
    ),
    taken(
        "folders of thumbnails in class folders",
        pets(picture("cats/thumbs/a.png"), picture("dogs/Thumbnails/a.png")),
        "passed over: 2 files in folders of thumbnails",
        "cats (6 images), dogs (6 images)",
    ),
    refused(
        "a folder of thumbnails beside the class folders",
        pets(picture("thumbs/a.png")),
        "has 3 classes, cats (6 images), dogs (6 images), thumbs (1 image), but num_classes is 2",
    ),
    taken(
        "a pipe",
        pets(lambda images: os.mkfifo(images / "cats/pipe")),
        "passed over, a pipe, a socket or a device: cats/pipe",
    ),
)
