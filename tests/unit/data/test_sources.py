"""What is listed of a source, under which class, and what its images become."""

import errno
import multiprocessing
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from pictures import CIFAR10, pack, random_picture, save, save_classes
from PIL import Image

from eddpm.data.containers import Folder, Zip
from eddpm.data.sources import FileSource, Source, Unreadable, open_source
from eddpm.errors import ArtifactError, EddpmError
from eddpm.io.arrays import write_npz
from eddpm.io.batches import Samples, write_samples


def names(source: Source) -> list[str]:
    return [entry.name for entry in source.entries]


def labels(source: Source) -> list[int]:
    return [entry.label for entry in source.entries]


def pixels(source: Source, k: int, channels: int = 3) -> np.ndarray:
    return np.asarray(source.read(source.entries[k], channels).image)


def refusal(function, *arguments, kind: type[EddpmError] = ArtifactError) -> str:
    with pytest.raises(kind) as caught:
        function(*arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def reason(source: Source, k: int = 0) -> str:
    with pytest.raises(Unreadable) as caught:
        pixels(source, k)
    message = str(caught.value)
    assert message
    assert not set("\n\t") & set(message)
    return message


# Digits and npz ---------------------------------------------------------------------------------------------------


def test_the_digits_are_the_1797_scans_of_scikit_learn_spread_over_all_bytes():
    source, raw = open_source("digits", 10), sklearn.datasets.load_digits()
    found = np.stack([pixels(source, k, 1) for k in range(1797)])
    assert (found.shape, found.dtype) == ((1797, 8, 8), np.uint8)
    assert (found.min(), found.max()) == (0, 255)
    assert np.abs(found - raw.images * 255 / 16).max() <= 0.5
    assert labels(source) == raw.target.tolist()
    assert source.classes == tuple("0123456789")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_of_an_npz_are_read_as_they_are_under_their_labels(tmp_path, channels):
    images = np.stack([random_picture(8, 9, channels, seed).reshape(8, 9, channels) for seed in range(4)])
    write_samples(tmp_path / "a.npz", Samples(images, np.array([1, 0, 2, 1]), {}))
    source = open_source(str(tmp_path / "a.npz"), 3)
    assert (names(source), labels(source)) == (["0", "1", "2", "3"], [1, 0, 2, 1])
    assert source.classes == ("0", "1", "2")
    for k in range(4):
        np.testing.assert_array_equal(pixels(source, k, channels).reshape(8, 9, channels), images[k])


@pytest.mark.parametrize("found", [[0, 2, 2], [-1, 0, 1], [1, 2, 1]])
def test_labels_with_a_gap_are_refused(tmp_path, found):
    write_samples(tmp_path / "a.npz", Samples(np.zeros((3, 8, 8, 3), np.uint8), np.array(found), {}))
    message = refusal(open_source, str(tmp_path / "a.npz"), 3)
    assert message.startswith(f"{tmp_path / 'a.npz'}: its labels are {min(found)} to {max(found)}; number the classes")


def test_an_npz_that_holds_no_labelled_pictures_is_refused(tmp_path):
    write_npz(tmp_path / "a.npz", arr_0=np.zeros((3, 8, 8, 3), np.uint8))
    assert "has no labels beside its images" in refusal(open_source, str(tmp_path / "a.npz"), 2)
    write_samples(tmp_path / "b.npz", Samples(np.zeros((3, 8, 8, 5), np.uint8), np.arange(3), {}))
    assert "images of 5 channels are not known" in refusal(open_source, str(tmp_path / "b.npz"), 3)


# Class folders ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "zip", "zip within a folder"])
def opened(request, tmp_path):
    """A function that opens class folders, as they are or packed."""

    def open_(folder: Path) -> Source:
        if request.param == "folder":
            return FileSource(Folder(folder))
        prefix = "photos/2024/" if "within" in request.param else ""
        return FileSource(Zip(pack(folder, tmp_path / "packed.zip", prefix)))

    return open_


def test_classes_are_the_sorted_folder_names_and_images_keep_their_class(tmp_path, opened):
    for shade, name in ((40, "zebra"), (80, "ant"), (120, "Cat")):
        for k in range(2):
            save(tmp_path / "images" / name / f"{k}.png", np.full((8, 8, 3), shade + k, dtype=np.uint8))
    source = opened(tmp_path / "images")
    assert source.classes == ("Cat", "ant", "zebra")
    assert labels(source) == [0, 0, 1, 1, 2, 2]
    assert [pixels(source, k)[0, 0, 0] for k in range(6)] == [120, 121, 80, 81, 40, 41]


def test_images_are_sorted_folder_by_folder_whatever_lies_how_deep(tmp_path, opened):
    for name in ("a/10.png", "a/9.png", "a/b/1.png", "a/b-c/1.png", "a/B.png", "b/deep/er/1.png"):
        save(tmp_path / "images" / name, random_picture(8, 8))
    found = [name.removeprefix("photos/2024/") for name in names(opened(tmp_path / "images"))]
    wanted = sorted(path.relative_to(tmp_path / "images") for path in (tmp_path / "images").rglob("*.png"))
    assert found == [path.as_posix() for path in wanted]
    assert labels(opened(tmp_path / "images")) == [0, 0, 0, 0, 0, 1]


def test_what_is_hidden_or_no_picture_or_in_no_class_is_passed_over(tmp_path, opened):
    save_classes(tmp_path / "images", {"a": 2, "b": 1})
    for name in ("loose.png", ".git/a.png", "__MACOSX/a/000.png", "a/.cache/a.png", "a/._000.png", "b/__MACOSX/x.png"):
        save(tmp_path / "images" / name, random_picture(8, 8))
    (tmp_path / "images/a/notes.txt").write_text("no picture")
    (tmp_path / "images/README.md").write_text("no class")
    (tmp_path / "images/empty").mkdir()
    source = opened(tmp_path / "images")
    assert [name.removeprefix("photos/2024/") for name in names(source)] == ["a/000.png", "a/001.png", "b/000.png"]
    assert source.classes == ("a", "b")


SUFFIXES = [".png", ".PNG", ".jpg", ".JPEG", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".tga", ".jp2"]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_every_suffix_and_size_are_read(tmp_path, opened, channels):
    for k, suffix in enumerate(SUFFIXES):
        save(tmp_path / f"images/a/{k:02d}{suffix}", random_picture(17 + k, 30 - k, 1))
        save(tmp_path / f"images/b/{k:02d}{suffix}", random_picture(30 - k, 17 + k, 3))
    source = opened(tmp_path / "images")
    assert len(source.entries) == 2 * len(SUFFIXES)
    for k in range(len(SUFFIXES)):
        size = (17 + k, 30 - k) if channels == 1 else (17 + k, 30 - k, 3)
        assert pixels(source, k, channels).shape == size


def test_folders_that_are_links_count(tmp_path):
    save_classes(tmp_path / "all", {"a": 1, "b": 2, "c": 3})
    (tmp_path / "some").mkdir()
    for name in ("a", "c"):
        (tmp_path / "some" / name).symlink_to(tmp_path / "all" / name)
    assert labels(FileSource(Folder(tmp_path / "some"))) == [0, 1, 1, 1]


def test_a_stamp_tells_other_bytes_under_the_same_name(tmp_path, opened):
    def stamp() -> tuple:
        return opened(tmp_path / "images").entries[0].stamp

    save_classes(tmp_path / "images", {"a": 1, "b": 1})
    first = stamp()
    assert stamp() == first
    path = tmp_path / "images/a/000.png"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\0")
    assert stamp() != first
    path.write_bytes(whole[:-1] + b"\0")  # of the same size
    assert stamp() != first


def test_processes_that_share_an_open_zip_do_not_disturb_each_other():
    source = FileSource(Zip(CIFAR10))
    wanted = [pixels(source, k) for k in range(60)]

    def read_all(queue) -> None:
        queue.put(all((pixels(source, k) == wanted[k]).all() for _ in range(10) for k in range(60)))

    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    readers = [fork.Process(target=read_all, args=(queue,)) for _ in range(3)]
    for reader in readers:
        reader.start()
    assert [queue.get(timeout=60) for _ in readers] == [True] * 3
    for reader in readers:
        reader.join()


# Channels ---------------------------------------------------------------------------------------------------------


def only(folder: Path, image: Image.Image, name: str = "a.png", **options) -> Source:
    """A source of one picture."""
    (folder / "a").mkdir(exist_ok=True)
    image.save(folder / "a" / name, **options)
    return FileSource(Folder(folder))


def test_grey_in_colour_has_three_equal_channels_and_colour_in_grey_is_its_luma(tmp_path):
    grey, colour = random_picture(8, 8, 1), random_picture(8, 8, 3, seed=1)
    save(tmp_path / "a/grey.png", grey)
    save(tmp_path / "b/colour.png", colour)
    source = FileSource(Folder(tmp_path))
    np.testing.assert_array_equal(pixels(source, 0), np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(pixels(source, 1), colour)
    np.testing.assert_array_equal(pixels(source, 0, 1), grey)
    luma = colour @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert np.abs(pixels(source, 1, 1) - luma).max() < 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P with transparency", "P", "1", "CMYK"])
def test_every_mode_of_8_bits_becomes_its_colours_without_transparency(tmp_path, mode):
    colours = np.zeros((8, 8, 3), np.uint8)
    colours[:4] = (255, 255, 255) if mode in ("1", "LA") else (255, 0, 0)
    opaque, alpha = Image.fromarray(colours), Image.fromarray(random_picture(8, 8, 1))
    image, options = {
        "RGBA": (Image.merge("RGBA", (*opaque.split(), alpha)), {}),
        "LA": (Image.merge("LA", (opaque.convert("L"), alpha)), {}),
        "P with transparency": (opaque.quantize(2), {"transparency": bytes([0, 128])}),
        "P": (opaque.quantize(2), {}),
        "1": (opaque.convert("1"), {}),
        "CMYK": (opaque.convert("CMYK"), {"format": "TIFF"}),  # whatever its name says
    }[mode]
    source = only(tmp_path, image, **options)
    with Image.open(tmp_path / "a/a.png") as stored:
        assert stored.mode == mode.split()[0]
    np.testing.assert_array_equal(pixels(source, 0), colours)
    assert pixels(source, 0, 1).shape == (8, 8)


def test_a_png_is_read_without_loss_and_a_jpeg_nearly_so(tmp_path):
    smooth = np.add.outer(np.arange(8), np.arange(8)).astype(np.uint8) * 15
    np.testing.assert_array_equal(pixels(only(tmp_path, Image.fromarray(smooth)), 0, 1), smooth)
    jpeg = only(tmp_path, Image.fromarray(smooth), "0.jpg", quality=100)
    assert np.abs(pixels(jpeg, 0, 1).astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_more_than_8_bits_are_refused_rather_than_clipped(tmp_path, dtype):
    source = only(tmp_path, Image.fromarray(np.full((8, 8), 30000, dtype)), "a.tif")
    assert reason(source).endswith("has more than 8 bits per channel")


# Damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".gif", ".tif"])
def test_a_damaged_picture_is_unreadable_for_a_reason_on_one_line(tmp_path, opened, suffix):
    path = save(tmp_path / f"images/a/a{suffix}", random_picture(20, 20))
    save(tmp_path / "images/b/fine.png", random_picture(20, 20))
    whole = path.read_bytes()
    for content in (whole[:0], whole[:1], whole[:10], whole[: len(whole) // 2], b"no picture at all"):
        path.write_bytes(content)
        source = opened(tmp_path / "images")
        assert str(tmp_path) not in reason(source)
        assert " 0x" not in reason(source)  # an address, which would be another one each time
        np.testing.assert_array_equal(pixels(source, 1), random_picture(20, 20))


def test_a_picture_with_a_damaged_chunk_is_unreadable(tmp_path, opened):
    path = save(tmp_path / "images/a/a.png", random_picture(20, 20))
    save(tmp_path / "images/b/fine.png", random_picture(20, 20))
    whole = path.read_bytes()
    place = whole.index(b"IDAT")
    path.write_bytes(whole[: place - 4] + (20).to_bytes(4, "big") + whole[place:])  # ends too early by its own account
    reason(opened(tmp_path / "images"))


def test_bytes_that_a_zip_got_wrong_are_unreadable(tmp_path):
    save_classes(tmp_path / "images", {"a": 2, "b": 2})
    path = pack(tmp_path / "images", tmp_path / "a.zip")
    whole = bytearray(path.read_bytes())
    place = whole.index(b"a/001.png") + len("a/001.png") + 60
    whole[place] ^= 255
    path.write_bytes(whole)
    assert "CRC" in reason(FileSource(Zip(path)), 1)
    np.testing.assert_array_equal(pixels(FileSource(Zip(path)), 0), pixels(FileSource(Folder(tmp_path / "images")), 0))


def test_a_broken_link_is_listed_and_unreadable(tmp_path):
    save_classes(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a/zzz.png").symlink_to(tmp_path / "gone.png")
    assert reason(FileSource(Folder(tmp_path)), 1) == "No such file or directory"


# Mistakes ---------------------------------------------------------------------------------------------------------


def test_a_source_that_is_nothing_of_the_kind_is_refused_with_what_can_be_given(tmp_path):
    message = refusal(open_source, str(tmp_path / "none"), 2)
    assert message.startswith(f"dataset '{tmp_path / 'none'}': does not exist; give one folder of images per class")
    (tmp_path / "file").write_text("")
    assert refusal(open_source, str(tmp_path / "file"), 2).startswith(f"dataset '{tmp_path / 'file'}': is no folder")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"no zip", "is text that begins 'no zip'"),
        (CIFAR10.read_bytes()[:1000], "not a readable zip ("),
    ],
)
def test_a_file_that_is_no_whole_zip_is_refused(tmp_path, content, reason):
    (tmp_path / "a.zip").write_bytes(content)
    assert refusal(open_source, str(tmp_path / "a.zip"), 2).startswith(f"{tmp_path / 'a.zip'}: {reason}")


def test_a_folder_that_may_not_be_listed_is_not_passed_over(tmp_path, monkeypatch):
    def listed(path):
        if Path(path).name == "c":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    save_classes(tmp_path, {"a": 1, "b": 1, "c": 1})
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", listed)
    wanted = f"{tmp_path / 'c'}: cannot be listed (Permission denied); make it readable"
    assert refusal(open_source, str(tmp_path), 2) == wanted


def test_a_zip_of_the_tests_is_500_photographs_of_ten_classes():
    with zipfile.ZipFile(CIFAR10) as archive:
        assert len(archive.namelist()) == 500
    source = open_source(str(CIFAR10), 10)
    assert source.classes[:2] == ("airplane", "automobile")
    assert np.bincount(labels(source)).tolist() == [50] * 10
    assert pixels(source, 499).shape == (32, 32, 3)
