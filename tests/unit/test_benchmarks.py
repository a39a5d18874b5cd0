"""The benchmarks run, and show what they are there to show, at small sizes."""

import importlib.util
import json
import tracemalloc
from pathlib import Path

import pytest

from eddpm.evaluation.features import Extractor
from eddpm.stages.features import collect

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))  # as for a script that is run


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("ours", "other"), [("fid_ours", "fid_clean"), ("prc_ours", "prc_fidelity")])
def test_what_is_timed_side_by_side_gives_the_same(ours, other, capsys):
    metrics = script("metrics")
    for name in (ours, other):
        metrics.run(name, 150, 20)
    a, b = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert a["value"] == pytest.approx(b["value"], rel=1e-6)
    assert min(a["seconds"], b["seconds"]) > 0


def test_memory_does_not_grow_with_the_number_of_images_beyond_their_features(tmp_path):
    memory, peaks = script("memory"), {}
    space = Extractor("patches", {}, memory.patch_means)
    for count in (500, 3000):
        memory.write_images(tmp_path / "samples.npz", count, 64)
        tracemalloc.start()
        collect([tmp_path / "samples.npz"], [space], keep_spatial=False)
        peaks[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    features = (3000 - 500) * memory.DIMENSIONS * 4
    assert peaks[3000] - peaks[500] < 1.5 * features
    assert peaks[3000] < 3000 * 64 * 64 * 3 / 2
