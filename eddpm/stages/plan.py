"""What a target will take, before anything is submitted."""

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from tabulate import tabulate

from eddpm.config.assets import not_here_yet
from eddpm.config.demand import feature_bytes, image_bytes, shard_images
from eddpm.config.project import Project
from eddpm.config.projectfile import load_project
from eddpm.config.settings import read_yaml
from eddpm.errors import ConfigError
from eddpm.stages import ProjectFile
from eddpm.stages.status import number, speed_source

SNAKEFILE = Path(__file__).parents[2] / "workflow/Snakefile"
TRAINING = ("train_denoiser", "train_classifier")
SAMPLING = ("sample_shard", "sample_sweep")

_UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9}

Shard = tuple[str, str]  # run, shard


class Planned(NamedTuple):
    """What a dry run would do."""

    jobs: Counter[str]  # by rule
    shards: dict[str, list[Shard]]  # by rule: whose samples, or features, it would write


def plan(config: ProjectFile, targets: Annotated[Sequence[str], "as snakemake takes them (all)"] = ("all",)) -> None:
    """Print the jobs that remain to be done for `targets` by rule, the hours of sampling, and the disk it fills."""
    project = load_project(read_yaml(config), str(config))
    planned = parse_dry_run(dry_run(config, targets))
    if not planned.jobs:
        print(f"Nothing to be done for {' '.join(targets)}.")
        return
    images = {rule: count_images(project, shards) for rule, shards in planned.shards.items()}
    hours = {rule: sampling_seconds(project, images[rule]) / 3600 for rule in SAMPLING if rule in images}
    size_of = {"extract_features": feature_bytes, **dict.fromkeys(SAMPLING, image_bytes)}
    sizes = {rule: size_of[rule](project) * images[rule].total() for rule in size_of if rule in images}
    rows = [
        (rule, jobs, number(hours[rule]) if rule in hours else "", _size(sizes[rule]) if rule in sizes else "")
        for rule, jobs in planned.jobs.most_common()
    ]
    rows.append(("all", planned.jobs.total(), number(sum(hours.values())), _size(sum(sizes.values()))))
    align = ("left", "right", "right", "right")
    print(tabulate(rows, ("rule", "jobs", "GPU-hours", "disk"), colalign=align, disable_numparse=True))
    print("\nGPU-hours: of sampling, on one GPU each; disk: of samples and features.")
    print(f"By {speed_source(project)}.")
    if any(rule in planned.jobs for rule in TRAINING):
        print("Training is counted, but its hours are not estimated.")
    for line in not_here_yet(project):
        print(line)


def dry_run(config: Path, targets: Sequence[str]) -> str:
    """What Snakemake prints of a dry run in the working directory. Raises ConfigError where it cannot plan."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "--configfile", str(config)]
    command += ["--workflow-profile", "none"]
    environment = {name: value for name, value in os.environ.items() if name != "SNAKEMAKE_PROFILE"}  # may be quiet
    environment["PYTHONIOENCODING"] = "utf-8"
    # Unfinished files of jobs at work are yet to be made; one core, since a dry run wants a number.
    command += ["--cores", "1", "--dry-run", "--rerun-incomplete", "--nolock", "--nocolor", "--", *targets]
    done = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ConfigError(f"--targets {' '.join(targets)}: {_reason(done.stdout + done.stderr)}")
    return done.stdout


def parse_dry_run(printed: str) -> Planned:
    """The jobs in what `snakemake --dry-run` prints; `all` and the like, which only gather, are none."""
    jobs, shards, rule = Counter(), {}, ""
    for line in printed.splitlines():
        if match := re.fullmatch(r"(?:local)?rule (\w+):", line):
            rule = match[1]
        elif line.startswith("    output: "):
            jobs[rule] += 1
            shards.setdefault(rule, []).extend(re.findall(r"/runs/([^/]+)/(?:samples|features)/(\d+)\.npz", line))
    return Planned(jobs, shards)


def count_images(project: Project, shards: Iterable[Shard]) -> Counter[str]:
    """How many images there are in some shards, by run."""
    count = Counter()
    for run, shard in shards:
        count[run] += shard_images(project, run, shard)
    return count


def sampling_seconds(project: Project, images: Mapping[str, int]) -> float:
    """What it takes to sample so many images of each run, one after the other."""
    return sum(count * project.image_seconds(project.all_runs[run]) for run, count in images.items())


def _size(count: float) -> str:
    unit = next((unit for unit in ("kB", "MB") if count < 1000 * _UNITS[unit]), "GB")
    return f"{number(count / _UNITS[unit])} {unit}"


def _reason(printed: str) -> str:
    """What Snakemake says of a failure, in one line."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    named = next((k for k, line in enumerate(lines) if re.match(r"\w+(Exception|Error)\b", line)), len(lines) - 2)
    return " ".join(lines[named + 1 :])
