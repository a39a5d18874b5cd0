"""How far an experiment is, from its files alone: nobody is asked, so it works while jobs run, on any machine."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

from tabulate import tabulate

from eddpm.config.outputs import runs_of
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.runs import slug
from eddpm.config.settings import read_yaml
from eddpm.errors import ArtifactError
from eddpm.io.arrays import image_numbers
from eddpm.io.names import listed
from eddpm.reporting.outdated import Files, differ
from eddpm.stages import ProjectFile

COLUMNS = ("run", "images", "images/s", "hours", "hours left", "failed")
LOG_TAIL = 16_384  # bytes


class Job(NamedTuple):
    """Where the job that samples a shard writes, and what it makes."""

    log: Path
    benchmark: Path
    num_images: int


class Progress(NamedTuple):
    """What there is of a run, and what it took."""

    done: int  # images
    wanted: int
    seconds: float  # of jobs that have finished
    image_seconds: float | None  # measured: the median over finished shards
    seconds_left: float
    failures: dict[Path, str]  # log -> its error, of jobs whose shards are not there
    outdated: str | None  # why images that are there are to be made again


def status(
    config: ProjectFile,
    targets: Annotated[Sequence[str], "named ones: all, ablations, ablation_NAME (all)"] = ("all",),
) -> None:
    """Print a row per run: images, images per second, job-hours so far and left; then the errors of failed jobs.

    The runs are those in the tables of named targets, such as `all`.
    """
    project = load_project(read_yaml(config), str(config))
    files = Files(project)
    wanted = dict.fromkeys(run for target in targets for run in runs_of(project, target))
    runs = {run: progress(project, files, run) for run in wanted}
    total = Progress(
        done=sum(run.done for run in runs.values()),
        wanted=sum(run.wanted for run in runs.values()),
        seconds=sum(run.seconds for run in runs.values()),
        image_seconds=None,
        seconds_left=sum(run.seconds_left for run in runs.values()),
        failures={log: error for run in runs.values() for log, error in run.failures.items()},
        outdated=None,
    )
    rows = [_row(name, run) for name, run in {**runs, "all of these": total}.items()]
    print(tabulate(rows, COLUMNS, colalign=("left", *["right"] * 5), disable_numparse=True))
    print("\nhours: of a job, on one GPU where it has one; so far: of finished jobs, the last try of each.")
    if any(run.image_seconds is None and run.seconds_left for run in runs.values()):
        print(f"~: nothing measured yet; by {speed_source(project)}.")
    print_outdated({name: run.outdated for name, run in runs.items() if run.outdated})
    for log, error in total.failures.items():
        print(f"failed: {log}: {error}")


def print_outdated(faults: dict[str, str]) -> None:
    """A line for each reason why runs are to be made again, with their names."""
    for reason in dict.fromkeys(faults.values()):
        names = [name for name, fault in faults.items() if fault == reason]
        print(f"outdated: {listed(names, most=3)}: {reason}")


def progress(project: Project, files: Files, run: str) -> Progress:
    """The state of a run, by slug, below the working directory: images count that the workflow will keep."""
    present = _names(Path(f"results/{project.experiment}/runs/{run}/samples"))
    done, seconds, rates, failures, outdated = 0, 0.0, [], {}, None
    for shard, (start, stop) in project.shards(run).items():
        job = job_of(project, run, shard)
        took = _seconds(job.benchmark) * (stop - start) / job.num_images  # a sweep's job makes shards of several runs
        seconds += took
        kept, fault = _kept(project, files, run, shard, present)
        done += kept
        outdated = outdated or fault
        if kept == stop - start and f"{shard}.npz" in present:
            rates += [took / kept] if took else []
        elif error := last_error(job.log):
            failures[job.log] = error
    wanted = project.all_runs[run].num_images
    rate = median(rates) if rates else None
    expected = rate or project.image_seconds(project.all_runs[run])
    return Progress(done, wanted, seconds, rate, (wanted - done) * expected, failures, outdated)


def _kept(project: Project, files: Files, run: str, shard: str, present: set[str]) -> tuple[int, str | None]:
    """How many images of a shard will be kept, and why others that lie there will not."""
    path = Path(f"results/{project.experiment}/runs/{run}/samples/{shard}.npz")
    span, fault, begun = range(*project.shards(run)[shard]), None, f"{shard}.unfinished" in present
    if path.name in present:
        fault = files.shard(run, shard).fault or _other_images(path, span, files.identity(run))
        if not begun:  # as long as its batches are there, they are gone on from
            fault = fault or _made_again_with(project, files, run)
        if not fault:
            return len(span), None
    if begun and not files.origin(run).fault:
        return _batched(path.with_suffix(".unfinished"), span, files.identity(run)), fault
    return 0, fault or (files.origin(run).fault if begun else None)


def _other_images(path: Path, span: range, identity: str | None) -> str | None:
    """How the shard at `path` tells that it is not of these images, settings and weights."""
    try:
        index, named = image_numbers(path)
    except ArtifactError as error:
        return str(error)
    if index.tolist() != list(span):
        had = f"{index[0]} to {index[-1]}" if len(index) else "none"
        return f"{path}: images {had}, now {span[0]} to {span[-1]}"
    return f"{path}: of other settings or weights" if differ(named, identity) else None


def _made_again_with(project: Project, files: Files, run: str) -> str | None:
    """Of a scale whose job samples the others, too: why that job runs again."""
    if not _shares_a_job(project, run):
        return None
    for other in project.sweep_of(project.sweep_runs[run].method):
        state = files.shard(other, "0000")
        if state.fault or not state.there:
            return state.fault or f"shares a job with {other}, whose samples are missing"
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


def _shares_a_job(project: Project, run: str) -> bool:
    return project.sweep_shares_jobs and run in project.sweep_runs


def job_of(project: Project, run: str, shard: str) -> Job:
    """The job that samples a shard: one of its own, or that of its method's sweep."""
    if _shares_a_job(project, run):
        rule, name = "sample_sweep", slug(project.sweep_runs[run].method)
        num_images = project.sweep.num_images * len(project.sweep.grids[0])
    else:
        rule, name = "sample_shard", f"{run}/{shard}"
        start, stop = project.shards(run)[shard]
        num_images = stop - start
    place = f"{project.experiment}/{rule}/{name}"
    return Job(Path(f"logs/{place}.log"), Path(f"benchmarks/{place}.tsv"), num_images)


def last_error(log: Path) -> str | None:
    """The error that a log ends with: the line of a verb that stopped, or of an exception; None where there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_TAIL))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    lines = [line for line in lines if line.strip()]
    if lines and re.match(r"eddpm [a-z-]+: ", lines[-1]):
        return lines[-1]
    tracebacks = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    # An exception's message may go on for lines after the one that says most.
    after = lines[tracebacks[-1] + 1 :] if tracebacks else []
    return next((line for line in after if not line.startswith(" ")), None)


def speed_source(project: Project) -> str:
    """Whose figures `cost` goes by."""
    if project.sampling.speed:
        return "the speed that the config gives (sampling.speed)"
    return "published speeds of ADM at 256 pixels on an A100; `eddpm measure-speed` measures yours"


def number(value: float) -> str:
    """About three digits, never an exponent: 0.07, 12.3, 1,300."""
    return f"{value:,.{2 if value < 10 else 1 if value < 100 else 0}f}"


def _row(name: str, run: Progress) -> Iterator[str]:
    estimated = "~" if run.image_seconds is None and run.seconds_left and name != "all of these" else ""
    yield name
    yield f"{run.done:,} of {run.wanted:,}"
    yield number(1 / run.image_seconds) if run.image_seconds else ""
    yield number(run.seconds / 3600)
    yield estimated + number(run.seconds_left / 3600)
    yield str(len(run.failures)) if run.failures else ""


def _names(folder: Path) -> set[str]:
    """What lies in a folder, asked once: far cheaper on a shared file system than a question per shard."""
    try:
        return set(os.listdir(folder))
    except FileNotFoundError:
        return set()


def _seconds(benchmark: Path) -> float:
    """What Snakemake measured of a job; 0 where it has not, or is writing it now."""
    try:
        with open(benchmark, newline="", encoding="utf-8") as file:
            return sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
    except (OSError, KeyError, TypeError, ValueError):
        return 0.0
