"""Trainings whose state is damaged, or of something else, and trainings that diverge: no good state is lost."""

import errno
import json
import math
import os
import re
import shutil
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import room_for
from trainings import arguments, changed, equal

from eddpm.errors import ArtifactError, EddpmError
from eddpm.io.files import load_checkpoint, save_model, save_training_state
from eddpm.stages import train as stage
from eddpm.training.unfinished import _read as read_state

# States that are of no use -----------------------------------------------------------------------------------------


def put_aside(folder):
    """The names of the states that are kept aside."""
    return sorted(path.name for path in folder.glob("unfinished*") if path.name != "unfinished.pt")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"seed": 5, "iterations": 2}, "settings.training.iterations 3, now 2"),
        ({"init_from": "another"}, "init_from "),
        ({"dataset": "another"}, "dataset "),
    ],
    ids=["settings", "init_from", "dataset"],
)
def test_unfinished_training_of_anything_else_is_kept_aside_until_it_is_wanted_again(
    tiny, run, run_killed, tmp_path, caplog, change, told
):
    config, paths = changed(tiny.project.train_classifier("ce"), init_from="start"), {"init_from": tiny.weights["ce"]}
    other, others = changed(config, **change) if "seed" in change else config, dict(paths)
    if "init_from" in change:
        others["init_from"] = tiny.weights["ect"]
    if "dataset" in change:
        others["dataset"] = tmp_path / "data/dataset.json"
        shutil.copytree(tiny.dataset.parent, others["dataset"].parent)
        others["dataset"].write_text(json.dumps(json.loads(tiny.dataset.read_text())))  # without its indentation

    run_killed("ce", "killed", config, **paths, after="_report")
    state = (tmp_path / "killed/unfinished.pt").read_bytes()
    assert equal(run("ce", "killed", other, **others)[0], run("ce", "fresh", other, **others)[0])
    assert len(list((tmp_path / "killed/events").iterdir())) == 1  # nothing is left of the first
    (aside,) = put_aside(tmp_path / "killed")
    assert (tmp_path / "killed" / aside).read_bytes() == state
    assert f"killed/unfinished.pt is of other settings ({told}" in caplog.text
    assert f"kept as {aside}" in caplog.text

    caplog.clear()
    run_killed("ce", "killed", other, **others)  # each of two puts the other aside, and takes its own up
    assert equal(run("ce", "killed", config, **paths)[0], run("ce", "fresh", config, **paths)[0])
    assert "steps 2 to 3" in caplog.text
    assert f"{aside} is of these settings, and goes on: kept as unfinished.pt" in caplog.text
    assert len(put_aside(tmp_path / "killed")) == 1
    assert aside not in put_aside(tmp_path / "killed")


def edited(edit):
    """The damage of a state that is read, changed and written again."""

    def damage(path):
        state = load_checkpoint(path)
        edit(state)
        save_training_state(path, state)

    return damage


def replaced(content):
    return lambda path: path.write_bytes(content)


def flip_a_bit_of_the_weights(path):
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    content = bytearray(path.read_bytes())
    content[largest.header_offset + largest.file_size // 2] ^= 1
    path.write_bytes(content)


def another_shape(state):
    moments = state["trainer"]["optimiser"]["state"][3]
    moments["exp_avg"] = moments["exp_avg"][:1]


DAMAGES = {
    "cut short": (lambda path: os.truncate(path, path.stat().st_size // 2), "File is not a zip file"),
    "empty": (replaced(b""), "File is not a zip file"),
    "text": (replaced(b"not found"), "File is not a zip file"),
    "a flipped bit": (flip_a_bit_of_the_weights, "the checksum of .* is wrong"),
    "weights": (lambda path: torch.save({"a": torch.ones(3)}, path), "not of a training"),
    "safetensors": (lambda path: save_model(path, {"a": torch.ones(3)}), "File is not a zip file"),
    "an object": (lambda path: torch.save({"identity": {}, "trainer": Path("a")}, path), "Weights only load failed"),
    "a folder": (lambda path: (path.unlink(), path.mkdir()), "no file"),
    "a pipe": (lambda path: (path.unlink(), os.mkfifo(path)), "no file"),
    "a broken link": (lambda path: (path.unlink(), path.symlink_to("gone")), "no file"),
    "no trainer": (edited(lambda state: state.pop("trainer")), "not of a training"),
    "no network": (edited(lambda state: state["trainer"].pop("network")), r"network\.\S+ is missing, not float32"),
    "no moments": (edited(lambda state: state["trainer"]["optimiser"]["state"].clear()), "optimiser.* is missing"),
    "no log": (edited(lambda state: state["trainer"].pop("log")), "holds no losses and log"),
    "no mapping": (edited(lambda state: state.update(trainer=[1])), "holds no losses and log"),
    "another shape": (edited(another_shape), r"optimiser\.state\.3\.exp_avg is float32"),
    "another key": (edited(lambda s: s["trainer"]["network"].update(a=torch.ones(1))), r"network\.a is float32"),
    "nan": (edited(lambda s: next(iter(s["trainer"]["network"].values())).fill_(math.nan)), "network.* is not finite"),
    "a step too far": (edited(lambda state: state["trainer"].update(step=4)), "has step 4 of 3"),
}  # fmt: skip


@pytest.fixture(scope="module")
def unfinished(tiny, tmp_path_factory):
    """The weights of a whole training, and a state of the same one that was killed after a step in its middle."""
    folder = tmp_path_factory.mktemp("unfinished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "VALIDATION_IMAGES", 10)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        verb, options = arguments(tiny, folder, "uadm")
        getattr(stage, verb)(**options)
        state = load_checkpoint(folder / "unfinished.pt")
        assert state["trainer"]["step"] == 3
    return load_checkpoint(options["model"]), folder / "unfinished.pt"


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_kept_aside_and_the_training_starts_anew(run, unfinished, tmp_path, caplog, damage, reason):
    place = tmp_path / "out/unfinished.pt"
    place.parent.mkdir()
    shutil.copy(unfinished[1], place)
    damage(place)
    assert equal(run("uadm")[0], unfinished[0])
    assert re.search(rf"out/unfinished\.pt is damaged \({reason}.*\): kept as unfinished\.pt\.damaged\n", caplog.text)
    assert "the training starts anew" in caplog.text
    assert "steps 0 to 3" in caplog.text
    assert put_aside(place.parent) == ["unfinished.pt.damaged"]
    assert not os.path.lexists(place)


def test_a_state_with_any_byte_changed_is_as_it_was_or_damaged(tiny, unfinished, tmp_path):
    whole, place, random = unfinished[1].read_bytes(), tmp_path / "unfinished.pt", np.random.default_rng(0)
    wanted, damaged = read_state(unfinished[1]), 0
    for byte in [*random.choice(len(whole), 40), *range(len(whole) - 4000, len(whole), 40)]:
        place.write_bytes(whole[:byte] + bytes([whole[byte] ^ 1 << random.integers(8)]) + whole[byte + 1 :])
        try:
            found = read_state(place)
            assert found["identity"] == wanted["identity"]
            torch.testing.assert_close(found["trainer"], wanted["trainer"], rtol=0, atol=0)
        except ValueError:
            damaged += 1
    assert damaged > 60


def test_a_state_on_a_disk_that_fails_is_refused_in_one_line_and_left_alone(run, unfinished, tmp_path, monkeypatch):
    place = tmp_path / "out/unfinished.pt"
    place.parent.mkdir()
    shutil.copy(unfinished[1], place)

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(zipfile.ZipFile, "testzip", fail)
    with pytest.raises(ArtifactError, match=r"out/unfinished\.pt: cannot be read \(Input/output error\); the disk .*"):
        run("uadm")
    assert put_aside(place.parent) == []
    assert place.read_bytes() == unfinished[1].read_bytes()


# When it diverges -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lr", [1e30, 1e8])
@pytest.mark.parametrize("name", ["uadm", "cadm", "ce", "clean"])
def test_a_diverged_training_leaves_neither_weights_nor_a_state(tiny, run, tmp_path, name, lr):
    kind = "denoiser" if name in tiny.project.denoisers else "classifier"
    config = changed(getattr(tiny.project, f"train_{kind}")(name), lr=lr, iterations=1, ema_rate=0.0)
    with pytest.raises(EddpmError) as caught:
        run(name, config=config)
    found = re.sub(r"up to \S+", "up to X", str(caught.value))
    cause = "the network answers with numbers up to X after step 1"
    assert found == f"training.lr: {lr:g}: {cause}; lower training.lr; no state is kept"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"settings.yaml", "events"}


def test_a_training_that_diverges_later_keeps_its_last_good_state(tiny, run, tmp_path, monkeypatch):
    make, trainers = stage.Trainer, []

    def raise_the_rate(*arguments):
        trainers[0].config = trainers[0].config.model_copy(update={"lr": 1e30})
        shutil.copy(tmp_path / "out/unfinished.pt", tmp_path / "good.pt")

    monkeypatch.setattr(stage, "Trainer", lambda *arguments: trainers.append(make(*arguments)) or trainers[0])
    monkeypatch.setattr(stage, "_report", raise_the_rate)  # of step 2
    with pytest.raises(EddpmError, match=r"after step 3; lower .*; the state of step 2, the last good one, is kept$"):
        run("clean")
    assert (tmp_path / "out/unfinished.pt").read_bytes() == (tmp_path / "good.pt").read_bytes()
    assert not (tmp_path / "out/model.safetensors").exists()


def test_a_batch_of_one_image_trains(tiny, run):
    _, log = run("ect", config=changed(tiny.project.train_classifier("ect"), batch_size=1, ema_rate=0.9))
    assert [row["step"] for row in log] == [2, 3]


# A full disk ------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's
@pytest.mark.parametrize(
    ("writer", "file"),
    [("save_training_state", "unfinished.pt"), ("write_text", "log.jsonl"), ("save_trained", "model.safetensors")],
)
def test_training_goes_on_to_the_same_bytes_after_a_full_disk_has_room_again(
    run, unfinished, tmp_path, monkeypatch, writer, file
):
    write, calls = getattr(stage, writer), []

    def write_where_the_second_state_or_the_end_has_no_room(*arguments):
        calls.append(arguments)
        with room_for(10) if len(calls) > (file == "unfinished.pt") else nullcontext():
            write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(stage, writer, write_where_the_second_state_or_the_end_has_no_room)
        with pytest.raises(ArtifactError, match=rf"/out/{file}: cannot be written \(File too large\); [^\n]+$"):
            run("uadm")
    kept = load_checkpoint(tmp_path / "out/unfinished.pt")["trainer"]["step"]
    assert kept == (2 if file == "unfinished.pt" else 3)
    assert not (tmp_path / "out/model.safetensors").exists()
    assert equal(run("uadm")[0], unfinished[0])
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "events",
        "log.jsonl",
        "model.safetensors",
        "settings.yaml",
    }
