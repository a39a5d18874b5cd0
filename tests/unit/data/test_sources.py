"""Images as they come from each kind of source, and the reasons why one cannot be read."""

import multiprocessing

import numpy as np
import pytest
from pictures import CIFAR10, pack, random_picture, save, save_classes

from eddpm.data.sources import Source, Unreadable, open_source
from eddpm.io.batches import Samples, write_samples


def pixels(source: Source, k: int, channels: int = 3) -> np.ndarray:
    return np.asarray(source.read(source.entries[k], channels).image)


def reason(source: Source, k: int = 0) -> str:
    with pytest.raises(Unreadable) as caught:
        pixels(source, k)
    assert not set("\n\t") & set(str(caught.value))
    return str(caught.value)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_images_of_an_npz_are_read_as_they_are_under_their_labels(tmp_path, channels):
    images = np.stack([random_picture(8, 9, channels, seed).reshape(8, 9, channels) for seed in range(4)])
    write_samples(tmp_path / "a.npz", Samples(images, np.array([1, 0, 2, 1]), {}))
    source = open_source(str(tmp_path / "a.npz"), 3)
    assert [(entry.name, entry.label) for entry in source.entries] == [("0", 1), ("1", 0), ("2", 2), ("3", 1)]
    assert source.classes == ("0", "1", "2")
    for k in range(4):
        np.testing.assert_array_equal(pixels(source, k, channels).reshape(8, 9, channels), images[k])


def test_images_keep_their_class_whatever_their_suffix_size_and_channels(tmp_path, brought):
    images = {}
    for k, suffix in enumerate([".png", ".PNG", ".bmp", ".gif", ".TIFF", ".ppm", ".tga"]):
        for label, name in enumerate(("Ant", "ant")):
            image = random_picture(17 + k, 30 - k, 1, seed=2 * k + label)
            save(tmp_path / f"images/{name}/{k:02d}{suffix}", image if label else np.stack([image] * 3, axis=-1))
            images[f"{name}/{k:02d}{suffix}"] = label, image
    source = open_source(str(brought(tmp_path / "images")), 2)
    labels = {entry.name: entry.label for entry in source.entries}
    assert list(labels.items()) == [(name, images[name][0]) for name in sorted(images)]
    for k, name in enumerate(labels):
        np.testing.assert_array_equal(pixels(source, k, 1), images[name][1])


def test_processes_that_share_an_open_zip_do_not_disturb_each_other():
    source = open_source(str(CIFAR10), 10)
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


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".gif", ".tif"])
def test_a_damaged_picture_is_unreadable_for_a_reason_on_one_line(tmp_path, brought, suffix):
    path = save(tmp_path / f"images/a/a{suffix}", random_picture(20, 20))
    save(tmp_path / "images/b/fine.png", random_picture(20, 20))
    whole = path.read_bytes()
    for content in (b"", whole[:10], whole[: len(whole) // 2], b"no picture at all"):
        path.write_bytes(content)
        source = open_source(str(brought(tmp_path / "images")), 2)
        assert str(tmp_path) not in reason(source)
        assert " 0x" not in reason(source)  # an address, which would be another one each time
        np.testing.assert_array_equal(pixels(source, 1), random_picture(20, 20))


def test_bytes_that_a_zip_got_wrong_are_unreadable(tmp_path):
    path = pack(save_classes(tmp_path / "images", {"a": 2, "b": 2}), tmp_path / "a.zip")
    whole = bytearray(path.read_bytes())
    whole[whole.index(b"a/001.png") + len("a/001.png") + 60] ^= 255
    path.write_bytes(whole)
    source = open_source(str(path), 2)
    assert "CRC" in reason(source, 1)
    np.testing.assert_array_equal(pixels(source, 0), pixels(open_source(str(tmp_path / "images"), 2), 0))
