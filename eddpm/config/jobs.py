"""Jobs that sample: a shard of a run, or all scales of a method where the sweep is small."""

from typing import NamedTuple

from eddpm.config import paths
from eddpm.config.project import Project
from eddpm.config.resources import job_minutes
from eddpm.config.runs import row_name, slug


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
    if row in project.shared_runs:
        method, member = project.sweep_runs[row].method, run.removeprefix(row)  # all scales with the same networks
        rule, job, runs = "sample_sweep", slug(method) + member, [each + member for each in project.sweep_of(method)]
    else:
        rule, job, runs = "sample_shard", f"{run}/{shard}", [run]
    start, stop = project.shards(run)[shard]
    seconds = len(runs) * (stop - start) * project.image_seconds(project.all_runs[run])
    names = {"experiment": project.experiment, "rule": rule, "job": job}
    return SamplingJob(runs, seconds, paths.LOG.format(**names), paths.BENCHMARK.format(**names))
