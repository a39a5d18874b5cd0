"""What preparing a data set says of it: in the log, in the table of files that are left out, and in the description."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pictures import config_of, pack, prepare, random_picture, save, save_classes
from PIL import Image

from eddpm.data import shards
from eddpm.data.pictures import NOTES
from eddpm.errors import ArtifactError


def table(folder: Path) -> list[list[str]]:
    return [line.split("\t") for line in (folder / "out/unreadable.tsv").read_text().splitlines()]


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
    dataset = prepare(tmp_path / "out", config_of(odd, max_corrupt=0.1))
    log = capsys.readouterr().err
    for line in (
        f"{odd}: 23 images of 2 classes: cats (11 images), dogs (12 images)",
        f"{odd}: 3 files among the images do not count: 2 .heic, 1 .txt",
        f"{odd}: files in no class do not count: 1 .md",
        f"{odd}: cats/a.HEIC is a .heic file, which is not read",
    ):
        assert f" {line}\n" in log
    assert table(tmp_path)[1:] == [
        ["-", "cats/a.HEIC", "is a .heic file, which is not read"],
        ["-", "cats/b.heic", "is a .heic file, which is not read"],
        ["-", "dogs/notes.txt", "is a .txt file, no image"],
    ]
    values = json.loads(dataset.read_text())
    assert values["not_counted"] == {".heic": 2, ".txt": 1}
    counts = [part["by_class"] for part in values["parts"].values()]
    assert np.sum(counts, axis=0).tolist() == [11, 12]
    notes = sum((Counter(part["notes"]) for part in values["parts"].values()), Counter())
    assert notes == {"exif_turned": 1, "grey_made_colour": 2}
    for name, part in values["parts"].items():
        for note, count in part["notes"].items():
            assert f"{name}: {count} of {part['images']} images are {NOTES[note]}\n" in log


@pytest.mark.parametrize("packed", [False, True])
def test_too_many_files_of_other_kinds_refuse_before_anything_is_read(tmp_path, odd, packed):
    source = pack(odd, tmp_path / "images.zip") if packed else odd
    with pytest.raises(ArtifactError) as caught:
        prepare(tmp_path / "out", config_of(source, max_corrupt=0.07))
    assert "2 of 25 images (8.00%) cannot be read: cats/a.HEIC (is a .heic file" in str(caught.value)
    assert "convert images among them to JPEG or PNG, move them elsewhere" in str(caught.value)
    assert [row[1] for row in table(tmp_path)[1:]] == ["cats/a.HEIC", "cats/b.heic", "dogs/notes.txt"]
    assert not list((tmp_path / "out").rglob("*.npy"))


def test_files_of_other_kinds_and_damaged_ones_count_together(tmp_path, odd):
    (odd / "dogs/000.png").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"3 of 25 images \(12.00%\) cannot be read"):
        prepare(tmp_path / "out", config_of(odd, max_corrupt=0.1))
    assert len(table(tmp_path)) == 1 + 4
    prepare(tmp_path / "out", config_of(odd, max_corrupt=0.12))


def test_files_of_two_sources_are_listed_under_the_part_that_they_are_of(tmp_path, odd):
    other = save_classes(tmp_path / "others", {"cats": 3, "dogs": 3})
    (other / "cats/c.cr2").write_bytes(b"x")
    dataset = prepare(tmp_path / "out", config_of(odd, validation_source=str(other), max_corrupt=0.2))
    assert [row[:2] for row in table(tmp_path)[1:]] == [
        ["train", "cats/a.HEIC"],
        ["train", "cats/b.heic"],
        ["train", "dogs/notes.txt"],
        ["validation", "cats/c.cr2"],
    ]
    assert json.loads(dataset.read_text())["not_counted"] == {".heic": 2, ".txt": 1, ".cr2": 1}


def test_a_preparation_that_goes_on_says_what_one_in_one_go_does(tmp_path, odd, monkeypatch, capsys):
    monkeypatch.setattr(shards, "SHARD_IMAGES", 4)
    config = config_of(odd, max_corrupt=0.1)
    dataset = prepare(tmp_path / "out", config)
    first, said = dataset.read_text(), capsys.readouterr().err
    (tmp_path / "out/train/00001.json").unlink()
    dataset.unlink()
    assert prepare(tmp_path / "out", config).read_text() == first
    again = capsys.readouterr().err
    assert [line[9:] for line in again.splitlines() if "shard 0" not in line] == [
        line[9:] for line in said.splitlines() if "shard 0" not in line
    ]


def test_of_many_classes_the_log_names_the_smallest_and_the_largest(tmp_path, capsys):
    counts = {f"class{k:02d}": 2 + (k == 7) * 5 for k in range(21)}
    dataset = prepare(
        tmp_path / "out", config_of(save_classes(tmp_path / "images", counts), num_classes=21, validation_fraction=0.5)
    )
    said = capsys.readouterr().err
    assert "47 images of 21 classes, from class00 (2) to class07 (7); dataset.json has them all\n" in said
    parts = json.loads(dataset.read_text())["parts"].values()
    assert np.sum([part["by_class"] for part in parts], axis=0).tolist() == list(counts.values())


@pytest.mark.parametrize("part", ["train", "validation"])
def test_a_class_of_which_nothing_can_be_read_is_refused_by_name(tmp_path, part):
    sources = {name: save_classes(tmp_path / name, {"cats": 3, "dogs": 3}) for name in ("train", "validation")}
    for path in (sources[part] / "dogs").iterdir():
        path.write_bytes(b"no picture")
    config = config_of(sources["train"], validation_source=str(sources["validation"]), max_corrupt=0.9)
    with pytest.raises(ArtifactError, match=f"no {part} image can be read of dogs; the log names the files"):
        prepare(tmp_path / "out", config)
    assert not (tmp_path / "out/dataset.json").exists()
