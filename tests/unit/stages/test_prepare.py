"""A data set as a user brings it, to what training and evaluation may rely on."""

import csv
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import sklearn.model_selection
from pictures import CIFAR10, config_of, pack, prepare, save_classes, whole
from PIL import Image

from eddpm.data import shards
from eddpm.data.store import Store
from eddpm.errors import ArtifactError
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import sha256


def times(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in out.rglob("*-*.npy")}


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def table(out: Path) -> list[list[str]]:
    return [line.split("\t") for line in (out / "unreadable.tsv").read_text().splitlines()]


# Digits -----------------------------------------------------------------------------------------------------------


def test_digits_are_split_into_uint8_images_with_class_names(tiny):
    train, validation = Store(tiny.dataset, "train"), Store(tiny.dataset, "validation")
    assert (len(train), len(validation)) == (1707, 90)
    assert train.shape == validation.shape == (8, 8, 1)
    assert train.classes == tuple("0123456789")
    assert np.bincount(validation.labels).tolist() == [9] * 10


def test_the_digits_are_those_of_scikit_learn_in_its_own_stratified_split(tmp_path):
    dataset = prepare(tmp_path, config_of("digits", image_channels=1, num_classes=10))
    raw = sklearn.datasets.load_digits()
    parts = sklearn.model_selection.train_test_split(
        np.arange(1797), test_size=0.2, stratify=raw.target, random_state=0
    )
    for part, numbers in zip(("train", "validation"), parts, strict=True):
        numbers.sort()
        assert np.abs(whole(dataset, part)[..., 0] - raw.images[numbers] * 255 / 16).max() <= 0.5
        np.testing.assert_array_equal(Store(dataset, part).labels, raw.target[numbers])


def test_digits_can_be_had_in_another_size_and_in_colour(tmp_path):
    found = whole(prepare(tmp_path, config_of("digits", image_size=16, num_classes=10)))
    assert found.shape == (1437, 16, 16, 3)
    np.testing.assert_array_equal(found[..., 0], found[..., 2])
    assert found[..., 0].std() > 60


# Photographs ------------------------------------------------------------------------------------------------------


@pytest.fixture
def as_folder(tmp_path) -> Path:
    zipfile.ZipFile(CIFAR10).extractall(tmp_path / "photographs")
    return tmp_path / "photographs"


def test_a_folder_its_zip_and_an_npz_of_it_make_the_same(tmp_path, as_folder):
    pack(as_folder, tmp_path / "nested.zip", "photographs/")
    paths = sorted(as_folder.rglob("*.jpg"))
    images, labels = np.stack([np.asarray(Image.open(path)) for path in paths]), np.arange(500) // 50
    write_samples(tmp_path / "a.npz", Samples(images, labels, {}))
    made = [
        prepare(tmp_path / f"out{k}", config_of(source, image_size=32, num_classes=10, uncropped=True))
        for k, source in enumerate((CIFAR10, as_folder, tmp_path / "nested.zip", tmp_path / "a.npz"))
    ]
    for dataset in made:
        for path in made[0].parent.rglob("*.npy"):
            assert (dataset.parent / path.relative_to(made[0].parent)).read_bytes() == path.read_bytes()
        assert json.loads(dataset.read_text())["parts"] == json.loads(made[0].read_text())["parts"]
    train, validation = Store(made[0], "train"), Store(made[0], "validation")
    assert (len(train), len(validation), train.shape) == (400, 100, (32, 32, 3))
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train.read(np.arange(400)), validation.read(np.arange(100))]).reshape(500, -1), axis=0),
        np.sort(images.reshape(500, -1), axis=0),
    )


def test_the_description_says_what_there_is_and_nothing_of_where_or_when(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 150)
    config = config_of(CIFAR10, image_size=32, num_classes=10, uncropped=True)
    dataset = prepare(tmp_path / "one", config)
    values = json.loads(dataset.read_text())
    assert (values["source"], values["validation_source"]) == (str(CIFAR10), None)
    assert values["shape"] == [32, 32, 3]
    assert values["classes"][::9] == ["airplane", "truck"]
    train = values["parts"]["train"]
    assert (train["images"], train["unreadable"], train["uncropped"]) == (400, 0, True)
    assert [(shard["name"], shard["images"]) for shard in train["shards"]] == [
        ("00000", 150),
        ("00001", 150),
        ("00002", 100),
    ]
    for shard in train["shards"]:
        for kind, digest in shard["sha256"].items():
            assert sha256(tmp_path / f"one/train/{shard['name']}-{kind}.npy") == digest
    assert set(values["parts"]["validation"]["shards"][0]["sha256"]) == {"images", "labels"}
    assert str(tmp_path) not in dataset.read_text()
    assert contents(dataset.parent) == contents(prepare(tmp_path / "two", config, workers=2).parent)


def test_a_second_run_makes_nothing_and_a_change_of_limits_neither(tmp_path):
    config = config_of(CIFAR10, image_size=32, num_classes=10)
    before = times(prepare(tmp_path, config).parent), contents(tmp_path)
    assert times(prepare(tmp_path, config).parent) == before[0]
    assert contents(tmp_path) == before[1]
    prepare(tmp_path, config.model_copy(update={"max_corrupt": 0.5}))
    assert times(tmp_path) == before[0]


def test_a_job_that_is_killed_leaves_no_description_even_of_what_was_there_before(tmp_path, monkeypatch):
    def killed(plan):
        if plan.folder.name == "validation":
            raise KeyboardInterrupt
        make_shard(plan)

    dataset = prepare(tmp_path, config_of(CIFAR10, image_size=32, num_classes=10))
    make_shard = shards.make_shard
    other = config_of(CIFAR10, image_size=16, num_classes=10)
    with monkeypatch.context() as patch:
        patch.setattr(shards, "make_shard", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(tmp_path, other)
    assert not dataset.exists()
    before = (tmp_path / "train/00000-images.npy").stat().st_mtime_ns
    prepare(tmp_path, other)
    assert (tmp_path / "train/00000-images.npy").stat().st_mtime_ns == before
    prepare(tmp_path / "fresh", other)
    for path in (tmp_path / "fresh").rglob("*.npy"):
        assert (tmp_path / path.relative_to(tmp_path / "fresh")).read_bytes() == path.read_bytes()


def test_a_validation_source_is_prepared_whole(tmp_path, as_folder):
    save_classes(tmp_path / "few", {path.name: 2 for path in as_folder.iterdir()})
    config = config_of(CIFAR10, validation_source=str(tmp_path / "few"), num_classes=10, uncropped=True)
    dataset = prepare(tmp_path / "out", config)
    assert (len(Store(dataset, "train")), len(Store(dataset, "validation"))) == (500, 20)
    assert Store(dataset, "validation").labels.tolist() == sorted(list(range(10)) * 2)


# Damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def damaged(as_folder) -> list[str]:
    """The names of ten photographs of the folder that were damaged."""
    paths = sorted(as_folder.rglob("*.jpg"))[7::50]
    for k, path in enumerate(paths):
        path.write_bytes((b"", b"no picture", path.read_bytes()[:500])[k % 3])
    return [path.relative_to(as_folder).as_posix() for path in paths]


def test_damaged_files_are_named_and_left_out(tmp_path, as_folder, damaged):
    config = config_of(as_folder, image_size=32, num_classes=10, max_corrupt=0.02)  # 10 of 500
    dataset = prepare(tmp_path / "out", config, workers=2)
    header, *rows = table(tmp_path / "out")
    assert header == ["part", "file", "reason"]
    assert sorted(file for _, file, _ in rows) == damaged
    for part, file, reason in rows:
        assert part in ("train", "validation")
        assert file not in reason
        assert len(reason) > 10
    parts = json.loads(dataset.read_text())["parts"]
    for part in ("train", "validation"):
        assert parts[part]["unreadable"] == [row[0] for row in rows].count(part)
        assert len(Store(dataset, part)) == parts[part]["images"]
    assert sum(part["images"] for part in parts.values()) == 490


def test_where_nothing_is_damaged_the_table_has_only_its_header(tmp_path):
    prepare(tmp_path, config_of(CIFAR10, image_size=32, num_classes=10))
    assert (tmp_path / "unreadable.tsv").read_text() == "part\tfile\treason\n"


@pytest.mark.parametrize("limit", [0.0, 0.0199])
def test_too_many_damaged_files_end_the_job_and_are_all_named(tmp_path, as_folder, damaged, capsys, limit):
    config = config_of(as_folder, image_size=32, num_classes=10, max_corrupt=limit)
    with pytest.raises(ArtifactError) as caught:
        prepare(tmp_path / "out", config)
    message, named = str(caught.value), [file for _, file, _ in table(tmp_path / "out")[1:]]
    names = f"{named[0]} (is empty; bring the file again), {named[1]}, {named[2]}, ..."
    assert message == (
        f"dataset '{as_folder}': 10 of 500 images (2.00%) cannot be read: {names}; the log names all, with the reasons;"
        f" repair them, move them elsewhere, or raise dataset.max_corrupt ({limit})"
    )
    assert sorted(named) == damaged
    log = capsys.readouterr().err
    assert all(f": {file} cannot be read: " in log for file in damaged)
    assert not (tmp_path / "out/dataset.json").exists()


def test_once_they_are_repaired_or_allowed_the_job_goes_on(tmp_path, as_folder, damaged):
    config = config_of(as_folder, image_size=32, num_classes=10)
    with pytest.raises(ArtifactError):
        prepare(tmp_path / "out", config)
    before = times(tmp_path / "out")
    prepare(tmp_path / "out", config.model_copy(update={"max_corrupt": 0.1}))
    assert times(tmp_path / "out") == before
    with zipfile.ZipFile(CIFAR10) as archive:
        for name in damaged:
            archive.extract(name, as_folder)
    dataset, wanted = prepare(tmp_path / "out", config), prepare(tmp_path / "wanted", config)
    for part in ("train", "validation"):
        np.testing.assert_array_equal(whole(dataset, part), whole(wanted, part))
    assert len(table(tmp_path / "out")) == 1


def test_names_that_would_break_a_table_do_not(tmp_path):
    folder = save_classes(tmp_path / "images", {"a": 9, "b": 9})
    for name in ("a\tb.png", 'c"d.png', "caf\udce9.png"):  # the last as Latin-1 wrote it
        (folder / "a" / name).write_bytes(b"")
    prepare(tmp_path, config_of(folder, max_corrupt=0.5))
    with open(tmp_path / "unreadable.tsv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert {row["file"] for row in rows} == {"a/a\tb.png", 'a/c"d.png', "a/caf\\udce9.png"}


def test_every_name_stays_on_one_line_of_the_table_and_the_log(tmp_path, capsys):
    folder = save_classes(tmp_path / "images", {"a": 9, "b": 9})
    for name in ("a\nb.png", "c\rd.heic", "e\x1b[31m.png"):
        (folder / "a" / name).write_bytes(b"")
    prepare(tmp_path, config_of(folder, max_corrupt=0.5))
    assert len((tmp_path / "unreadable.tsv").read_bytes().splitlines()) == 4
    assert {row[1] for row in table(tmp_path)[1:]} == {"a/a\\nb.png", "a/c\\rd.heic", "a/e\\x1b[31m.png"}
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in capsys.readouterr().err.splitlines())


# Cost -------------------------------------------------------------------------------------------------------------


def test_preparing_does_not_wait_for_torch():
    code = "import sys, eddpm.stages.prepare; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
