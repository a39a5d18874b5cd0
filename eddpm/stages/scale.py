"""A method over the grid of scales, and the choice of its best one.

A small sweep shares a job per method: starting a process takes as long as sampling a scale. The choice needs no torch,
which is therefore imported by those who do.
"""

from pathlib import Path

from eddpm.config.frozen import frozen_text
from eddpm.config.schema import ChoiceConfig
from eddpm.config.settings import load_settings
from eddpm.errors import ArtifactError
from eddpm.io.files import read_json, write_text


def measure_sweep(
    settings: Path,
    runs: list[Path],
    samples: list[Path],
    weights: list[Path],
    references: list[Path],
    metrics: list[Path],
    traces: list[Path],
    grids: list[Path],
) -> None:
    """Measure each run of a sweep as `compute_metrics` does; five lists have one file per scale."""
    from eddpm.stages.measure import compute_metrics

    for run, shard, *outputs in zip(runs, samples, metrics, traces, grids, strict=True):
        compute_metrics(settings, run, [shard], [], weights, references, *outputs)


def choose_scale(settings: Path, metrics: list[Path], run_settings: Path) -> None:
    """Complete a run's settings with the best scale of a sweep, `metrics` being those of one method's scales."""
    config = load_settings(ChoiceConfig, settings)
    rows = sorted((read_json(path) for path in metrics), key=lambda row: row["run"]["scale"])
    best = best_row(rows, config.criterion.minimise, config.criterion.at_least)
    run = config.run.model_copy(update={"scale": best["run"]["scale"]})
    write_text(run_settings, frozen_text(run))


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
