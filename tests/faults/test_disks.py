"""Disks that fill at any write, or cannot be written: a line for each job, and once there is room the same bytes."""

import os
import random
import re

import pytest
from faults.disks import mounted
from faults.experiment import RESULTS, TARGETS

DATA = "resources/datasets/digits"
# What needs the most room, in KiB, and comes before what needs little.
PARTS = [
    ([f"{DATA}/dataset.json"], 150),
    ([f"{RESULTS}/denoisers/uadm/model.safetensors", f"{RESULTS}/classifiers/ce/model.safetensors"], 7000),
    ([f"{RESULTS}/references/pixels.npz"], 700),
    (TARGETS, 300),
]
ENOUGH = 16_000
LOGGED = re.compile(r"Logfile (\S+):\n=+\n(.*?)\n=+\n", re.DOTALL)
ONE_LINE = r"(eddpm [\w-]+: \S+: cannot be written \({}\); [^\n]+|/usr/bin/bash: line 1: [^\n]*: {})"


@pytest.mark.parametrize(
    ("place", "times"),
    [
        ("results", 1),
        pytest.param("results", 8, marks=pytest.mark.faults),
        pytest.param("resources", 8, marks=pytest.mark.faults),
        pytest.param(".", 4, marks=pytest.mark.faults),
    ],
)
def test_on_a_disk_that_fills_jobs_say_so_in_a_line_and_once_there_is_room_the_bytes_are_the_same(
    yardstick, experiment, place, times
):
    draw = random.Random(f"{place} {times}")
    with mounted(experiment.folder / place) as disk:
        experiment.write()
        for targets, most in PARTS:
            for _ in range(times):
                disk.leave(int(most * draw.random() ** 2))  # more often little
                done = experiment.snakemake(*targets, check=False)
                assert done.returncode in (0, 1)
                if place != ".":  # where Snakemake itself cannot write, it has tracebacks of its own
                    assert_one_line(done.stderr, "No space left on device")
            disk.leave(ENOUGH)
            experiment.finish(*targets)
        assert experiment.digests() == yardstick.digests


def test_results_that_cannot_be_written_are_one_line_and_once_they_can_be_the_bytes_are_the_same(yardstick, experiment):
    with mounted(experiment.folder / "results") as disk:
        experiment.finish(*PARTS[2][0])
        before = experiment.digests()
        disk.change("ro")
        done = experiment.snakemake(*TARGETS, check=False)
        assert done.returncode == 1
        assert_one_line(done.stderr, "Read-only file system")
        assert experiment.digests() == before
        disk.change("rw")
        experiment.finish()
        assert experiment.digests() == yardstick.digests


@pytest.mark.parametrize("file", [f"{RESULTS}/dataset/settings.yaml", f"{DATA}/dataset.json"])
def test_damage_that_cannot_be_put_right_is_one_line_and_no_job_uses_it(experiment, file):
    with mounted(experiment.folder / "results") as results, mounted(experiment.folder / "resources") as resources:
        experiment.finish(*PARTS[0][0])
        os.truncate(experiment.folder / file, 100)
        for disk in (results, resources):
            disk.change("ro")
        done = experiment.snakemake(*PARTS[0][0], check=False)
        for disk in (results, resources):
            disk.change("rw")
        assert done.returncode == 2
        lines = [line for line in done.stderr.splitlines() if line.startswith("eddpm:")]
        assert len(lines) == 1
        assert "cannot be written (Read-only file system)" in lines[0]
        assert file in experiment.finish(*PARTS[0][0])


@pytest.mark.parametrize("targets", [PARTS[0][0], pytest.param(TARGETS, marks=pytest.mark.faults)], ids=["data", "all"])
def test_a_full_folder_for_temporary_files_changes_no_byte(yardstick, experiment, tmp_path, targets):
    with mounted(tmp_path / "temporary") as disk:
        disk.leave(0)
        (disk.folder / "full").write_bytes(bytes(4096))
        experiment.environment |= {"TMPDIR": str(disk.folder)}
        experiment.finish(*targets)
        assert experiment.digests().items() <= yardstick.digests.items()


def assert_one_line(printed: str, reason: str) -> None:
    """The logs of jobs that failed end with it."""
    assert "Traceback" not in printed
    for log, text in LOGGED.findall(printed):
        assert re.fullmatch(ONE_LINE.format(reason, reason), text.splitlines()[-1]), f"{log}: {text}"
