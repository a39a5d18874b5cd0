"""Files of the workflow that were changed, emptied or cleared away since it made them: put right at the next start."""

import os
from pathlib import Path

import pytest
from workspace import Workspace

RUN = "results/digits/runs/uadm5"
SAMPLES, SETTINGS = f"{RUN}/samples/0000.npz", f"{RUN}/settings.yaml"
SHARD = "resources/datasets/digits/train/00000-images.npy"
MODEL = "results/digits/denoisers/uadm/model.safetensors"
NOTHING = "Nothing to be done"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory, forks):
    """The samples of a run, made."""
    workspace = Workspace(tmp_path_factory.mktemp("changed"), programs=forks)
    workspace.snakemake(SAMPLES)
    return workspace


def edit_the_seed(path: Path) -> None:
    path.write_text(path.read_text().replace("seed: 0", "seed: 7"))


def flip_a_bit_under_the_old_date(path: Path) -> None:
    content, times = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (SETTINGS, edit_the_seed),
        (SETTINGS, empty),
        (SHARD, Path.unlink),
        (SHARD, flip_a_bit_under_the_old_date),
        (SHARD.replace("images", "labels"), empty),
    ],
)
def test_settings_and_shards_become_as_they_were_and_no_job_runs_for_them(workspace, name, change):
    path = workspace.folder / name
    before, samples = path.read_bytes(), (workspace.folder / SAMPLES).stat()
    change(path)
    assert name in workspace.snakemake("--dry-run", SAMPLES).stderr
    done = workspace.snakemake(SAMPLES)
    assert name in done.stderr
    assert NOTHING in done.stdout + done.stderr
    assert path.read_bytes() == before
    assert (workspace.folder / SAMPLES).stat() == samples
    assert name not in workspace.snakemake(SAMPLES).stderr


@pytest.mark.parametrize(("name", "target"), [(MODEL, MODEL), (SAMPLES, SAMPLES)])
def test_other_files_are_set_aside_and_made_again_byte_for_byte(workspace, name, target):
    path = workspace.folder / name
    before = path.read_bytes()
    flip_a_bit_under_the_old_date(path)
    changed = path.read_bytes()
    done = workspace.snakemake(target)
    assert f"{name}: was changed after it was made; it is now {name}.changed" in done.stderr
    assert path.read_bytes() == before
    assert path.with_name(f"{path.name}.changed").read_bytes() == changed
    path.write_bytes(b"more notes")
    assert f"it is now {name}.changed.2" in workspace.snakemake(target).stderr
    assert path.with_name(f"{path.name}.changed").read_bytes() == changed


def test_of_a_shard_whose_source_has_changed_only_jobs_that_need_it_are_kept_from_running(workspace):
    path = workspace.folder / SHARD
    record = path.with_name("00000.json")
    content, kept = path.read_bytes(), record.read_text()
    path.unlink()
    record.write_text(kept.replace('"identity": "', '"identity": "0'))
    done = workspace.snakemake(SAMPLES)
    assert f"its shards {SHARD} are missing or damaged, and 'digits' no longer gives the same images" in done.stderr
    assert NOTHING in done.stdout + done.stderr
    done = workspace.snakemake("results/digits/classifiers/ce/model.safetensors", check=False)
    assert done.returncode == 1
    assert f"{SHARD}: does not exist; prepare the data set again" in done.stderr
    record.write_text(kept)
    workspace.snakemake(SAMPLES)
    assert path.read_bytes() == content


def test_samples_of_changed_settings_are_no_damage(workspace):
    workspace.write_runs((workspace.folder / "runs.tsv").read_text().replace("none\t\t0\t16", "none\t\t5\t16"))
    done = workspace.snakemake(SAMPLES)
    assert "was changed" not in done.stderr
    assert (workspace.folder / SETTINGS).read_text().count("seed: 5")
    assert NOTHING in (again := workspace.snakemake(SAMPLES)).stdout + again.stderr
