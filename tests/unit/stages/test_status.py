"""How far runs are, read from shards, batches, benchmarks and logs alone."""

import re

import numpy as np
import pytest
import yaml
from tiny import tiny_project, tiny_values, write_settings

from eddpm.config.assets import weights_file
from eddpm.io.arrays import write_npz
from eddpm.io.files import write_text
from eddpm.reporting.outdated import Files
from eddpm.stages import status as stage

RUN = "uadm25-g"  # 1000 images in shards of 8


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The tiny project, with its config, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tiny_values()))
    return tiny_project()


@pytest.fixture
def write(project, tmp_path):
    """Writes what jobs leave, of networks that are there."""
    for kind, name in (("denoisers", "uadm"), ("classifiers", "ce"), ("denoisers", "cadm"), ("classifiers", "ect")):
        write_text(tmp_path / weights_file(project, kind, name), f"weights of {name}")

    def shard(name, count, run=RUN, first=None):
        first = 8 * int(name) if first is None else first
        arrays = {"arr_0": np.zeros((count, 8)), "index": np.arange(first, first + count)}
        write_npz(tmp_path / f"results/digits/runs/{run}/samples/{name}.npz", **arrays)

    def batch(shard, first, count, run=RUN, identity=None):
        path = tmp_path / f"results/digits/runs/{run}/samples/{shard}.unfinished/{first:08d}.npz"
        identity = identity or Files(project).identity(run)
        write_npz(path, images=np.zeros((count, 8)), index=np.arange(first, first + count), identity=identity)
        return path

    def benchmark(job, seconds):
        path = tmp_path / f"benchmarks/digits/{job}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:00\t-\n")

    def log(job, text):
        path = tmp_path / f"logs/digits/{job}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return {"shard": shard, "batch": batch, "benchmark": benchmark, "log": log}


def progress(project, run) -> stage.Progress:
    return stage.progress(project, Files(project), run)


def rows(capsys) -> dict[str, list[str]]:
    """The printed table by run, cells split at gaps of two spaces."""
    stage.status(stage.Path("config.yaml"), ["all"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "  " in line and not line.startswith("-")]
    return {line.split("  ")[0]: line.removeprefix("all of these").split() for line in lines}


def test_a_fresh_project_has_all_to_do_at_the_pace_of_the_cost_figures(project, capsys):
    states = {run: progress(project, run) for run in project.all_runs}
    for run, state in states.items():
        row = project.all_runs[run]
        assert (state.done, state.wanted, state.seconds, state.image_seconds) == (0, row.num_images, 0, None)
        assert state.seconds_left == pytest.approx(row.num_images * project.image_seconds(row))
        assert state.failures == {}
    printed = rows(capsys)
    assert printed.keys() - {"run", "all of these"} == project.all_runs.keys()
    assert printed["all of these"][:3] == ["0", "of", f"{sum(state.wanted for state in states.values()):,}"]


def test_finished_shards_and_batches_count_and_shards_of_another_size_do_not(project, write):
    write["shard"]("0000", 8)
    write["shard"]("0001", 5)  # of another shard size
    write["batch"]("0002", 16, 3)
    write["batch"]("0002", 19, 3)
    write["batch"]("0003", 24, 3).write_bytes(b"half")
    write["batch"]("0000", 0, 3)  # being cleared away
    (stage.Path(f"results/digits/runs/{RUN}/samples") / "0004.npz").write_bytes(b"")
    assert progress(project, RUN).done == 8 + 6


def test_batches_of_other_images_or_that_overlap_do_not_count(project, write):
    for first in (0, 6, 12, 2):  # as of a larger shard
        write["batch"]("0000", first, 6)
    assert progress(project, RUN).done == 6


def test_a_shard_of_as_many_other_images_does_not_count(project, write):
    write["shard"]("0001", 8, first=16)  # the last one of larger shards
    state = progress(project, RUN)
    assert state.done == 0
    assert state.outdated == f"results/digits/runs/{RUN}/samples/0001.npz: images 16 to 23, now 8 to 15"


def test_batches_of_other_settings_or_weights_do_not_count(project, write):
    write["batch"]("0000", 0, 3)
    write["batch"]("0000", 3, 3, identity="of others")
    assert progress(project, RUN).done == 3
    write_text(stage.Path(weights_file(project, "classifiers", "ce")), "others")
    assert progress(project, RUN).done == 0
    stage.Path(weights_file(project, "classifiers", "ce")).unlink()  # to be trained anew
    assert progress(project, RUN).done == 0


def test_batches_on_the_way_to_new_settings_count_beside_an_outdated_shard(project, write):
    write["shard"]("0000", 8)
    write["shard"]("0001", 8)
    write_settings(stage.Path(f"results/digits/runs/{RUN}/settings.yaml"), project.sample(RUN))
    write["batch"]("0000", 0, 3)
    state = progress(project, RUN)
    assert state.done == 3
    assert state.outdated.endswith(f"samples/0000.npz: older than results/digits/runs/{RUN}/settings.yaml")
    write["shard"]("0001", 8)  # sampled anew
    assert progress(project, RUN).done == 3 + 8


def test_settings_that_differ_are_told_once_for_all_runs_and_nothing_of_them_counts(project, write, capsys):
    network = project.train_denoiser("uadm")
    diffusion = network.diffusion.model_copy(update={"noise_schedule": "linear"})
    place = stage.Path("results/digits/denoisers/uadm/settings.yaml")
    write_settings(place, network.model_copy(update={"diffusion": diffusion}))
    for run in ("uadm25", RUN, "uadm25-g-eds", "uadm25-g-eds-ect", "cadm25"):
        write["shard"]("0000", 8, run)
    write["batch"]("0001", 8, 3)
    stage.status(stage.Path("config.yaml"), ["all"])
    printed = capsys.readouterr().out
    for run in ("uadm25", RUN, "uadm25-g-eds", "uadm25-g-eds-ect"):
        assert re.search(rf"^{run} +0 of 1,000 ", printed, re.MULTILINE)
    assert re.search(r"^cadm25 +8 of 1,000 ", printed, re.MULTILINE)
    assert re.findall("^outdated: .*", printed, re.MULTILINE) == [
        f"outdated: uadm25, {RUN}, uadm25-g-eds and 1 more: {place}: diffusion.noise_schedule linear, now cosine"
    ]


def test_the_pace_is_the_median_shard_s_so_that_a_resumed_one_does_not_flatter_it(project, write):
    for shard, seconds in (("0000", 16), ("0001", 1), ("0002", 17)):
        write["shard"](shard, 8)
        write["benchmark"](f"sample_shard/{RUN}/{shard}", seconds)
    write["benchmark"](f"sample_shard/{RUN}/0003", 100)  # its shard is being made anew
    state = progress(project, RUN)
    assert state.seconds == 16 + 1 + 17 + 100
    assert state.image_seconds == 2
    assert state.seconds_left == (1000 - 24) * 2


def test_a_benchmark_that_is_being_written_is_no_measurement(project, write):
    write["shard"]("0000", 8)
    for text in ("", "s\th:m:s\n", "s\th:m:s\n\n", "s\n-\n"):
        write["benchmark"](f"sample_shard/{RUN}/0000", 1)
        stage.Path(f"benchmarks/digits/sample_shard/{RUN}/0000.tsv").write_text(text)
        assert progress(project, RUN).image_seconds is None


def test_the_time_of_a_sweep_is_shared_by_its_scales(project, write):
    sweep = project.sweep_of("UADM(25)-G")
    for run in sweep:
        assert progress(project, run).done == 0
        write["shard"]("0000", project.sweep.num_images, run)
    write["benchmark"](f"sample_sweep/{RUN}", 32)
    states = [progress(project, run) for run in sweep]
    assert sum(state.seconds for state in states) == 32
    assert [1 / state.image_seconds for state in states] == [8 * len(sweep) / 32] * len(sweep)
    assert [state.seconds_left for state in states] == [0] * len(sweep)


def test_one_scale_of_a_job_counts_once_all_are_there_or_while_its_batches_are(project, write):
    one, other = project.sweep_of("UADM(25)-G")
    write["shard"]("0000", 8, one)
    state = progress(project, one)
    assert (state.done, state.outdated) == (0, f"shares a job with {other}, whose samples are missing")
    write["batch"]("0000", 0, 8, one)
    assert progress(project, one).done == 8
    write["shard"]("0000", 8, other)
    assert [progress(project, run).done for run in (one, other)] == [8, 8]


TRACEBACK = """12:00:00 UADM: 8 of 8 images to sample
Traceback (most recent call last):
  File "sample.py", line 1, in sample
    x = 1 / 0
ZeroDivisionError: division by zero

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "sample.py", line 2, in sample
    launch()
torch.AcceleratorError: CUDA error: an illegal memory access was encountered
CUDA kernel errors might be asynchronously reported at some other API call.
"""


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("12:00:00 UADM: 8 images\neddpm sample-shard: UADM: not finite\n", "eddpm sample-shard: UADM: not finite"),
        (TRACEBACK, "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"),
        ("x" * 40_000 + "\n" + TRACEBACK, "torch.AcceleratorError: CUDA error"),
        ("12:00:00 UADM: 8 of 8 images to sample on cpu\n", None),  # at work, or killed: a log cannot tell
        ("a.py:1: UserWarning: slow\n  warnings.warn()\n", None),
        ("\n\n", None),
        ("", None),
    ],
)
def test_the_error_of_a_log_is_the_line_that_says_it(tmp_path, text, error):
    log = tmp_path / "a.log"
    log.write_text(text)
    found = stage.last_error(log)
    assert found.startswith(error) and "\n" not in found if error else found is None


def test_a_failed_job_is_named_once_and_only_while_its_shard_is_missing(project, write, capsys):
    error = "eddpm sample-shard: out of luck"
    for shard in ("0000", "0001"):
        write["log"](f"sample_shard/{RUN}/{shard}", f"{error}\n")
    write["log"]("sample_sweep/cadm25-g", f"{error}\n")  # of several runs
    write["shard"]("0000", 8)  # made by a retry
    stage.status(stage.Path("config.yaml"), ["all"])
    failed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("failed: ")]
    assert failed == [
        f"failed: logs/digits/sample_shard/{RUN}/0001.log: {error}",
        f"failed: logs/digits/sample_sweep/cadm25-g.log: {error}",
    ]


def test_the_table_shows_what_is_there(project, write, capsys):
    for shard in ("0000", "0001"):
        write["shard"](shard, 8)
        write["benchmark"](f"sample_shard/{RUN}/{shard}", 720)
    write["log"](f"sample_shard/{RUN}/0002", "eddpm sample-shard: out of luck\n")
    # 90 seconds an image
    assert rows(capsys)[RUN] == [RUN, "16", "of", "1,000", "0.01", "0.40", "24.6", "0.00", "1"]
