"""Tables of an experiment, from metrics that lie on disk: whole ones, or what is measured so far."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd

from eddpm.config import paths
from eddpm.config.outputs import PUBLISHED_CAPTION, matched_methods, tables_of
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.runs import row_name
from eddpm.config.settings import read_yaml
from eddpm.errors import ArtifactError, ConfigError
from eddpm.evaluation.matched import matched_frame
from eddpm.io.files import read_json, write_text
from eddpm.io.names import listed
from eddpm.reporting.matched import matched_cells
from eddpm.reporting.outdated import Files
from eddpm.reporting.published import COMPARED, comparison_cells, comparison_frame, read_published
from eddpm.reporting.tables import mean_row, metrics_cells, metrics_frame, to_html, to_latex, to_markdown
from eddpm.stages import Caption, Measured, OptionalFiles, ProjectFile, check_count
from eddpm.stages.matched import read_level, read_sweeps
from eddpm.stages.status import print_outdated

Names = Annotated[list[str], "the name of each run, in order: a row, or ROW with training_seed SEED"]
Costs = Annotated[Literal["shown", "hidden"], "evaluations of networks, and seconds, for an image (hidden)"]
Page = Annotated[Path | None, "a page whose rows sort by a click"]


def make_table(
    runs: Names,
    metrics: Measured,
    caption: Caption,
    csv: Path,
    md: Path,
    tex: Path,
    html: Page = None,
    methods: Annotated[Sequence[str], "the name of each run's row beside its scale (the row's)"] = (),
    scales: Annotated[Sequence[str], "the scale of each run, shown while its row is missing"] = (),
    costs: Costs = "hidden",
) -> None:
    """Write one table in each format; the csv has every digit and column.

    A row is one of `runs`, or the mean over those of several training seeds. `metrics` are the metrics.json of the
    measured runs; a row with another run says that it is missing.
    """
    for option, given in (("--methods", methods), ("--scales", scales)):
        check_count(option, given or runs, len(runs), "runs")
    members, measured = _members(runs), _measured(runs, metrics)
    methods, scales = (_of_rows(runs, given) for given in (methods, scales))
    frame = metrics_frame(list(members), _means(members, measured), methods, costs == "shown")
    text = (metrics_cells(frame, scales), f"{caption} {_origin(members, measured)}", {})
    write_table(frame, text, csv, md, tex, html)


def compare_published(
    runs: Names,
    metrics: Measured,
    published: Annotated[Path, "such as config/imagenet256/published.tsv"],
    caption: Caption,
    csv: Path,
    md: Path,
    tex: Path,
    html: Page = None,
) -> None:
    """Write our numbers of `runs` beside published ones in each format; the csv has a row per number.

    `metrics` are the metrics.json of the runs measured so far, `published` is a table as config/*/published.tsv.
    """
    members, measured = _members(runs), _measured(runs, metrics)
    for path, row in zip(metrics, measured.values(), strict=True):
        if not row["metrics"].keys() >= set(COMPARED):
            raise ArtifactError(f"{path}: has no metrics of the space inception; add it to evaluation.spaces")
    sources = read_published(published)
    ours = list(members), _means(members, measured), sources
    cells, notes = comparison_cells(*ours)
    text = (cells, f"{caption} {_origin(members, measured)}", notes)
    write_table(comparison_frame(*ours), text, csv, md, tex, html)


def match_methods(
    runs: Names,
    methods: Annotated[list[str], "the name of each row beside its scale"],
    denoisers: Annotated[list[str], "the denoiser of each row"],
    metrics: Measured,
    replicates: Annotated[OptionalFiles, "the replicates.csv of each of --metrics"],
    levels: Annotated[list[str], "METRIC=LEVEL, such as accuracy=0.95"],
    caption: Caption,
    csv: Path,
    md: Path,
    tex: Path,
    html: Page = None,
    trainings: Annotated[Sequence[int], "the training seed of each row (0)"] = (),
    baselines: Annotated[Sequence[str], "methods and those that their differences are to, in turn"] = (),
) -> None:
    """Write the methods of a sweep at given levels of metrics, interpolated along their scales, in each format.

    `runs` are the rows of the sweep, `metrics` the metrics.json of the measured ones. A method needs all of its rows.
    """
    columns = {"method": methods, "denoiser": denoisers, "training": trainings or [0] * len(runs)}
    for name, given in columns.items():
        check_count(f"--{name}s", given, len(runs), "runs")
    check_count("--replicates", replicates, len(metrics), "files of --metrics")
    if len(baselines) % 2:
        raise ConfigError(f"--baselines: {len(baselines)} names; give two for each difference")
    for name in baselines:
        if name not in methods:
            raise ConfigError(f"--baselines: {name!r} is none of --methods; known: {listed(dict.fromkeys(methods))}")
    measured = _measured(runs, metrics)
    sweeps, names = read_sweeps(pd.DataFrame({"run": runs, **columns}), measured, replicates)
    others: dict[str, list[str]] = {}
    for method, other in zip(baselines[::2], baselines[1::2], strict=True):
        others.setdefault(method, []).append(other)
    frame = matched_frame(sweeps, names, [read_level(text, names) for text in levels], others)
    cells, notes = matched_cells(frame, names)
    write_table(frame, (cells, f"{caption} {_origin(_members(runs), measured)}", notes), csv, md, tex, html)


def write_table(frame: pd.DataFrame, text: tuple[pd.DataFrame, str, dict[str, str]], *paths: Path | None) -> None:
    """A table as csv, markdown, LaTeX and HTML, from its numbers, and from its text: cells, caption and notes."""
    contents = (frame.to_csv(index=False), to_markdown(*text), to_latex(*text), to_html(*text))
    for path, content in zip(paths, contents, strict=True):
        if path:
            write_text(path, content)


def _measured(runs: list[str], metrics: list[Path]) -> dict[str, dict]:
    """The contents of metrics.json files by the name of their run."""
    measured = {}
    for path in metrics:
        row = read_json(path, "run", "num_images", "metrics", "standard_errors", "provenance")
        name = row["run"]["name"]
        if name not in runs or name in measured:
            fault = "given twice" if name in measured else "not among --runs"
            raise ArtifactError(f"{path}: run '{name}' is {fault}; give one file for each run of the table at most")
        measured[name] = row
    return measured


def _members(runs: list[str]) -> dict[str, list[str]]:
    """The runs of each row."""
    members: dict[str, list[str]] = {}
    for run in dict.fromkeys(runs):
        members.setdefault(row_name(run), []).append(run)
    return members


def _of_rows(runs: list[str], given: Sequence[str]) -> list[str]:
    """Values that are given for each run, for each row; or nothing."""
    return list(dict(zip(map(row_name, runs), given, strict=False)).values())


def _means(members: dict[str, list[str]], measured: dict[str, dict]) -> dict[str, dict]:
    """The contents of each row's metrics.json, where all of its runs are measured."""
    whole = {row: runs for row, runs in members.items() if measured.keys() >= set(runs)}
    return {row: mean_row([measured[run] for run in runs]) for row, runs in whole.items()}


def _origin(members: dict[str, list[str]], measured: dict[str, dict]) -> str:
    """The images, trainings, commit, torch and device of the rows, each named once, and the number of missing runs."""
    runs = {run for of_row in members.values() for run in of_row}
    absent = len(runs - measured.keys())
    missing = f"Missing: {absent} of {len(runs)} runs." if absent else ""
    if not measured:
        return missing
    rows = measured.values()
    images = _counts(row["num_images"] for row in rows)
    commit, torch, device = (
        ", ".join(dict.fromkeys(row["provenance"][key] for row in rows)) for key in ("commit", "torch", "device")
    )
    origin = f"commit {commit}; torch {torch}; measured on {device}."
    if len(runs) == len(members):
        return f"{images} images per row; {origin} One training seed. {missing}".rstrip()
    covered = "images and trainings" if any(row["standard_errors"] for row in rows) else "trainings alone"
    counts = set(map(len, members.values()))
    where = ", where there are several" if 1 in counts else ""
    means = f"mean over {_counts(counts)} training seeds; errors cover {covered}{where}"
    return f"{images} images per row and training; {means}; {origin} {missing}".rstrip()


def _counts(numbers: Iterable[int]) -> str:
    return " or ".join(f"{number:,}" for number in sorted(set(numbers)))


def tables(config: ProjectFile) -> None:
    """Write every table of an unfinished experiment, print the main one, and say which metrics are outdated.

    Below results/EXPERIMENT/tables/, where the workflow writes the same; but a table with missing rows in unfinished/
    there: the workflow would take it for finished, and make no more of its runs. Outdated metrics count as missing.
    """
    project = load_project(read_yaml(config), str(config))
    files, results = Files(project), Path(paths.RESULTS.format(experiment=project.experiment), "tables")
    printed, outdated = {}, {}
    for name, table in tables_of(project).items():
        names = [run.run for run in table.runs.values()]
        states = {run: state for run in table.runs if (state := files.metrics(run)).there}
        measured = [state.path for state in states.values() if not state.fault]
        faults = {run: state.fault for run, state in states.items() if state.fault}
        outdated |= faults
        note = f" Outdated, and so missing: {', '.join(table.runs[run].run for run in faults)}." if faults else ""
        costs = "shown" if project.evaluation.costs else "hidden"
        columns = {"methods": table.methods, "scales": table.scales, "costs": costs}
        make = partial(make_table, names, measured, caption=table.caption + note, **columns)
        printed[name] = _make_file(make, results, name, finished=len(measured) == len(names))
        if name == "main" and project.published:
            caption, published = PUBLISHED_CAPTION + note, Path(project.published)
            make = partial(compare_published, names, measured, published=published, caption=caption)
            _make_file(make, results, "published", finished=len(measured) == len(names))
        if name == "sweep" and project.sweep.matched:
            _match(project, measured, results, note)
    print(printed["main"].read_text(encoding="utf-8"))
    print_outdated(outdated)


def _match(project: Project, measured: list[Path], results: Path, note: str) -> None:
    """Methods at matched strength, from the metrics of the sweep that have replicates beside them."""
    beside = {path: path.with_name(Path(paths.REPLICATES).name) for path in measured}
    whole = {path: replicates for path, replicates in beside.items() if replicates.exists()}
    options = matched_methods(project)
    options["caption"] += note
    make = partial(match_methods, **options, metrics=list(whole), replicates=list(whole.values()))
    _make_file(make, results, "matched", finished=len(whole) == len(options["runs"]))


def _make_file(make: Callable[..., None], results: Path, name: str, finished: bool) -> Path:
    """Make a table in each format, and remove the unfinished one once it is finished. Gives its markdown."""
    unfinished = _formats(results / "unfinished", name)
    made = _formats(results, name) if finished else unfinished
    make(**made)
    if finished:
        for old in unfinished.values():
            old.unlink(missing_ok=True)
    return made["md"]


def _formats(folder: Path, name: str) -> dict[str, Path]:
    """The files of a table by format."""
    return {kind: folder / f"{name}.{kind}" for kind in ("csv", "md", "tex", "html")}
