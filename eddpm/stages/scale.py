"""The choice of the best scale of a sweep."""

from itertools import groupby
from pathlib import Path

from eddpm.config.frozen import frozen_text
from eddpm.config.samples import ChoiceConfig
from eddpm.config.settings import load_settings
from eddpm.errors import ArtifactError
from eddpm.io.files import read_json, write_text
from eddpm.reporting.tables import mean_row


def choose_scale(settings: Path, metrics: list[Path], run_settings: Path) -> None:
    """Complete a run's settings with the best scale of a sweep, `metrics` being those of one method's scales.

    Of several runs at a scale, which differ in the training seed, the mean counts.
    """
    config = load_settings(ChoiceConfig, settings)
    runs = sorted((read_json(path) for path in metrics), key=_scale)
    rows = [mean_row(list(of_scale)) for _, of_scale in groupby(runs, _scale)]
    best = best_row(rows, config.criterion.minimise, config.criterion.at_least)
    run = config.run.model_copy(update={"scale": best["run"]["scale"]})
    write_text(run_settings, frozen_text(run))


def _scale(row: dict) -> float:
    return row["run"]["scale"]


def best_row(rows: list[dict], minimise: str, at_least: dict[str, float]) -> dict:
    """The row with the lowest `minimise` among those that hold every bound; ties go to the first.

    Where none holds them all, the one that misses them least (by the sum of its shortfalls) is taken.
    """
    for name in (minimise, *at_least):
        for row in rows:
            if name not in row["metrics"]:
                raise ArtifactError(f"sweep.best: no metric '{name}'; known: {', '.join(row['metrics'])}")

    def shortfall(row: dict) -> float:
        return sum(max(0.0, bound - row["metrics"][name]) for name, bound in at_least.items())

    return min(rows, key=lambda row: (shortfall(row), row["metrics"][minimise]))
