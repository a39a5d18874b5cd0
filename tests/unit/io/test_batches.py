"""Batches of images: whole or a few at a time, and what others' arrays are taken for; tests/zoo has more of them."""

import re

import numpy as np
import pytest
from refusals import cut, refusal

from eddpm.io.arrays import write_npz
from eddpm.io.batches import ImageFile, Samples, write_sample_batch, write_samples

COLOUR = np.random.default_rng(0).integers(0, 256, (7, 8, 9, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]


def test_samples_are_what_adm_reads(tmp_path):
    write_samples(tmp_path / "a.npz", Samples(COLOUR[:2], np.array([3, 1]), {"index": np.array([7, 9])}))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file.files == ["arr_0", "arr_1", "index"]
        assert (file["arr_0"].dtype, file["arr_1"].dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(file["arr_0"], COLOUR[:2])


# Images that are never all in memory ------------------------------------------------------------------------------


@pytest.mark.parametrize(("compressed", "size"), [(False, 1), (True, 3), (True, 250)])
def test_images_come_in_batches_as_they_were_written(tmp_path, compressed, size):
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", arr_1=np.arange(7), arr_0=COLOUR)
    file = ImageFile(tmp_path / "a.npz")
    batches = list(file.batches(size))
    assert (len(file), file.shape) == (7, (8, 9, 3))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    np.testing.assert_array_equal(np.concatenate(batches), COLOUR)
    assert batches[0].flags.writeable


def test_a_sample_batch_written_in_batches_is_read_by_numpy(tmp_path):
    batches = (COLOUR[start : start + 3] for start in (0, 3, 6))
    write_sample_batch(tmp_path / "a.npz", COLOUR.shape, batches, arr_1=np.arange(7), note=np.array("x"))
    with np.load(tmp_path / "a.npz") as file:
        assert set(file.files) == {"arr_0", "arr_1", "note"}
        np.testing.assert_array_equal(file["arr_0"], COLOUR)
        assert file["arr_1"].tolist() == list(range(7))


def test_truncated_images_are_refused_wherever_the_file_ends(tmp_path):
    path = tmp_path / "a.npz"
    write_npz(path, arr_0=np.ones((5, 4, 4, 3), np.uint8))
    for _ in cut(path):
        refusal(lambda path: list(ImageFile(path).batches(2)), path)


# Batches of others ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("arr_0", "arr_1"), ("images", "labels"), ("arr_1", "arr_0")])
def test_the_only_array_that_could_be_images_is_taken_and_labels_beside_it(tmp_path, names):
    np.savez(tmp_path / "a.npz", **{names[0]: GREY, names[1]: np.arange(7, dtype=np.uint8), "mean": np.zeros((7, 10))})
    file = ImageFile(tmp_path / "a.npz")
    assert file.shape == (8, 9, 1)
    assert file.notes[-1] == "(7, 8, 9) is taken as (N, H, W), grey"
    assert ("the images are its array" in file.notes[0]) == (names[0] != "arr_0")
    np.testing.assert_array_equal(np.concatenate(list(file.batches(3))), GREY[..., None])
    assert (file.labels.dtype, file.labels.tolist()) == (np.int64, list(range(7)))


@pytest.mark.parametrize(
    "labels", [np.zeros(3, int), np.array(1), np.array(["cat"] * 7), np.zeros(7)], ids=["few", "one", "names", "floats"]
)
def test_labels_that_are_not_one_integer_per_image_are_refused(tmp_path, labels):
    write_npz(tmp_path / "a.npz", arr_0=COLOUR, arr_1=labels)
    message = refusal(lambda path: ImageFile(path).labels, tmp_path / "a.npz")
    assert message.startswith(f"arr_1 is {labels.dtype} {labels.shape}, not one integer label for each of 7 images; ")
    assert message.endswith("save the class of each image as a number")


def test_an_array_of_another_type_is_not_passed_over_for_one_that_fits(tmp_path):
    np.savez(tmp_path / "a.npz", arr_0=COLOUR / 255, mask=GREY)
    assert refusal(ImageFile, tmp_path / "a.npz").startswith("arr_0 is float64 (7, 8, 9, 3)")
    np.savez(tmp_path / "a.npz", images=COLOUR / 255, mask=GREY)
    assert refusal(ImageFile, tmp_path / "a.npz").startswith("the images may be images or mask; ")


@pytest.mark.parametrize(
    ("array", "named", "right"),
    [
        (COLOUR.transpose(0, 3, 1, 2), "its axes are (N, C, H, W)", COLOUR),
        (np.concatenate([COLOUR, COLOUR[..., :1]], axis=3), "drop alpha", COLOUR),
        (COLOUR[..., :2], "drop alpha", COLOUR[..., :1]),
        (COLOUR.reshape(7, -1), "give it the axes of images", COLOUR),
        (COLOUR.astype(np.float32) / 127.5 - 1, "values in [-1, 1]", COLOUR),
        (COLOUR > 99, "black and white", (COLOUR > 99).astype(np.uint8) * 255),
        (COLOUR.astype(np.int64), "values in 0..255", COLOUR),
        (np.zeros((7, 8, 9, 5), np.uint8), "images of 5 channels are not known", None),
    ],
)
def test_what_an_array_is_instead_is_named_with_what_mends_it(tmp_path, array, named, right):
    np.savez(tmp_path / "a.npz", arr_0=array)
    message = refusal(ImageFile, tmp_path / "a.npz")
    assert message.startswith(f"arr_0 is {array.dtype} {array.shape}, not uint8 (N, H, W, C); ")
    assert named in message
    if right is not None:  # the first expression of the message is taken at its word
        advice = re.search(r"arr_0(\[[^]]*\]|\.\w+\([^)]*\))|\(+arr_0[^']*'uint8'\)|arr_0\.astype[^,;]*", message)[0]
        mended = eval(advice, {"arr_0": array, "height": 8, "width": 9, "channels": 3})
        np.testing.assert_allclose(mended.astype(int), right.astype(int), atol=1)
