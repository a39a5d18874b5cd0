"""Memorisation: copies are flagged, other images are not, and each suspicious sample lies beside its training image."""

import numpy as np
import pandas as pd
import pytest
from tiny import write_settings

from eddpm.config.outputs import CONTROLS
from eddpm.data.store import Store
from eddpm.errors import ConfigError
from eddpm.io.arrays import read_npz
from eddpm.io.batches import Samples, write_samples
from eddpm.stages.features import extract_features
from eddpm.stages.memorisation import measure_memorisation


@pytest.fixture
def measured(tiny, references, tmp_path):
    """Measures runs, each given by the images of its shards; gives the table, its text, and the pictures by row."""

    def measured(runs, dataset=tiny.dataset, with_features=()):
        names, samples, features = [], [], []
        for name, shards in runs.items():
            for number, images in enumerate(shards):
                names.append(name)
                samples.append(tmp_path / name / f"samples/{number}.npz")
                write_samples(samples[-1], Samples(images, np.zeros(len(images), np.int64), {}))
                if name in with_features:
                    features.append(tmp_path / name / f"features/{number}.npz")
                    extract_features(references[0], samples[-1], [tiny.weights["clean"]], features[-1])
        rows = [*runs, *CONTROLS] if dataset else [*runs, "training"]
        copies = {row: tmp_path / f"{row}.npz" for row in rows}
        files = {kind: tmp_path / f"table.{kind}" for kind in ("csv", "md", "tex", "html")}
        measure_memorisation(
            *(references[0], references[1], [tiny.weights["clean"]], names, samples, features, "A caption."),
            list(copies.values()),
            **files,
            scales=["4"] * len(names),
            dataset=dataset,
        )
        pictures = {row: read_npz(path)["arr_0"] for row, path in copies.items()}
        return pd.read_csv(files["csv"], index_col="run"), files["md"].read_text(), pictures

    return measured


@pytest.fixture(scope="module")
def training(tiny):
    store = Store(tiny.dataset, "train")
    return store.read(np.arange(len(store)))


def test_copies_are_flagged_and_noise_and_validation_images_are_not(measured, training):
    noise = np.random.default_rng(0).integers(0, 256, (30, *training.shape[1:]), dtype=np.uint8)
    table, text, pictures = measured({"copies": [training[:20], training[20:40]], "noise": [noise]})
    assert table["num_images"].tolist()[:3] == [40, 30, len(training)]
    for row in ("copies", CONTROLS["training"]):
        assert table.loc[row, ["pixels/authpct", "pixels/nearer", "pixels/flagged"]].tolist() == [0, 1, True]
    for row in ("noise", CONTROLS["validation"]):
        assert not table.loc[row, "pixels/flagged"]
    assert table.loc["noise", "pixels/authpct"] == 100
    assert pd.isna(table.loc[CONTROLS["yardstick"], "pixels/flagged"])
    assert "A caption. Images: 40 of copies, 30 of noise," in text
    assert [line.split("|")[-2].strip() for line in text.splitlines() if line.startswith("| copies")] == ["yes"] * 2
    samples, nearest = pictures["copies"][::2], pictures["copies"][1::2]
    assert len(samples) == 10
    np.testing.assert_array_equal(samples, nearest)
    assert not np.array_equal(pictures["noise"][::2], pictures["noise"][1::2])


def test_the_most_suspicious_samples_come_first(measured, training):
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (30, *training.shape[1:]), dtype=np.uint8)
    noise[17], noise[5] = training[60], training[50] ^ 1  # a copy, and nearly one
    pictures = measured({"mixed": [noise]})[2]["mixed"]
    for k, image in enumerate((training[60], training[60], training[50] ^ 1, training[50])):
        np.testing.assert_array_equal(pictures[k], image)


def test_features_that_are_kept_are_read_in_place_of_the_images(measured, training):
    shards = [training[:8], training[8:20]]
    tables = [measured({"run": shards}, with_features=names)[0] for names in ((), ("run",))]
    pd.testing.assert_frame_equal(*tables)


def test_without_validation_images_nothing_is_flagged(measured, training):
    table, text, _ = measured({"copies": [training[:20]]}, dataset=None)
    assert list(table.index) == ["copies", CONTROLS["training"]]
    assert table["pixels/flagged"].isna().all()
    assert "yes" not in text


def test_each_row_needs_a_file_of_copies(tiny, references, tmp_path):
    settings = write_settings(tmp_path / "s.yaml", tiny.project.measure())
    files = [tmp_path / name for name in ("csv", "md", "tex")]
    weights, shard = [tiny.weights["clean"]], tmp_path / "0.npz"
    with pytest.raises(ConfigError, match="--copies: 1 given for 2 rows"):
        measure_memorisation(settings, references[1], weights, ["a"], [shard], [], "", [tmp_path / "c.npz"], *files)
    with pytest.raises(ConfigError, match="--runs: 2 given for 1 files of --samples"):
        measure_memorisation(settings, references[1], weights, ["a", "b"], [shard], [], "", [], *files)
