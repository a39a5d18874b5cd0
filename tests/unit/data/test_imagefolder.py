"""Pictures in folders and zips, measured as they are."""

import re

import numpy as np
import pytest
from pictures import random_picture, save
from PIL import Image
from refusals import refusal

from eddpm.data.imagesets import open_images


def read(path) -> np.ndarray:
    return np.concatenate(list(open_images(path).batches(3)))


@pytest.fixture
def folder(tmp_path):
    """Seven colour pictures, as samplers number them."""
    for k in range(7):
        save(tmp_path / f"images/{k:03d}.png", random_picture(8, 9, seed=k))
    return tmp_path / "images"


def test_pictures_come_in_the_order_of_their_names(folder, brought):
    path = brought(folder)
    images = open_images(path)
    assert (len(images), images.shape, images.labels, images.notes) == (7, (8, 9, 3), None, ())
    np.testing.assert_array_equal(read(path), [random_picture(8, 9, seed=k) for k in range(7)])
    assert [len(batch) for batch in images.batches(3)] == [3, 3, 1]


def test_what_is_odd_about_pictures_is_counted_and_their_colours_are_read(folder):
    save(folder / "007.png", grey := random_picture(8, 9, 1))
    save(folder / "008.png", pixels := random_picture(8, 9, 4))
    first, second = (Image.fromarray(random_picture(8, 9, seed=k)) for k in range(2))
    first.save(folder / "009.gif", save_all=True, append_images=[second])
    first.convert("CMYK").save(folder / "010.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    first.save(folder / "011.jpg", exif=exif)
    said = "; ".join(open_images(folder).notes)
    for words in ("grey, and read as RGB", "several frames", "an alpha channel", "CMYK", "turned by an EXIF tag"):
        assert re.search(rf"1 of its 12 images (are|have) {words}", said)
    found = read(folder)
    assert found.shape == (12, 8, 9, 3)
    np.testing.assert_array_equal(found[7], grey[..., None].repeat(3, axis=2))
    np.testing.assert_array_equal(found[8], pixels[..., :3])


def test_links_are_left_out_and_what_a_system_keeps_is_not_worth_a_word(folder):
    (folder / "003.png").rename(folder / "003")  # an image all the same
    (folder / "again.png").symlink_to("003")
    (folder / "loop").symlink_to(".")
    (folder / ".DS_Store").write_text("x")
    assert open_images(folder).notes == (
        "left out, as links to others of its images: 1",
        "left out, as a link to a folder that is listed already: 1",
    )
    assert len(open_images(folder)) == 7


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"junk", ""), (None, "(No such file")])
def test_a_picture_that_cannot_be_read_is_named_on_one_line(folder, content, words):
    if content is None:
        (folder / "a\nb.png").symlink_to("gone.png")
    else:
        (folder / "a\nb.png").write_bytes(content)
    message = refusal(open_images, folder)
    assert message.startswith(r"a\nb.png cannot be read (")
    assert words in message


def test_a_picture_that_is_cut_short_is_named_when_it_is_read(folder, brought):
    whole = (folder / "003.png").read_bytes()
    (folder / "003.png").write_bytes(whole[: len(whole) // 2])
    assert refusal(read, brought(folder)).startswith("003.png cannot be read (")
