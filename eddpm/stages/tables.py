"""The tables of an experiment that is not finished: what is measured so far, and what is missing."""

from pathlib import Path

from eddpm.exhibits import PUBLISHED_CAPTION, tables_of
from eddpm.projectfile import load_project
from eddpm.settings import read_yaml
from eddpm.stages.report import compare_published, make_table


def tables(config: Path) -> None:
    """Write every table, a row for each run, and print the main one.

    Below results/EXPERIMENT/tables/, where the workflow writes the same; but one with missing rows in unfinished/
    there, since the workflow would take it for finished, and make no more of its runs.
    """
    project = load_project(read_yaml(config), str(config))
    results = Path(f"results/{project.experiment}")
    for name, table in tables_of(project).items():
        names = [row.run for row in table.runs.values()]
        measured = [path for run in table.runs if (path := results / f"runs/{run}/metrics.json").exists()]
        folder, other = results / "tables", results / "tables/unfinished"
        if len(measured) < len(names):
            folder = other
        make_table(names, measured, table.caption, **_files(folder, name))
        made = [name]
        if name == "main":
            main = folder / "main.md"
            if project.published:
                published, files = Path(project.published), _files(folder, "published")
                compare_published(names, measured, published, PUBLISHED_CAPTION, **files)
                made.append("published")
        if folder != other:
            for old in (file for name in made for file in _files(other, name).values()):
                old.unlink(missing_ok=True)
    print(main.read_text(encoding="utf-8"))


def _files(folder: Path, name: str) -> dict[str, Path]:
    """A table's files by format."""
    return {kind: folder / f"{name}.{kind}" for kind in ("csv", "md", "tex")}
