"""The tables of an experiment that is not finished: what is measured so far, and what is missing."""

from pathlib import Path

from eddpm.exhibits import PUBLISHED_CAPTION, tables_of
from eddpm.projectfile import load_project
from eddpm.settings import read_yaml
from eddpm.stages.report import compare_published, make_table


def tables(config: Path) -> None:
    """Write every table below results/EXPERIMENT/tables/, a row for each run, and print the main one.

    The workflow writes the same files once all rows are measured, and again whenever a row changes.
    """
    project = load_project(read_yaml(config), str(config))
    results = Path(f"results/{project.experiment}")
    for name, table in tables_of(project).items():
        names = [row.run for row in table.runs.values()]
        measured = [path for run in table.runs if (path := results / f"runs/{run}/metrics.json").exists()]
        files = {kind: results / f"tables/{name}.{kind}" for kind in ("csv", "md", "tex")}
        make_table(names, measured, table.caption, **files)
        if name == "main" and project.published:
            files = {kind: results / f"tables/published.{kind}" for kind in ("csv", "md", "tex")}
            compare_published(names, measured, Path(project.published), PUBLISHED_CAPTION, **files)
    print((results / "tables/main.md").read_text())
