"""The classes of images, files that are in none, and an order that no file system and no form of Unicode changes."""

import unicodedata
from pathlib import Path

import pytest
from pictures import random_picture, save, save_classes

from eddpm.data.classes import Listing
from eddpm.data.containers import Folder, open_container


@pytest.fixture
def list_(brought, tmp_path):
    """A function that makes images and other files of these names, and lists them."""

    def make_and_list(*names: str, layout: str = "folders") -> Listing:
        folder = tmp_path / "images"
        for name in names:
            if name.endswith(".png"):
                save(folder / name, random_picture(8, 8))
            else:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).mkdir() if name.endswith("/") else (folder / name).write_bytes(b"x")
        return Listing(open_container(brought(folder)), layout)

    return make_and_list


@pytest.mark.parametrize(
    ("names", "classes", "counted"),
    [
        ("a/1.png b/1.png", "a b", 2),
        ("a/1.png a/c/1.png b/d/1.png", "a b", 3),
        ("x/loose.png x/a/1.png x/b/1.png", "a b", 2),
        ("images/a/1.png images/b/1.png labels/a/1.txt labels/b/1.txt", "a b", 2),
        ("a/1.png a/c/1.png", "a", 2),
        ("a/c/1.png a/d/1.png b/", "a", 2),
        ("x/a/1.png x/b/1.heic", "a", 1),
        ("loose.png", "", 0),
    ],
)
def test_classes_are_the_uppermost_folders_that_lie_beside_others(list_, names, classes, counted):
    found = list_(*names.split())
    assert found.classes == tuple(classes.split())
    assert len(found.entries) == counted


def test_images_are_sorted_folder_by_folder(list_):
    names = ["a/10.png", "a/9.png", "a/B.png", "a/b/1.png", "a/b-c/1.png", "b/deep/er/1.png"]
    found = list_(*reversed(names))
    assert [entry.name for entry in found.entries] == [path.as_posix() for path in sorted(map(Path, names))]


def test_the_order_of_images_is_the_same_in_every_form_of_unicode(tmp_path):
    orders = []
    for form in ("NFC", "NFD"):
        for name in ("Éa/ü.png", "Éa/u.png", "Éb/é.png", "Éb/z.png", "F/ö.png"):
            save(tmp_path / form / unicodedata.normalize(form, name), random_picture(8, 8))
        found = Listing(Folder(tmp_path / form))
        orders.append([(unicodedata.normalize("NFC", entry.name), entry.label) for entry in found.entries])
        assert found.classes == ("F", "Éa", "Éb")
    assert orders[0] == orders[1]


def test_links_to_an_image_count_once_in_a_class_and_once_in_each_of_two(tmp_path):
    folder = save_classes(tmp_path / "images", {"a": 2, "b": 1})
    (folder / "a/again.png").symlink_to("000.png")
    (folder / "b/other.png").symlink_to("../a/001.png")
    found = Listing(Folder(folder))
    assert [entry.name for entry in found.entries] == ["a/000.png", "a/001.png", "b/000.png", "b/other.png"]
    assert found.remarks[1] == "WARNING: links to images of other classes, which count in both: b/other.png"


def test_prefixes_are_classes_wherever_the_images_lie(list_):
    found = list_("dog_1.png", "x/cat_1_2.png", "x/y/cat_2.png", "thumbs/cat_1.png", "cat_1.txt", layout="prefixes")
    assert found.classes == ("cat", "dog")
    entries = [(entry.name, entry.label) for entry in found.entries]
    assert entries == [("dog_1.png", 1), ("x/cat_1_2.png", 0), ("x/y/cat_2.png", 0)]
    assert found.not_counted == {"cat_1.txt": ".txt"}
