"""Files that are no images, in folders of images."""

from zoo.cases import Case
from zoo.odd_images import HEIC, empty, pets, picture, pipe, put, renamed

TAKEN, REFUSED = "taken", "refused"


def many(suffix: str, content: bytes = HEIC, count: int = 6):
    return pets(*(put(f"cats/x{k}{suffix}", content) for k in range(count)))


FILES = (
    Case(
        "photographs in HEIC among others",
        many(".HEIC"),
        REFUSED,
        ("6 of 18 images (33.33%) cannot be read: cats/x0.HEIC (is a .heic file, which is not read)", "JPEG or PNG"),
    ),
    Case(
        "the same, where `max_corrupt` allows for it",
        many(".HEIC"),
        TAKEN,
        ("6 files among the images do not count: 6 .heic", "cats/x3.HEIC is a .heic file"),
        {"max_corrupt": 0.5},
    ),
    Case(
        "raw photographs, vector graphics, documents",
        pets(put("cats/a.CR2"), put("cats/b.svg"), put("cats/c.psd")),
        REFUSED,
        ("3 of 15 images (20.00%) cannot be read",),
    ),
    Case("a video", pets(put("dogs/a.mp4")), REFUSED, ("is a .mp4 file, which is not read",)),
    Case("arrays as files", many(".npy"), REFUSED, ("save their images as files",)),
    Case("backups of images by a program", many(".jpg_original"), REFUSED, ("is a .jpg_original file",)),
    Case("downloads that broke off", pets(put("cats/a.jpg.part", b"x")), REFUSED, ("finish the downloads",)),
    Case("images that a browser named `.jpeg_large`", many(".jpeg_large"), REFUSED, ("is a .jpeg_large file",)),
    Case(
        "placeholders of iCloud",
        pets(put("cats/.a.jpg.icloud", b"bplist00")),
        REFUSED,
        ("is a placeholder of a file that iCloud keeps elsewhere", "let iCloud download them"),
    ),
    Case(
        "images whose names have no suffix",
        pets(renamed("*/*.png", lambda path: path.stem)),
        TAKEN,
        ("cats (6 images)",),
    ),
    Case(
        "other files whose names have no suffix",
        pets(put("cats/data_batch_1", b"\x80\x02}q")),
        REFUSED,
        ("without a suffix, a pickle",),
    ),
    Case(
        "captions, labels and notes beside the images",
        pets(
            *(put(f"cats/00{k}.{suffix}", b"a cat") for k in range(2) for suffix in ("txt", "json", "xmp")),
            put("cats/LICENSE", b"CC0"),
        ),
        TAKEN,
        ("7 files among the images do not count: 2 .json, 2 .txt, 2 .xmp, 1 without a suffix: text",),
    ),
    Case(
        "files beside the class folders",
        pets(put("README.md", b"Pets"), picture("montage.png")),
        TAKEN,
        ("files in no class do not count: 1 .md, 1 image",),
    ),
    Case(
        "what systems and programs leave: `@eaDir`, `.DS_Store`, `Thumbs.db`, `._cat.png`, `.ipynb_checkpoints`",
        pets(
            picture("cats/@eaDir/SYNO_THUMB.jpg"),
            picture("cats/.ipynb_checkpoints/000-checkpoint.png"),
            picture("$RECYCLE.BIN/a.png"),
            put("cats/.DS_Store"),
            put("cats/Thumbs.db"),
            put("cats/._000.png", b"\0\5\26\7"),
        ),
        TAKEN,
        (
            "passed over, of a system or a program: $RECYCLE.BIN (1), .DS_Store (1)",
            "@eaDir (1)",
            "cats (6 images), dogs (6 images)",
        ),
    ),
    Case(
        "folders of thumbnails in class folders",
        pets(picture("cats/thumbs/a.png"), picture("dogs/Thumbnails/a.png")),
        TAKEN,
        ("passed over: 2 files in folders of thumbnails", "cats (6 images), dogs (6 images)"),
    ),
    Case(
        "a folder of thumbnails beside the class folders",
        pets(picture("thumbs/a.png")),
        REFUSED,
        ("has 3 classes, cats (6 images), dogs (6 images), thumbs (1 image), but num_classes is 2",),
    ),
    Case(
        "a folder without images, beside as many as there are classes",
        pets(empty("birds")),
        TAKEN,
        ("folders without images: birds (empty)",),
    ),
    Case("a pipe", pets(pipe("cats/pipe")), TAKEN, ("passed over, a pipe, socket or device: cats/pipe",)),
)
