"""Folders as people arrange their images in them, and the classes that are found."""

from pathlib import Path

from zoo.cases import refused, taken
from zoo.odd_images import classes, decomposed, empty, flat, link, pets, picture, put

THREE = {"num_classes": 3}
PREFIXES = {"classes": "prefixes"}
OTHERS = {"validation_source": "others"}
CAT_0 = "{}_{}.png".format  # cat_0.png, dog_1.png, ...


def with_others(make, others):
    """Images below `images`, to train on, and below `others`, to validate."""

    def make_both(folder: Path) -> None:
        others(folder)
        (folder / "images").rename(folder / "others")
        make(folder)

    return make_both


FOLDERS = (
    taken(
        "a folder of images for each class",
        pets(),
        "12 images of 2 classes: cats (6 images), dogs (6 images)",
        "9 train images of 2 classes",
    ),
    taken(
        "class folders within other folders that hold nothing else",
        classes("pets/2024/cats", "pets/2024/dogs"),
        "cats (6 images), dogs (6 images)",
    ),
    taken("images in folders within the class folders", classes("cats/a", "cats/b", "dogs/c"), "cats (12 images)"),
    taken("a home folder in the path", pets(), "cats (6 images)", source="~/images"),
    taken("an environment variable in the path", pets(), "cats (6 images)", source="${HOME}/images"),
    refused(
        "a variable in the path that is not set",
        pets(),
        "does not exist, since $NO_SUCH_PLACE is not set",
        source="$NO_SUCH_PLACE/images",
    ),
    refused("a path that does not exist", lambda folder: None, "does not exist"),
    refused("a link to nowhere", link("images", "gone"), "does not exist, since it is a link to nowhere"),
    refused("an empty folder", lambda folder: (folder / "images").mkdir(), "holds no images"),
    # Splits
    refused(
        "`train` and `test`, with class folders in each",
        classes("train/cats", "train/dogs", "test/cats", "test/dogs"),
        "look like splits of the data",
        "images/train and dataset.validation_source: ",
        "images/test",
    ),
    refused(
        "`cifar_train` and `cifar_test` with images such as `cat_0.png`",
        flat(lambda name, number: f"cifar_{('train', 'test')[number // 6]}/{name}_{number}.png"),
        "look like splits of the data",
        "images/cifar_train and ",
        "images/cifar_test, with dataset.classes: prefixes",
    ),
    refused(
        "`train` and `test` in each class folder",
        classes("cats/train", "cats/test", "dogs/train", "dogs/test"),
        "put the images of each split apart, as train/CLASS and test/CLASS",
    ),
    taken("a class `train`, beside `car` and `plane`", classes("car", "plane", "train"), "train (6 images)", **THREE),
    # Numbers of classes and of images
    refused(
        "class folders that are empty, or whose files are of another kind",
        pets(empty("birds"), put("wolves/a.heic"), put("wolves/b.heic")),
        "has 2 classes, cats (6 images), dogs (6 images), but num_classes is 3",
        "folders without images: birds (empty), wolves (2 .heic)",
        **THREE,
    ),
    refused(
        "a class of one image",
        pets(picture("birds/a.png")),
        "each of 3 classes needs one to train and one to validate, not birds (1 image)",
        "dataset.validation_source",
        **THREE,
    ),
    refused(
        "a share for validation that gives classes no image",
        pets(),
        "makes 1 of 12 images validate, but each of 2 classes needs one to train and one to validate",
        "take 0.167 to 0.833",
        validation_fraction=0.01,
    ),
    taken(
        "folders whose folders are the classes",
        classes("part1/cats", "part1/dogs", "part2/cats", "part2/dogs"),
        "WARNING: every class folder holds the same folders, cats, dogs",
    ),
    refused(
        "groups of classes",
        classes("animals/cats", "animals/dogs", "cars/vans"),
        "the folders one level down may be the classes: cats, dogs, vans",
        **THREE,
    ),
    # No class folders
    refused(
        "images with no class folder, of names such as `cat_0.png`",
        flat(CAT_0),
        "holds 12 images, but in no class folder",
        "dataset.classes: prefixes",
        "cat (6), dog (6)",
    ),
    taken("the same with `classes: prefixes`", flat(CAT_0), "cat (6 images), dog (6 images)", **PREFIXES),
    refused(
        "images with no class folder, of names such as `0.png`",
        flat("{1}.png".format),
        "put those of each class into a folder of their own",
    ),
    refused(
        "names without a `_` with `classes: prefixes`",
        flat(lambda name, number: f"{name}{number}.png" if number < 3 else f"{name}_{number}.png"),
        "3 of 12 images have no '_' in their names",
        **PREFIXES,
    ),
    # Names
    taken(
        "one class folder twice, in two forms of Unicode",
        classes("éclair", decomposed("éclair"), "tarte"),
        "2 folders, whose names differ in their form of Unicode alone; they are one class",
        "éclair (12 images)",
    ),
    taken(
        "training images from a Mac, validation images from elsewhere",
        with_others(classes("éclair", "tarte"), classes(decomposed("éclair"), "tarte")),
        "12 validation images of 2 classes",
        **OTHERS,
    ),
    taken(
        "class folders `Cat` and `cat`",
        classes("Cat", "cat"),
        "WARNING: Cat, cat differ in case or spaces alone, and are a class each",
    ),
    taken("line breaks and tabs in names", classes("a\nb", "c\td"), "a\\nb (6 images), c\\td (6 images)"),
    refused(
        "validation images of other classes",
        with_others(pets(), classes("cats", "wolves")),
        "class 'dogs' is not in both",
        "nor 'wolves'",
        **OTHERS,
    ),
    refused(
        "one folder for training and for validation",
        pets(),
        "shares 12 files with dataset.source, which would train and validate",
        validation_source="images",
    ),
    # Links
    taken(
        "a link in a class folder to that folder, or to one above",
        pets(link("cats/again", "."), link("dogs/up", "..")),
        "passed over, a link to a folder that is listed already: cats/again, dogs/up",
        "cats (6 images), dogs (6 images)",
    ),
    taken(
        "an image twice in a class, by a link",
        pets(link("cats/a.png", "000.png")),
        "passed over, links to images of the same class that are listed already: cats/a.png",
        "cats (6 images)",
    ),
    refused(
        "a link to an image that is not there",
        pets(link("cats/a.png", "gone.png")),
        "cats/a.png (No such file or directory)",
    ),
)
