"""Files that vanish, are cut short or lose a bit between two runs: the next one finishes with the same bytes."""

import os
import time
from itertools import product
from pathlib import Path

import pytest
from faults.experiment import ABLATION, RESULTS, TARGETS, Experiment

DATA = "resources/datasets/digits"
FILES = [
    f"{DATA}/dataset.json",
    f"{DATA}/train/00000-images.npy",
    f"{DATA}/train/00000-labels.npy",
    f"{RESULTS}/dataset/settings.yaml",
    f"{RESULTS}/denoisers/uadm/settings.yaml",
    f"{RESULTS}/denoisers/uadm/model.safetensors",
    f"{RESULTS}/classifiers/ce/log.jsonl",
    f"{RESULTS}/references/pixels.npz",
    f"{RESULTS}/runs/uadm5/settings.yaml",
    f"{RESULTS}/runs/uadm5/samples/0000.npz",
    f"{RESULTS}/runs/uadm5/features/0000.npz",
    f"{RESULTS}/runs/uadm5/metrics.json",
    f"{RESULTS}/runs/uadm5-g-eds/trace.csv",
    f"{RESULTS}/runs/uadm5-g-eds/grid.png",
    f"{RESULTS}/runs/uadm5-g-eds-at-best/choice/settings.yaml",
    f"{RESULTS}/runs/uadm5-g-eds-at-best/settings.yaml",
    f"{RESULTS}/tables/main.csv",
    f"{RESULTS}/figures/scales.png",
]


def vanished(path: Path) -> None:
    path.unlink()


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def without_a_bit(path: Path) -> None:
    """One bit is another, under the old date."""
    times, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


DAMAGES = [vanished, cut_short, without_a_bit]
FEW = [(FILES[1], vanished), (FILES[4], cut_short), (FILES[9], without_a_bit), (FILES[11], cut_short)]
ALL = [pytest.param(*case, marks=[] if case in FEW else pytest.mark.faults) for case in product(FILES, DAMAGES)]


@pytest.fixture(scope="module")
def used(yardstick, tmp_path_factory) -> Experiment:
    """A finished experiment, which each test damages and finishes again."""
    used = yardstick.experiment.copy(tmp_path_factory.mktemp("damaged") / "project")
    used.finish()  # which takes down the checksums
    return used


@pytest.mark.parametrize(("file", "damage"), ALL)
def test_a_damaged_file_is_named_and_the_next_run_that_needs_it_leaves_the_same_bytes(yardstick, used, file, damage):
    damage(used.folder / file)
    asked = [] if file.endswith(".npy") else [file]  # arrays are no targets: folders of them are
    assert file in used.finish(*asked, *TARGETS)
    assert used.digests() == yardstick.digests


@pytest.mark.faults
def test_further_targets_from_damaged_files_have_the_bytes_that_they_have_from_sound_ones(yardstick, tmp_path):
    sound, damaged = (yardstick.experiment.copy(tmp_path / name) for name in ("sound", "damaged"))
    sound.finish(ABLATION, *FILES[3:8])
    damaged.finish()
    for file, damage in zip(FILES[1:8], [*DAMAGES, *DAMAGES, vanished], strict=True):
        damage(damaged.folder / file)
    damaged.finish(ABLATION, *FILES[3:8])
    assert damaged.digests() == sound.digests()


# What an unfinished job has left ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory, forks) -> dict[str, bytes]:
    """The states of trainings and the batches of samples that lay there during a run, by path."""
    experiment = Experiment(tmp_path_factory.mktemp("observed") / "project", forks)
    driver, seen = experiment.start(), {}
    while driver.poll() is None:
        walk = os.walk(experiment.folder / "results")  # which passes over a folder that has just gone
        for path in (Path(folder, name) for folder, _, names in walk for name in names):
            if path.name == "unfinished.pt" or (path.parent.suffix == ".unfinished" and path.suffix == ".npz"):
                keep(path, seen, experiment.folder)
        time.sleep(0.002)
    driver.communicate()
    return seen


def keep(path: Path, seen: dict[str, bytes], folder: Path) -> None:
    try:
        seen[str(path.relative_to(folder))] = path.read_bytes()
    except FileNotFoundError:  # the job has ended
        return


@pytest.mark.parametrize(
    "damage", [without_a_bit, *(pytest.param(damage, marks=pytest.mark.faults) for damage in (None, cut_short))]
)
def test_damaged_leftovers_of_unfinished_jobs_are_not_used(yardstick, experiment, unfinished, damage):
    """Sound ones are."""
    assert {Path(path).suffix for path in unfinished} == {".pt", ".npz"}
    for name, content in unfinished.items():
        path = experiment.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if damage:
            damage(path)
    experiment.finish()
    assert experiment.digests() == yardstick.digests
