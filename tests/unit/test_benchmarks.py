"""The benchmarks run, and show what they are there to show, at small sizes."""

import importlib.util
import json
import tracemalloc
from pathlib import Path

import pytest
from pictures import CIFAR10, prepare
from tiny import tiny_project, write_settings

from eddpm.evaluation.features import Extractor
from eddpm.io.batches import ImageFile
from eddpm.stages.features import features_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # as for a script that is run


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        ("fid_ours", "fid_clean"),
        ("prc_ours", "prc_fidelity"),
        ("all_of_balls", "prdc"),
        ("vendi_ours", "vendi_authors"),
        ("mmd_ours", "mmd_fidelity"),
    ],
)
def test_what_is_timed_side_by_side_gives_the_same(ours, other, capsys):
    metrics = script("metrics")
    for name in (ours, other):
        metrics.run(name, 150, 20)
    a, b = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert a["value"] == pytest.approx(b["value"], rel=1e-6)
    assert min(a["seconds"], b["seconds"]) > 0


@pytest.fixture
def printed(monkeypatch, capsys):
    """The cells of the table that a script prints, row by row, without its two lines of header."""

    def printed(name: str, *arguments: str) -> list[list[str]]:
        monkeypatch.setattr("sys.argv", ["script.py", *arguments])
        script(name).main()
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
        return [line.strip("| ").split(" | ") for line in lines[2:]]

    return printed


def test_the_loader_is_timed_beside_torchvisions_on_the_same_files(printed):
    arguments = "--source", str(CIFAR10), "--image-size", "32", "--workers", "0", "--seconds", "0.2", "--turns", "1"
    (row,) = printed("loader", *arguments)
    size, files, ours, theirs, ratio, _ = map(float, row)
    assert (size, files) == (32, 500)
    assert ratio == pytest.approx(ours / theirs, rel=0.1)


def test_the_step_is_timed_in_each_precision_with_its_share_of_waiting(tmp_path, printed):
    project = tiny_project()
    settings = write_settings(tmp_path / "classifier.yaml", project.train_classifier("ce"))
    arguments = "--settings", str(settings), "--dataset", str(prepare(tmp_path, project.dataset)), "--steps", "2"
    rows = printed("training", *arguments)
    assert [row[0] for row in rows][:2] == ["float32", "bfloat16"]
    for _, pace, alone, waiting in rows:
        assert min(float(pace), float(alone)) > 0
        assert 0 <= float(waiting.rstrip("%")) <= 100


def test_the_plan_of_many_jobs_is_timed(printed):
    (row,) = printed("dag", "--methods", "1", "--scales", "2", "--shards", "3")
    # One row, two scales and a best scale: 12 shards with features, 4 sets of metrics, and what they need.
    assert row[:3] == ["1", "2", "3"]
    assert int(row[3]) > 12 * 2 + 4
    assert float(row[5].removesuffix(" GB")) > 0.05


def test_memory_does_not_grow_with_the_number_of_images_beyond_their_features(tmp_path):
    memory, peaks = script("memory"), {}
    space = Extractor("patches", {}, memory.patch_means)
    for count in (500, 3000):
        memory.write_images(tmp_path / "samples.npz", count, 64)
        tracemalloc.start()
        features_of(ImageFile(tmp_path / "samples.npz"), [space], keep_spatial=False)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    features = (3000 - 500) * memory.DIMENSIONS * 4
    assert peaks[3000] - peaks[500] < 1.5 * features
    assert peaks[3000] < 3000 * 64 * 64 * 3 / 2
