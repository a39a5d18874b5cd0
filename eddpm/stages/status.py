"""Progress of an experiment, from its files alone: it works while jobs run, on any machine."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

from tabulate import tabulate

from eddpm.config import paths
from eddpm.config.jobs import SamplingJob, sampling_job
from eddpm.config.outputs import runs_of, tables_of
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.settings import read_yaml
from eddpm.config.study import parts_of
from eddpm.errors import ArtifactError
from eddpm.io.arrays import image_numbers
from eddpm.io.names import listed
from eddpm.reporting.outdated import Files, other_identity
from eddpm.stages import ProjectFile

STUDY = "study"  # the target of all parts
COLUMNS = ("run", "images", "images/s", "hours", "hours left", "GB left", "failed")
LOG_TAIL = 16_384  # bytes


class Progress(NamedTuple):
    """The images of a run, and the time they take."""

    done: int
    wanted: int
    seconds: float  # of jobs that have finished
    image_seconds: float | None  # measured: the median over finished shards
    expected: float  # seconds of an image, by the speed of the config or a published one
    bytes_left: int
    failures: dict[Path, str]  # log -> its error, of jobs whose shards are not there
    outdated: str | None  # why images that are there are to be made again

    def seconds_left(self, pace: float) -> float:
        return (self.wanted - self.done) * (self.image_seconds or pace * self.expected)


def measured_pace(runs: Iterable[Progress]) -> float | None:
    """The time of an image beside the expected one: the median over the runs that have been measured."""
    ratios = [run.image_seconds / run.expected for run in runs if run.image_seconds]
    return median(ratios) if ratios else None


def status(
    config: ProjectFile,
    targets: Annotated[Sequence[str], "named ones: all, ablations, ablation_NAME, study (all)"] = ("all",),
) -> None:
    """Print a row per run: images, images per second, job-hours so far and left, disk; then the errors of failed jobs.

    The runs are those in the tables of named targets, such as `all`. Of `study`, each part has a row of its sweep.
    """
    values = read_yaml(config)
    project = load_project(values, str(config))
    parts = parts_of(values, project.study) if project.study and STUDY in targets else {}
    named = [target for target in targets if not (parts and target == STUDY)]
    runs = _progress(project, dict.fromkeys(run for target in named for run in runs_of(project, target)))
    rows = {name: [run] for name, run in runs.items()}
    for part, (_, each) in parts.items():
        of_part = _progress(each, tables_of(each)["sweep"].runs)
        rows[f"{STUDY}: {part}"] = list(of_part.values())
        runs |= {f"{part}: {name}": run for name, run in of_part.items()}
    rows["all of these"] = list(runs.values())
    pace = measured_pace(runs.values())
    cells = [_row(name, of_row, pace or 1.0) for name, of_row in rows.items()]
    print(tabulate(cells, COLUMNS, colalign=("left", *["right"] * 6), disable_numparse=True))
    print("\nhours: of sampling, on one GPU where a job has one; so far: of finished jobs, the last try of each.")
    print("GB: of samples. Training and measuring are not estimated.")
    if any(map(_is_estimated, runs.values())):
        published = "published speeds of ADM at 256 pixels on an A100; `eddpm measure-speed` measures yours"
        source = "the speed that the config gives (sampling.speed)" if project.sampling.speed else published
        print(f"~: not measured yet; by {'the pace of the runs that were' if pace else source}.")
    print_outdated({name: run.outdated for name, run in runs.items() if run.outdated})
    for log, error in {log: error for run in runs.values() for log, error in run.failures.items()}.items():
        print(f"failed: {log}: {error}")


def _progress(project: Project, runs: Iterable[str]) -> dict[str, Progress]:
    files = Files(project)
    return {run: progress(project, files, run) for run in runs}


def print_outdated(faults: dict[str, str]) -> None:
    """A line for each reason why runs are to be made again, with their names."""
    for reason in dict.fromkeys(faults.values()):
        names = [name for name, fault in faults.items() if fault == reason]
        print(f"outdated: {listed(names, most=3)}: {reason}")


def progress(project: Project, files: Files, run: str) -> Progress:
    """The state of a run, by slug, below the working directory: images count that the workflow will keep."""
    done, seconds, rates, failures, outdated = 0, 0.0, [], {}, None
    for shard, span in project.shards(run).items():
        job = sampling_job(project, run, shard)
        took = _seconds(Path(job.benchmark)) / len(job.runs)
        seconds += took
        kept, fault = _kept(files, job, run, shard, range(*span))
        done += kept
        outdated = outdated or fault
        if kept == len(range(*span)) and files.shard(run, shard).there:
            rates += [took / kept] if took else []
        elif error := last_error(Path(job.log)):
            failures[Path(job.log)] = error
    row, rate = project.all_runs[run], median(rates) if rates else None
    image_bytes = project.dataset.image_size**2 * project.dataset.image_channels + 16  # label and number
    bytes_left, expected = (row.num_images - done) * image_bytes, project.image_seconds(row)
    return Progress(done, row.num_images, seconds, rate, expected, bytes_left, failures, outdated)


def _kept(files: Files, job: SamplingJob, run: str, shard: str, span: range) -> tuple[int, str | None]:
    """The images of a shard that will be kept, and why others that lie there will not."""
    path, state, fault = Path(files.at(paths.SAMPLES, run=run, shard=shard)), files.shard(run, shard), None
    batches = path.with_suffix(".unfinished")
    begun = batches.is_dir()
    if state.there:
        fault = state.fault or _other_images(path, span, files.identity(run))
        if not begun:  # else the job goes on from its batches
            fault = fault or _made_again_with(files, job, shard)
        if not fault:
            return len(span), None
    if begun and not files.origin(run).fault:
        return _batched(batches, span, files.identity(run)), fault
    return 0, fault or (files.origin(run).fault if begun else None)


def _other_images(path: Path, span: range, identity: str | None) -> str | None:
    """The reason why a shard is not of these images, settings and weights."""
    try:
        index, named = image_numbers(path)
    except ArtifactError as error:
        return str(error)
    if index.tolist() != list(span):
        had = f"{index[0]} to {index[-1]}" if len(index) else "none"
        return f"{path}: images {had}, now {span[0]} to {span[-1]}"
    return other_identity(path, named, identity)


def _made_again_with(files: Files, job: SamplingJob, shard: str) -> str | None:
    """The reason why a job runs again, for all of its runs."""
    for run in job.runs:
        state = files.shard(run, shard)
        if state.fault or not state.there:
            return state.fault or f"shares a job with {run}, whose samples are missing"
    return None


def _batched(folder: Path, span: range, identity: str | None) -> int:
    """Images in finished batches of these settings and weights."""
    missing = set(span)
    for batch in sorted(folder.glob("*.npz")):
        try:
            index, named = image_numbers(batch)
        except ArtifactError:  # damaged, or cleared away meanwhile
            continue
        if identity and named == identity and missing.issuperset(index.tolist()):
            missing.difference_update(index.tolist())
    return len(span) - len(missing)


def last_error(log: Path) -> str | None:
    """The error that a log ends with: the line of a verb that stopped, or of an exception; None where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - LOG_TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    lines = [line for line in lines if line.strip()]
    if lines and re.match(r"eddpm [a-z-]+: ", lines[-1]):
        return lines[-1]
    tracebacks = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    # An exception's message may go on for lines after the first, which says most.
    after = lines[tracebacks[-1] + 1 :] if tracebacks else []
    return next((line for line in after if not line.startswith(" ")), None)


def number(value: float) -> str:
    """About three digits, never an exponent: 0.07, 12.3, 1,300."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _is_estimated(run: Progress) -> bool:
    return run.image_seconds is None and run.done < run.wanted


def _row(name: str, runs: list[Progress], pace: float) -> Iterator[str]:
    """The cells of some runs together."""
    yield name
    yield f"{sum(run.done for run in runs):,} of {sum(run.wanted for run in runs):,}"
    yield number(1 / runs[0].image_seconds) if len(runs) == 1 and runs[0].image_seconds else ""
    yield number(sum(run.seconds for run in runs) / 3600)
    yield "~" * any(map(_is_estimated, runs)) + number(sum(run.seconds_left(pace) for run in runs) / 3600)
    yield number(sum(run.bytes_left for run in runs) / 1e9)
    yield str(len({log for run in runs for log in run.failures}) or "")


def _seconds(benchmark: Path) -> float:
    """Snakemake's measurement of a job; 0 where there is none, or it is being written."""
    try:
        with open(benchmark, newline="", encoding="utf-8") as file:
            return sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    except (OSError, KeyError, TypeError, ValueError):
        return 0.0
