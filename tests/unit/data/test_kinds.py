"""Kinds of files by their names, or, where these say nothing, by their first bytes."""

import pytest
from pictures import pack, random_picture, save

from eddpm.data.containers import Folder, Zip
from eddpm.data.kinds import is_companion, kind, remedy, why_left_out


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a.heic", b"x", ".heic"),
        ("a.HEIC", b"x", ".heic"),
        ("a.b.Txt", b"x", ".txt"),
        ("a.jpg_original", b"x", ".jpg_original"),
        ("a.png~", b"x", ".png~"),
        ("LICENSE", b"CC0", "without a suffix: text"),
        ("data_batch_1", b"\x80\x02}q", "without a suffix: a pickle"),
        ("a", b"", "without a suffix: an empty file"),
        ("IMG.0001", b"\0" * 99, "without a suffix: unknown data"),
        ("Dr. Smith", b"text", "without a suffix: text"),
    ],
)
def test_a_kind_is_the_suffix_or_what_the_bytes_say(tmp_path, packed, name, content, wanted):
    save(tmp_path / "images/z.png", random_picture(8, 8))
    (tmp_path / "images" / name).write_bytes(content)
    container = Zip(pack(tmp_path / "images", tmp_path / "a.zip")) if packed else Folder(tmp_path / "images")
    assert kind(container, name) == wanted


@pytest.mark.parametrize("name", ["a", "IMG.0001", "photo of 2024.01.05"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".gif", ".webp", ".bmp", ".tif"])
def test_an_image_whose_name_has_no_suffix_is_one(tmp_path, name, suffix):
    save(tmp_path / f"a{suffix}", random_picture(8, 8)).rename(tmp_path / name)
    assert kind(Folder(tmp_path), name) is None


def test_a_broken_link_without_a_suffix_is_of_the_kind_that_its_error_says(tmp_path):
    (tmp_path / "a").symlink_to("gone")
    assert kind(Folder(tmp_path), "a") == "without a suffix: No such file or directory"


@pytest.mark.parametrize("kind", [".txt", ".json", ".xmp", ".aae", ".csv", ".caption", ".md", "without a suffix: text"])
def test_companions_are_no_images(kind):
    assert is_companion(kind)
    assert why_left_out("a", kind).endswith(", no image")


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (".heic", "convert"),
        (".cr2", "convert"),
        (".svg", "convert"),
        (".whatever", "convert"),
        ("without a suffix: unknown data", "convert"),
        (".zip", "unpack"),
        (".npy", "save"),
        (".crdownload", "finish"),
        ("without a suffix: a pickle", "save"),
        ("without a suffix: a gzip archive", "unpack"),
        (".tfrecord", "save"),
        (".icloud", "let iCloud"),
    ],
)
def test_whatever_else_may_be_an_image_that_is_lost_and_has_a_remedy(kind, step):
    assert not is_companion(kind)
    assert remedy([kind, kind]).startswith(step)
    assert remedy([kind, kind]) == remedy([kind])
