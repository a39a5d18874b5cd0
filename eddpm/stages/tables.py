"""The tables of an experiment that is not finished: what is measured so far, and what is missing or outdated."""

from pathlib import Path

from eddpm.config.outputs import PUBLISHED_CAPTION, tables_of
from eddpm.config.projectfile import load_project
from eddpm.config.settings import read_yaml
from eddpm.reporting.outdated import Files
from eddpm.stages import ProjectFile
from eddpm.stages.report import compare_published, make_table
from eddpm.stages.status import print_outdated


def tables(config: ProjectFile) -> None:
    """Write every table, a row for each run, and print the main one, and why metrics that are there are left out.

    Below results/EXPERIMENT/tables/, where the workflow writes the same; but one with missing rows in unfinished/
    there, since the workflow would take it for finished, and make no more of its runs. Outdated metrics count as
    missing.
    """
    project = load_project(read_yaml(config), str(config))
    files, results = Files(project), Path(f"results/{project.experiment}/tables")
    outdated = {}
    for name, table in tables_of(project).items():
        names = [row.run for row in table.runs.values()]
        states = {run: state for run in table.runs if (state := files.metrics(run)).there}
        measured = [state.path for state in states.values() if not state.fault]
        faults = {run: state.fault for run, state in states.items() if state.fault}
        outdated |= faults
        note = f" Outdated, and so missing: {', '.join(table.runs[run].run for run in faults)}." if faults else ""
        folder, other = results, results / "unfinished"
        if len(measured) < len(names):
            folder = other
        make_table(names, measured, table.caption + note, **_formats(folder, name))
        made = [name]
        if name == "main":
            main = folder / "main.md"
            if project.published:
                published, formats = Path(project.published), _formats(folder, "published")
                compare_published(names, measured, published, PUBLISHED_CAPTION + note, **formats)
                made.append("published")
        if folder != other:
            for old in (file for name in made for file in _formats(other, name).values()):
                old.unlink(missing_ok=True)
    print(main.read_text(encoding="utf-8"))
    print_outdated(outdated)


def _formats(folder: Path, name: str) -> dict[str, Path]:
    """A table's files by format."""
    return {kind: folder / f"{name}.{kind}" for kind in ("csv", "md", "tex")}
