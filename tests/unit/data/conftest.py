"""A prepared data set, made once, and folders as they are or packed."""

from types import SimpleNamespace

import pytest
from pictures import CIFAR10, config_of, pack, prepare

from eddpm.data import shards
from eddpm.data.store import Store


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """The 500 photographs in shards of 64, 400 of them to train on, cropped to 24 pixels and uncropped."""
    config = config_of(CIFAR10, image_size=24, num_classes=10, uncropped=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_IMAGES", 64)
        dataset = prepare(tmp_path_factory.mktemp("photographs"), config)
    return SimpleNamespace(config=config, dataset=dataset, store=Store(dataset, "train"))


@pytest.fixture(params=["folder", "zip"])
def brought(request, tmp_path):
    """A function that takes a folder, and returns its path or that of a zip of it."""
    return lambda folder: folder if request.param == "folder" else pack(folder, tmp_path / "packed.zip")
