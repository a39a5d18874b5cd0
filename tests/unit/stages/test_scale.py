"""Sweeps are their runs one by one; the best scale follows its criterion."""

import json

import pytest
import yaml
from tiny import write_settings

from eddpm.config.schema import SampleConfig
from eddpm.config.settings import load_settings
from eddpm.errors import ArtifactError
from eddpm.io.files import write_json
from eddpm.stages import scale as stage
from eddpm.stages.measure import measure_samples
from eddpm.stages.sample import sample_shard

RUNS = ["uadm25-g-at-1", "uadm25-g-at-4"]


def test_sweep_gives_what_its_runs_give_alone(tiny, references, tmp_path):
    clean, (measure, references) = [tiny.weights["clean"]], references
    settings = [write_settings(tmp_path / f"{run}.yaml", tiny.project.sample(run)) for run in RUNS]
    files = {kind: [tmp_path / f"{run}.{kind}" for run in RUNS] for kind in ("npz", "json", "csv", "png")}
    weights = tiny.weights["uadm"], tiny.weights["ce"]
    stage.sample_sweep(settings, *weights, 8, 3, files["npz"])
    outputs = files["json"], files["csv"], files["png"]
    measure_samples(measure, settings, files["npz"], [], clean, references, *outputs)

    for k, run in enumerate(RUNS):
        alone = tmp_path / "alone"
        sample_shard(settings[k], *weights, 0, 8, 3, alone / "0.npz")
        outputs = [alone / name for name in ("metrics.json", "trace.csv", "grid.png")]
        each = ([output] for output in outputs)
        measure_samples(measure, [settings[k]], [alone / "0.npz"], [], clean, references, *each)
        assert (alone / "0.npz").read_bytes() == files["npz"][k].read_bytes(), run
        assert json.loads(outputs[0].read_text()) == json.loads(files["json"][k].read_text())
        assert outputs[1].read_bytes() == files["csv"][k].read_bytes()
        assert outputs[2].read_bytes() == files["png"][k].read_bytes()


def test_a_killed_sweep_samples_no_finished_scale_again(tiny, tmp_path, monkeypatch):
    from eddpm.stages import sample

    settings = [write_settings(tmp_path / f"{run}.yaml", tiny.project.sample(run)) for run in RUNS]
    samples, weights = [tmp_path / f"{run}.npz" for run in RUNS], (tiny.weights["uadm"], tiny.weights["ce"])
    guided, calls = sample.GuidedSampler.sample, []

    def counted(self, index):
        if len(calls) == 1:
            calls.append(None)
            raise KeyboardInterrupt
        calls.append(self.config.scale)
        return guided(self, index)

    monkeypatch.setattr(sample.GuidedSampler, "sample", counted)
    with pytest.raises(KeyboardInterrupt):
        stage.sample_sweep(settings, *weights, 4, 4, samples)
    samples[0].unlink()  # as Snakemake does with the outputs of a killed job
    stage.sample_sweep(settings, *weights, 4, 4, samples)
    assert calls == [1, None, 4]
    assert not list(tmp_path.glob("*.unfinished"))


def metrics_row(scale, fid, accuracy):
    return {"run": {"scale": scale}, "metrics": {"pixels/fid": fid, "accuracy": accuracy}}


ROWS = [metrics_row(1, 0.3, 0.5), metrics_row(2, 0.4, 0.91), metrics_row(4, 0.5, 0.95), metrics_row(8, 0.9, 0.99)]


@pytest.mark.parametrize(
    ("bound", "scale"), [({}, 1), ({"accuracy": 0.9}, 2), ({"accuracy": 0.95}, 4), ({"accuracy": 0.999}, 8)]
)
def test_best_scale_is_the_lowest_metric_within_the_bounds(bound, scale):
    assert stage.best_row(ROWS, "pixels/fid", bound)["run"]["scale"] == scale


def test_ties_go_to_the_lowest_scale():
    rows = [metrics_row(scale, 0.4, 0.95) for scale in (1, 2, 4)]
    assert stage.best_row(rows, "pixels/fid", {"accuracy": 0.9})["run"]["scale"] == 1


def test_choose_scale_completes_the_settings_of_its_run(tiny, tmp_path):
    choice = tiny.project.choice("uadm25-g-at-best")
    settings = write_settings(tmp_path / "choice/settings.yaml", choice)
    paths = [tmp_path / f"{k}.json" for k in range(len(ROWS))]
    for path, row in zip(reversed(paths), ROWS, strict=True):
        write_json(path, row)
    stage.choose_scale(settings, paths, tmp_path / "settings.yaml")
    chosen = load_settings(SampleConfig, tmp_path / "settings.yaml")
    assert chosen == choice.run.model_copy(update={"scale": 2.0})
    assert yaml.safe_load((tmp_path / "settings.yaml").read_text())["name"] == "UADM(25)-G at best"


def test_unknown_metric_of_the_criterion_is_named():
    with pytest.raises(ArtifactError, match="'pixel/fid'; known: pixels/fid, accuracy"):
        stage.best_row(ROWS, "pixel/fid", {})
