"""Kinds of files by their names, or, where these say nothing, by their first bytes."""

import pytest
from pictures import pack, random_picture, save

from eddpm.data.containers import Folder, Zip
from eddpm.data.kinds import is_companion, kind, remedy


@pytest.mark.parametrize("packed", [False, True])
def test_a_kind_is_the_suffix_or_what_the_bytes_say(tmp_path, packed):
    kinds = {
        ("a.HEIC", b"x"): ".heic",
        ("a.b.Txt", b"x"): ".txt",
        ("a.jpg_original", b"x"): ".jpg_original",
        ("a.png~", b"x"): ".png~",
        ("LICENSE", b"CC0"): "without a suffix: text",
        ("data_batch_1", b"\x80\x02}q"): "without a suffix: a pickle",
        ("a", b""): "without a suffix: an empty file",
        ("IMG.0001", b"\0" * 99): "without a suffix: unknown data",
        ("Dr. Smith", b"text"): "without a suffix: text",
    }
    folder = save(tmp_path / "images/z.png", random_picture(8, 8)).parent
    for name, content in kinds:
        (folder / name).write_bytes(content)
    for suffix, name in {".png": "b", ".jpg": "IMG.0002", ".webp": "photo of 2024.01.05"}.items():
        save(folder / f"z{suffix}", random_picture(8, 8)).rename(folder / name)
    container = Zip(pack(folder, tmp_path / "a.zip")) if packed else Folder(folder)
    assert {name: found for name in container.files if (found := kind(container, name))} == {
        name: wanted for (name, _), wanted in kinds.items()
    }


@pytest.mark.parametrize("kind", [".txt", ".json", ".xmp", ".aae", ".csv", ".caption", ".md", "without a suffix: text"])
def test_companions_are_no_images(kind):
    assert is_companion(kind)


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        (".cr2", "convert"),
        (".svg", "convert"),
        ("without a suffix: unknown data", "convert"),
        (".zip", "unpack"),
        (".crdownload", "finish"),
        ("without a suffix: a pickle", "save"),
        ("without a suffix: a gzip archive", "unpack"),
        (".tfrecord", "save"),
    ],
)
def test_every_other_file_may_be_an_image_that_is_lost_and_has_a_remedy(kind, step):
    assert not is_companion(kind)
    assert remedy([kind, kind]).startswith(step)
    assert remedy([kind, kind]) == remedy([kind])
