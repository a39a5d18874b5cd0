"""The best scale follows its criterion."""

import pytest
from tiny import write_settings

from eddpm.config.samples import SampleConfig
from eddpm.config.settings import load_settings
from eddpm.errors import ArtifactError
from eddpm.io.files import write_json
from eddpm.stages.scale import best_row, choose_scale


def rows(*values):
    return [{"run": {"scale": scale}, "metrics": {"pixels/fid": fid, "accuracy": of}} for scale, fid, of in values]


ROWS = rows((1, 0.3, 0.5), (2, 0.4, 0.91), (4, 0.5, 0.95), (8, 0.9, 0.99))
TIED = rows((1, 0.4, 0.95), (2, 0.4, 0.95), (4, 0.4, 0.95))


@pytest.mark.parametrize(
    ("given", "bound", "scale"),
    [
        (ROWS, {}, 1),
        (ROWS, {"accuracy": 0.9}, 2),
        (ROWS, {"accuracy": 0.95}, 4),
        (ROWS, {"accuracy": 0.999}, 8),
        (TIED, {"accuracy": 0.9}, 1),
    ],
)
def test_best_scale_is_the_lowest_metric_within_the_bounds_and_the_lowest_of_equals(given, bound, scale):
    assert best_row(given, "pixels/fid", bound)["run"]["scale"] == scale


def test_choose_scale_completes_the_settings_of_its_run(tiny, tmp_path):
    choice = tiny.project.choice("uadm25-g-at-best")
    settings = write_settings(tmp_path / "choice/settings.yaml", choice)
    paths = [tmp_path / f"{k}.json" for k in range(len(ROWS))]
    for path, row in zip(reversed(paths), ROWS, strict=True):
        write_json(path, row)
    choose_scale(settings, paths, tmp_path / "settings.yaml")
    chosen = load_settings(SampleConfig, tmp_path / "settings.yaml")
    assert chosen == choice.run.model_copy(update={"scale": 2.0})
    assert chosen.name == "UADM(25)-G at best"


def test_the_scale_is_that_of_the_best_mean_over_training_seeds(tiny, tmp_path):
    settings = write_settings(tmp_path / "choice.yaml", tiny.project.choice("uadm25-g-at-best"))
    # Of each seed alone, scale 1 is the best of the first, and 4 of the second.
    of_seeds = [
        rows((1, 0.1, 0.95), (2, 0.3, 0.95), (4, 0.8, 0.95)),
        rows((1, 0.9, 0.95), (2, 0.3, 0.95), (4, 0.2, 0.95)),
    ]
    paths = []
    for k, row in enumerate(of_seeds[0] + of_seeds[1]):
        paths.append(tmp_path / f"{k}.json")
        write_json(paths[-1], row | {"standard_errors": {}})
    choose_scale(settings, paths, tmp_path / "settings.yaml")
    assert load_settings(SampleConfig, tmp_path / "settings.yaml").scale == 2.0


def test_unknown_metric_of_the_criterion_is_named():
    with pytest.raises(ArtifactError, match="'pixel/fid'; known: pixels/fid, accuracy"):
        best_row(ROWS, "pixel/fid", {})
