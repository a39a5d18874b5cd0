"""Folders as people arrange their images in them, and the classes that are found."""

from pathlib import Path

from pictures import save_classes
from zoo.cases import Case
from zoo.odd_images import classes, decomposed, empty, flat, link, pets, picture, put, renamed

TAKEN, REFUSED = "taken", "refused"
THREE = {"num_classes": 3}
PREFIXES = {"classes": "prefixes"}


def with_others(make, others=None):
    """Images below `images`, to train on, and below `others`, to validate."""

    def make_both(folder: Path) -> None:
        (others or make)(folder)
        (folder / "images").rename(folder / "others")
        make(folder)

    return make_both


def link_class(folder: Path) -> None:
    save_classes(folder / "elsewhere", {"dogs": 6})
    save_classes(folder / "images", {"cats": 6})
    (folder / "images/dogs").symlink_to(folder / "elsewhere/dogs")


OTHERS = {"validation_source": "others"}

FOLDERS = (
    Case(
        "a folder of images for each class",
        pets(),
        TAKEN,
        ("12 images of 2 classes: cats (6 images), dogs (6 images)", "9 train images of 2 classes"),
    ),
    Case(
        "class folders within other folders that hold nothing else",
        classes("pets/2024/cats", "pets/2024/dogs"),
        TAKEN,
        ("cats (6 images), dogs (6 images)",),
    ),
    Case(
        "images in folders within the class folders",
        classes("cats/a", "cats/b", "dogs/c"),
        TAKEN,
        ("cats (12 images)",),
    ),
    Case("a home folder in the path", pets(), TAKEN, ("cats (6 images)",), {"source": "~/images"}),
    Case("an environment variable in the path", pets(), TAKEN, ("cats (6 images)",), {"source": "${HOME}/images"}),
    Case(
        "a variable in the path that is not set",
        pets(),
        REFUSED,
        ("does not exist, since $NO_SUCH_PLACE is not set",),
        {"source": "$NO_SUCH_PLACE/images"},
    ),
    Case("a path that does not exist", lambda folder: None, REFUSED, ("does not exist",)),
    Case("a link to nowhere", link("images", "gone"), REFUSED, ("does not exist, since it is a link to nowhere",)),
    Case("an empty folder", lambda folder: (folder / "images").mkdir(), REFUSED, ("holds no images",)),
    # Splits
    Case(
        "`train` and `test`, with class folders in each",
        classes("train/cats", "train/dogs", "test/cats", "test/dogs"),
        REFUSED,
        ("look like splits of the data", "images/train and dataset.validation_source: ", "images/test"),
    ),
    Case(
        "the same in another folder, by names such as `seg_train` and `Validation2017`",
        classes("data/seg_train/cats", "data/seg_train/dogs", "data/Validation2017/cats", "data/Validation2017/dogs"),
        REFUSED,
        (
            "look like splits of the data",
            "images/data/seg_train and dataset.validation_source: ",
            "images/data/Validation2017",
        ),
    ),
    Case(
        "`train` with class folders, and `test` without",
        classes("train/cats", "train/dogs", "test"),
        REFUSED,
        ("look like splits of the data", "images/train (or rename them"),
    ),
    Case(
        "`cifar_train` and `cifar_test` with images such as `cat_0.png`",
        flat(lambda name, number: f"cifar_{('train', 'test')[number // 6]}/{name}_{number}.png"),
        REFUSED,
        (
            "look like splits of the data",
            "images/cifar_train and ",
            "images/cifar_test, with dataset.classes: prefixes",
        ),
    ),
    Case(
        "`train` and `test` in each class folder",
        classes("cats/train", "cats/test", "dogs/train", "dogs/test"),
        REFUSED,
        ("put the images of each split apart, as train/CLASS and test/CLASS",),
    ),
    Case(
        "a class `train`, beside `car` and `plane`",
        classes("car", "plane", "train"),
        TAKEN,
        ("train (6 images)",),
        THREE,
    ),
    Case(
        "classes `bullet_train` and `freight_train`", classes("bullet_train", "freight_train"), TAKEN, ("of 2 classes",)
    ),
    # Numbers of classes and of images
    Case(
        "an empty class folder",
        pets(empty("birds")),
        REFUSED,
        ("has 2 classes, cats (6 images), dogs (6 images), but num_classes is 3", "birds (empty)"),
        THREE,
    ),
    Case(
        "a class folder whose files are of another kind",
        pets(put("birds/a.heic"), put("birds/b.heic")),
        REFUSED,
        ("folders without images: birds (2 .heic)",),
        THREE,
    ),
    Case(
        "one class alone, and another folder that is empty",
        lambda folder: (classes("cats")(folder), empty("dogs")(folder / "images")),
        REFUSED,
        ("has 1 class, cats (6 images)", "dogs (empty)"),
    ),
    Case(
        "a class folder whose name begins with a dot",
        pets(picture(".birds/a.png")),
        REFUSED,
        ("passed over, of a system or a program: .birds (1)",),
        THREE,
    ),
    Case(
        "more class folders than classes",
        classes("cats", "dogs", "wolves"),
        REFUSED,
        ("has 3 classes, cats (6 images), dogs (6 images), wolves (6 images), but num_classes is 2",),
    ),
    Case(
        "a class of one image",
        pets(picture("birds/a.png")),
        REFUSED,
        ("a class needs two images, to train and to validate, not birds (1 image)", "dataset.validation_source"),
        THREE,
    ),
    Case(
        "a class of one image in each of two sources",
        with_others(classes("cats", "dogs", count=1)),
        TAKEN,
        ("cats (1 image), dogs (1 image)",),
        OTHERS,
    ),
    Case(
        "a share for validation that gives classes no image",
        pets(),
        REFUSED,
        (
            "makes 1 of 12 images validate, but each of 2 classes needs one to train and one to validate",
            "take 0.167 to 0.833",
        ),
        {"validation_fraction": 0.01},
    ),
    Case(
        "folders whose folders are the classes",
        classes("part1/cats", "part1/dogs", "part2/cats", "part2/dogs"),
        TAKEN,
        ("WARNING: every class folder holds the same folders, cats, dogs",),
    ),
    Case(
        "groups of classes",
        classes("animals/cats", "animals/dogs", "cars/vans"),
        REFUSED,
        ("the folders one level down may be the classes: cats, dogs, vans",),
        THREE,
    ),
    # No class folders
    Case(
        "images with no class folder, of names such as `cat_0.png`",
        flat(lambda name, number: f"{name}_{number}.png"),
        REFUSED,
        ("holds 12 images, but in no class folder", "dataset.classes: prefixes", "cat (6), dog (6)"),
    ),
    Case(
        "the same with `classes: prefixes`",
        flat(lambda name, number: f"{name}_{number}.png"),
        TAKEN,
        ("cat (6 images), dog (6 images)",),
        PREFIXES,
    ),
    Case(
        "the same in one folder",
        flat(lambda name, number: f"all/{name}_{number}.png"),
        REFUSED,
        ("dataset.classes: prefixes would find cat (6), dog (6)", "has 1 class, all (12 images)"),
    ),
    Case(
        "images with no class folder, of names such as `0.png`",
        flat(lambda name, number: f"{number}.png"),
        REFUSED,
        ("put those of each class into a folder of their own",),
    ),
    Case(
        "names without a `_` with `classes: prefixes`",
        flat(lambda name, number: f"{name}{number}.png" if number < 3 else f"{name}_{number}.png"),
        REFUSED,
        ("3 of 12 images have no '_' in their names",),
        PREFIXES,
    ),
    Case(
        "splits in the folders with `classes: prefixes`",
        pets(
            renamed("*/*.png", lambda path: f"x_{path.name}"),
            renamed("cats", lambda path: "train"),
            renamed("dogs", lambda path: "test"),
        ),
        REFUSED,
        ("look like splits of the data", "images/train and dataset.validation_source: "),
        PREFIXES,
    ),
    # Names
    Case(
        "one class folder twice, in two forms of Unicode",
        classes("éclair", decomposed("éclair"), "tarte"),
        TAKEN,
        ("2 folders, whose names differ in their form of Unicode alone; they are one class", "éclair (12 images)"),
    ),
    Case(
        "training images from a Mac, validation images from elsewhere",
        with_others(classes("éclair", "tarte"), classes(decomposed("éclair"), "tarte")),
        TAKEN,
        ("12 validation images of 2 classes",),
        OTHERS,
    ),
    Case(
        "class folders `Cat` and `cat`",
        classes("Cat", "cat"),
        TAKEN,
        ("WARNING: Cat, cat differ in case or spaces alone, and are a class each",),
    ),
    Case("line breaks and tabs in names", classes("a\nb", "c\td"), TAKEN, ("a\\nb (6 images), c\\td (6 images)",)),
    Case(
        "validation images of other classes",
        with_others(pets(), classes("cats", "wolves")),
        REFUSED,
        ("class 'dogs' is not in both", "nor 'wolves'"),
        OTHERS,
    ),
    Case(
        "one folder for training and for validation",
        pets(),
        REFUSED,
        ("shares 12 files with dataset.source, which would train and validate",),
        {"validation_source": "images"},
    ),
    # Links
    Case(
        "a link in a class folder to that folder, or to one above",
        pets(link("cats/again", "."), link("dogs/up", "..")),
        TAKEN,
        (
            "passed over, a link to a folder that is listed already: cats/again, dogs/up",
            "cats (6 images), dogs (6 images)",
        ),
    ),
    Case("a class folder that is a link to elsewhere", link_class, TAKEN, ("dogs (6 images)",)),
    Case(
        "two class folders that are one, by a link",
        pets(link("wolves", "dogs")),
        REFUSED,
        ("passed over, a link to a folder that is listed already: wolves",),
        THREE,
    ),
    Case(
        "an image twice in a class, by a link",
        pets(link("cats/a.png", "000.png")),
        TAKEN,
        ("passed over, links to images of the same class that are listed already: cats/a.png", "cats (6 images)"),
    ),
    Case(
        "a link to an image that is not there",
        pets(link("cats/a.png", "gone.png")),
        REFUSED,
        ("cats/a.png (No such file or directory)",),
    ),
    Case(
        "a class folder that is a link to nowhere",
        pets(link("birds", "gone")),
        REFUSED,
        ("folders without images: birds (a link that leads nowhere)",),
        THREE,
    ),
)
