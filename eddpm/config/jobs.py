"""Jobs that sample: a shard of a run, or all scales of a method where the sweep is small."""

from typing import NamedTuple

from eddpm.config import paths
from eddpm.config.project import Project
from eddpm.config.resources import job_minutes
from eddpm.config.runs import Run, row_name, slug


class SamplingJob(NamedTuple):
    """The runs whose shard it samples, by slug, and where it tells of itself."""

    runs: list[str]
    seconds: float  # of sampling
    log: str
    benchmark: str

    def minutes(self, attempt: int) -> int:
        """Time to ask a cluster for."""
        return job_minutes(self.seconds, attempt)


def sampling_job(project: Project, run: str, shard: str) -> SamplingJob:
    """The job that samples a shard of a run, by slug."""
    row = slug(row_name(project.all_runs[run].run))
    if row in project.sweep_runs and shares_job(project, project.sweep_runs[row]):
        method, member = project.sweep_runs[row].method, run.removeprefix(row)  # all scales with the same networks
        rule, job, runs = "sample_sweep", slug(method) + member, [each + member for each in project.sweep_of(method)]
    else:
        rule, job, runs = "sample_shard", f"{run}/{shard}", [run]
    start, stop = project.shards(run)[shard]
    seconds = len(runs) * (stop - start) * project.image_seconds(project.all_runs[run])
    names = {"experiment": project.experiment, "rule": rule, "job": job}
    return SamplingJob(runs, seconds, paths.LOG.format(**names), paths.BENCHMARK.format(**names))


def shares_job(project: Project, row: Run) -> bool:
    """All scales of a row of the sweep share a job, with one shard for each: the sweep is small enough."""
    most = project.sampling.target_minutes_per_shard
    together = project.image_seconds(row) * row.num_images * len(project.sweep.grid(row.method))
    return project.shard_size(row) == row.num_images and not (most and together > 60 * most)


def shared_sweeps(project: Project) -> dict[tuple[float, ...], list[str]]:
    """The methods whose scales share a job, by slug, for each grid."""
    found: dict[tuple[float, ...], list[str]] = {}
    for row in project.swept_rows:
        if shares_job(project, next(project.sweep.rows([row]))):
            found.setdefault(project.sweep.grid(row.run), []).append(row.slug)
    return found
