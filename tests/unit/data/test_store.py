"""Images come back by their numbers as they were prepared, and a data set that is not whole is refused by name."""

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pictures import config_of, prepare, save_classes
from refusals import refusal

from eddpm.data import store as store_module
from eddpm.data.parts import open_parts
from eddpm.data.store import Store
from eddpm.data.transforms import center_crop, keep_whole
from eddpm.errors import ArtifactError


@pytest.fixture(scope="module")
def originals(photographs):
    """The training images as they are read from their source, and their labels."""
    source, entries = open_parts(photographs.config)["train"]
    return [source.read(entry, 3).image for entry in entries], [entry.label for entry in entries]


def test_a_store_knows_its_images_classes_and_labels(photographs, originals):
    store = photographs.store
    assert (len(store), store.shape, store.uncropped) == (400, (24, 24, 3), True)
    assert store.classes[3:5] == ("cat", "deer")
    assert store.labels.dtype == np.int64
    assert store.labels.tolist() == originals[1]
    validation = Store(photographs.dataset, "validation")
    assert (len(validation), validation.uncropped) == (100, False)
    assert np.bincount(validation.labels).tolist() == [10] * 10


@pytest.mark.parametrize("index", [[63, 64], [399, 0, 128, 0, 127], [], range(400)])
def test_images_are_read_by_their_numbers_in_any_order_cropped_and_uncropped(photographs, originals, index):
    found = photographs.store.read(np.array(index, np.int64))
    assert (found.shape, found.dtype) == ((len(index), 24, 24, 3), np.uint8)
    for image, i in zip(found, index, strict=True):
        np.testing.assert_array_equal(image, center_crop(originals[0][i], 24))
        np.testing.assert_array_equal(photographs.store.read_uncropped(i), keep_whole(originals[0][i], 24))


def test_batches_are_all_images_in_order(photographs):
    batches = list(photographs.store.batches(150))
    assert [len(batch) for batch in batches] == [150, 150, 100]
    np.testing.assert_array_equal(np.concatenate(batches), photographs.store.read(np.arange(400)))


def test_what_is_read_may_be_written_to_and_another_process_reads_the_same(photographs):
    store = photographs.store
    before, whole = store.read(np.arange(5)), store.read_uncropped(7)
    store.read(np.arange(5))[:] = 0
    store.read_uncropped(7)[:] = 0
    for each in (store, pickle.loads(pickle.dumps(store))):
        np.testing.assert_array_equal(each.read(np.arange(5)), before)
        np.testing.assert_array_equal(each.read_uncropped(7), whole)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_part_may_begin_with_a_shard_without_images_and_hold_images_of_any_shape(tmp_path, monkeypatch, channels):
    monkeypatch.setattr("eddpm.data.shards.SHARD_IMAGES", 4)
    folder, others = (save_classes(tmp_path / name, {"a": 10, "b": 10}) for name in ("images", "others"))
    for path in sorted((folder / "a").iterdir())[:8]:
        path.write_bytes(b"")
    config = config_of(folder, validation_source=str(others), uncropped=True, max_corrupt=0.9, image_channels=channels)
    store = Store(prepare(tmp_path, config), "train")
    assert store.labels.tolist() == [0] * 2 + [1] * 10
    source, entries = open_parts(config)["train"]
    for i, entry in enumerate(entries[8:]):
        image, found = source.read(entry, channels).image, store.read_uncropped(i)
        np.testing.assert_array_equal(store.read(np.array([i]))[0], center_crop(image, 8).reshape(8, 8, channels))
        np.testing.assert_array_equal(found, keep_whole(image, 8).reshape(found.shape))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files as Linux lists them")
def test_few_files_are_open_at_a_time_however_many_shards_there_are(photographs, monkeypatch):
    monkeypatch.setattr(store_module, "OPEN_FILES", 3)
    order = np.random.default_rng(0).permutation(400)
    wanted, before = photographs.store.read(order), len(os.listdir("/proc/self/fd"))
    store = Store(photographs.dataset, "train")
    np.testing.assert_array_equal(store.read(order), wanted)
    for i in order:
        store.read_uncropped(i)
    assert len(os.listdir("/proc/self/fd")) - before <= 3  # of seven shards
    assert len(store) == 400  # it is still in use


def test_a_data_set_that_is_not_there_or_something_else_is_refused(tmp_path):
    assert refusal(Store, tmp_path / "dataset.json", "train").startswith("does not exist")
    (tmp_path / "dataset.json").write_text("{}")
    assert refusal(Store, tmp_path / "dataset.json", "train").startswith("has not the keys")


@pytest.mark.parametrize("kind", ["images", "labels", "sizes", "pixels"])
def test_an_array_that_is_missing_damaged_or_of_another_shape_or_type_is_refused_by_name(photographs, tmp_path, kind):
    def refused(words: str) -> None:
        with pytest.raises(ArtifactError, match=f"^{re.escape(f'{path}: {words}')}"):
            Store(tmp_path / "copy/dataset.json", "train")

    shutil.copytree(photographs.dataset.parent, tmp_path / "copy")
    path = tmp_path / f"copy/train/00003-{kind}.npy"
    whole, array = path.read_bytes(), np.load(path)
    for content in (b"", whole[:-1], b"no array" * 100):
        path.write_bytes(content)
        refused("not a readable npy (")
    for other in (array[1:], array.astype(np.int32)):
        np.save(path, other)
        refused(f"is {other.dtype} {other.shape}, not {array.dtype} {array.shape}; ")
    path.unlink()
    refused("does not exist; prepare the data set again")
    assert len(Store(tmp_path / "copy/dataset.json", "validation")) == 100


SHARD = {"name": "00000", "images": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"parts": {}},
        {"parts": {"train": []}},
        {"parts": {"train": {"shards": [SHARD]}}},
        {"parts": {"train": {"shards": [], "uncropped": False}}},
        {"parts": {"train": {"shards": [{"name": "0"}], "uncropped": False}}},
        {"shape": 8},
        {"classes": None},
    ],
)
def test_a_description_of_other_values_is_refused(tmp_path, change):
    record = {"classes": ["a", "b"], "shape": [8, 8, 3], "parts": {"train": {"shards": [SHARD], "uncropped": False}}}
    (tmp_path / "dataset.json").write_text(json.dumps(record | change))
    told = refusal(Store, tmp_path / "dataset.json", "train")
    assert told.startswith("does not describe a prepared data set (")
    assert told.endswith("keeps the shards that are sound")
