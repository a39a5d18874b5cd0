"""The files that are listed of a folder and of a zip."""

import errno
import os
import warnings
import zipfile
from pathlib import Path

import pytest
from pictures import pack, random_picture, save, save_classes

from eddpm.data import containers
from eddpm.data.containers import LISTED_ALREADY, OF_A_SYSTEM, Folder, Zip
from eddpm.errors import ArtifactError


def write_zip(path: Path, names: list[str], content: bytes = b"x") -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name in names:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "links",
    [
        {"cats/up": ".."},
        {"cats/a": "b", "cats/b": "a"},
        {"cats/self": "self"},
        {"dogs/cats": "../cats", "cats/dogs": "../dogs"},
        {"cats/top": "../../images"},
    ],
)
def test_each_real_folder_is_listed_once_wherever_links_lead(tmp_path, links):
    folder = save_classes(tmp_path / "images", {"cats": 2, "dogs": 1})
    for name, target in links.items():
        (folder / name).symlink_to(target)
    images = [name for name in Folder(folder).files if name.endswith(".png")]
    assert sorted(images) == ["cats/000.png", "cats/001.png", "dogs/000.png"]


def test_of_two_links_to_one_folder_the_first_counts_and_the_second_is_named(tmp_path):
    elsewhere = save_classes(tmp_path / "elsewhere", {"cats": 2})
    (tmp_path / "images").mkdir()
    for name in ("b", "a"):
        (tmp_path / "images" / name).symlink_to(elsewhere / "cats")
    listed = Folder(tmp_path / "images")
    assert sorted(listed.files) == ["a/000.png", "a/001.png"]
    assert listed.passed_over == {"b": LISTED_ALREADY}


@pytest.mark.parametrize("link", ["a.png", "z.png"])
def test_links_to_listed_files_are_known_and_hard_links_are_files_of_their_own(tmp_path, link):
    folder = save_classes(tmp_path / "images", {"cats": 1, "dogs": 1})
    save(tmp_path / "elsewhere.png", random_picture(8, 8))
    (folder / f"cats/{link}").symlink_to("000.png")
    for name in ("y", "x"):
        (folder / f"cats/{name}.png").symlink_to(tmp_path / "elsewhere.png")
    os.link(folder / "dogs/000.png", folder / "dogs/c.png")
    listed = Folder(folder)
    assert len(listed.files) == 6
    assert listed.aliases == {f"cats/{link}": "cats/000.png", "cats/y.png": "cats/x.png"}


def test_a_folder_that_may_not_be_listed_is_refused(tmp_path, monkeypatch):
    def scandir(path):
        if str(path).endswith("/locked"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    folder = save_classes(tmp_path / "images", {"cats": 1, "locked": 1})
    real = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(ArtifactError, match=r"locked: cannot be listed \(Permission denied\); make it readable"):
        Folder(folder)


SYSTEM_FOLDERS = (
    ".git .Trash-1000 .thumbnails .ipynb_checkpoints .AppleDouble __MACOSX __pycache__ @eaDir @Recycle #recycle"
    " $RECYCLE.BIN lost+found LOST.DIR found.000 Previews.lrdata"
)
SYSTEM_FILES = ".DS_Store ._000.png Thumbs.db ehthumbs_vista.db desktop.ini .picasa.ini a.png:Zone.Identifier ~$a.doc"


@pytest.mark.parametrize("packed", [False, True])
def test_files_of_systems_and_programs_are_passed_over_and_named(tmp_path, packed):
    folder = save_classes(tmp_path / "images", {"cats": 1, "@nasa": 1, "recycled": 1, "thumbs": 1, "[a]": 1})
    for name in SYSTEM_FOLDERS.split():
        save(folder / "cats" / name / "deep/er/a.png", random_picture(8, 8))
    for name in (*SYSTEM_FILES.split(), "Icon\r", ".a.jpg.icloud"):
        (folder / "cats" / name).write_bytes(b"x")
    listed = Zip(pack(folder, tmp_path / "a.zip")) if packed else Folder(folder)
    images = {f"{name}/000.png" for name in ("cats", "@nasa", "recycled", "thumbs", "[a]")}
    assert listed.files.keys() == {*images, "cats/.a.jpg.icloud"}
    assert set(listed.passed_over.values()) == {OF_A_SYSTEM}
    names = {name.removeprefix("cats/") for name in listed.passed_over}
    assert names == {*SYSTEM_FOLDERS.split(), *SYSTEM_FILES.split(), "Icon\r"}


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
    listed = Zip(write_zip(tmp_path / "a.zip", [written, "dogs/", "birds\\"], b"content"))
    assert list(listed.files) == [name]
    assert listed.read(name) == b"content"
    assert listed.folders == {"", "dogs", "birds", *(str(parent) for parent in Path(name).parents if parent.name)}


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


@pytest.mark.parametrize("packed", [False, True])
def test_a_stamp_tells_other_bytes_under_the_same_name(tmp_path, packed):
    def stamp() -> tuple:
        container = Zip(pack(tmp_path / "images", tmp_path / "a.zip")) if packed else Folder(tmp_path / "images")
        return container.files["a/000.png"]

    path = save_classes(tmp_path / "images", {"a": 1}) / "a/000.png"
    whole, first = path.read_bytes(), stamp()
    assert stamp() == first
    for content in (whole + b"\0", whole[:-1] + b"\0"):  # the latter of the same size
        path.write_bytes(content)
        assert stamp() != first
