"""The files that are listed of a folder and of a zip."""

import errno
import os
import warnings
import zipfile

import pytest
from pictures import random_picture, save, save_classes

from eddpm.data.containers import LISTED_ALREADY, OF_A_SYSTEM, Folder, Zip, open_container
from eddpm.errors import ArtifactError


def test_each_real_folder_is_listed_once_wherever_links_lead(tmp_path):
    folder = save_classes(tmp_path / "images", {"cats": 2, "dogs": 1})
    save_classes(tmp_path / "elsewhere", {"birds": 1})
    links = {"cats/up": "..", "cats/dogs": "../dogs", "cats/x": "y", "cats/y": "x"}
    for name, target in (links | dict.fromkeys("ba", "../elsewhere/birds")).items():
        (folder / name).symlink_to(target)
    listed = Folder(folder)
    images = [name for name in listed.files if name.endswith(".png")]
    assert sorted(images) == ["a/000.png", "cats/000.png", "cats/001.png", "dogs/000.png"]
    assert listed.passed_over == dict.fromkeys(("b", "cats/dogs", "cats/up"), LISTED_ALREADY)


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


def test_files_of_systems_and_programs_are_passed_over_and_named(tmp_path, brought):
    folders = {".git", "__MACOSX", "__pycache__", "@eaDir", "#recycle", "$RECYCLE.BIN", "found.000", "Previews.lrdata"}
    files = {".DS_Store", "._000.png", "Thumbs.db", "desktop.ini", "a.png:Zone.Identifier", "~$a.doc", "Icon\r"}
    folder = save_classes(tmp_path / "images", {"cats": 1, "@nasa": 1, "recycled": 1, "thumbs": 1, "[a]": 1})
    for name in folders:
        save(folder / "cats" / name / "deep/er/a.png", random_picture(8, 8))
    for name in (*files, ".a.jpg.icloud"):
        (folder / "cats" / name).write_bytes(b"x")
    listed = open_container(brought(folder))
    images = {f"{name}/000.png" for name in ("cats", "@nasa", "recycled", "thumbs", "[a]")}
    assert listed.files.keys() == {*images, "cats/.a.jpg.icloud"}
    assert set(listed.passed_over.values()) == {OF_A_SYSTEM}
    assert {name.removeprefix("cats/") for name in listed.passed_over} == folders | files


@pytest.mark.parametrize("again", ["cats/a.png", "./cats//a.png", "C:\\cats\\a.png", "../cats/a.png", "/cats/a.png"])
def test_a_zip_that_holds_a_name_twice_is_refused_with_the_name(tmp_path, again):
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")  # of a name that comes twice
        for name in ("cats/a.png", "cats/b.png", again):
            archive.writestr(name, name)
    with pytest.raises(ArtifactError, match=r"a\.zip: holds two files named cats/a\.png, .* unpack it"):
        Zip(tmp_path / "a.zip")


def test_names_in_a_zip_that_are_alike_are_files_of_their_own(tmp_path):
    names = ["cats/a.png", "cats/A.png", "Cats/a.png", "cats/a.png.png"]
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore")
        for name in (*names, "dogs/", "dogs/", "C:\\birds\\", "cats/.DS_Store", "cats/.DS_Store"):
            archive.writestr(name, name)
    listed = Zip(tmp_path / "a.zip")
    assert sorted(listed.files) == sorted(names)
    assert listed.folders == {"", "cats", "Cats", "dogs", "birds"}
    with listed.open("cats/A.png") as file:
        assert file.read() == b"cats/A.png"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compression_that_unpacks_a_file_at_once_is_refused(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a/a.png", bytes(1000))
    with pytest.raises(ArtifactError, match=rf"is not read \(method {method}\); unpack it, and name the folder"):
        Zip(tmp_path / "a.zip")


def test_a_stamp_tells_other_bytes_under_the_same_name(tmp_path, brought):
    def stamp() -> tuple:
        return open_container(brought(tmp_path / "images")).files["a/000.png"]

    path = save_classes(tmp_path / "images", {"a": 1}) / "a/000.png"
    whole, first = path.read_bytes(), stamp()
    assert stamp() == first
    for content in (whole + b"\0", whole[:-1] + b"\0"):  # the latter of the same size
        path.write_bytes(content)
        assert stamp() != first
