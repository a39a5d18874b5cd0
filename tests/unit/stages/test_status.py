"""How far runs are, read from shards, batches, benchmarks and logs alone."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from tiny import tiny_project, tiny_values, write_settings

from eddpm.config.assets import weights_file
from eddpm.io.arrays import write_npz
from eddpm.io.files import write_text
from eddpm.reporting.outdated import Files
from eddpm.stages import status as stage
from eddpm.stages.status import measured_pace

RUN = "uadm25-g"  # 1000 images in shards of 8
SAMPLES = f"results/digits/runs/{RUN}/samples"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The tiny project, with its config, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny_values()))
    return tiny_project()


@pytest.fixture
def write(project):
    """Writes what jobs leave, of networks that are there."""
    for kind, name in (("denoisers", "uadm"), ("classifiers", "ce"), ("denoisers", "cadm"), ("classifiers", "ect")):
        write_text(Path(weights_file(project, kind, name)), f"weights of {name}")

    def shard(name, count=8, run=RUN, first=None):
        first = 8 * int(name) if first is None else first
        arrays = {"arr_0": np.zeros((count, 8)), "index": np.arange(first, first + count)}
        write_npz(Path(f"results/digits/runs/{run}/samples/{name}.npz"), **arrays)

    def batch(shard, first, count=3, run=RUN, identity=None):
        path = Path(f"results/digits/runs/{run}/samples/{shard}.unfinished/{first:08d}.npz")
        identity = identity or Files(project).identity(run)
        write_npz(path, images=np.zeros((count, 8)), index=np.arange(first, first + count), identity=identity)
        return path

    def benchmark(job, seconds):
        write_text(Path(f"benchmarks/digits/{job}.tsv"), f"s\th:m:s\tmax_rss\n{seconds}\t0:00:00\t-\n")

    def log(job, text):
        write_text(Path(f"logs/digits/{job}.log"), text)

    return SimpleNamespace(shard=shard, batch=batch, benchmark=benchmark, log=log)


def progress(project, run=RUN) -> stage.Progress:
    return stage.progress(project, Files(project), run)


def test_finished_shards_and_batches_count_and_damaged_or_partial_ones_do_not(project, write):
    write.shard("0000")
    write.batch("0000", 0)  # being cleared away
    write.shard("0001", 5)  # of another shard size
    write.batch("0002", 16)
    write.batch("0002", 19)
    write.batch("0003", 24).write_bytes(b"half")
    Path(f"{SAMPLES}/0004.npz").write_bytes(b"")
    assert progress(project).done == 8 + 6


def test_shards_and_batches_of_other_images_do_not_count(project, write):
    for first in (0, 6, 12, 2):  # as of a larger shard
        write.batch("0000", first, 6)
    write.shard("0001", first=16)  # the last one of larger shards
    state = progress(project)
    assert state.done == 6
    assert state.outdated == f"{SAMPLES}/0001.npz: images 16 to 23, now 8 to 15"


def test_batches_of_other_settings_or_weights_do_not_count(project, write):
    write.batch("0000", 0)
    write.batch("0000", 3, identity="of others")
    assert progress(project).done == 3
    weights = Path(weights_file(project, "classifiers", "ce"))
    write_text(weights, "others")
    assert progress(project).done == 0
    weights.unlink()  # to be trained anew
    assert progress(project).done == 0


def test_batches_on_the_way_to_new_settings_count_beside_an_outdated_shard(project, write):
    write.shard("0000")
    write.shard("0001")
    write_settings(Path(f"results/digits/runs/{RUN}/settings.yaml"), project.sample(RUN))
    write.batch("0000", 0)
    state = progress(project)
    assert state.done == 3
    assert state.outdated.endswith(f"samples/0000.npz: older than results/digits/runs/{RUN}/settings.yaml")
    write.shard("0001")  # sampled anew
    assert progress(project).done == 3 + 8


def test_one_scale_of_a_job_counts_once_all_are_there_or_while_its_batches_are(project, write):
    one, other = project.sweep_of("UADM(25)-G")
    write.shard("0000", run=one)
    state = progress(project, one)
    assert (state.done, state.outdated) == (0, f"shares a job with {other}, whose samples are missing")
    write.batch("0000", 0, 8, one)
    assert progress(project, one).done == 8
    write.shard("0000", run=other)
    assert [progress(project, run).done for run in (one, other)] == [8, 8]


def test_the_pace_is_the_median_shard_s_so_that_a_resumed_one_does_not_flatter_it(project, write):
    for shard, seconds in (("0000", 16), ("0001", 1), ("0002", 17)):
        write.shard(shard)
        write.benchmark(f"sample_shard/{RUN}/{shard}", seconds)
    write.benchmark(f"sample_shard/{RUN}/0003", 100)  # its shard is being made anew
    state = progress(project)
    assert (state.seconds, state.image_seconds) == (16 + 1 + 17 + 100, 2)
    assert state.seconds_left(pace=5.0) == (1000 - 24) * 2


@pytest.mark.parametrize("text", ["", "s\th:m:s\n\n", "s\n-\n"])
def test_a_benchmark_that_is_being_written_is_no_measurement(project, write, text):
    write.shard("0000")
    write_text(Path(f"benchmarks/digits/sample_shard/{RUN}/0000.tsv"), text)
    assert progress(project).image_seconds is None


def test_the_time_of_a_sweep_is_shared_by_its_scales(project, write):
    sweep = project.sweep_of("UADM(25)-G")
    for run in sweep:
        write.shard("0000", project.sweep.num_images, run)
    write.benchmark(f"sample_sweep/{RUN}", 32)
    states = [progress(project, run) for run in sweep]
    assert [state.seconds for state in states] == [32 / len(sweep)] * len(sweep)
    assert measured_pace(states) == 32 / len(sweep) / 8 / project.image_seconds(project.all_runs[sweep[0]])
    assert [1 / state.image_seconds for state in states] == [8 * len(sweep) / 32] * len(sweep)
    assert [state.seconds_left(1.0) for state in states] == [0] * len(sweep)


TRACEBACK = """Traceback (most recent call last):
  File "sample.py", line 1, in sample
    x = 1 / 0
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "sample.py", line 2, in sample
    launch()
torch.AcceleratorError: CUDA error: an illegal access
CUDA kernel errors might be asynchronously reported at some other API call.
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("12:00:00 UADM: 8 images\neddpm sample-shard: UADM: not finite\n", "eddpm sample-shard: UADM: not finite"),
        ("x" * 40_000 + "\n" + TRACEBACK, "torch.AcceleratorError: CUDA error: an illegal access"),
        ("12:00:00 UADM: 8 of 8 images to sample on cpu\n", None),  # at work, or killed: a log cannot tell
        ("", None),
    ],
)
def test_the_error_of_a_log_is_the_line_that_says_it(tmp_path, text, error):
    (tmp_path / "a.log").write_text(text)
    assert stage.last_error(tmp_path / "a.log") == error


def test_the_table_shows_what_is_there_and_names_each_failed_job_while_its_shard_is_missing(project, write, capsys):
    error = "eddpm sample-shard: out of luck"
    for shard in ("0000", "0001"):
        write.shard(shard)
        write.benchmark(f"sample_shard/{RUN}/{shard}", 720)
    for job in (f"sample_shard/{RUN}/0001", f"sample_shard/{RUN}/0002", "sample_sweep/cadm25-g"):
        write.log(job, f"{error}\n")  # the first of a try before; the last of several runs
    stage.status(Path("config.yaml"), ["all"])
    lines = capsys.readouterr().out.splitlines()
    table = {line.split()[0]: line.split() for line in lines if " of " in line}
    assert project.all_runs.keys() <= table.keys()
    # 90 seconds an image
    assert table[RUN] == [RUN, "16", "of", "1,000", "0.01", "0.40", "24.6", "0.00", "1"]
    # The unguided run is expected to be faster, and at the same pace
    pace = 90 / project.image_seconds(project.all_runs[RUN])
    hours = 1000 * pace * project.image_seconds(project.all_runs["uadm25"]) / 3600
    assert table["uadm25"] == ["uadm25", "0", "of", "1,000", "0.00", f"~{hours:.1f}", "0.00"]
    assert "~: not measured yet; by the pace of the runs that were." in "\n".join(lines)
    assert [line for line in lines if line.startswith("failed: ")] == [
        f"failed: logs/digits/sample_shard/{RUN}/0002.log: {error}",
        f"failed: logs/digits/sample_sweep/cadm25-g.log: {error}",
    ]


def test_a_part_of_a_study_has_one_row_with_the_images_of_its_sweep(project, capsys):
    matched = {"sweep": {"matched": {"accuracy": [0.9]}}}
    study = {"parts": {part: {"runs": tiny_values()["runs"]} | matched for part in ("rules", "mechanism")}}
    Path("study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    Path("config.yaml").write_text(yaml.safe_dump(tiny_values() | {"study": "study.yaml"}))
    stage.status(Path("config.yaml"), ["study"])
    rows = [line.split()[:5] for line in capsys.readouterr().out.splitlines() if " of " in line]
    wanted = len(project.sweep_runs) * project.sweep.num_images
    assert rows[:2] == [["study:", part, "0", "of", f"{wanted:,}"] for part in ("rules", "mechanism")]
    assert rows[2][:5] == ["all", "of", "these", "0", "of"]
