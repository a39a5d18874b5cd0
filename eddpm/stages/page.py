"""The report of an experiment, from its tables, figures, settings, metrics and benchmarks that lie on disk."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from eddpm.config.settings import read_text
from eddpm.errors import ArtifactError
from eddpm.io.files import read_json, write_text
from eddpm.reporting.page import cost_table, provenance_table, read_table, render
from eddpm.stages import OptionalFiles


def make_report(
    experiment: str,
    metrics: OptionalFiles,
    tables: Annotated[list[Path], "in markdown"],
    figures: Annotated[list[Path], "as PNG"],
    configs: Annotated[list[Path], "configuration files, shown as they are"],
    benchmarks: Annotated[Path, "the folder of the experiment's Snakemake benchmarks"],
    report: Path,
) -> None:
    """Write one HTML page that shows tables (md) and figures (png) with what is behind them.

    `metrics` are those of the runs of the tables as far as they are measured; `configs` are shown as they are;
    `benchmarks` is the folder where Snakemake timed the jobs of the experiment, as RULE.tsv or RULE/**/*.tsv. It may be
    missing. Raises ArtifactError on any other file that is missing, or is not what it should be.
    """
    rows = [read_json(path, "run", "features", "provenance") for path in metrics]
    page = render(
        experiment=experiment,
        tables={path.stem: read_table(_read_text(path), str(path)) for path in tables},
        figures={path.stem: _read_png(path) for path in figures},
        configs={str(path): _read_text(path) for path in configs},
        provenance=provenance_table(rows),
        cost=cost_table(_read_jobs(benchmarks)),
    )
    write_text(report, page)


def _read_jobs(folder: Path) -> list[dict[str, str]]:
    """Snakemake's rows, each with its rule."""
    return [
        {"rule": path.relative_to(folder).parts[0].removesuffix(".tsv"), **row}
        for path in sorted(folder.rglob("*.tsv"))
        for row in csv.DictReader(_read_text(path).splitlines(), delimiter="\t")
    ]


def _read_png(path: Path) -> bytes:
    png = _read(path)
    if not png.startswith(b"\x89PNG"):
        raise ArtifactError(f"{path}: not a PNG; make it again")
    return png


def _read_text(path: Path) -> str:
    return _read(path, read_text)


def _read(path: Path, read: Callable[[Path], str | bytes] = Path.read_bytes) -> str | bytes:
    try:
        return read(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", error)
        raise ArtifactError(f"{path}: cannot be read ({reason}); check the path, or make it first") from None
