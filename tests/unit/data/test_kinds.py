"""Kinds of files by their names, or, where these say nothing, by their first bytes."""

from pictures import random_picture, save

from eddpm.data.containers import open_container
from eddpm.data.kinds import kind


def test_a_kind_is_the_suffix_or_what_the_bytes_say(tmp_path, brought):
    kinds = {
        ("a.HEIC", b"x"): ".heic",
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
    container = open_container(brought(folder))
    assert {name: found for name in container.files if (found := kind(container, name))} == {
        name: wanted for (name, _), wanted in kinds.items()
    }
