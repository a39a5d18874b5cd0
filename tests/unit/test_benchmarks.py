"""The benchmarks run, and show what they are there to show, at small sizes."""

import importlib.util
import json
import tracemalloc
from pathlib import Path

import pytest
import yaml
from pictures import CIFAR10
from tiny import tiny_project, tiny_values, write_settings
from workspace import RUNS

from eddpm.evaluation.features import Extractor
from eddpm.io.batches import ImageFile
from eddpm.stages.features import features_of
from eddpm.stages.prepare import prepare_dataset

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


def test_a_bare_machine_makes_what_the_workflow_makes_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    """CIFAR-10's photographs with small networks, at a hundredth of the size: every verb, tables and figures."""
    values = tiny_values()
    for entry in (*values["denoisers"].values(), *values["classifiers"].values()):
        entry["training"] |= {"iterations": 300}
        entry["network"] |= {"channel_mult": [1, 1, 1]}
    for entry in values["denoisers"].values():
        entry["network"] |= {"learn_sigma": True}
    values["dataset"] = {"source": str(CIFAR10), "image_size": 16, "image_channels": 3, "num_classes": 10}
    runs = RUNS.replace("\tce\t", "\tce+temperature\t").replace("\t8\n", "\t4000\n").replace("\t16\n", "\t4000\n")
    (tmp_path / "runs.tsv").write_text(runs)
    sampling, sweep = {"shard_size": 40, "batch_size": 40}, values["sweep"] | {"scales": [1], "num_images": 4000}
    values |= {"experiment": "small", "runs": "runs.tsv", "sampling": sampling, "sweep": sweep}
    # Not the pixels: a covariance of 3072 dimensions for each of the runs takes longer than all else.
    values["evaluation"] = {"spaces": ["classifier:clean"], "replicates": 0}
    values["sweep"]["best"] = {"minimise": "classifier:clean/fid"}
    values["dataset"]["validation_fraction"] = 0.08
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(tmp_path)
    bare = script("bare_machine")
    monkeypatch.setattr("sys.argv", ["bare_machine.py", "--config", "config.yaml", "--fraction", "0.01"])

    def killed(machine):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bare, "draw", killed)
        with pytest.raises(KeyboardInterrupt):
            bare.main()
    results = tmp_path / "results/small"
    trained = (results / "denoisers/uadm/model.safetensors").stat().st_mtime_ns
    bare.main()
    assert (results / "denoisers/uadm/model.safetensors").stat().st_mtime_ns == trained
    assert json.loads((results / "classifiers/ce/log.jsonl").read_text().splitlines()[-1])["step"] == 3
    main_table = (results / "tables/main.md").read_text()
    assert "UADM(5)-G " in main_table
    assert "40 images per row" in main_table
    assert {path.stem for path in (results / "figures").iterdir()} == {"samples", "trace", "noise_levels", "scales"}
    printed = capsys.readouterr().out
    assert main_table in printed
    assert "| fit-temperature" in printed
    assert "cpu" in printed


def table_printed(module, monkeypatch, capsys, *arguments: str) -> list[list[str]]:
    """The cells of the table that a script prints, row by row, without its two lines of header."""
    monkeypatch.setattr("sys.argv", ["script.py", *arguments])
    module.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_the_loader_is_timed_beside_torchvisions_on_the_same_files(monkeypatch, capsys):
    arguments = "--source", str(CIFAR10), "--image-size", "32", "--workers", "0", "--seconds", "0.2", "--turns", "1"
    (row,) = table_printed(script("loader"), monkeypatch, capsys, *arguments)
    size, files, ours, theirs, ratio, _ = map(float, row)
    assert (size, files) == (32, 500)
    assert ratio == pytest.approx(ours / theirs, rel=0.1)


def test_the_step_is_timed_in_each_precision_with_its_share_of_waiting(tmp_path, monkeypatch, capsys):
    project = tiny_project()
    settings = write_settings(tmp_path / "settings.yaml", project.train_classifier("ce"))
    data = write_settings(tmp_path / "dataset.yaml", project.dataset)
    prepare_dataset(data, tmp_path / "dataset.json", tmp_path / "unreadable.tsv", 1)
    arguments = "--settings", str(settings), "--dataset", str(tmp_path / "dataset.json"), "--steps", "2"
    rows = table_printed(script("training"), monkeypatch, capsys, *arguments)
    assert [row[0] for row in rows][:2] == ["float32", "bfloat16"]
    for _, pace, alone, waiting in rows:
        assert min(float(pace), float(alone)) > 0
        assert 0 <= float(waiting.rstrip("%")) <= 100


def test_the_plan_of_many_jobs_is_timed(monkeypatch, capsys):
    arguments = "--methods", "1", "--scales", "2", "--shards", "3"
    (row,) = table_printed(script("dag"), monkeypatch, capsys, *arguments)
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
