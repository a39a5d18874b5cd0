"""The digits as they are, folders of pictures as ADM crops them, and a split that is fair, whole and repeatable."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from eddpm.config import DatasetConfig
from eddpm.data.datasets import LabelledImages, center_crop, load_digits, open_dataset, split
from eddpm.errors import ArtifactError, ConfigError, EddpmError

DIGITS = DatasetConfig(source="digits", image_size=8, image_channels=1, num_classes=10)


def random_picture(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def config_of(folder: Path, size: int = 8, channels: int = 3, classes: int = 2) -> DatasetConfig:
    return DatasetConfig(source=str(folder), image_size=size, image_channels=channels, num_classes=classes)


def refusal(config: DatasetConfig, kind: type[EddpmError] = ArtifactError) -> str:
    with pytest.raises(kind) as caught:
        open_dataset(config)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


# Digits -----------------------------------------------------------------------------------------------------------


def test_the_digits_are_the_1797_scans_of_scikit_learn_spread_over_all_bytes():
    dataset = open_dataset(DIGITS)
    assert (dataset.images.shape, dataset.images.dtype) == ((1797, 8, 8, 1), np.uint8)
    assert (dataset.images.min(), dataset.images.max()) == (0, 255)
    raw = sklearn.datasets.load_digits()
    assert np.abs(dataset.images[..., 0] - raw.images * 255 / 16).max() <= 0.5
    np.testing.assert_array_equal(dataset.labels, raw.target)


def test_every_digit_comes_about_equally_often_under_its_own_name():
    dataset = load_digits()
    assert dataset.classes.tolist() == [str(digit) for digit in range(10)]
    counts = np.bincount(dataset.labels)
    assert len(counts) == 10
    assert counts.min() > 170
    assert dataset.labels.dtype == np.int64


@pytest.mark.parametrize("change", [{"image_size": 16}, {"image_channels": 3}, {"num_classes": 9}])
def test_settings_that_differ_from_the_data_are_refused_with_both(change):
    config = DIGITS.model_copy(update=change)
    message = refusal(config, ConfigError)
    assert message.startswith("dataset 'digits': has height, width, channels, classes (8, 8, 1, 10), but ")
    assert str((config.image_size, config.image_size, config.image_channels, config.num_classes)) in message


# Crop -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_of_the_right_size_is_left_as_it_is(channels):
    pixels = random_picture(8, 8, channels)
    np.testing.assert_array_equal(center_crop(Image.fromarray(pixels), 8), pixels)


@pytest.mark.parametrize(("height", "width"), [(8, 13), (13, 8), (8, 8 + 7), (9, 8)])
def test_of_a_longer_picture_the_middle_square_is_cut(height, width):
    pixels = random_picture(height, width)
    top, left = (height - 8) // 2, (width - 8) // 2
    np.testing.assert_array_equal(center_crop(Image.fromarray(pixels), 8), pixels[top : top + 8, left : left + 8])


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_a_picture_larger_by_a_power_of_two_becomes_the_means_of_its_blocks(factor):
    # Each block is a constant, so its mean is exact however often it is rounded on the way.
    blocks = random_picture(6, 10)
    pixels = blocks.repeat(factor, axis=0).repeat(factor, axis=1)
    np.testing.assert_array_equal(center_crop(Image.fromarray(pixels), 6), blocks[:, 2:8])


def test_halving_averages_neighbours():
    pixels = random_picture(16, 16, 1) // 4 * 4  # sums of four are multiples of four: the mean is exact
    means = pixels.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(center_crop(Image.fromarray(pixels), 8), means)


@pytest.mark.parametrize(("height", "width"), [(5, 7), (8, 8), (11, 9), (15, 31), (100, 37), (1, 1), (1, 20)])
def test_any_picture_becomes_a_square_of_the_size_and_a_plain_one_stays_plain(height, width):
    plain = np.full((height, width, 3), (200, 100, 7), dtype=np.uint8)
    found = center_crop(Image.fromarray(plain), 8)
    assert (found.shape, found.dtype) == ((8, 8, 3), np.uint8)
    assert (found == plain[0, 0]).all()


def test_a_crop_keeps_left_and_right_up_and_down():
    pixels = np.zeros((21, 30), dtype=np.uint8)
    pixels[:10, :15] = 255  # the upper left quarter, at any scale
    found = center_crop(Image.fromarray(pixels), 8)
    assert found[1, 1] > 250
    assert found[1, 6] < 5
    assert found[6, 1] < 5


# Folders ----------------------------------------------------------------------------------------------------------


def test_classes_are_the_sorted_folder_names_and_images_keep_their_class(tmp_path):
    for shade, name in ((40, "zebra"), (80, "ant"), (120, "Cat")):
        for k in range(2):
            save(tmp_path / name / f"{k}.png", np.full((8, 8, 3), shade + k, dtype=np.uint8))
    dataset = open_dataset(config_of(tmp_path, classes=3))
    assert dataset.classes.tolist() == ["Cat", "ant", "zebra"]
    assert dataset.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert dataset.labels.dtype == np.int64
    assert dataset.images[:, 0, 0, 0].tolist() == [120, 121, 80, 81, 40, 41]


def test_pictures_of_every_size_mode_and_suffix_become_one_array(tmp_path):
    save(tmp_path / "a/odd.png", random_picture(17, 11))
    save(tmp_path / "a/grey.PNG", random_picture(8, 8, 1))
    save(tmp_path / "a/alpha.webp", random_picture(20, 9, 4))
    save(tmp_path / "b/deep/er/colour.jpg", random_picture(9, 30))
    save(tmp_path / "b/grey.JPEG", random_picture(31, 8, 1))
    (tmp_path / "b/notes.txt").write_text("no picture")
    (tmp_path / "README.md").write_text("no class")
    for channels in (1, 3):
        dataset = open_dataset(config_of(tmp_path, channels=channels))
        assert (dataset.images.shape, dataset.images.dtype) == ((5, 8, 8, channels), np.uint8)
        assert dataset.labels.tolist() == [0, 0, 0, 1, 1]


def test_the_order_of_images_does_not_depend_on_when_they_were_written(tmp_path):
    names = ["3.png", "1.png", "2.png"]
    for name in names:
        save(tmp_path / "a" / name, np.full((8, 8, 3), int(name[0]), dtype=np.uint8))
    save(tmp_path / "b/0.png", np.zeros((8, 8, 3), dtype=np.uint8))
    assert open_dataset(config_of(tmp_path)).images[:, 0, 0, 0].tolist() == [1, 2, 3, 0]


def test_a_grey_picture_in_colour_has_three_equal_channels_and_a_coloured_one_in_grey_its_luma(tmp_path):
    grey, colour = random_picture(8, 8, 1), random_picture(8, 8, 3, seed=1)
    save(tmp_path / "a/grey.png", grey)
    save(tmp_path / "b/colour.png", colour)
    in_colour, in_grey = (open_dataset(config_of(tmp_path, channels=channels)).images for channels in (3, 1))
    np.testing.assert_array_equal(in_colour[0], np.stack([grey] * 3, axis=-1))
    np.testing.assert_array_equal(in_colour[1], colour)
    np.testing.assert_array_equal(in_grey[0], grey[..., None])
    luma = colour @ np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
    assert np.abs(in_grey[1][..., 0] - luma).max() < 1


def test_a_png_is_read_without_loss_and_a_jpeg_nearly_so(tmp_path):
    smooth = np.add.outer(np.arange(8), np.arange(8)).astype(np.uint8) * 15
    save(tmp_path / "a/a.png", smooth)
    Image.fromarray(smooth).save(tmp_path / "a/b.jpg", quality=100)
    save(tmp_path / "b/c.png", smooth)
    png, jpeg, _ = open_dataset(config_of(tmp_path, channels=1)).images[..., 0].astype(int)
    np.testing.assert_array_equal(png, smooth)
    assert np.abs(jpeg - smooth).max() <= 3


# Mistakes ---------------------------------------------------------------------------------------------------------


def test_a_source_that_is_no_folder_is_refused_with_what_can_be_given(tmp_path):
    assert refusal(config_of(tmp_path / "none")).startswith(f"dataset '{tmp_path / 'none'}': is not a folder; give 'di")
    (tmp_path / "file").write_text("")
    assert refusal(config_of(tmp_path / "file")).startswith(f"dataset '{tmp_path / 'file'}': is not a folder")


def test_a_folder_without_images_in_class_folders_is_refused(tmp_path):
    assert refusal(config_of(tmp_path)).startswith(f"dataset '{tmp_path}': holds no images (")
    save(tmp_path / "loose.png", random_picture(8, 8))
    (tmp_path / "empty").mkdir()
    assert refusal(config_of(tmp_path)).startswith(f"dataset '{tmp_path}': holds no images (")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp"])
def test_a_damaged_picture_is_refused_by_name(tmp_path, suffix):
    save(tmp_path / "a/fine.png", random_picture(20, 20))
    path = save(tmp_path / f"b/bad{suffix}", random_picture(20, 20))
    whole = path.read_bytes()
    for length in (0, 1, 10, len(whole) // 2):
        path.write_bytes(whole[:length])
        assert refusal(config_of(tmp_path)).startswith(f"{path}: cannot be read as an image (")
    path.write_text("no picture at all")
    assert refusal(config_of(tmp_path)).startswith(f"{path}: cannot be read as an image (")


def test_a_picture_with_a_damaged_chunk_is_refused_by_name(tmp_path):
    save(tmp_path / "a/fine.png", random_picture(20, 20))
    path = save(tmp_path / "b/bad.png", random_picture(20, 20))
    whole = path.read_bytes()
    place = whole.index(b"IDAT")
    path.write_bytes(whole[: place - 4] + (20).to_bytes(4, "big") + whole[place:])  # ends too early by its own account
    assert refusal(config_of(tmp_path)).startswith(f"{path}: cannot be read as an image (")


def test_a_picture_of_more_than_8_bits_is_refused_rather_than_clipped(tmp_path):
    save(tmp_path / "a/fine.png", random_picture(8, 8))
    path = save(tmp_path / "b/deep.png", np.full((8, 8), 30000, dtype=np.uint16))
    assert "mode I;16 has more than 8 bits per channel" in refusal(config_of(tmp_path))
    assert refusal(config_of(tmp_path)).startswith(f"{path}: ")


def test_a_number_of_classes_that_differs_from_the_folders_is_refused(tmp_path):
    for name in ("a", "b"):
        save(tmp_path / name / "0.png", random_picture(8, 8))
    message = refusal(config_of(tmp_path, classes=5), ConfigError)
    assert "classes (8, 8, 3, 2), but image_size, image_channels and num_classes say (8, 8, 3, 5)" in message


# Split ------------------------------------------------------------------------------------------------------------


def numbered(counts: list[int]) -> LabelledImages:
    """Images that hold their own number, in a mixed order of classes."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    number = np.arange(len(labels))
    images = np.stack([number // 256, number % 256], axis=-1).astype(np.uint8).reshape(-1, 1, 2, 1)
    return LabelledImages(images, labels, np.array([f"class {k}" for k in range(len(counts))]))


def numbers(part: LabelledImages) -> np.ndarray:
    return part.images[:, 0, 0, 0].astype(int) * 256 + part.images[:, 0, 1, 0]


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5, 0.75])
def test_a_split_is_disjoint_and_complete_and_keeps_labels_with_images(fraction):
    dataset = numbered([100, 300, 37])
    train, validation = split(dataset, fraction)
    both = np.concatenate([numbers(train), numbers(validation)])
    np.testing.assert_array_equal(np.sort(both), np.arange(437))
    for part in (train, validation):
        np.testing.assert_array_equal(part.labels, dataset.labels[numbers(part)])
        np.testing.assert_array_equal(part.classes, dataset.classes)


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.5])
def test_every_class_is_split_in_the_same_share(fraction):
    counts = [100, 300, 37]
    _, validation = split(numbered(counts), fraction)
    found = np.bincount(validation.labels, minlength=3)
    assert np.abs(found - fraction * np.array(counts)).max() <= 1
    assert len(validation.labels) == np.ceil(fraction * 437)


def test_the_split_is_the_same_each_time_and_mixes_the_order():
    np.random.seed(1)
    first = numbers(split(numbered([50, 50]), 0.2)[1])
    np.random.seed(2)
    np.testing.assert_array_equal(numbers(split(numbered([50, 50]), 0.2)[1]), first)
    assert first.tolist() != list(range(20))
    assert first.tolist() != list(range(80, 100))


@pytest.mark.parametrize(("counts", "fraction"), [([1] * 300, 0.2), ([5, 1], 0.5), ([2, 2, 2], 0.1)])
def test_too_few_images_to_split_are_refused_in_one_line(counts, fraction):
    with pytest.raises(ConfigError) as caught:
        split(numbered(counts), fraction)
    assert str(caught.value).startswith(f"validation_fraction {fraction}: ")
    assert len(str(caught.value).splitlines()) == 1
