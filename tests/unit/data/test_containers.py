"""What is listed of a folder and of a zip, and how an image is opened."""

import errno
import io
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pictures import pack, random_picture, save, save_classes
from PIL import Image

from eddpm.data import containers
from eddpm.data.containers import LISTED_ALREADY, OF_A_SYSTEM, Folder, Zip, is_image, open_image
from eddpm.errors import ArtifactError


def write_zip(path: Path, names: list[str], content: bytes = b"x") -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name in names:
            archive.writestr(name, content)
    return path


# Links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "links",
    [
        {"cats/again": "."},
        {"cats/up": ".."},
        {"cats/a": "b", "cats/b": "a"},
        {"cats/self": "self"},
        {"dogs/cats": "../cats", "cats/dogs": "../dogs"},
        {"cats/top": "../../images"},
    ],
)
def test_each_real_folder_is_listed_once_wherever_links_lead(tmp_path, links):
    folder = save_classes(tmp_path / "images", {"cats": 3, "dogs": 2})
    for name, target in links.items():
        (folder / name).symlink_to(target)
    images = [name for name in Folder(folder).files if name.endswith(".png")]
    assert sorted(images) == ["cats/000.png", "cats/001.png", "cats/002.png", "dogs/000.png", "dogs/001.png"]


def test_of_two_links_to_one_folder_the_first_counts_and_the_second_is_named(tmp_path):
    elsewhere = save_classes(tmp_path / "elsewhere", {"cats": 2})
    (tmp_path / "images").mkdir()
    for name in ("b", "a"):
        (tmp_path / "images" / name).symlink_to(elsewhere / "cats")
    listed = Folder(tmp_path / "images")
    assert sorted(listed.files) == ["a/000.png", "a/001.png"]
    assert listed.passed_over == {"b": LISTED_ALREADY}


def test_links_to_listed_files_are_known_and_hard_links_are_files_of_their_own(tmp_path):
    folder = save_classes(tmp_path / "images", {"cats": 1})
    save(tmp_path / "elsewhere.png", random_picture(8, 8))
    (folder / "cats/b.png").symlink_to("000.png")
    for name in ("y", "x"):
        (folder / f"cats/{name}.png").symlink_to(tmp_path / "elsewhere.png")
    os.link(folder / "cats/000.png", folder / "cats/c.png")
    listed = Folder(folder)
    assert len(listed.files) == 5
    assert listed.aliases == {"cats/b.png": listed.aliases["cats/b.png"], "cats/y.png": "cats/x.png"}
    assert listed.aliases["cats/b.png"] in ("cats/000.png", "cats/c.png")


def test_a_folder_behind_a_link_that_may_not_be_entered_is_refused(tmp_path, monkeypatch):
    def stat(path, **options):
        if str(path).endswith("/locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, **options)

    folder = save_classes(tmp_path / "images", {"cats": 1, "locked": 1})
    real = os.stat
    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(ArtifactError, match=r"locked: cannot be listed \(Permission denied\); make it readable"):
        Folder(folder)


# Systems ----------------------------------------------------------------------------------------------------------

SYSTEM_FOLDERS = (
    ".git .svn .Trash-1000 .thumbnails .dropbox.cache .picasaoriginals .ipynb_checkpoints .AppleDouble .snapshot .idea"
    " __MACOSX __pycache__ @eaDir @Recycle #recycle $RECYCLE.BIN lost+found LOST.DIR found.000 Previews.lrdata"
)
SYSTEM_FILES = ".DS_Store ._000.png Thumbs.db ehthumbs_vista.db desktop.ini .picasa.ini a.png:Zone.Identifier ~$a.doc"


@pytest.mark.parametrize("packed", [False, True])
def test_what_systems_and_programs_leave_is_passed_over_and_named(tmp_path, packed):
    folder = save_classes(tmp_path / "images", {"cats": 1})
    for name in (*SYSTEM_FOLDERS.split(), "System Volume Information"):
        save(folder / "cats" / name / "deep/er/a.png", random_picture(8, 8))
    for name in (*SYSTEM_FILES.split(), "Icon\r"):
        (folder / "cats" / name).write_bytes(b"x")
    listed = Zip(pack(folder, tmp_path / "a.zip")) if packed else Folder(folder)
    assert list(listed.files) == ["cats/000.png"]
    assert set(listed.passed_over.values()) == {OF_A_SYSTEM}
    names = {name.removeprefix("cats/") for name in listed.passed_over}
    assert names == {*SYSTEM_FOLDERS.split(), "System Volume Information", *SYSTEM_FILES.split(), "Icon\r"}


@pytest.mark.parametrize("name", ["@nasa", "recycled", "cvs", "previews", "trash", "a.b", "thumbs", "[a]"])
def test_folders_of_similar_names_are_peoples_own(tmp_path, name):
    folder = save_classes(tmp_path / "images", {name: 1})
    assert list(Folder(folder).files) == [f"{name}/000.png"]


def test_a_placeholder_of_icloud_is_no_systems_file(tmp_path):
    (tmp_path / ".a.jpg.icloud").write_bytes(b"x")
    assert list(Folder(tmp_path).files) == [".a.jpg.icloud"]


# Zips -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("cats\\a.png", "cats/a.png"),
        ("/cats/a.png", "cats/a.png"),
        ("./cats/./a.png", "cats/a.png"),
        ("../../cats/a.png", "cats/a.png"),
        ("C:\\pets\\cats\\a.png", "pets/cats/a.png"),
        ("кошки/a.png", "кошки/a.png"),
        ("cats//a.png", "cats/a.png"),
    ],
)
def test_the_names_in_a_zip_are_those_of_files_below_its_top(tmp_path, written, name):
    listed = Zip(write_zip(tmp_path / "a.zip", [written], b"content"))
    assert list(listed.files) == [name]
    assert listed.read(name) == b"content"
    assert listed.folders == {"", *(str(parent) for parent in Path(name).parents if str(parent) != ".")}


def test_an_empty_folder_in_a_zip_is_one(tmp_path):
    assert Zip(write_zip(tmp_path / "a.zip", ["cats/a.png", "dogs/", "birds\\"])).folders == {
        "",
        "cats",
        "dogs",
        "birds",
    }


def test_of_files_of_one_name_in_a_zip_the_last_counts_and_the_others_are_named(tmp_path):
    listed = Zip(write_zip(tmp_path / "a.zip", ["cats/a.png", "cats/b.png", "cats/a.png"]))
    assert sorted(listed.files) == ["cats/a.png", "cats/b.png"]
    assert listed.passed_over == {"cats/a.png": "an earlier file of the same name"}


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_larger_than_an_image_can_be_is_not_read_but_its_beginning_is(tmp_path, monkeypatch, packed):
    folder = save_classes(tmp_path / "images", {"cats": 1})
    (folder / "cats/large.png").write_bytes(bytes(5000))
    monkeypatch.setattr(containers, "LARGEST_FILE", 5000)
    listed = Zip(pack(folder, tmp_path / "a.zip")) if packed else Folder(folder)
    assert listed.read("cats/large.png", 16) == bytes(16)
    assert listed.read("cats/000.png", 10**6) == (folder / "cats/000.png").read_bytes()
    with pytest.raises(ValueError, match="holds 5000 bytes, more than an image can need"):
        listed.read("cats/large.png", 5000)


# Images -----------------------------------------------------------------------------------------------------------


def encoded(image: Image.Image, kind: str) -> bytes:
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


@pytest.mark.filterwarnings("error")
def test_large_images_are_measured_by_a_limit_of_our_own_and_that_of_pillow_stays_as_it_was(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    monkeypatch.setattr(containers, "PIXELS", 1000)
    allowed, larger = (encoded(Image.new("L", size), "PNG") for size in ((40, 25), (40, 26)))
    assert open_image(allowed).size == (40, 25)
    with pytest.raises(ValueError, match="is 40x26, more than 1000 pixels; reduce it"):
        open_image(larger)
    assert Image.MAX_IMAGE_PIXELS == 100


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "TGA", "JPEG2000", "ICO", "PCX"])
def test_images_of_every_kind_are_opened_and_known_by_their_first_bytes(kind):
    data = encoded(Image.fromarray(random_picture(32, 32)), kind)
    assert np.asarray(open_image(data).convert("RGB")).shape == (32, 32, 3)
    if kind != "TGA":  # has no mark
        assert containers.starts_like_image(data)


def test_plain_ppm_is_an_image_though_it_is_text():
    assert open_image(b"P3\n1 1\n255\n1 2 3\n").convert("RGB").getpixel((0, 0)) == (1, 2, 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"Python is a snake", "is no image of a format that is read, but text"),
        (b"<svg height='8'/>", 'is text that begins "<svg'),
        (b"\0\0\0\x18ftypheic" + bytes(99), "but a HEIC image"),
        (b"\0\0\0\x18ftypmp42" + bytes(99), "but a video"),
        (b"8BPS\0\1" + bytes(99), "but a Photoshop document"),
        (b"\x00" * 99, "but unknown data"),
    ],
)
def test_what_is_no_image_is_named(content, reason):
    with pytest.raises(ValueError, match=reason):
        open_image(content)


@pytest.mark.parametrize("name", ["a.HEIC", "a.svg", "a.eps", "a.psd", "a.pdf", "a.jxl", "a.dng", "a", "a.jpg.icloud"])
def test_other_formats_are_no_images_by_their_names(name):
    assert not is_image(name)
