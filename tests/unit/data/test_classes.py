"""Which folders are classes, what is in none, and an order that no file system and no form of Unicode changes."""

import unicodedata
from pathlib import Path

import pytest
from pictures import pack, random_picture, save, save_classes

from eddpm.data.classes import Listing, by_folders, by_prefixes
from eddpm.data.containers import Folder, Zip


@pytest.fixture(params=["folder", "zip"])
def listed(request, tmp_path):
    """A function that makes images of these names, and lists them."""

    def list_(*names: str, layout=by_folders) -> Listing:
        for k, name in enumerate(names):
            if name.endswith("/"):
                (tmp_path / "images" / name).mkdir(parents=True)
            elif name.endswith(".png"):
                save(tmp_path / "images" / name, random_picture(8, 8, seed=k))
            else:
                (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "images" / name).write_bytes(b"x")
        folder = tmp_path / "images"
        return layout(Folder(folder) if request.param == "folder" else Zip(pack(folder, tmp_path / "a.zip")))

    return list_


@pytest.mark.parametrize(
    ("names", "classes", "counted"),
    [
        (["a/1.png", "b/1.png"], "a b", 2),
        (["x/a/1.png", "x/b/1.png"], "a b", 2),
        (["x/y/z/a/1.png", "x/y/z/b/1.png"], "a b", 2),
        (["a/1.png", "a/c/1.png", "b/d/1.png"], "a b", 3),
        (["x/loose.png", "x/a/1.png", "x/b/1.png"], "a b", 2),
        (["images/a/1.png", "images/b/1.png", "labels/a/1.txt", "labels/b/1.txt"], "a b", 2),
        (["a/1.png"], "a", 1),
        (["x/a/1.png"], "a", 1),
        (["a/1.png", "a/c/1.png"], "a", 2),
        (["a/c/1.png", "a/d/1.png", "b/"], "a", 2),
        (["a/1.png", "b/1.heic"], "a", 1),
        (["x/a/1.png", "x/b/1.heic"], "a", 1),
        (["a/1.png", "a/thumbs/1.png", "b/previews/1.png", "b/1.png"], "a b", 2),
        (["a/1.png", "a/thumbs/1.png"], "a", 1),
        (["a/1.png", "thumbs/1.png"], "a thumbs", 2),
        (["loose.png"], "", 0),
        (["a/notes.txt"], "", 0),
    ],
)
def test_classes_are_the_uppermost_folders_that_lie_beside_others(listed, names, classes, counted):
    found = listed(*names)
    assert found.classes == tuple(classes.split())
    assert len(found.entries) == counted


def test_what_lies_in_place_of_images_is_named_for_each_folder(listed):
    found = listed("a/1.png", "empty/", "texts/1.txt", "photos/1.heic", "photos/2.heic", "small/thumbs/1.png")
    assert found.without == {"empty": "empty", "texts": "1 .txt", "photos": "2 .heic", "small": "thumbnails"}


def test_files_are_told_apart_by_whether_they_lie_in_a_class(listed):
    found = listed("README.md", "loose.png", "a/1.png", "a/1.txt", "a/b/1.heic", "c/1.png", "labels/1.csv")
    assert found.not_counted == {"a/1.txt": ".txt", "a/b/1.heic": ".heic", "labels/1.csv": ".csv"}
    assert found.beside == {"README.md": ".md", "loose.png": "image"}
    assert "files in no class do not count: 1 .md, 1 image" in found.remarks


def test_the_order_of_images_is_the_same_in_every_form_of_unicode(tmp_path):
    names = ["Éa/ü.png", "Éa/u.png", "Éb/é.png", "Éb/z.png", "F/ö.png"]
    orders = []
    for form in ("NFC", "NFD"):
        for name in names:
            save(tmp_path / form / unicodedata.normalize(form, name), random_picture(8, 8))
        found = by_folders(Folder(tmp_path / form))
        orders.append([(unicodedata.normalize("NFC", entry.name), entry.label) for entry in found.entries])
        assert found.classes == ("F", "Éa", "Éb")
    assert orders[0] == orders[1]


def test_a_class_in_two_forms_of_unicode_has_the_images_of_both(listed):
    found = listed("café/1.png", unicodedata.normalize("NFD", "café") + "/1.png", "thé/1.png")
    assert found.classes == ("café", "thé")
    assert [entry.label for entry in found.entries] == [0, 0, 1]
    assert found.remarks == ["café: 2 folders, whose names differ in their form of Unicode alone; they are one class"]


@pytest.mark.parametrize("pair", ["Cat cat", "CATS cats"])
def test_classes_whose_names_look_alike_are_two_and_pointed_out(listed, pair):
    found = listed(*(f"{name}/1.png" for name in pair.split()))
    assert len(found.classes) == 2
    (remark,) = found.remarks
    assert remark.startswith(f"WARNING: {', '.join(pair.split())} differ in case or spaces alone")


def test_a_trailing_space_is_seen(listed):
    assert listed("cats/1.png", "cats /1.png").remarks == [
        "WARNING: cats, 'cats ' differ in case or spaces alone, and are a class each"
    ]


def test_links_to_an_image_count_once_in_a_class_and_once_in_each_of_two(tmp_path):
    folder = save_classes(tmp_path / "images", {"a": 2, "b": 1})
    (folder / "a/again.png").symlink_to("000.png")
    (folder / "b/other.png").symlink_to("../a/001.png")
    found = by_folders(Folder(folder))
    assert [entry.name for entry in found.entries] == ["a/000.png", "a/001.png", "b/000.png", "b/other.png"]
    assert found.remarks == [
        "passed over, links to images of the same class that are listed already: a/again.png",
        "WARNING: links to images of other classes, which count in both: b/other.png",
    ]


# By prefixes ------------------------------------------------------------------------------------------------------


def test_prefixes_are_classes_wherever_the_images_lie(listed):
    found = listed("dog_1.png", "x/cat_1_2.png", "x/y/cat_2.png", "thumbs/cat_1.png", "cat_1.txt", layout=by_prefixes)
    assert found.classes == ("cat", "dog")
    assert [(entry.name, entry.label) for entry in found.entries] == [
        ("dog_1.png", 1),
        ("x/cat_1_2.png", 0),
        ("x/y/cat_2.png", 0),
    ]
    assert found.not_counted == {"cat_1.txt": ".txt"}
    assert found.remarks == ["passed over: 1 files in folders of thumbnails or previews"]


def test_folders_are_no_classes_by_prefixes(tmp_path):
    for name in ("x/a_1.png", "y/a_2.png", "y/b_1.png"):
        save(tmp_path / name, random_picture(8, 8))
    assert by_prefixes(Folder(Path(tmp_path))).classes == ("a", "b")
