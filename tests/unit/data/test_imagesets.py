"""Images of every kind that are measured, opened in one way."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from pictures import config_of, prepare, random_picture, save_classes
from refusals import refusal

from eddpm.data.imagesets import open_images
from eddpm.errors import ArtifactError
from eddpm.io.batches import Samples, write_samples


def shard(path: Path, start: int, stop: int, size: int = 8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images = np.stack([random_picture(size, size, seed=k) for k in range(start, stop)])
    write_samples(path, Samples(images, np.arange(start, stop), {"index": np.arange(start, stop)}))


def test_the_shards_of_a_run_are_one_batch(tmp_path):
    for k in range(3):
        shard(tmp_path / f"samples/{k:04d}.npz", 5 * k, 5 * k + 5)
    shard(tmp_path / "samples/0003.unfinished/00000015.npz", 15, 16)
    images = open_images(tmp_path / "samples")
    assert (len(images), images.shape) == (15, (8, 8, 3))
    assert images.labels.tolist() == list(range(15))
    assert images.notes == ("its images are those of 0000.npz to 0002.npz, 3 files",)
    found = np.concatenate(list(images.batches(3)))
    np.testing.assert_array_equal(found, [random_picture(8, 8, seed=k) for k in range(15)])


def test_shards_of_unlike_images_are_refused(tmp_path):
    shard(tmp_path / "0.npz", 0, 5)
    shard(tmp_path / "1.npz", 5, 9, size=16)
    with pytest.raises(ArtifactError, match=r"1\.npz: images are \(16, 16, 3\), those of .*0\.npz \(8, 8, 3\)"):
        open_images(tmp_path)


def test_a_prepared_data_set_is_named_by_its_description(tmp_path):
    dataset = prepare(tmp_path / "data", config_of(save_classes(tmp_path / "images", {"a": 5, "b": 5})))
    assert len(open_images(dataset)) == 8
    assert refusal(open_images, dataset.parent) == "is a prepared data set; name its dataset.json"


def test_between_files_of_several_kinds_nothing_is_guessed(tmp_path):
    shard(tmp_path / "run/samples/0000.npz", 0, 5)
    assert refusal(open_images, tmp_path / "run").startswith("holds arrays in folders only (samples/0000.npz); ")
    np.savez(tmp_path / "run/samples/stats.npz", mu=np.zeros(4), sigma=np.eye(4))
    assert refusal(open_images, tmp_path / "run/samples").startswith("holds statistics (stats.npz) beside others; ")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("0.npz", b"")
    assert refusal(open_images, tmp_path / "a.zip").startswith("is a zip of arrays (0.npz); unpack it")
