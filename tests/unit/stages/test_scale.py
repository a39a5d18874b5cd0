"""The best scale follows its criterion."""

import pytest
import yaml
from tiny import write_settings

from eddpm.config.schema import SampleConfig
from eddpm.config.settings import load_settings
from eddpm.errors import ArtifactError
from eddpm.io.files import write_json
from eddpm.stages import scale as stage


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
