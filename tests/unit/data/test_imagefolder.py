"""Pictures in folders and zips, measured as they are."""

import numpy as np
import pytest
from pictures import pack, random_picture, save
from PIL import Image
from refusals import refusal

from eddpm.data.imagefolder import Pictures
from eddpm.data.imagesets import open_images


def read(path) -> np.ndarray:
    return np.concatenate(list(open_images(path).batches(3)))


def notes(path) -> str:
    return "; ".join(open_images(path).notes)


@pytest.fixture
def folder(tmp_path):
    """Seven colour pictures, as samplers number them."""
    for k in range(7):
        save(tmp_path / f"images/{k:03d}.png", random_picture(8, 9, seed=k))
    return tmp_path / "images"


def test_pictures_come_in_the_order_of_their_names(folder):
    images = open_images(folder)
    assert isinstance(images, Pictures)
    assert (len(images), images.shape, images.labels, images.notes) == (7, (8, 9, 3), None, ())
    np.testing.assert_array_equal(read(folder), [random_picture(8, 9, seed=k) for k in range(7)])
    assert [len(batch) for batch in images.batches(3)] == [3, 3, 1]


def test_a_zip_is_read_as_its_folder_is(folder, tmp_path):
    np.testing.assert_array_equal(read(pack(folder, tmp_path / "images.zip", "samples/")), read(folder))


# What is said -----------------------------------------------------------------------------------------------------


def test_grey_pictures_are_grey(tmp_path):
    (tmp_path / "images").mkdir()
    for k, mode in enumerate(("L", "1", "LA")):
        Image.fromarray(random_picture(8, 9, 1, seed=k)).convert(mode).save(tmp_path / f"images/{k}.png")
    assert open_images(tmp_path / "images").shape == (8, 9, 1)
    np.testing.assert_array_equal(read(tmp_path / "images")[0, ..., 0], random_picture(8, 9, 1, seed=0))


def test_grey_among_colour_is_read_as_colour(folder):
    save(folder / "007.png", grey := random_picture(8, 9, 1))
    assert notes(folder) == "1 of its 8 images are grey, and read as RGB like the others"
    np.testing.assert_array_equal(read(folder)[7], grey[..., None].repeat(3, axis=2))


def test_alpha_is_dropped(folder):
    save(folder / "007.png", pixels := random_picture(8, 9, 4))
    palette = Image.fromarray(pixels[..., :3]).quantize(16)
    palette.save(folder / "008.png", transparency=0)
    assert notes(folder).startswith("2 of its 9 images have an alpha channel or a transparent colour; colours are read")
    np.testing.assert_array_equal(read(folder)[7], pixels[..., :3])
    np.testing.assert_array_equal(read(folder)[8], np.asarray(palette.convert("RGB")))


def test_frames_inks_and_turns_are_counted(folder):
    frames = [Image.fromarray(random_picture(8, 9, seed=k)) for k in range(3)]
    frames[0].save(folder / "007.gif", save_all=True, append_images=frames[1:])
    frames[0].convert("CMYK").save(folder / "008.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    frames[0].save(folder / "009.jpg", exif=exif)
    said = notes(folder)
    for words in (
        "1 of its 10 images have several frames",
        "1 of its 10 images are CMYK",
        "1 of its 10 images are turned by an EXIF tag",
    ):
        assert words in said
    assert read(folder).shape == (10, 8, 9, 3)


def test_images_without_a_suffix_are_read(folder):
    (folder / "003.png").rename(folder / "003")
    assert (len(open_images(folder)), notes(folder)) == (7, "")


def test_links_are_left_out_and_what_a_system_keeps_is_not_worth_a_word(folder):
    (folder / "again.png").symlink_to("003.png")
    (folder / "loop").symlink_to(".")
    (folder / ".DS_Store").write_text("x")
    assert open_images(folder).notes == (
        "left out, as links to others of its images: 1",
        "left out, as a link to a folder that is listed already: 1",
    )
    assert len(open_images(folder)) == 7


# Refusals ---------------------------------------------------------------------------------------------------------


def test_a_name_of_odd_characters_stays_on_one_line(folder):
    (folder / "a\nb.png").write_bytes(b"junk")
    assert refusal(open_images, folder).startswith(r"a\nb.png cannot be read (")


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"\x89PNG\r\n\x1a\n" + bytes(50), ""), (None, "(No such file")]
)
def test_a_picture_that_cannot_be_read_is_named(folder, content, words):
    if content is None:
        (folder / "007.png").symlink_to("gone.png")
    else:
        (folder / "007.png").write_bytes(content)
    message = refusal(open_images, folder)
    assert message.startswith("007.png cannot be read (")
    assert words in message


def test_a_picture_that_is_cut_short_is_named_when_it_is_read(folder):
    whole = (folder / "003.png").read_bytes()
    (folder / "003.png").write_bytes(whole[: len(whole) // 2])
    assert refusal(read, folder).startswith("003.png cannot be read (")


def test_a_damaged_picture_of_a_zip_is_named(folder, tmp_path):
    path = pack(folder, tmp_path / "images.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 20] ^= 255
    path.write_bytes(data)
    assert "png cannot be read (" in refusal(read, path)
